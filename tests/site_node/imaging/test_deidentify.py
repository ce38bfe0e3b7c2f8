"""What stays in a copy, and what is said about it: dates, UIDs, ages, codes, pixels."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from compliance.errors import NotReady
from site_node.imaging.deid import values as grammar
from site_node.imaging.deid.codes import clean_term
from site_node.imaging.deid.copy_file import copy_file
from site_node.imaging.deid.deidentify import deidentify
from site_node.imaging.deid.order import Order
from site_node.imaging.deid.profiles import REFUSED, STRICT, TRAINING, Profile, profile_of
from site_node.imaging.keys import SiteKeys
from site_node.imaging.outcomes import Quarantined
from tests.site_node.imaging.copies import KEYS, clean, copied
from tests.site_node.imaging.files import file_of, header, picture

DEVICE = Profile("north", frozenset(("113100", "113109", "113112")))


def days_between(first: str, second: str) -> int:
    """Days from one date to another."""
    return (pydicom.valuerep.DA(second) - pydicom.valuerep.DA(first)).days


# ---------------------------------------------------------------- patients, UIDs, dates


def test_one_patient_has_one_shift_and_another_patient_another() -> None:
    """Distances within a patient stay; a shift is a year to six years, always back."""
    told = {"SeriesDate": "20240215", "AcquisitionDateTime": "20240101101112.5+0100"}
    first = clean(header("one", 1, **told))
    again = clean(header("one", 2, StudyDate="20230101"))
    shifts = {
        days_between(clean(header(f"patient {number}")).StudyDate, "20240101")
        for number in range(200)
    }

    shift = days_between(first.StudyDate, "20240101")
    assert days_between(first.SeriesDate, "20240215") == shift
    assert days_between(again.StudyDate, "20230101") == shift
    assert first.AcquisitionDateTime == first.StudyDate + "101112.5+0100"
    assert min(shifts) >= 365
    assert max(shifts) <= 2190
    assert len(shifts) > 150


def test_the_shift_needs_the_key() -> None:
    """With the same patient number another site has another shift, pseudonym and UID."""
    other, _ = deidentify(header("one"), TRAINING, SiteKeys(bytes(32)))
    mine = clean(header("one"))

    for name in ("StudyDate", "PatientID", "SOPInstanceUID"):
        assert other[name].value != mine[name].value


def test_uids_are_the_same_wherever_they_stand() -> None:
    """A reference finds its object in the copies too; the standard's own UIDs stay."""
    first, second = header("one", 1), header("one", 2)
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (
        first.SOPClassUID, first.SOPInstanceUID,
    )  # fmt: skip
    second.ReferencedImageSequence = Sequence([item])

    target, referring = clean(first), clean(second)

    reference = referring.ReferencedImageSequence[0]
    assert reference.ReferencedSOPInstanceUID == target.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == first.SOPClassUID == target.SOPClassUID
    assert target.SOPInstanceUID.startswith("2.25.")
    assert len(target.SOPInstanceUID) <= 64
    assert target.PatientID == referring.PatientID


def test_required_elements_stay() -> None:
    """What an image needs is there with its value, in both profiles."""
    numbers = {"RescaleSlope": "2", "RescaleIntercept": "-1024", "WindowCenter": "40",
               "WindowWidth": "400", "KVP": "120", "InstanceNumber": "3",
               "ImagePositionPatient": ["-1.5", "2", "3e1"]}  # fmt: skip
    for profile in (TRAINING, STRICT):
        made = copied(file_of(header(**numbers), picture()), profile)

        for name, value in numbers.items():
            assert made[name].value == pydicom.DataElement(made[name].tag, "DS", value).value
        assert (made.Modality, made.BodyPartExamined, made.Rows) == ("CR", "CHEST", 8)
        assert made.PhotometricInterpretation == "MONOCHROME2"
        assert list(made.PixelSpacing) == [0.2, 0.2]
        assert np.array_equal(made.pixel_array, picture())


@pytest.mark.parametrize(
    ("given", "moved"),
    [
        ("20240301", "20240229"), ("2024.03.01", "20240229"), ("20240230", ""), ("soon", ""),
        ("20240301-20240302", ""), ("", ""), ("00010101", ""),
    ],
)  # fmt: skip
def test_a_date_moves_or_is_emptied(given: str, moved: str) -> None:
    """What is no day is no date."""
    assert grammar.moved_date(given, 1) == moved


@pytest.mark.parametrize(
    ("given", "moved"),
    [
        ("2024", "2023"), ("202403", "202303"), ("20240301", "20230302"),
        ("2024030110", "2023030210"), ("20240301101112.123456-0500", "20230302101112.123456-0500"),
        ("20240301Z", ""), ("2024 Miller", ""), ("20241301", ""),
    ],
)  # fmt: skip
def test_a_moment_keeps_its_precision(given: str, moved: str) -> None:
    """A year stays a year, a clock stays a clock."""
    assert grammar.moved_datetime(given, 365) == moved


