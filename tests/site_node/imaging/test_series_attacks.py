"""Volumes and masks from hostile or careless files: always an outcome, never a name kept."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.sequence import Sequence as Items

from compliance.errors import NotReady
from compliance.records.reasons import Quarantine
from site_node.imaging.examine import Examined, examine
from site_node.imaging.outcomes import Quarantined, Skipped
from site_node.imaging.recipe import ImportRecipe, Segment
from site_node.imaging.synthetic_masks import seg_file
from site_node.imaging.synthetic_series import Series, ct_files, enhanced_file
from tests.needs import need
from tests.site_node.imaging.bodies import LESIONS, Hospital, drawn, folder_of
from tests.site_node.imaging.files import all_bytes, cleaning
from tests.site_node.imaging.test_bundled_copies import errors

BODY, SERIES = drawn(1)


class Losing(Hospital):
    """A hospital to which something happens when room on the disk is asked for."""

    def when_room_is_asked(self, nth: int, act: Callable[[], object]) -> None:
        """Do something at the nth time."""
        self._left, self._act = nth, act

    @property
    def free(self) -> int:
        """Room on the disk: always enough."""
        self._left -= 1
        if self._left == 0:
            self._act()
        return 1 << 40

    @free.setter
    def free(self, _: int) -> None:
        self._left = 0


def recipe(**changes: Any) -> ImportRecipe:
    """Volumes in Hounsfield units, with lesions."""
    told = {"kind": "3d", "size": (12, 20, 24), "spacing": (2.5, 2.0, 2.0), "intensity": "hu"}
    return ImportRecipe(**(told | {"segments": tuple(Segment(**one) for one in LESIONS)} | changes))


def read(data: bytes, **changes: Any) -> Examined:
    """Look at a file as a child does."""
    return examine(data, recipe(**changes), cleaning())


def slice_with(**changes: Any) -> bytes:
    """A slice of the series with other elements; None takes one away."""
    return other(ct_files(SERIES, np.random.default_rng(1))[5], **changes)


def other(data: bytes, **changes: Any) -> bytes:
    """A file with other elements."""
    made = pydicom.dcmread(BytesIO(data))
    for name, value in changes.items():
        if value is None:
            delattr(made, name)
        else:
            setattr(made, name, value)
    out = BytesIO()
    made.save_as(out)
    return out.getvalue()


def kinds(series: Series) -> list[bytes]:
    """A slice, an enhanced object, a mask of bits and one of fractions."""
    random = np.random.default_rng(2)
    lesions = BODY.lesions
    return [
        ct_files(series, random)[5],
        enhanced_file(series, random),
        seg_file(series, lesions, random),
        seg_file(series, lesions, random, fractional=True),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"ImagePositionPatient": None},
        {"ImagePositionPatient": [0, 0]},
        {"ImagePositionPatient": [0, 0, "1e9"]},
        {"ImageOrientationPatient": None},
        {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
        {"ImageOrientationPatient": [1, 0, 0, 0, 2, 0]},
        {"PixelSpacing": None},
        {"PixelSpacing": [0, 1]},
        {"RescaleSlope": 0},
        {"RescaleSlope": None, "RescaleIntercept": None},
    ],
)
def test_a_slice_without_a_place_or_a_scale_is_named(changes):
    """A number that is needed and missing; nothing is guessed."""
    with pytest.raises(Quarantined) as out:
        read(slice_with(**changes))

    assert out.value.reason is Quarantine.NUMBER_NOT_USABLE


def test_a_class_that_has_no_hounsfield_units_is_refused():
    """MR under a recipe for CT; CT is read, a mask only where masks are wanted."""
    magnetic = slice_with(SOPClassUID="1.2.840.10008.5.1.4.1.1.4", Modality="MR")
    mask = kinds(SERIES)[2]

    assert read(magnetic, intensity="relative").place
    for data, changes in ((magnetic, {}), (mask, {"segments": ()})):
        with pytest.raises(Quarantined) as out:
            read(data, **changes)
        assert out.value.reason is Quarantine.CLASS_NOT_SUPPORTED


def test_frames_and_groups_that_differ_in_number_are_refused():
    """One group less than frames: every place after it would be a lie."""
    data = kinds(SERIES)[1]
    groups = pydicom.dcmread(BytesIO(data)).PerFrameFunctionalGroupsSequence

    with pytest.raises(Quarantined) as out:
        read(other(data, PerFrameFunctionalGroupsSequence=Items(list(groups)[:-1])))

    assert out.value.reason is Quarantine.PIXELS_INCONSISTENT


def test_words_of_an_image_type_come_from_a_closed_list():
    """The third value may be anything; what is on no list is `OTHER`."""
    found = read(slice_with(ImageType=["ORIGINAL", "PRIMARY", "MEIER_HANS"]))

    assert found.place is not None
    assert found.place["planes"][0][5] == ["OTHER"]


def test_mutated_series_and_masks_always_end_with_a_word():
    """Bytes changed at random: read, or a reason from the closed list; nothing else is raised."""
    random = np.random.default_rng(17)
    for data in kinds(SERIES):
        for _ in range(60):
            spoiled = bytearray(data)
            for place in random.integers(132, min(len(data), 6000), random.integers(1, 8)):
                spoiled[int(place)] = int(random.integers(256))
            try:
                assert read(bytes(spoiled)).pixels
            except (Quarantined, Skipped):
                continue


def test_nothing_of_a_header_is_kept_of_volumes_and_masks(tmp_path):
    """Neither a name nor a number nor any UID stands in database, arrays, journal or folders."""
    hospital = Hospital(tmp_path / "home", segments=True)
    folder_of(tmp_path / "one", 2, masks=True)
    hospital.take(tmp_path / "one", seg=True)
    secrets = [b"Alder", b"19600101", b"20240315"]
    for number in (1, 2):
        _, series = drawn(number)
        uids = [series.study, series.series, series.space, *(one.instance for one in series.slices)]
        secrets += [uid.encode() for uid in uids]

    for path, data in all_bytes(hospital.home):
        assert not [one for one in secrets if one in data or one.decode() in path.name], path
    assert (hospital.home / "site.sqlite").stat().st_size > 10_000


def test_a_full_disk_stops_before_a_volume_is_put_together(tmp_path):
    """What is there stays; with room the same command goes on."""
    hospital = Hospital(tmp_path / "home")
    folder_of(tmp_path / "one", 2)
    hospital.free = 20_000

    with pytest.raises(NotReady, match=r"full.*more are needed"):
        hospital.take(tmp_path / "one")
    hospital.free = 1 << 40

    told = hospital.take(tmp_path / "one")
    assert (told["imported"], told["read_now"]) == (24, 0)


def test_a_file_that_is_gone_at_the_second_look_leaves_its_volume_out(tmp_path):
    """A network share that loses a file between two looks; the next import makes it whole."""
    hospital = Losing(tmp_path / "home")
    folder_of(tmp_path / "one", 2)
    lost = sorted((tmp_path / "one" / "p1").iterdir())[4]
    data = lost.read_bytes()
    hospital.when_room_is_asked(3, lost.unlink)

    told = hospital.take(tmp_path / "one")
    lost.write_bytes(data)
    again = hospital.take(tmp_path / "one")

    assert told["skipped_because"] == {"labels_file": 1, "series_incomplete": 12}
    assert told["imported"] == 12
    assert (again["imported"], len(hospital.open())) == (24, 2)


def test_drawn_series_and_masks_are_valid_dicom(tmp_path):
    """By a validator that knows nothing of this program."""
    need("dciodvfy")
    ct, _, bits, fractions = kinds(SERIES)

    for data in (ct, bits, fractions):
        (tmp_path / "one.dcm").write_bytes(data)
        assert not errors(tmp_path / "one.dcm")


def test_compressed_slices_give_the_same_voxels(tmp_path):
    """A series with mixed transfer syntaxes is normal."""
    hospital = Hospital(tmp_path / "home")
    bodies = folder_of(tmp_path / "one", 1)
    for path in sorted((tmp_path / "one" / "p1").iterdir())[::2]:
        made = pydicom.dcmread(path)
        made.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
        made.save_as(path)

    told = hospital.take(tmp_path / "one")

    images, _ = hospital.open().batch(np.array([0]))
    assert told["imported"] == 12
    assert np.array_equal(np.rint(images[0, 0] * 4095 - 1024), bodies[0].units)
