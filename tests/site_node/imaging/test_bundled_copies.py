"""pydicom's own files, from many scanners: each is copied or has its reason; no copy is less valid.

The validator is dciodvfy of dicom3tools, which knows nothing of this program.
"""

from __future__ import annotations

import re
import secrets
import subprocess
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from site_node.imaging.copying import Copier, Request
from site_node.imaging.deid.copy_file import copy_file
from site_node.imaging.deid.order import Order
from site_node.imaging.deid.profiles import STRICT, TRAINING, Profile
from site_node.imaging.keys import SiteKeys
from site_node.imaging.outcomes import Quarantined, Skipped
from tests.needs import need, program
from tests.site_node.imaging.e1_1 import rows
from tests.site_node.imaging.files import SECRET, read

KEYS = SiteKeys(SECRET)
FOLDER = Path(str(get_testdata_file("CT_small.dcm"))).parent
SUFFIXES = (".py", ".pyc", ".json", ".txt")
VALUE = re.compile(r"<[^<>]*>|\d+\.\d[\d.]*|'[^']*'")

EXPECTED = {
    "copied": 70,
    "class_not_supported": 20,
    "pixels_missing": 50,
    "missing_identity": 11,
}
"""How many files come to what, at least; the rest is damaged on purpose or is no DICOM."""


REWRITTEN = (0x00280006, 0x00280102, 0x00282112, 0x00880200)
"""Planar configuration, high bit and lossy ratio follow the pixels; icons are removed."""


def test_a_segmentation_keeps_its_mask_and_its_terms() -> None:
    """One bit per pixel; what was segmented is a coded term and stays."""
    original = pydicom.dcmread(FOLDER / "liver_1frame.dcm")
    made = copy(FOLDER / "liver_1frame.dcm")
    assert isinstance(made, bytes)
    mask = pydicom.dcmread(BytesIO(made))

    assert mask.BitsAllocated == 1
    assert np.array_equal(mask.pixel_array, original.pixel_array)
    segment, before = mask.SegmentSequence[0], original.SegmentSequence[0]
    for name in ("SegmentedPropertyCategoryCodeSequence", "SegmentedPropertyTypeCodeSequence"):
        assert segment[name].value[0].CodeValue == before[name].value[0].CodeValue
    assert segment.SegmentLabel == "REMOVED"


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """A file with a few other bytes, and type letters that are somebody else's."""
    made = bytearray(data)
    for at in random.integers(132, min(len(made), 3000) - 2, random.integers(1, 8)):
        if random.random() < 0.3:
            made[at : at + 2] = str(random.choice(LETTERS)).encode()
        else:
            made[at] = random.integers(256)
    return bytes(made)


def test_a_damaged_file_is_copied_or_named_and_nothing_else_happens(tmp_path: Path) -> None:
    """Some bring a codec down (seen here): the child dies, its file is named, the rest goes on."""
    seed = secrets.randbits(32)
    print("seed", seed)
    random = np.random.default_rng(seed)
    files = [path.read_bytes() for path in bundled() if isinstance(copy(path), bytes)]
    source, home = tmp_path / "in", tmp_path / "home"
    source.mkdir()
    home.mkdir()
    for number in range(400):
        data = damaged(files[random.integers(len(files))], random)
        (source / f"{number}.dcm").write_bytes(data)

    site = Copier(home=home, random=lambda _: SECRET, jobs=2)
    told = site.run(Request(source, tmp_path / "out", accept_burned_in=True))

    made = list((tmp_path / "out").glob("*.dcm"))
    assert told["files"] == told["written"] + told["quarantined"] + told["skipped"] == 400
    assert len(made) == told["written"] > 5
    assert told["quarantined"] > 100
    assert all(pydicom.dcmread(path).PatientIdentityRemoved == "YES" for path in made)


LETTERS = ("SQ", "UN", "LO", "US", "OB", "DS", "PN", "UI")
NUMBERS = ("DS", "IS", "US", "SS", "UL", "SL", "FD", "FL", "AT", "TM")


def bundled() -> list[Path]:
    """Every bundled file."""
    found = (path for path in sorted(FOLDER.rglob("*")) if path.is_file())
    return [path for path in found if path.suffix not in SUFFIXES]