@pytest.mark.parametrize(
    ("changes", "age"),
    [
        ({"PatientAge": "063Y"}, "063Y"), ({"PatientAge": "089Y"}, "089Y"),
        ({"PatientAge": "090Y"}, "090Y"), ({"PatientAge": "103Y"}, "090Y"),
        ({"PatientAge": "999W"}, "999W"),
        ({"PatientAge": None, "PatientBirthDate": "19630615"}, "060Y"),
        ({"PatientAge": None, "PatientBirthDate": "19000615"}, "090Y"),
        ({"PatientAge": None, "PatientBirthDate": "20230615"}, "006M"),
        ({"PatientAge": None, "PatientBirthDate": "20250615"}, None),
    ],
)  # fmt: skip
def test_the_age_stays_or_is_reckoned(changes: dict[str, Any], age: str | None) -> None:
    """From the birth date when it is missing, `090Y` from 90 on; the birth date is emptied."""
    made = clean(header(**changes))

    assert (made.get("PatientAge") or None) == age
    assert not made.get("PatientBirthDate")


def test_strict_keeps_no_date_and_nothing_of_the_patient() -> None:
    """Age and weight are gone, sex is empty, dates are empty or 1900."""
    made = clean(
        header(PatientWeight="71", SeriesDate="20240101", AcquisitionDate="20240101"), STRICT
    )

    assert "PatientAge" not in made
    assert "PatientWeight" not in made
    assert made.PatientSex in ("", None)
    assert {made.StudyDate or "", made.SeriesDate or ""} <= {"", "19000101"}
    assert made.LongitudinalTemporalInformationModified == "REMOVED"


# ---------------------------------------------------------------- what is claimed


def codes(made: Dataset) -> list[str]:
    """The codes that a copy claims."""
    return [item.CodeValue for item in made.DeidentificationMethodCodeSequence]


def test_a_copy_claims_what_was_done_to_it_and_no_more() -> None:
    """No date moved, no claim of moved dates; nothing of the patient kept, no claim of that."""
    bare = {"StudyDate": None, "PatientAge": None, "PatientSex": None}

    full, empty = clean(header()), clean(header(**bare))
    strict = clean(header(), STRICT)

    assert codes(full) == ["113100", "113107", "113108"]
    assert codes(empty) == codes(strict) == ["113100"]
    assert full.LongitudinalTemporalInformationModified == "MODIFIED"
    assert empty.LongitudinalTemporalInformationModified == "REMOVED"
    assert full.PatientIdentityRemoved == "YES"
    assert full.DeidentificationMethod.endswith(f"profile training {TRAINING.digits}")
    assert full.SpecificCharacterSet == "ISO_IR 192"


def test_two_runs_say_and_write_the_same() -> None:
    """The copy is a function of file, profile and keys."""
    data = file_of(header(), picture())
    outs = [BytesIO(), BytesIO()]

    first, second = (copy_file(data, Order(TRAINING), KEYS, out) for out in outs)

    assert first == second
    assert outs[0].getvalue() == outs[1].getvalue()
    assert first.actions["00100010"] == {"written": 1}


