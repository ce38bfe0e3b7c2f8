"""What is remembered changes nothing: byte for byte the same, in any order, for any patient."""

from __future__ import annotations

import json
import tracemalloc
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from site_node.imaging import header as reading
from site_node.imaging.deid.cleaning import Cleaner
from site_node.imaging.deid.copy_file import Pieces, copy_file
from site_node.imaging.deid.deidentify import Deidentifier
from site_node.imaging.deid.order import Order
from site_node.imaging.deid.profiles import STRICT, TRAINING, Profile
from site_node.imaging.deid.read_pixels import BLIND
from site_node.imaging.deid.sums import Sums
from site_node.imaging.examine import examine
from site_node.imaging.identity import identity_of
from site_node.imaging.keys import SiteKeys
from site_node.imaging.memo import MOST_BYTES, MOST_MEMORY, Memo, key_of, weight_of
from site_node.imaging.outcomes import Quarantined, Skipped
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.scan import scan
from tests.site_node.imaging.canaries import Canaries
from tests.site_node.imaging.files import SECRET, cleaning, file_of, header, picture

KEYS = SiteKeys(SECRET)
BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
pytestmark = pytest.mark.filterwarnings("ignore")


def collection() -> list[bytes]:
    """Pydicom's own files, canaries of every kind, and slices that share a patient or do not."""
    files = [path.read_bytes() for path in sorted(BUNDLED.rglob("*")) if path.is_file()]
    kinds = ({}, {"implicit": True}, {"lies": True})
    files += [Canaries(5 + n, tint=n, **told).file((1, 2)) for n, told in enumerate(kinds)]
    for number in range(12):
        birth, seen = f"19{50 + number % 3}0101", f"20{10 + number}0303"
        changes = {"PatientBirthDate": birth, "StudyDate": seen}
        if number % 2:
            changes |= {"PatientAge": ""}
        files.append(file_of(header(f"P{number % 3}", number, **changes), picture(number)))
    return files


FILES = collection()


class Copier:
    """Copies files one after another, as a child process does."""

    def __init__(self, profile: Profile, *, remembers: bool, most: int = MOST_MEMORY) -> None:
        self._order = Order(profile, accept_burned_in=True)
        memo, self._pieces = Memo(most if remembers else 0), Pieces(most if remembers else 0)
        self._clean = Deidentifier(profile, KEYS, memo).run

    def copy(self, data: bytes) -> bytes | str:
        """The bytes of the copy and what was done, or the reason why there is none."""
        out = BytesIO()
        try:
            told = copy_file(data, self._order, KEYS, out, BLIND, self._clean, self._pieces)
        except Quarantined as error:
            return error.reason.value
        except Skipped as error:
            return error.word
        return out.getvalue() + json.dumps(told.actions).encode()


