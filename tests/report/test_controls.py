"""controls.json: four honest answers, each computed from entries, none of them a score."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from compliance.errors import NotProven
from compliance.report.clauses import CONTROLS as TABLE
from compliance.report.controls import PROFILES, choice, chosen_in, files, profile_of, read_controls
from compliance.report.log import Log
from compliance.report.queries import ranges_of, updates_of
from compliance.report.reading import read_log
from tests import factories as make
from tests.report.evidence import SITES, witnessed
from tests.shared import shared_data
from tests.simulator import Federation

PATH = "data/controls.json"
ORGANISATIONAL = {row.id for row in TABLE if row.ceiling == "organisational"}
ABSENT = {"ehds-68", "ai-act-17-18"}
"""Clauses of which even the golden log holds nothing."""
ALWAYS = {"retention", "legal_block", "all_entries", "keys", "signatures", "deid", "verification"}
"""Queries that find something in every log, for its charter or its mere existence."""


@cache
def golden() -> Log:
    """The golden log: 34 entries with nearly everything."""
    plain = json.loads(shared_data("ledger", "golden.json").read_text("utf-8"))
    entries = [entry.encode() for entry in plain["entries"]]
    return read_log(entries, plain["checkpoint"].encode())


@cache
def bare() -> Log:
    """A study with nothing but its charter, witnessed."""
    world = Federation(sites=SITES)
    return read_log(world.entries, witnessed(world))


def told(log: Log, given: Mapping[str, bytes] | None = None) -> dict[str, Any]:
    """The decoded controls.json."""
    value: dict[str, Any] = json.loads(files(log, given or {})[PATH])
    return value


def by_id(log: Log) -> dict[str, dict[str, Any]]:
    """Each clause of a log."""
    return {row["id"]: row for row in told(log)["controls"]}


def test_every_clause_has_its_own_name_and_a_profile() -> None:
    """An id never changes: the first part is its profile, none stands twice."""
    names = [row.id for row in TABLE]

    assert len(set(names)) == len(names) == 42
    assert {profile_of(name) for name in names} == set(PROFILES)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.id)
def test_a_clause_finds_its_evidence_in_a_full_log(row: Any) -> None:
    """The golden log holds nearly everything; what is named is there, at entries that exist."""
    found = by_id(golden())[row.id]

    if row.id in ABSENT:
        assert found["entries"] == []
        return
    assert found["entries"], found
    assert all(0 <= first <= last < 34 for first, last in found["entries"])
    assert found["count"] == sum(last - first + 1 for first, last in found["entries"])
    wanted = {"organisational"} if row.id in ORGANISATIONAL else {"evidence", "partial"}
    assert found["status"] in wanted


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.id)
def test_a_clause_finds_nothing_in_an_empty_log(row: Any) -> None:
    """A bare charter gives no evidence of rounds, refusals, releases or reviews."""
    found = by_id(bare())[row.id]
    always = any(part.strip() in ALWAYS for part in row.query.replace("|", "+").split("+"))

    if row.id in ORGANISATIONAL:
        assert found["status"] == "organisational"
    elif not always and row.id not in ("ai-act-10", "gdpr-17-7-3-21"):
        assert (found["status"], found["entries"]) == ("none", [])


def test_a_part_that_is_missing_is_not_hidden() -> None:
    """Record and examine: entries without a review are partial at most; a record alone is none."""
    rows = by_id(bare())

    assert rows["hipaa-164-312-b"]["status"] == "partial"
    assert rows["hipaa-164-312-c"]["status"] == "evidence"
    assert rows["hipaa-164-308-a-1-ii-d"]["status"] == "none"
    assert rows["ai-act-14"]["status"] == "partial"


def test_the_agreed_retention_decides_and_not_its_mention() -> None:
    """Six months are kept where six years are not."""
    charter = make.charter(SITES)
    short = {"expires": charter["expires"], "retention_until": "2029-11-22T09:00:00Z"}
    world = Federation(sites=SITES, **short)
    rows = by_id(read_log(world.entries, witnessed(world)))

    assert rows["ai-act-19-26-6"]["status"] == "evidence"
    assert rows["hipaa-164-316-b-2-i"]["status"] == "none"


def test_a_permit_and_ten_years_are_found_where_they_were_agreed() -> None:
    """What the golden study does not have, another one has."""
    permit = {"ref": "permit", "sha256": make.sha("permit"), "expires": "2027-11-22T09:00:00Z"}
    legal = make.charter(SITES)["legal"]
    rows = [make.legal_row(name, permit=permit) for name in SITES]
    later = {"retention_until": "2040-11-22T09:00:00Z"}
    world = Federation(sites=SITES, legal=legal | {"sites": rows}, **later)
    found = by_id(read_log(world.entries, witnessed(world)))

    assert found["ehds-68"]["status"] == "partial"
    assert (found["ai-act-17-18"]["status"], found["ai-act-17-18"]["entries"]) == (
        "organisational",
        [[0, 0]],
    )


def test_a_profile_that_was_not_chosen_is_said_to_be_so() -> None:
    """The choice is recorded, and made again from the record."""
    chosen = told(golden(), {PATH: choice(["gdpr"])})

    assert chosen["profiles"] == ["gdpr"]
    statuses = {profile_of(row["id"]): row["status"] for row in chosen["controls"]}
    assert statuses["hipaa"] == statuses["device"] == "not_selected"
    again = files(golden(), {PATH: json.dumps(chosen).encode()})[PATH]
    assert again == files(golden(), {PATH: choice(["gdpr"])})[PATH]
    table = files(golden(), {PATH: choice(["gdpr"])})["data/controls.csv"].decode()
    assert "hipaa" not in table


def test_every_status_occurs() -> None:
    """Four answers and the choice not to ask."""
    seen = {row["status"] for log in (golden(), bare()) for row in told(log)["controls"]}
    seen |= {row["status"] for row in told(golden(), {PATH: choice(["gdpr"])})["controls"]}

    assert seen == {"evidence", "partial", "none", "organisational", "not_selected"}


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"profiles": []}', b'{"profiles": ["iso"]}', b'{"profiles": "gdpr"}']
)
def test_a_choice_of_nothing_or_of_the_unknown_is_refused(data: bytes) -> None:
    """A profile that does not exist proves nothing."""
    with pytest.raises(NotProven):
        chosen_in(data)


def test_a_status_that_was_typed_is_made_again() -> None:
    """Only the choice of profiles is taken from a given file; the answers are computed."""
    lie = told(bare())
    lie["controls"][0]["status"] = "evidence"

    assert files(bare(), {PATH: json.dumps(lie).encode()})[PATH] == files(bare(), {})[PATH]


def test_the_file_reads_back_by_its_own_form() -> None:
    """A field more is another form."""
    data = files(golden(), {})[PATH]
    more = json.loads(data) | {"score": 100}

    assert read_controls(data).size == 34
    with pytest.raises(NotProven):
        read_controls(json.dumps(more).encode())


def test_ranges_are_merged_and_complete() -> None:
    """Neighbours become one range; order and repetition do not matter."""
    assert ranges_of([5, 1, 2, 2, 3, 9]) == [[1, 3], [5, 5], [9, 9]]
    assert ranges_of([]) == []


def test_what_left_one_hospital_is_asked_by_its_name() -> None:
    """Only its own updates count."""
    found = list(updates_of("north.example")(golden()))

    assert found
    assert all((golden().events[index].actor or "") == "north.example/node" for index in found)
