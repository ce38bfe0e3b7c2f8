"""What a hospital says about a dataset is Croissant, and holds no count, header value or path."""

from __future__ import annotations

import json
import re
import socket
import warnings
from typing import Any, NoReturn, get_args

import mlcroissant
import pytest

from compliance.canonical import encode, sha256_id
from compliance.records.charter import Duo
from site_node.imaging.catalogue import Catalogue, DatasetSummary
from site_node.imaging.croissant import DUO, Holder, croissant
from site_node.store.journal import close_store
from site_node.store.schema import open_store
from tests.shared import shared_data
from tests.site_node.imaging.files import folder_of

HOLDER = Holder("north.example", "North Hospital", ("HMB", "IRB"), "2026-11-22")


def summary(site: Any) -> DatasetSummary:
    """The newest version of the one dataset of a hospital."""
    sessions = open_store(site.home / "site.sqlite")
    (row,) = Catalogue(site.home, sessions).datasets()
    close_store(sessions)
    return row


def described(row: DatasetSummary, holder: Holder = HOLDER, floor: int = 5) -> dict[str, Any]:
    """The description of a dataset, of this holder."""
    quality = json.loads((row.dir / "quality.json").read_bytes())
    return croissant(row.description, quality, holder, floor)


def findings(plain: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Errors and warnings of the validator of others."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the validator calls a function that its own library leaves
        issues = mlcroissant.Dataset(jsonld=json.loads(json.dumps(plain))).metadata.issues
    return set(issues.errors), set(issues.warnings)


def test_the_description_of_a_dataset_is_valid_croissant(site, tmp_path, monkeypatch):
    """The validator finds nothing to complain about, and asks no network."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("the validator asked the network")

    site.take(folder_of(tmp_path / "one", 12))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    plain = described(summary(site))

    assert findings(plain) == (set(), set())
    with pytest.raises(mlcroissant.ValidationError):
        findings({key: value for key, value in plain.items() if key != "@type"})


def test_a_description_of_a_hospital_that_has_not_joined_is_valid_too(site, tmp_path):
    """A folder may be imported before the first invitation; only the date is missed."""
    site.take(folder_of(tmp_path / "one", 12))

    errors, complaints = findings(summary(site).croissant)

    assert errors == set()
    assert all("datePublished" in words for words in complaints)


def test_the_description_reaches_the_example(site, tmp_path):
    """Every field of the example is there; the terms of use are those of the hospital."""
    site.take(folder_of(tmp_path / "one", 12))
    plain = described(summary(site))
    wanted = json.loads(shared_data("schemas", "examples", "croissant.json").read_text("utf-8"))

    assert set(plain) >= set(wanted)
    assert set(plain["@context"]) == set(wanted["@context"])
    assert plain["usageInfo"] == wanted["usageInfo"]
    assert plain["identifier"] == summary(site).version
    assert (plain["distribution"], plain["recordSet"]) == ([], [])


def test_the_registered_hash_is_that_of_the_croissant_file(site, tmp_path):
    """What the charter pins is what an auditor gets."""
    site.take(folder_of(tmp_path / "one", 12))
    row = summary(site)

    assert row.description_sha256 == sha256_id(encode(row.croissant))


@pytest.mark.parametrize("count", [3, 12, 40])
def test_no_exact_count_leaves_in_a_description(site, tmp_path, count):
    """Patients, images and findings are told in buckets, whatever their number is."""
    site.take(folder_of(tmp_path / "one", count))
    plain = described(summary(site))
    facts = {row["name"]: row["value"] for row in plain["variableMeasured"]}
    counts = [
        value
        for name, value in facts.items()
        if name == "patients" or name.startswith(("images", "finding"))
    ]

    assert len(counts) > 2
    assert all(re.fullmatch(r"<floor|≥floor|≥[13]0{2,6}", value) for value in counts), counts
    assert facts["patients"] == ("<floor" if count < 5 else "≥floor")


def test_no_header_value_and_no_path_leaves_in_a_description(site, tmp_path):
    """Neither what a scanner wrote nor where a file lay."""
    source = folder_of(tmp_path / "one", 12)
    site.take(source)

    text = json.dumps(described(summary(site)), ensure_ascii=False)

    for secret in (
        str(source),
        str(site.home),
        source.name + "/",
        ".dcm",
        "Doe",
        "063Y",
        "20240101",
        "00001",
    ):
        assert secret not in text


def test_every_term_of_use_of_a_charter_has_its_identifier():
    """No term of GA4GH DUO that a hospital may sign is unknown to its description."""
    assert set(DUO) == set(get_args(Duo))
    assert len(set(DUO.values())) == len(DUO)
