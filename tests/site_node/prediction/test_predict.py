"""A released model on local images: what is written, what is counted, what stays out."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from compliance.errors import NotReady, Refused
from site_node.imaging.results.folder import ResultFolder
from site_node.imaging.results.marks import NOT_CLINICAL
from site_node.imaging.results.report import NO_THRESHOLD
from site_node.prediction.run import Run
from site_node.store import predictions as table
from tests.needs import need, program
from tests.site_node.imaging.files import all_bytes, file_of, header, picture
from tests.site_node.prediction.released import CANARY, Hospital, model_file, radiographs


@pytest.fixture(scope="module")
def north(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    """A hospital with a released model."""
    return Hospital(tmp_path_factory.mktemp("north"))


@pytest.fixture(scope="module")
def done(north: Hospital, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Four images with a canary's name were predicted once."""
    root = tmp_path_factory.mktemp("once")
    words = {"PatientName": CANARY, "AccessionNumber": CANARY[:10]}
    source = radiographs(root / "in", 4, first=100, **words)
    (source / "labels.csv").unlink()
    return root, north.predict(source, root / "out")


def results(folder: Path) -> dict[str, bytes]:
    """Every result by its name."""
    return {path.name: path.read_bytes() for path in folder.glob("*.dcm")}


def texts(report: Dataset) -> list[str]:
    """Every text of a report, at any depth."""
    return [str(element.value) for element in report.iterall() if element.keyword == "TextValue"]


def test_each_image_gets_a_report_that_names_model_source_and_limits(
    north: Hospital, done: tuple[Path, dict[str, Any]]
) -> None:
    """A Comprehensive SR by TID 1500, about one instance, not for clinical use."""
    root, told = done
    made = [dcmread(BytesIO(data)) for data in results(root / "out").values()]
    sources = {str(dcmread(path).SOPInstanceUID) for path in (root / "in").glob("*.dcm")}

    assert (told["predicted"], told["written"], told["counted"]) == (4, 4, 4)
    assert {str(one.SOPClassUID) for one in made} == {"1.2.840.10008.5.1.4.1.1.88.33"}
    named = {
        str(element.value)
        for one in made
        for element in one.iterall()
        if element.keyword == "ReferencedSOPInstanceUID"
    }
    assert named == sources
    for one in made:
        assert one.ContentTemplateSequence[0].TemplateIdentifier == "1500"
        assert one.DeviceSerialNumber == north.model.removeprefix("sha256:")
        assert {NOT_CLINICAL, NO_THRESHOLD} <= set(texts(one))
        assert (str(one.PatientName), one.VerificationFlag) == (CANARY, "UNVERIFIED")
        scores = [float(e.value) for e in one.iterall() if e.keyword == "NumericValue"]
        assert len(scores) == 1
        assert 0 <= scores[0] <= 1


def test_a_report_has_no_error_by_the_standard(done: tuple[Path, dict[str, Any]]) -> None:
    """The validator knows nothing of this program."""
    need("dciodvfy")
    for path in (done[0] / "out").glob("*.dcm"):
        words = [str(program("dciodvfy")), "-new", str(path)]
        said = subprocess.run(words, capture_output=True, check=False)
        lines = (said.stdout + said.stderr).decode("utf-8", "replace").splitlines()
        assert not [line for line in lines if line.startswith("Error")]


def test_scores_are_those_of_the_same_pixels_in_the_dataset(
    north: Hospital, tmp_path: Path
) -> None:
    """What was imported and is predicted again gets the score that the evaluation gives it."""
    from site_node.imaging.curated import CuratedDataset
    from site_node.training.scoring import Scorer
    from tests.site_node.gate.world import RECIPE

    data = CuratedDataset.open(north.dataset.dir)
    images, _ = data.batch(np.arange(len(data)))
    wanted = sorted(round(float(x), 6) for x in Scorer(north.vector, RECIPE).scores(images)[:, 0])
    told = north.predict(north.root / "cases", tmp_path / "out")

    made = [dcmread(BytesIO(data)) for data in results(tmp_path / "out").values()]
    found = [float(e.value) for one in made for e in one.iterall() if e.keyword == "NumericValue"]
    assert told["predicted"] == 20
    assert sorted(found) == pytest.approx(wanted, abs=2e-6)


def test_no_name_is_in_table_journal_answer_or_file_name(
    north: Hospital, done: tuple[Path, dict[str, Any]]
) -> None:
    """The patient stands in the report for the PACS and nowhere else."""
    root, told = done
    parts = [word.encode() for word in CANARY.split("^")]
    places = [data for _, data in all_bytes(north.rooms.settings.home)]
    places += [json.dumps([told, north.rooms.journal.lines()]).encode()]
    places += [(root / "out" / "predictions.json").read_bytes()]
    places += [" ".join(results(root / "out")).encode()]

    assert not [part for part in parts for data in places if part.lower() in data.lower()]
    assert all(CANARY.encode() in data for data in results(root / "out").values())