@pytest.fixture(scope="module", params=[TRAINING, STRICT], ids=lambda profile: profile.name)
def plain(request: pytest.FixtureRequest) -> tuple[Profile, list[bytes | str]]:
    """What every file comes to when nothing is remembered."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fresh = Copier(request.param, remembers=False)
        return request.param, [fresh.copy(data) for data in FILES]


def test_copies_are_the_same_with_and_without_a_memory(plain) -> None:
    """Twice over every file, so that the second time almost everything is remembered."""
    profile, expected = plain
    keen = Copier(profile, remembers=True)

    for _ in range(2):
        assert [keen.copy(data) for data in FILES] == expected

    assert sum(isinstance(made, bytes) for made in expected) > 60


@pytest.mark.parametrize("most", [5_000, 200_000, MOST_MEMORY])
def test_neither_order_nor_forgetting_changes_a_copy(plain, most: int) -> None:
    """Shuffled, with a memory that is full after a few elements, after a file, or never."""
    profile, expected = plain
    keen = Copier(profile, remembers=True, most=most)
    order = np.random.default_rng(most).permutation(len(FILES)).tolist()

    assert {n: keen.copy(FILES[n]) for n in order} == dict(enumerate(expected))


def test_two_patients_with_the_same_date_are_moved_by_their_own_days() -> None:
    """The shift is part of what is remembered: else one patient's days would show another's."""
    clean = Deidentifier(TRAINING, KEYS, Memo()).run
    moved = set()
    for patient in ("A1", "B2", "A1", "C3"):
        made = header(patient, StudyDate="20200303")
        moved.add(str(clean(made_raw(made), identity_of(made))[0].StudyDate))

    assert len(moved) == 3


def test_the_same_bytes_in_another_character_set_are_read_anew() -> None:
    """A name is looked for as it reads, not as it is stored."""
    files = [
        file_of(header("P1", 1, SpecificCharacterSet=charset, PatientName=name), picture(1))
        for charset, name in (("ISO_IR 100", "Müller^Jörg"), ("ISO_IR 144", "ДЖИМИ^ЮЩЬ"))
    ]
    keen, fresh = Copier(TRAINING, remembers=True), Copier(TRAINING, remembers=False)

    assert [keen.copy(data) for data in files] == [fresh.copy(data) for data in files]


def test_a_long_value_is_not_remembered() -> None:
    """The memory of a child stays small whatever scanners write."""
    memo: Memo = Memo()
    clean = Deidentifier(TRAINING, KEYS, memo).run
    made = header()
    made.add_new(0x00204000, "LT", "x" * (MOST_BYTES + 2))
    raw = made_raw(made)

    clean(raw, identity_of(made))

    kept = [key[2] for key in memo._young]
    assert len(kept) == len(raw) - 1
    assert max(len(value) for value in kept if value) <= MOST_BYTES


def test_a_memory_that_is_full_forgets_and_goes_on() -> None:
    """Never more than its bound."""
    memo: Memo[int] = Memo(10)
    for number in range(100):
        memo.keep(number, number)
        assert len({*memo._young, *memo._old}) <= 10

    assert memo.get(99) == 99
    assert memo.get(0) is None
    memo.keep(None, 5)
    assert memo.get(None) is None


def test_what_is_asked_for_again_and_again_stays() -> None:
    """A value that every slice has outlives ten thousand that one slice has."""
    memo: Memo[str] = Memo(100)
    memo.keep("shared", "stays")
    for number in range(10_000):
        memo.keep(number, "goes")
        assert memo.get("shared") == "stays"

    assert len({*memo._young, *memo._old}) <= 101
    assert memo.get(0) is None


def test_what_is_remembered_weighs_less_than_is_reckoned() -> None:
    """A sequence of empty items is 8 bytes each in a file and a thousand in memory."""
    made, clean = header(), Deidentifier(TRAINING, KEYS, Memo(0)).run
    made.ReferencedSeriesSequence = Sequence([Dataset() for _ in range(500)])
    made.PatientName = "^".join(f"Ab{n}" for n in range(600))
    made.ContourData = list(range(500))
    made.RelatedGeneralSOPClassUID = [f"1.2.{n}.4" for n in range(300)]
    raw = made_raw(made)
    tags = {0x00081115, 0x00100010, 0x30060050, 0x0008001A}
    keys = [key_of(element, ()) for element in raw.values() if int(element.tag) in tags]
    clean(raw, identity_of(made))
    raw = made_raw(made)
    cleaner = Cleaner(TRAINING, KEYS, 400)

    tracemalloc.start()
    outcomes = [cleaner.outcome(raw.get_item(tag), raw) for tag in tags]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert all(key is not None for key in keys)
    assert len(outcomes) == len(keys) == 4
    assert held < sum(weight_of(key) for key in keys)


def made_raw(made: Dataset) -> Dataset:
    """A header as it is read from a file."""
    return reading.parse(scan(file_of(made, picture())))


def readable() -> Iterator[bytes]:
    """Files whose structure holds."""
    for data in FILES:
        try:
            scan(data)
        except (Quarantined, Skipped):
            continue
        yield data


def test_a_header_from_the_scan_is_the_one_that_the_library_reads() -> None:
    """Every element, its bytes and its type; where an end is open, the library walks itself."""
    ways = {True: 0, False: 0}
    for data in readable():
        outline = scan(data)
        ways[outline.open_ended] += 1
        if outline.open_ended:
            continue
        ours, theirs = reading._from_outline(outline), reading._step_by_step(outline)
        told = [
            {tag: (one.VR, one.value) for tag, one in made._dict.items()} for made in (ours, theirs)
        ]
        assert told[0] == told[1]
        assert ours.original_character_set == theirs.original_character_set

    assert min(ways.values()) > 20


def test_a_copy_is_written_as_the_library_writes_it() -> None:
    """Element by element or as a whole: the same bytes."""
    clean = Deidentifier(TRAINING, KEYS, Memo()).run
    compared = 0
    for data in readable():
        try:
            original = reading.parse(scan(data))
            copy, _ = clean(original, identity_of(original))
        except Quarantined:
            continue
        pieces, buffer = Pieces(), pydicom.filebase.DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        with pydicom.config.disable_value_validation():
            ours = b"".join(pieces.of(copy[tag]) for tag in sorted(copy.keys()))
            write_dataset(buffer, copy)
        assert ours == buffer.getvalue()
        compared += 1

    assert compared > 60


def test_an_import_is_the_same_with_and_without_a_memory() -> None:
    """Facts, findings, pixels and what was done, over every file, twice."""
    recipe = ImportRecipe(size=(8, 8), accept_burned_in=True)

    def outcome(data: bytes, clean, seen) -> object:
        try:
            found = examine(data, recipe, clean, seen)
        except Quarantined as error:
            return error.reason
        except Skipped as error:
            return error.word
        images = [image.tobytes() for image in found.images]
        return (
            found.identity,
            found.facts,
            found.findings,
            found.pixels,
            images,
            found.actions.plain(),
        )

    keen, seen = Deidentifier(TRAINING, KEYS, Memo()).run, Memo()
    expected = [outcome(data, cleaning(), None) for data in FILES]
    for _ in range(2):
        assert [outcome(data, keen, seen) for data in FILES] == expected


def test_what_was_done_is_told_once_and_then_by_its_hash() -> None:
    """The first slice of a series brings the page, the others its name."""
    clean, sums = Deidentifier(TRAINING, KEYS, Memo()).run, Sums()
    told = []
    for number in (1, 2, 3):
        original = made_raw(header("P1", number))
        told.append(sums.tell(clean(original, identity_of(original))[1]))
    other = header("P1", 9)
    other.RequestAttributesSequence = Sequence([Dataset()])
    original = made_raw(other)

    new = sums.tell(clean(original, identity_of(original))[1])

    assert "done" in told[0]
    assert told[1] == told[2] == {"actions": told[0]["actions"]}
    assert new["actions"] != told[0]["actions"]
    assert "done" in new