def test_an_earlier_claim_is_not_believed() -> None:
    """What another program says it did is written anew."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "113101", "DCM", "Clean Pixels"
    made = clean(header(DeidentificationMethod="by Jane",
                        DeidentificationMethodCodeSequence=Sequence([item])))  # fmt: skip

    assert "113101" not in codes(made)
    assert "Jane" not in made.DeidentificationMethod


@pytest.mark.parametrize("code", sorted(REFUSED))
def test_a_code_that_cannot_be_promised_is_refused_with_its_sentence(code: str) -> None:
    """A hospital learns why, before anything is written."""
    with pytest.raises(NotReady) as error:
        profile_of({"name": "north", "codes": ["113100", code]})

    assert REFUSED[code] in str(error.value)


@pytest.mark.parametrize(
    "told",
    [
        {"name": "north"}, {"name": "strict", "codes": ["113100"]}, ["113100"], None,
        {"name": "north", "codes": ["113107"]}, {"name": "north", "codes": ["999"]},
        {"name": "North Hospital", "codes": ["113100"]}, {"name": "n", "codes": []},
        {"name": "north", "codes": ["113100"], "keep": ["PatientName"]},
    ],
)  # fmt: skip
def test_a_profile_of_ones_own_has_a_name_and_codes_and_nothing_else(told: Any) -> None:
    """No field by which an attribute could be let through."""
    with pytest.raises(NotReady, match="cannot be used"):
        profile_of(told)


def test_an_own_profile_keeps_device_and_institution() -> None:
    """The hospital chose that; the codes say so."""
    made = clean(header(InstitutionName="North Hospital", StationName="CT 3"), DEVICE)
    training = clean(header(InstitutionName="North Hospital", StationName="CT 3"))

    assert (made.InstitutionName, made.StationName) == ("North Hospital", "CT 3")
    assert codes(made) == ["113100", "113109", "113112"]
    assert training.InstitutionName == training.StationName == "REMOVED"


def test_no_more_values_stay_than_an_attribute_may_have() -> None:
    """Behind the last number there is room for another one; a list without an end keeps its own."""
    made = copied(file_of(header(PixelSpacing=[0.2, 0.2, 4711, 815],
                                 WindowCenter=[1, 2, 3]), picture()))  # fmt: skip

    assert list(made.PixelSpacing) == [0.2, 0.2]
    assert list(made.WindowCenter) == [1, 2, 3]


@pytest.mark.parametrize("kind", ["US", "OW"])
def test_a_look_up_table_stays_and_ends_with_its_last_entry(kind: str) -> None:
    """The table makes the picture; bytes behind it belong to nobody."""
    item = Dataset()
    item.LUTDescriptor = [4, 0, 16]
    item.ModalityLUTType, item.LUTExplanation = "of Miller", "by Miller"
    entries = [10, 20, 30, 40, 4711, 4712]
    packed = np.array(entries, "<u2").tobytes()
    item.add_new(0x00283006, kind, entries if kind == "US" else packed)

    lut = copied(file_of(header(ModalityLUTSequence=Sequence([item])), picture()))[
        "ModalityLUTSequence"
    ][0]

    kept = lut.LUTData if kind == "US" else np.frombuffer(lut.LUTData, "<u2")
    assert list(kept) == [10, 20, 30, 40]
    assert list(lut.LUTDescriptor) == [4, 0, 16]
    assert (lut.ModalityLUTType, lut.LUTExplanation) == ("US", "REMOVED")


# ---------------------------------------------------------------- words and terms


def test_words_of_the_lists_stay_and_others_go() -> None:
    """A vendor and a rescale type are public knowledge; a model's name is not on a list."""
    made = clean(header(Manufacturer="Siemens", ManufacturerModelName="Ward 3 Miller",
                        RescaleType="HU", ImageType=["ORIGINAL", "MILLER", "AXIAL"]))  # fmt: skip

    assert (made.Manufacturer, made.RescaleType) == ("Siemens", "HU")
    assert made.ManufacturerModelName == "REMOVED"
    assert list(made.ImageType) == ["ORIGINAL", "", "AXIAL"]


@pytest.mark.parametrize(
    ("value", "scheme", "stays"),
    [
        ("39607008", "SCT", True), ("T-28000", "SRT", True), ("113100", "DCM", True),
        ("mm", "UCUM", True), ("24606-6", "LN", True), ("39607009", "SCT", False),
        ("12345678", "SCT", False), ("T-99999", "SRT", False), ("999999", "DCM", False),
        ("{Miller}", "UCUM", False), ("24606-7", "LN", False), ("4711", "FMA", False),
        ("1", "99MILLER", False),
    ],
)  # fmt: skip
def test_a_code_stays_when_a_dictionary_or_a_check_digit_vouches(
    value: str, scheme: str, stays: bool
) -> None:
    """A patient's number in the place of a code is no code."""
    assert (clean_term(value, scheme) is not None) is stays


def test_a_meaning_is_the_dictionarys_and_never_the_files() -> None:
    """Text beside a code is still free text."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "39607008", "SCT", "of Miller"
    made = clean(header(ViewCodeSequence=Sequence([item])))

    assert made.ViewCodeSequence[0].CodeMeaning.startswith("Lung structure")


# ---------------------------------------------------------------- the second look


@pytest.mark.parametrize(
    "changes",
    [
        {"InstitutionName": "Miller house", "PatientName": "Miller^Jane"},
        {"StationName": "ward 471123", "PatientID": "471123"},
        {"StationName": "A-1234", "AccessionNumber": "A1234"},
        {"StationName": "19630615", "PatientBirthDate": "19630615"},
        {
            "InstitutionName": "山田病院",
            "PatientName": "Yamada^Taro=山田^太郎",
            "SpecificCharacterSet": "ISO_IR 192",
        },
        {"StationName": "1.2.3.77.1.1", "SOPInstanceUID": "1.2.3.77.1.1"},
    ],
)
def test_a_name_in_a_kept_text_stops_the_copy(changes: dict[str, str]) -> None:
    """What a rule lets through by a hospital's own choice is still looked at."""
    with pytest.raises(Quarantined, match="residual_identifier"):
        clean(header(**changes), DEVICE)


def test_a_patient_called_head_can_be_copied() -> None:
    """A word of the public lists points to nobody."""
    made = clean(header(PatientName="Head^Anna", BodyPartExamined="HEAD"))

    assert made.BodyPartExamined == "HEAD"


def test_a_copy_without_patient_or_uids_is_refused() -> None:
    """There is nothing to make a pseudonym from."""
    with pytest.raises(Quarantined, match="missing_identity"):
        clean(header(PatientID=""))
