"""A label file that is wrong stops before anything is written, in words that name no patient."""

from __future__ import annotations

from pathlib import Path

import pytest

from compliance.errors import NotReady
from site_node.imaging.keys import SiteKeys
from site_node.imaging.labels import Labels, Question, read_labels
from tests.site_node.imaging.files import SECRET, Site, folder_of

KEYS = SiteKeys(SECRET)


def labels_of(tmp_path: Path, text: str | bytes, **asked: str) -> Labels:
    """Read a label file with this content."""
    path = tmp_path / "given.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_labels(Question(path, **asked), KEYS)


def case(value: str) -> str:
    """The keyed value of a patient's number."""
    return KEYS.match("patient", value)


@pytest.mark.parametrize(
    "text",
    [
        "PatientID,finding\n7,normal\n8,pneumonia\n",
        "\ufeffPatientID;finding\r\n7;normal\r\n8;pneumonia\r\n",
        'patient_id,age,finding\n"7",50, normal\n 8 ,60,pneumonia\n\n',
    ],
)
def test_files_of_common_programs_are_read_alike(tmp_path, text):
    """Byte order mark, semicolons, quotes, blanks, empty lines."""
    found = labels_of(tmp_path, text)

    assert (found.task, found.classes) == ("binary", ["normal", "pneumonia"])
    assert found.of == {case("7"): [0], case("8"): [1]}


def test_several_columns_make_several_labels_per_case(tmp_path):
    """0 and 1 per finding, in the order that was named."""
    text = "PatientID,effusion,mass\n7,0,1\n8,1,1\n"

    found = labels_of(tmp_path, text, column="mass,effusion")

    assert (found.task, found.classes) == ("multilabel", ["mass", "effusion"])
    assert found.of[case("7")] == [1, 0]


def test_named_classes_keep_their_order(tmp_path):
    """The number of a class is its place in the list, not in the alphabet."""
    text = "PatientID,finding\n7,normal\n8,mass\n"

    found = labels_of(tmp_path, text, classes="normal,mass,effusion")

    assert found.task == "multiclass"
    assert found.of == {case("7"): [0], case("8"): [1]}


@pytest.mark.parametrize(
    ("text", "asked", "sentence"),
    [
        ("PatientID,a,b\n7,x,y\n", {}, "columns there: a, b"),
        ("PatientID,a\n7,x\n", {"column": "finding"}, "no column finding; columns there: a"),
        ("number,finding\n7,x\n", {}, "no column names the case; columns there: number, finding"),
        ("PatientID,finding\n7,ok\n8,ok\n", {}, "a task needs two or more"),
        ("PatientID,finding\n7,Müller was here\n", {}, "column finding, row 2: the word is no"),
        ("PatientID,finding\n7,a\n8,Z\n", {"classes": "a,b"}, "column finding, row 3: the word"),
        ("PatientID,finding\n", {}, "has no rows"),
        (b"PatientID,finding\n7,\xff\xfe\n", {}, "is not UTF-8"),
    ],
)
def test_a_wrong_file_is_named_by_column_and_row(tmp_path, text, asked, sentence):
    """Each sentence carries the next step, none a value of the file."""
    with pytest.raises(NotReady) as error:
        labels_of(tmp_path, text, **asked)

    assert sentence in error.value.finding
    assert error.value.fix
    assert "Müller" not in str(error.value)


def test_an_unknown_word_writes_nothing(site, tmp_path):
    """Not one file was read when the sentence comes."""
    source = folder_of(tmp_path / "one", 4)
    (source / "labels.csv").write_text("PatientID,finding\n00001,normal\n00002,ILL\n")

    with pytest.raises(NotReady, match="row 3"):
        site.take(source, classes="normal,pneumonia")

    assert not site.dataset.exists()


def test_two_labels_for_one_case_leave_its_pictures_out(site, tmp_path):
    """Which of them is true only the hospital can say."""
    source = folder_of(tmp_path / "one", 6)
    with (source / "labels.csv").open("a") as file:
        file.write("00002,pneumonia\n00003,pneumonia\n")

    told = site.take(source)

    assert told["reasons"] == {"label_conflict": 1}
    assert told["imported"] == 5


def test_cases_without_label_and_labels_without_picture_are_counted(site, tmp_path):
    """Neither is an error, both are said."""
    source = folder_of(tmp_path / "one", 6)
    lines = (source / "labels.csv").read_text().splitlines()
    (source / "labels.csv").write_text("\n".join([*lines[:5], "99999,normal", "00006,"]) + "\n")

    told = site.take(source)

    assert told["skipped_because"] == {"labels_file": 1, "no_label": 2}
    assert told["label_without_image"] == 1


def test_zeros_that_a_spreadsheet_ate_are_suspected_not_guessed(site, tmp_path):
    """Patient 00001 is not patient 1, but somebody should look; a second try says it again."""
    source = folder_of(tmp_path / "one", 4)
    (source / "labels.csv").write_text("PatientID,finding\n1,normal\n2,pneumonia\n")

    for _ in range(2):
        with pytest.raises(NotReady, match="leading zeros"):
            site.take(source)

    assert not list(site.dataset.glob("*.json"))


def test_corrected_labels_make_a_new_version_without_reading_a_file(site, tmp_path):
    """No pixel is decoded twice; the version before stays readable."""
    source = folder_of(tmp_path / "one", 6)
    first = site.take(source)
    text = (source / "labels.csv").read_text()
    (source / "labels.csv").write_text(text.replace("00001,pneumonia", "00001,normal"))

    second = site.take(source)

    assert second["read_now"] == 0
    assert second["new_version"]
    assert second["version"] != first["version"]
    assert (site.dataset / first["version"].removeprefix("sha256:")[:12]).is_dir()


def test_other_classes_need_another_name(site, tmp_path):
    """Class 1 of old rows must not silently mean something else."""
    source = folder_of(tmp_path / "one", 6)
    site.take(source)

    with pytest.raises(NotReady, match="answers normal, pneumonia"):
        site.take(source, classes="pneumonia,normal")


def test_a_folder_without_any_file_is_named(site: Site, tmp_path):
    """Nothing is made for it."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "labels.csv").write_text("PatientID,finding\n1,a\n2,b\n")

    with pytest.raises(NotReady, match="holds no file to read"):
        site.take(tmp_path / "empty", labels=tmp_path / "labels.csv")

    assert not site.dataset.exists()


def test_a_folder_of_which_nothing_can_be_used_says_why(site, tmp_path):
    """Exit 2 with the reasons and where to look."""
    source = tmp_path / "one"
    source.mkdir()
    (source / "note.txt").write_text("no picture")
    (source / "labels.csv").write_text("PatientID,finding\n1,a\n2,b\n")

    with pytest.raises(NotReady, match=r"none of 2 files.*not_dicom 1") as error:
        site.take(source)

    assert "consilium site quarantine" in error.value.fix