def test_the_same_again_writes_and_counts_nothing(
    north: Hospital, done: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Same numbers, same bytes, one count; a result that was lost comes back as it was."""
    root, _ = done
    before = results(root / "out")
    north.world.time.forward(days=1)

    again = north.predict(root / "in", root / "out")
    (root / "out" / sorted(before)[0]).unlink()
    mended = north.predict(root / "in", root / "out")
    north.predict(root / "in", tmp_path / "elsewhere")

    assert (again["written"], again["counted"], mended["written"]) == (0, 0, 1)
    assert results(root / "out") == results(tmp_path / "elsewhere") == before


def test_bad_files_are_listed_by_reason_and_stop_nothing(north: Hospital, tmp_path: Path) -> None:
    """Garbage, half a file, lies about pixels, doubles and stolen numbers beside a good image."""
    source = radiographs(tmp_path / "in", 1, first=300)
    good = (source / "00300.dcm").read_bytes()
    other = file_of(header("00300", 300), picture(9, 28))
    lies = file_of(header("00301", 301), picture(3, 28)).replace(
        b"\x28\x00\x10\x00US\x02\x00\x1c\x00", b"\x28\x00\x10\x00US\x02\x00\xff\x7f"
    )
    files = {"a": b"no DICOM at all", "b": good[:700], "c": good, "d": other, "e": lies}
    for name, data in files.items():
        (source / f"{name}.dcm").write_bytes(data)

    told = north.predict(source, tmp_path / "out", list_files=True)

    assert told["predicted"] == told["written"] == 1
    assert told["reasons"] == {
        "not_dicom": 2, "pixels_inconsistent": 1, "truncated": 1, "uid_conflict": 1,
    }  # fmt: skip
    assert told["skipped_because"] == {"duplicate_bytes": 1}
    assert Counter(row["reason"] for row in told["left_out"]) == told["reasons"]
    listing = (north.rooms.settings.home / "quarantine.csv").read_text()
    assert "b.dcm,truncated" in listing


def test_an_order_that_breaks_off_is_finished_by_the_next(
    north: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the count and before the file: the second run writes, and counts nothing again."""
    source = radiographs(tmp_path / "in", 3, first=400)

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_put", dies)
        with pytest.raises(KeyboardInterrupt):
            north.predict(source, tmp_path / "out")
    told = north.predict(source, tmp_path / "out")

    assert (told["written"], told["counted"]) == (3, 0)
    with north.rooms.store() as session:
        counts = table.counts_since(session, "2000-01-01")
        light = table.light_since(session, "2000-01-01")
    assert sum(row.n for row in counts) == sum(row.images for row in light)


KILLED = """
import os, signal, sys
from pathlib import Path
from site_node.imaging.results import folder
made = folder.ResultFolder(Path(sys.argv[1]), "m", "s")
made.open()
made.put("1.2", b"whole")
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
made.put("1.3", b"half")
"""


def test_a_killed_program_leaves_whole_files_only(tmp_path: Path) -> None:
    """Kill -9 in the middle of writing: what has a name is whole, the rest is thrown away."""
    out = tmp_path / "out"
    subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False)

    assert list(results(out).values()) == [b"whole"]
    again = ResultFolder(out, "m", "s")
    again.check(tmp_path / "in")
    again.open()
    assert not list((out / ".partial").glob("*.dcm"))
    again.put("1.3", b"whole too")
    assert sorted(results(out).values()) == [b"whole", b"whole too"]


def test_results_are_not_mixed_with_images_strangers_or_another_model(
    north: Hospital, tmp_path: Path
) -> None:
    """Refused before anything is read or written."""
    source = radiographs(tmp_path / "in", 1, first=500)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    ours = ResultFolder(tmp_path / "other", "sha256:other", "south")
    ours.open()

    for out, words in ((source, "each other"), (tmp_path / "full", "no results of ours"),
                       (tmp_path / "other", "another model")):  # fmt: skip
        with pytest.raises(NotReady, match=words):
            north.predict(source, out)
    assert sorted(path.name for path in source.iterdir()) == ["00500.dcm", "labels.csv"]


def test_images_are_prepared_as_those_of_the_dataset_or_not_at_all(
    north: Hospital, tmp_path: Path
) -> None:
    """Another import recipe is refused; without a kept one it must be named."""
    source = radiographs(tmp_path / "in", 1, first=600)
    other = tmp_path / "other.json"
    other.write_text('{"size": [32, 32]}')
    with pytest.raises(Refused, match="other images than it was trained on"):
        north.predict(source, tmp_path / "out", recipe=other)

    kept = north.dataset.dir / "recipe.json"
    shutil.move(kept, tmp_path / "away.json")
    try:
        with pytest.raises(NotReady, match="--recipe FILE"):
            north.predict(source, tmp_path / "out")
        assert north.predict(source, tmp_path / "out", recipe=north.recipe)["written"] == 1
    finally:
        shutil.move(tmp_path / "away.json", kept)


def test_a_refused_model_reads_no_image(north: Hospital, tmp_path: Path) -> None:
    """The door comes first: nothing is made, no folder, no count."""
    source = radiographs(tmp_path / "in", 1, first=700)
    stranger = model_file(tmp_path / "m.safetensors", north.vector + np.float32(1))

    with pytest.raises(Refused, match="No study"):
        north.predict(source, tmp_path / "out", model=stranger)

    assert not (tmp_path / "out").exists()
