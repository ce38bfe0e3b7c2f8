"""The real reader over real radiographs, and the command with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

from site_node.imaging.deid import text_reader
from site_node.imaging.deid.burned_in import MARGIN, Box, blank, find_text
from site_node.imaging.deid.order import Order
from site_node.imaging.deid.profiles import TRAINING
from site_node.imaging.deid.text_reader import TextReader
from site_node.imaging.intake import walk_folder
from site_node.imaging.workers import Crew, Job, Pool
from tests.needs import need
from tests.shared import ROOT
from tests.site_node.imaging.copies import KEYS
from tests.site_node.imaging.files import Shell, file_of, header
from tests.site_node.imaging.radiographs import SIZES, sixteen, with_name, written_on


@pytest.fixture(scope="module")
def reader() -> TextReader:
    """The reader, loaded once."""
    need("reader")
    return TextReader()


def hits(boxes: list[Box], place: Box) -> bool:
    """Whether one of them lies on a place."""
    return any(box.touches(place) for box in boxes)


def test_names_on_real_radiographs_are_found_and_cannot_be_read_any_more(
    reader: TextReader,
) -> None:
    """At least 15 of 16, at 9 to 24 pixels; of what is found no stroke of the surname is left."""
    found = 0
    for number, picture in enumerate(sixteen()):
        named, surname = with_name(picture, number, SIZES[number % 4])
        boxes = find_text(named, reader)
        if hits(boxes, surname):
            found += 1
            blanked = blank(named, boxes, 0, MARGIN)
            ink = named[surname.place] != picture[surname.place]
            assert not blanked[surname.place][ink].any()
            if number % 4 == 0:
                assert not hits(find_text(blanked, reader), surname)

    print(f"names found: {found} of 16")
    assert found >= 15


def test_radiographs_without_a_word_stay_as_they_are(reader: TextReader) -> None:
    """At most 1 of 16 is touched; L and R are no words."""
    touched = sum(bool(find_text(picture, reader)) for picture in sixteen())

    print(f"touched without reason: {touched} of 16")
    assert touched <= 1


def test_what_a_hospital_wrote_itself_is_found(reader: TextReader) -> None:
    """`Bettaufnahme` and `liegend` stand on five of the forty."""
    assert sum(bool(find_text(picture, reader)) for picture in written_on()) >= 4


def test_small_writing_in_a_corner_and_grey_writing_on_black(reader: TextReader) -> None:
    """9 pixels at the very edge; half-bright letters where the picture is dark."""
    picture = sixteen()[1].copy()
    small, _ = with_name(picture[:40, :300], 3, 9)
    corner = picture.copy()
    corner[-40:, -300:] = small
    dark = picture // 4
    grey, surname = with_name(dark, 5, 16, ink=128)

    assert find_text(corner, reader)
    assert hits(find_text(grey, reader), surname)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_writing_on_a_picture_that_lies_on_its_side_is_found(
    reader: TextReader, turns: int
) -> None:
    """Detectors are turned, and names with them."""
    named, _ = with_name(sixteen()[2], 2, 16)

    assert find_text(np.ascontiguousarray(np.rot90(named, turns)), reader)


def test_sixteen_bits_with_a_name_at_the_top_of_the_range(reader: TextReader) -> None:
    """As detectors store it: twelve bits of picture, and letters beyond them."""
    picture = sixteen()[4]
    named, surname = with_name(picture, 4, 16)
    stored = picture.astype(np.uint16) * 8
    stored[named != picture] = 4095

    assert hits(find_text(stored, reader), surname)


def test_a_page_of_text_is_refused(reader: TextReader) -> None:
    """More lines than a picture has are no picture."""
    from PIL import Image, ImageDraw

    from tests.site_node.imaging.radiographs import font

    page = Image.new("L", (1000, 1000))
    pen = ImageDraw.Draw(page)
    for row in range(0, 990, 13):
        for column in range(0, 900, 150):
            pen.text((column, row), "Miller 4711", font=font(10), fill=255)

    with pytest.raises(text_reader.Quarantined, match="burned_in_text"):
        reader(np.repeat(np.asarray(page)[..., None], 3, axis=2))


# ------------------------------------------------------------------------- command and children


def folder(root: Path) -> Path:
    """A radiograph with a name, one without, and an ultrasound with a name."""
    root.mkdir()
    named, _ = with_name(sixteen()[0], 0, 16)
    ultrasound = header("3", 3, SOPClassUID="1.2.840.10008.5.1.4.1.1.6.1", Modality="US")
    (root / "named.dcm").write_bytes(file_of(header("1", 1), named))
    (root / "plain.dcm").write_bytes(file_of(header("2", 2), sixteen()[0]))
    (root / "ultrasound.dcm").write_bytes(file_of(ultrasound, named))
    return root


def test_the_command_blanks_and_says_what_it_did(shell: Shell, tmp_path: Path) -> None:
    """Without the word the ultrasound stays out; with it nothing does, and every copy claims."""
    need("reader")
    source = folder(tmp_path / "in")

    _, plain, _ = shell(source, "--out", tmp_path / "plain", "--json")
    code, out, _ = shell(source, "--out", tmp_path / "out", "--find-text", "--json")

    before, after = json.loads(plain), json.loads(out)
    assert before["reasons"] == {"burned_in_text": 1}
    assert "pixels" not in before["actions"]
    assert code == 0
    assert (after["written"], after["reasons"]) == (3, {})
    assert after["actions"]["codes"]["113101"] == 3
    assert after["actions"]["pixels"]["read"] == 3
    assert after["actions"]["pixels"]["blanked"] >= 2
    for path in (tmp_path / "out").glob("*.dcm"):
        assert pydicom.dcmread(path).BurnedInAnnotation == "NO"


def test_the_setting_switches_it_on_and_the_word_off(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hospital says it once; people read it in the last lines."""
    need("reader")
    source = folder(tmp_path / "in")
    monkeypatch.setenv("CONSILIUM_SITE_TEXT_DETECTION", "on")

    _, on, waiting = shell(source, "--out", tmp_path / "on")
    _, off, _ = shell(source, "--out", tmp_path / "off", "--no-find-text")

    assert "text in pictures: 3 frames read" in on
    assert "of 3 files read for text (slow)" in waiting
    assert "text in pictures: not looked for" in off


