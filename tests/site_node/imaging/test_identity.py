"""Nothing that names a patient is in any byte of the state folder, whatever the header said."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from compliance.errors import NotReady
from site_node.imaging.keys import SiteKeys
from site_node.imaging.quality import told
from tests.site_node.imaging.files import SECRET, all_bytes, file_of, folder_of, header, picture

CANARY = "ZQKANARY"


def planted(number: int) -> Dataset:
    """A header with a token of its own in every kind of place."""
    token = f"{CANARY}{number}"
    made = header(f"{token}-ID", number)
    made.PatientName, made.PatientBirthDate = f"{token}^Name", "19610203"
    made.AccessionNumber, made.IssuerOfPatientID = f"{token}A"[:16], f"{token}-Issuer"
    made.InstitutionName, made.ReferringPhysicianName = f"{token} Hospital", f"{token}^Doctor"
    made.StudyDescription, made.PatientComments = f"{token} study", f"{token} comment"
    made.StationName, made.BodyPartExamined = f"{token}S", f"{CANARY}"
    made.StudyInstanceUID = f"1.2.826.9999{number}.1"
    inner = Dataset()
    inner.PatientID, inner.TextValue = f"{token}-inner", f"{token} text"
    made.RequestAttributesSequence = Sequence([inner])
    block = made.private_block(0x0011, f"{token} private", create=True)
    block.add_new(0x01, "LO", f"{token} private value")
    return made


def test_no_identifier_of_a_header_is_in_any_byte_of_the_state(site, tmp_path):
    """Tokens in names, numbers, text, nested and private elements, UIDs and file names."""
    source = tmp_path / f"{CANARY}-folder"
    source.mkdir()
    rows = ["PatientID,finding"]
    for number in range(1, 9):
        data = file_of(planted(number), picture(number))
        (source / f"{CANARY}{number}.dcm").write_bytes(data)
        rows.append(f"{CANARY}{number}-ID,{('normal', 'pneumonia')[number % 2]}")
    (source / f"{CANARY}-report.txt").write_text(CANARY)
    (source / "labels.csv").write_text("\n".join(rows) + "\n")

    report = site.take(source)

    assert report["imported"] == 8
    sought = [CANARY.lower().encode(), b"19610203", b"1.2.826.9999", b"00010203"]
    for path, data in all_bytes(site.home):
        low = data.lower()
        assert not [word for word in sought if word in low], path.name
    assert CANARY not in repr(report)


def test_no_unkeyed_hash_of_an_identifier_is_kept(site, tmp_path):
    """Whoever has a list of patient numbers could undo one in a minute."""
    source = tmp_path / "one"
    source.mkdir()
    numbers = [f"{number:07d}" for number in range(1, 7)]
    for place, number in enumerate(numbers, start=1):
        (source / f"{place}").write_bytes(file_of(header(number, place), picture(place)))
    lines = [f"{number},{('a', 'b')[place % 2]}" for place, number in enumerate(numbers)]
    (source / "labels.csv").write_text("\n".join(["PatientID,finding", *lines]))
    site.take(source)

    kept = b"".join(data for _, data in all_bytes(site.home))

    for number in (*numbers, *(f"1.2.3.{place}.1.1" for place in range(1, 7))):
        for name in ("md5", "sha1", "sha256"):
            digest = hashlib.new(name, number.encode(), usedforsecurity=False)
            assert digest.digest()[:8] not in kept
            assert digest.hexdigest()[:12].encode() not in kept


def test_every_file_of_the_state_is_for_its_owner_only(site, tmp_path):
    """The secret above all."""
    site.take(folder_of(tmp_path / "one", 4))

    modes = {path.name: path.stat().st_mode & 0o077 for path, _ in all_bytes(site.home)}
    assert modes["secret.key"] == 0
    assert {name for name, mode in modes.items() if mode} <= {"site.sqlite-wal", "site.sqlite-shm"}


def test_shares_of_the_split_are_what_was_asked_for():
    """10,000 pseudonyms, two limits, within one percent."""
    keys = SiteKeys(SECRET)
    places = np.array([keys.fraction(keys.pseudonym("", str(n))) for n in range(10_000)])

    assert abs(np.mean(places < 0.2) - 0.2) < 0.01
    assert abs(np.mean((places >= 0.2) & (places < 0.35)) - 0.15) < 0.01


def test_a_small_count_hides_itself_and_the_totals_that_would_tell_it():
    """641 patients and 638 in all other cells would say that the hidden one is 3."""
    assert told(3, 5) == "<5"
    assert told(0, 5) == 0
    assert told(641, 5) == 641
    assert told(641, 5, total_hidden=True) == "≥5"


def test_a_damaged_secret_is_never_replaced(site, tmp_path):
    """A new secret would make two patients of one."""
    (site.home / "secret.key").write_bytes(b"short")

    with pytest.raises(NotReady, match="damaged"):
        site.take(folder_of(tmp_path / "one", 4))

    assert (site.home / "secret.key").read_bytes() == b"short"
