"""A released model that lacks layers is used with this hospital's own ones, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from compliance.canonical import sha256_id
from compliance.command import main
from compliance.errors import Malformed, NotReady, Refused
from compliance.records.layout import model_sha256
from compliance.records.recipe import layout_of, local_layout, shipped, with_changes
from site_node.gate.model_page import model_lines
from site_node.imaging.curated import CuratedDataset
from site_node.prediction.owned import whole_of
from site_node.store import locals as table
from site_node.store.locals import LocalRow
from site_node.store.named import NamedFiles
from site_node.training.scoring import Scorer
from site_node.training.staying import Whole
from site_node.training.vectors import start_vector
from tests.site_node.gate import world
from tests.site_node.gate.world import STUDY
from tests.site_node.prediction import released
from tests.site_node.prediction.released import Hospital, radiographs

RECIPE = with_changes(shipped()["cnn2d-small"], {"personal": {"layers": "head"}})
SHARED, LOCAL = layout_of(RECIPE), local_layout(RECIPE)
assert LOCAL is not None
OWN = start_vector(LOCAL, 99) * np.float32(3)
LATER = start_vector(LOCAL, 100) * np.float32(3)
NAME = sha256_id(OWN.astype("<f4").tobytes())


def keep(north: Hospital, layers: np.ndarray, *, base: str = "sha256:" + "00" * 32) -> None:
    """This hospital has trained these layers in the study."""
    files = NamedFiles(north.rooms.settings.home / "models" / STUDY / "local")
    assert LOCAL is not None
    with north.rooms.store.begin() as session:
        row = LocalRow(
            log=north.rooms.mirror.state(STUDY).charter_id,
            layers_sha256=LOCAL.sha256,
            study=STUDY,
            base_sha256=base,
            before_sha256=None,
            after_sha256=files.write(layers.astype("<f4").tobytes()),
        )
        table.keep_local(session, row)


@pytest.fixture
def north(tmp_path: Path) -> Iterator[Hospital]:
    """A hospital with a dataset, in a study that keeps heads at home; it has no layers yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(shipped(), "cnn2d-small", RECIPE)
        for module in (world, released):
            patch.setattr(module, "RECIPE", RECIPE)
            patch.setattr(module, "LAYOUT", SHARED)
        yield Hospital(tmp_path / "n")


def results(folder: Path) -> dict[str, bytes]:
    """Every result by its name."""
    return {path.name: path.read_bytes() for path in folder.glob("*.dcm")}


def scores_in(folder: Path) -> list[float]:
    """Every score of a folder."""
    made = [dcmread(BytesIO(data)) for data in results(folder).values()]
    return sorted(
        float(item.value)
        for one in made
        for item in one.iterall()
        if item.keyword == "NumericValue"
    )


