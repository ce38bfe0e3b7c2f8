"""An import de-identifies: what it keeps of a header comes from the cleaned one only."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest

from compliance.errors import NotReady
from compliance.records.consortium import Deidentification
from site_node.imaging.catalogue import Catalogue
from site_node.imaging.copying import Copier
from site_node.imaging.copying import Request as CopyRequest
from site_node.imaging.curated import SPLITS, CuratedDataset
from site_node.imaging.deid.profiles import STRICT, TRAINING
from site_node.imaging.deid.sums import total
from site_node.imaging.examine import examine
from site_node.imaging.keys import SiteKeys
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.workers import Pool
from site_node.store.journal import close_store
from site_node.store.objects import ObjectRow
from site_node.store.schema import open_store
from site_node.store.versions import VersionRow
from tests.site_node.imaging.files import (
    SECRET,
    Site,
    all_bytes,
    cleaning,
    examiners_of,
    file_of,
    folder_of,
    header,
    picture,
    read,
)

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")
OWN = '{name: north, codes: ["113100", "113107", "113108", "113112"]}\n'


def quality(site: Site) -> dict:
    """The quality report of the newest version."""
    folder = site.dataset / json.loads((site.dataset / "newest.json").read_text())["folder"]
    return json.loads((folder / "quality.json").read_text())


def test_a_patient_has_one_name_in_dataset_and_copies(site, tmp_path):
    """Whoever holds both may join them at this hospital; two names would split a patient."""
    source = folder_of(tmp_path / "one", 6)
    site.take(source)
    copier = Copier(home=site.home, random=lambda _: SECRET, jobs=1)
    copier.run(CopyRequest(source, tmp_path / "copies"))

    data = CuratedDataset.open(site.dataset)

    held = {name for split in SPLITS for name in data.patients(data.rows(split))}
    copies = [pydicom.dcmread(path) for path in (tmp_path / "copies").glob("*.dcm")]
    assert {str(copy.PatientID) for copy in copies} == held
    assert len(held) == 6


def test_facts_are_read_from_the_cleaned_header_only():
    """A word that no closed list knows is not there any more when facts are taken."""
    told = read(file_of(header(BodyPartExamined="DOE NOBODY", Modality="QX"), picture()))
    known = read(file_of(header(BodyPartExamined="Thorax", Modality="CR"), picture()))

    assert (told.facts["body_part"], told.facts["modality"]) == ("unknown", "unknown")
    assert "body_part_missing" in told.findings
    assert (known.facts["body_part"], known.facts["modality"]) == ("chest", "cr")


@pytest.mark.parametrize(
    ("changes", "decade"),
    [
        ({"PatientAge": "063Y"}, "60-69"),
        ({"PatientAge": None, "PatientBirthDate": "19800615"}, "40-49"),
        ({"PatientAge": "old", "PatientBirthDate": "19800615"}, "40-49"),
        ({"PatientAge": None, "PatientBirthDate": "20230115"}, "0-9"),
        ({"PatientAge": "104Y"}, "80+"),
        ({"PatientAge": None}, "unknown"),
        ({"PatientAge": None, "PatientBirthDate": "20250101"}, "unknown"),
    ],
)
def test_an_age_is_computed_before_the_birth_date_goes(changes, decade):
    """From the age, or from two dates that are gone afterwards."""
    found = read(file_of(header(**changes), picture()))
    assert found.facts["age"] == decade
    assert ("age_missing" in found.findings) == (decade == "unknown")


def test_the_strict_profile_leaves_neither_age_nor_sex_nor_date():
    """What the profile empties is unknown to the dataset too."""
    data = file_of(header(), picture())

    found = examine(data, ImportRecipe(size=(8, 8)), cleaning(STRICT))

    assert (found.facts["age"], found.facts["sex"]) == ("unknown", "unknown")
    assert {"age_missing", "sex_missing", "date_missing"} <= set(found.findings)
    assert found.pixels == read(data).pixels


def test_the_report_sums_what_was_done_as_the_copies_say_it(site, tmp_path):
    """The same files: the same tags and counts, whether copied or imported; and no value."""
    source = folder_of(tmp_path / "one", 6)
    site.take(source)
    copier = Copier(home=site.home, random=lambda _: SECRET, jobs=1)
    told = copier.run(CopyRequest(source, tmp_path / "copies"))

    done = quality(site)["deidentification"]

    assert done["actions"] == told["actions"]
    assert done["profile"] == TRAINING.plain()
    assert done["profile_sha256"] == TRAINING.sha256
    assert done["actions"]["codes"] == {"113100": 6, "113107": 6, "113108": 6}
    assert done["actions"]["0020000D"] == {"remapped": 6}


def test_a_registration_names_profile_and_hash_and_no_name_of_a_hospital(site, tmp_path):
    """A hospital's own profile has a name of its own; outside it is `own`."""
    own = tmp_path / "own.yaml"
    own.write_text(OWN)
    source = folder_of(tmp_path / "one", 6)
    told = {}
    for profile in ("training", "strict", str(own)):
        site.take(source, profile=profile)
        sessions = open_store(site.home / "site.sqlite")
        row = Catalogue(site.home, sessions).get("chest")
        close_store(sessions)
        Deidentification.model_validate(row.deid)
        assert row.description["profile"] == row.deid["rules_sha256"]
        told[row.deid["profile"]] = row.deid["rules_sha256"]

    assert list(told) == ["training", "strict", "own"]
    assert told["training"] == TRAINING.sha256
    assert len(set(told.values())) == 3