def copy(path: Path, profile: Profile = TRAINING) -> bytes | str:
    """The copy, or the reason why there is none."""
    out = BytesIO()
    try:
        copy_file(path.read_bytes(), Order(profile, accept_burned_in=True), KEYS, out)
    except Quarantined as no:
        return no.reason.value
    except Skipped as no:
        return no.word
    return out.getvalue()


def test_every_bundled_file_is_copied_or_has_its_reason() -> None:
    """No crash, no silence; of images only those stay out that say neither who nor which."""
    outcomes = {path: copy(path) for path in bundled()}

    counts = Counter("copied" if isinstance(told, bytes) else told for told in outcomes.values())
    print(counts)
    assert {name: counts[name] for name in EXPECTED} == EXPECTED
    assert counts["residual_identifier"] == 0
    damaged = counts.total() - sum(EXPECTED.values())
    assert damaged == counts["not_dicom"] + counts["dicomdir"] + counts["truncated"] + 4


def test_a_copy_gives_the_picture_of_its_original() -> None:
    """Whatever the encoding, the import sees the same values in both."""
    compared = 0
    for path in bundled():
        made = copy(path)
        if isinstance(made, str):
            continue
        try:
            before = read(path.read_bytes(), accept_burned_in=True)
        except Quarantined:
            continue
        after = read(made, accept_burned_in=True)
        assert all(map(np.array_equal, before.images, after.images)), path.name
        compared += 1
    assert compared > 50


def numbers(level: Dataset, place: str = "") -> dict[str, str]:
    """Every number outside the table that the dictionary knows, by its place."""
    found = {}
    for element in level:
        here = f"{place}/{element.tag}"
        left_out = element.tag.is_private or element.tag.element == 0
        if left_out or int(element.tag) in (*rows(), *REWRITTEN):
            continue
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                found |= {} if "CodeValue" in item else numbers(item, f"{here}.{number}")
        elif element.VR in NUMBERS and str(element.value) and element.tag.group < 0x5000:
            found[here] = str(element.value)
    return found


def test_every_number_outside_the_table_stays_what_it_was() -> None:
    """Geometry, exposure, window, rescale: a model that learns from copies learns the same."""
    kept, changed = 0, []
    for path in bundled():
        made = copy(path)
        if isinstance(made, bytes):
            before = numbers(pydicom.dcmread(path, force=True))
            after = numbers(pydicom.dcmread(BytesIO(made)))
            lost = {place: told for place, told in before.items() if after.get(place) != told}
            changed += [f"{path.name} {place}: {told}" for place, told in lost.items()]
            kept += len(before)

    print(kept, "numbers")
    assert kept > 1500
    assert not changed, "\n".join(changed)


def errors(path: Path) -> Counter[str]:
    """What the validator calls an error, without the values that it quotes."""
    words = [str(program("dciodvfy")), "-new", str(path)]
    done = subprocess.run(words, capture_output=True, check=False)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    found = {line for line in lines if line.startswith("Error")}
    return Counter({VALUE.sub("…", line) for line in found})


@pytest.mark.parametrize("profile", [TRAINING, STRICT], ids=lambda profile: profile.name)
def test_no_copy_has_an_error_that_its_original_has_not(tmp_path: Path, profile: Profile) -> None:
    """An emptied or removed element never makes an image invalid."""
    need("dciodvfy")
    worse, judged, target = [], 0, tmp_path / "copy.dcm"
    for path in bundled():
        made = copy(path, profile)
        if isinstance(made, bytes):
            target.write_bytes(made)
            fresh = errors(target) - errors(path)
            worse += [f"{path.name}: {line}" for line in fresh]
            judged += 1

    assert judged == EXPECTED["copied"]
    assert not worse, "\n".join(worse)


def test_the_validator_finds_what_is_missing(tmp_path: Path) -> None:
    """The comparison above can fail: a copy without its modality has a new error."""
    need("dciodvfy")
    made = copy(FOLDER / "CT_small.dcm")
    assert isinstance(made, bytes)
    broken = pydicom.dcmread(BytesIO(made))
    del broken.Modality
    broken.save_as(tmp_path / "broken.dcm")

    assert errors(tmp_path / "broken.dcm") - errors(FOLDER / "CT_small.dcm")