def test_a_hospital_without_layers_is_refused_with_the_way_out(
    north: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prediction, scores and leak test: why, and whom to ask; start values stand in for nothing."""
    source = radiographs(tmp_path / "in", 1, first=500)
    with pytest.raises(NotReady, match="this one has none") as error:
        north.predict(source, tmp_path / "out")
    assert "Ask a hospital that took part" in error.value.fix
    with pytest.raises(NotReady, match="this one has none"):
        north.rooms.leak_testing.run(STUDY, None, north.file, lambda *_: None)
    out = tmp_path / "scores.csv"
    words = ["site", "evaluate", str(north.file), "--dataset", "chest", "--out", str(out)]

    code = main([*words, "--home", str(north.world.home)])

    assert (code, out.exists(), (tmp_path / "out").exists()) == (2, False, False)
    assert "head layers: they stay at each hospital" in capsys.readouterr().err


def test_the_whole_model_answers_and_its_results_name_the_layers(
    north: Hospital, tmp_path: Path
) -> None:
    """Scores are those of the released values with the own head; hash and kind stand in each."""
    keep(north, OWN)

    told = north.predict(north.root / "cases", tmp_path / "out")

    data = CuratedDataset.open(north.dataset.dir)
    images, _ = data.batch(np.arange(len(data)))
    whole = Whole.of(RECIPE, SHARED).joined(north.vector, OWN)
    wanted = sorted(round(float(x), 6) for x in Scorer(whole, RECIPE).scores(images)[:, 0])
    assert scores_in(tmp_path / "out") == pytest.approx(wanted, abs=2e-6)
    assert told["layers"] == f"head layers of this hospital, {NAME}"
    for data_of in results(tmp_path / "out").values():
        report = dcmread(BytesIO(data_of))
        texts = [str(item.value) for item in report.iterall() if item.keyword == "TextValue"]
        sentence = (
            f"The released model was completed with the head layers of this hospital, {NAME}."
        )
        assert sentence in texts
        told_of = [
            one.get("ContributionDescription") for one in report.ContributingEquipmentSequence
        ]
        assert any(str(words).endswith(sentence) for words in told_of)
        assert report.DeviceSerialNumber == north.model.removeprefix("sha256:")
        assert OWN.astype("<f4").tobytes()[:16] not in data_of
    (line,) = [row for row in north.rooms.journal.lines() if row["kind"] == "predicted"]
    assert NAME in json.dumps(line)
    (book,) = north.rooms.predictions.told(3650)
    assert (book["model_sha256"], book["layers_sha256"]) == (north.model, NAME)


def test_other_layers_are_another_model(north: Hospital, tmp_path: Path) -> None:
    """Nothing is mixed: other numbers of results, counted by itself, not into the same folder."""
    keep(north, OWN)
    source = radiographs(tmp_path / "in", 2, first=600)
    north.predict(source, tmp_path / "out")
    keep(north, LATER)

    with pytest.raises(NotReady, match="another model"):
        north.predict(source, tmp_path / "out")
    told = north.predict(source, tmp_path / "later")

    assert told["counted"] == 2
    assert not {*results(tmp_path / "out")} & {*results(tmp_path / "later")}
    assert len(north.rooms.predictions.told(3650)) == 2


def test_scores_and_the_leak_test_use_the_same_whole(
    north: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both say with which layers; what goes with a yes does not have their hash."""
    keep(north, OWN)
    out = tmp_path / "scores.csv"
    words = ["site", "evaluate", str(north.file), "--dataset", "chest", "--out", str(out)]

    assert main([*words, "--home", str(north.world.home), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    tested = north.rooms.leak_testing.run(STUDY, None, north.file, lambda *_: None)

    assert said["layers"] == tested["layers"] == f"head layers of this hospital, {NAME}"
    page = north.rooms.releasing.show(STUDY)
    assert page["checks"]["leak_tests"][0]["layers"] == said["layers"]
    assert NAME not in json.dumps(page["told"])
    assert model_lines(page)


def test_a_file_of_another_study_or_recipe_gets_no_layers(north: Hospital) -> None:
    """The model must be one of a mirrored study, and of that study's own recipe."""
    keep(north, OWN)
    find = north.rooms.released_models.own_layers
    assert find(north.model, RECIPE) is not None

    with pytest.raises(Refused, match="No study that is mirrored here"):
        find(model_sha256(SHARED.sha256, bytes(4 * SHARED.count)), RECIPE)
    same_shape = with_changes(RECIPE, {"local": {"batch": 3}})
    with pytest.raises(Refused, match="another recipe"):
        find(north.model, same_shape)
    with pytest.raises(Refused, match="No study that is mirrored here"):
        find("", RECIPE)


def test_a_vector_without_its_layers_fills_no_network(north: Hospital) -> None:
    """The second wall: whoever forgets to ask for the layers has too few values."""
    with pytest.raises(Malformed, match="model vector"):
        Scorer(whole_of(north.vector, None, RECIPE), RECIPE)