def test_a_name_that_is_left_puts_a_file_in_quarantine(site, tmp_path):
    """An own profile keeps the institution's name; where it is the patient's, nothing is kept."""
    own = tmp_path / "own.yaml"
    own.write_text(OWN)
    source = folder_of(tmp_path / "one", 4)
    marked = header("00002", 2, InstitutionName="Nobody Hospital")
    (source / "00002.dcm").write_bytes(file_of(marked, picture(2)))

    told = site.take(source, profile=str(own))

    assert told["reasons"] == {"residual_identifier": 1}
    assert told["imported"] == 3
    assert site.take(source)["imported"] == 4, "the other profile removes that name"


def test_another_profile_reads_every_file_anew_and_gives_another_version(site, tmp_path):
    """An outcome is remembered under recipe and profile together."""
    source = folder_of(tmp_path / "one", 6)

    first, again = site.take(source), site.take(source)
    strict, back = site.take(source, profile="strict"), site.take(source)

    assert (first["read_now"], again["read_now"]) == (6, 0)
    assert (strict["read_now"], back["read_now"]) == (6, 0)
    assert again["version"] == back["version"] == first["version"] != strict["version"]


def test_what_a_new_profile_has_not_seen_is_counted(site, tmp_path):
    """A smaller version is no silent loss: the report says how many older images are not in it."""
    site.take(folder_of(tmp_path / "one", 6))
    second = folder_of(tmp_path / "two", 6, first=50)

    told = site.take(second, profile="strict")
    whole = site.take(tmp_path / "one", profile="strict")

    assert told["in_older_versions_only"] == 6
    assert "in_older_versions_only" not in whole
    assert whole["patients"] == 12


def as_the_release_before_left_it(site: Site) -> None:
    """Rows under the bare recipe, nothing on what was done, `facts-only` in the summary."""
    sessions = open_store(site.home / "site.sqlite")
    with sessions.begin() as session:
        for row in session.query(ObjectRow):
            row.recipe = "0" * 64
        version = session.query(VersionRow).one()
        version.summary = version.summary | {"deid": version.summary["deid"] | {
            "profile": "facts-only", "version": 1}}  # fmt: skip
    close_store(sessions)


def test_a_version_of_an_earlier_release_stays_as_it_is(site, tmp_path):
    """It opens, is listed, and no byte of it changes; importing again makes a new one."""
    source = folder_of(tmp_path / "one", 6)
    old = site.take(source)["version"]
    as_the_release_before_left_it(site)
    folder = site.dataset / old.removeprefix("sha256:")[:12]
    before = dict(all_bytes(folder))
    shutil_strict = site.take(source, profile="strict")["version"]

    sessions = open_store(site.home / "site.sqlite")
    row = Catalogue(site.home, sessions).get("chest", old)
    close_store(sessions)

    assert row.deid["profile"] == "facts-only"
    assert dict(all_bytes(folder)) == before
    assert len(CuratedDataset.open(folder)) == 6
    assert shutil_strict != old


def test_no_key_stands_on_the_command_line_of_a_child(tmp_path):
    """Every user of the machine can read command lines; the pipe is the child's alone."""
    path = tmp_path / "one.dcm"
    path.write_bytes(file_of(header(), picture()))
    keys = SiteKeys(SECRET).lend("patient", "uid", "date")
    with Pool(work=tmp_path, crew=examiners_of(), jobs=1) as pool:
        told = list(pool.run([job_of(path)]))
        lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pool.pids()]
        lines += [Path(f"/proc/{pid}/environ").read_bytes() for pid in pool.pids()]

    assert told[0].told["images"] == 1
    assert not [key for key in keys.values() for line in lines if key.encode() in line]
    assert not [key for key in keys.values() if key in repr(pool._crew)]


def job_of(path: Path):
    """The job of one file."""
    import hashlib

    from site_node.imaging.workers import Job

    data = path.read_bytes()
    return Job(0, bytes(path), len(data), hashlib.sha256(data).hexdigest())


def test_a_profile_that_is_not_there_stops_before_anything_is_read(site, tmp_path):
    """Nothing is written, and the sentence names the profiles."""
    with pytest.raises(NotReady, match="cannot be read"):
        site.take(folder_of(tmp_path / "one", 3), profile="none-such")

    assert not (site.home / "datasets").exists()


def test_actions_of_objects_add_up():
    """The sum over parts is the sum over everything."""
    one = read(file_of(header(), picture())).actions.plain()
    assert total([one, one])["0020000D"] == {"remapped": 2}