def test_copies_with_and_without_reading_are_not_mixed(shell: Shell, tmp_path: Path) -> None:
    """What was refused in one run would lie there from the other."""
    need("reader")
    source = folder(tmp_path / "in")
    shell(source, "--out", tmp_path / "out")

    code, out, err = shell(source, "--out", tmp_path / "out", "--find-text")

    assert code == 2
    assert "Name another folder" in out + err


def test_without_the_extra_it_says_what_to_install(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for and not there: exit 2 before anything is written, never silently without."""
    monkeypatch.setattr(text_reader, "PACKAGE", "no_such_reader")

    code, out, err = shell(folder(tmp_path / "in"), "--out", tmp_path / "out", "--find-text")

    assert code == 2
    assert 'CONSILIUM_EXTRAS="site ocr" ./consilium setup' in out + err
    assert not (tmp_path / "out").exists()


def test_a_child_that_runs_out_of_memory_loses_one_picture_and_goes_on(tmp_path: Path) -> None:
    """`parse_memory` for the picture it could not read; the volume behind it is copied."""
    need("reader")
    named, _ = with_name(sixteen()[0], 0, 16)
    slice_ = header("2", 2, SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality="CT")
    (tmp_path / "1.dcm").write_bytes(file_of(header("1", 1), named))
    (tmp_path / "2.dcm").write_bytes(file_of(slice_, named))
    crew = Crew(
        "tests.site_node.imaging.poor_child", "copies", Order(TRAINING, find_text=True).line(KEYS)
    )
    jobs = [
        Job(number, file.path, file.size, file.sha256)
        for number, file in enumerate(
            sorted(walk_folder(tmp_path).files, key=lambda file: file.path)
        )
    ]

    with Pool(work=tmp_path, crew=crew, jobs=1) as pool:
        told = {answer.job.number: answer.told for answer in pool.run(jobs)}

    assert told[0] == {"reason": "parse_memory"}
    assert "name" in told[1]


@pytest.mark.parametrize(("gigabytes", "jobs"), [(1, 1), (8, 5), (256, 63)])
def test_readers_leave_half_of_the_memory_to_others(gigabytes: int, jobs: int) -> None:
    """Many cores and little memory: fewer children, not a machine that kills its processes."""
    reading, blind = Order(TRAINING, find_text=True), Order(TRAINING)

    assert text_reader.jobs_for(reading, 63, lambda: gigabytes << 30) == jobs
    assert text_reader.jobs_for(blind, 63, lambda: gigabytes << 30) == 63


def test_the_lock_holds_no_runtime_that_calls_home() -> None:
    """From 1.29 on its wheels send telemetry by HTTPS; the constraint keeps an earlier one."""
    text = (ROOT / "requirements" / "ocr.lock.txt").read_text()
    (line,) = [one for one in text.splitlines() if one.startswith("onnxruntime==")]
    version = line.removeprefix("onnxruntime==").split()[0].split(".")

    assert (int(version[0]), int(version[1])) < (1, 29)
    assert "opencv-python-headless==" in text
    assert "opencv-python==" not in text


def test_the_installed_runtime_has_no_telemetry_in_it() -> None:
    """What is installed, not only what is locked: the sender's name would stand in the library."""
    need("reader")
    import onnxruntime

    for library in Path(onnxruntime.__file__).parent.rglob("*.so*"):
        assert b"OneDsTelemetry" not in library.read_bytes(), library.name
