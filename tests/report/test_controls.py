"""controls.json: four honest answers, each computed from entries, none of them a score."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any

import jsonschema
import pytest

from compliance.errors import NotProven, NotReady
from compliance.ledger.checkpoint import Checkpoint
from compliance.ledger.merkle import leaf_hash
from compliance.records.envelope import write_event
from compliance.records.kinds import CONSORTIUM
from compliance.report.clauses import CONTROLS as TABLE
from compliance.report.clauses import overdue
from compliance.report.consortium import consortium_files
from compliance.report.controls import (
    PROFILES,
    choice,
    chosen_in,
    files,
    profile_of,
    recorded,
    schema,
)
from compliance.report.log import Log
from compliance.report.queries import QUESTIONS, ranges_of, updates_of
from compliance.report.reading import read_log
from compliance.report.story.clauses import SHOWN
from compliance.signing.note import seal
from docs.reviewed import main as read_again
from tests import factories as make
from tests.consortium import Consortium
from tests.report.evidence import SITES, check, example, failed, lied, release, witnessed
from tests.report.test_consortium_proofs import both, policy, signed
from tests.shared import shared_data
from tests.simulator import HUB, Federation

PATH = "data/controls.json"
EAST = SITES[0]
Rows = dict[str, dict[str, Any]]

IDS = {
    "ai-act-10", "ai-act-11", "ai-act-12", "ai-act-13", "ai-act-14", "ai-act-15", "ai-act-17-18",
    "ai-act-19-26-6", "ai-act-72", "ai-act-9", "device-audit-exchange", "device-chai-hti1",
    "device-gmlp", "device-iec-iso", "device-pccp", "ehds-68", "ehds-71", "ehds-73",
    "gdpr-17-7-3-21", "gdpr-25-32", "gdpr-26-28", "gdpr-30-1", "gdpr-33", "gdpr-35", "gdpr-44-49",
    "gdpr-5-2", "gdpr-6-9", "gdpr-89-1", "hipaa-164-308-a-1-ii-d", "hipaa-164-312-a-2-i-d",
    "hipaa-164-312-b", "hipaa-164-312-c", "hipaa-164-316-b-2-i", "hipaa-164-514", "hipaa-164-528",
    "part11-10-a", "part11-10-b", "part11-10-c-e", "part11-10-d-f-g", "part11-100-200",
    "part11-50", "part11-70",
}  # fmt: skip
"""Every id that was ever published; foreign programs keep them."""

ORGANISATIONAL = {"gdpr-33", "gdpr-44-49", "ai-act-9", "ai-act-17-18", "device-iec-iso"}
FULL_ANSWER = {"hipaa-164-312-c", "hipaa-164-316-b-2-i", "ai-act-19-26-6", "part11-10-b",
               "part11-10-c-e", "part11-70"}  # fmt: skip
"""Clauses for which a log can be evidence; for every other one it is partial at most."""

NOT_IN_GOLDEN = {"hipaa-164-514", "ehds-68"}
OF_A_CHARTER = {
    "hipaa-164-312-c": "evidence", "hipaa-164-312-a-2-i-d": "partial",
    "hipaa-164-316-b-2-i": "evidence", "gdpr-5-2": "partial", "gdpr-6-9": "partial",
    "gdpr-26-28": "partial", "gdpr-30-1": "partial", "gdpr-35": "partial", "ai-act-10": "partial",
    "ai-act-14": "partial", "ai-act-19-26-6": "evidence", "part11-10-a": "partial",
    "part11-10-b": "partial", "part11-50": "partial", "part11-70": "evidence",
    "part11-100-200": "partial",
}  # fmt: skip
"""All that a study with nothing but its cosigned charter has evidence for."""


@cache
def golden() -> Log:
    """The golden log: 34 entries with nearly everything."""
    plain = json.loads(shared_data("ledger", "golden.json").read_text("utf-8"))
    entries = [entry.encode() for entry in plain["entries"]]
    return read_log(entries, plain["checkpoint"].encode())


def log_of(world: Federation) -> Log:
    """A study, witnessed."""
    return read_log(world.entries, witnessed(world))


@cache
def bare() -> Log:
    """A study with nothing but its charter, witnessed."""
    return log_of(Federation(sites=SITES))


@cache
def silent() -> Log:
    """One entry that answers no question, and nobody cosigned it."""
    world = Federation(sites=SITES).play_round()
    said = {"from_round": 1, "to_round": 1, "rule": "equal", "inputs_sha256": make.sha("inputs")}
    world.must("contribution.measured", said, HUB)
    last = world.entries[-1:]
    checkpoint = Checkpoint(make.ORIGIN, 1, leaf_hash(last[0]))
    return Log(last, witnessed(world), checkpoint, {}, world.state)


@cache
def rich() -> tuple[Log, dict[str, bytes]]:
    """What the golden study does not have: permits, transfers, ten years, a plan, recalls."""
    paper = {"ref": "paper", "sha256": make.sha("paper")}
    permit = paper | {"expires": "2027-11-22T09:00:00Z"}
    legal = make.charter(SITES)["legal"] | {
        "transfers": [{"country": "CH", "mechanism": "adequacy"}],
        "sites": [make.legal_row(name, permit=permit) for name in SITES],
    }
    union, world = both(
        legal=legal,
        documents=[paper | {"kind": "pccp"}, paper | {"kind": "risk"}],
        retention_until="2040-11-22T09:00:00Z",
    )
    world.approve(*SITES)
    world.must("model.released", release(world), HUB)
    back = {"model_sha256": world.state.model_sha256, "reason": "safety", "replaced_by": None}
    world.must("model.recalled", back, HUB)
    world.stop(f"{EAST}/node", "privacy")
    log = log_of(world)
    agreed = consortium_files(log, union.entries, signed(union), policy(union))
    return log, {f"data/{path}": data for path, data in agreed.items()}


def told(log: Log, given: Mapping[str, bytes] | None = None) -> dict[str, Any]:
    """The decoded controls.json."""
    value: dict[str, Any] = json.loads(files(log, given or {})[PATH])
    return value


def by_id(log: Log, given: Mapping[str, bytes] | None = None) -> Rows:
    """Each clause of a log."""
    return {row["id"]: row for row in told(log, given)["controls"]}


@pytest.fixture(scope="module")
def full() -> Rows:
    """Every clause where it has evidence: the golden log, else the rich one."""
    return by_id(*rich()) | {name: row for name, row in by_id(golden()).items() if row["entries"]}


def test_every_clause_keeps_the_name_under_which_it_was_published() -> None:
    """An id never changes and none is taken away; the first part is its profile."""
    names = [row.id for row in TABLE]

    assert len(set(names)) == len(names)
    assert set(names) == IDS
    assert {profile_of(name) for name in names} == set(PROFILES)


def test_every_clause_asks_questions_that_exist_and_says_what_stands_for_it() -> None:
    """No row without a question, a subject, words for support, and a day on which it was read."""
    for row in TABLE:
        assert set(row.parts) <= set(QUESTIONS), row.id
        assert all((row.clause, row.subject, row.supports, row.files)), row.id
        assert row.outside or row.ceiling == "evidence", f"{row.id}: partial, but of what"
        assert date.fromisoformat(row.reviewed)


@pytest.mark.parametrize("name", sorted(IDS))
def test_a_clause_finds_its_evidence_in_a_full_log(full: Rows, name: str) -> None:
    """What is named is there, at entries that exist, all of them, merged."""
    found = full[name]

    assert found["entries"]
    assert found["count"] == sum(last - first + 1 for first, last in found["entries"])
    assert found["entries"] == ranges_of(
        index for first, last in found["entries"] for index in range(first, last + 1)
    )
    wanted = "evidence" if name in FULL_ANSWER else "partial"
    assert found["status"] == ("organisational" if name in ORGANISATIONAL else wanted)


@pytest.mark.parametrize("name", sorted(IDS))
def test_a_clause_finds_nothing_in_a_log_that_says_nothing_about_it(name: str) -> None:
    """Nothing is there by itself: no clause has evidence because the program could do it."""
    found = by_id(silent())[name]

    assert (found["entries"], found["count"], found["files"]) == ([], 0, [])
    assert found["status"] == ("organisational" if name in ORGANISATIONAL else "none")


def test_a_study_that_only_has_its_charter_has_evidence_for_little() -> None:
    """A cosigned charter shows who agreed to what; it records no activity and no review."""
    rows = by_id(bare())

    shown = {
        name: row["status"]
        for name, row in rows.items()
        if row["status"] not in ("none", "organisational")
    }

    assert shown == OF_A_CHARTER


def test_the_golden_log_lacks_evidence_for_what_it_does_not_hold() -> None:
    """No data permit was agreed, and no registration with a profile came along."""
    rows = by_id(golden())

    assert {name for name, row in rows.items() if row["status"] == "none"} == NOT_IN_GOLDEN


def test_every_question_finds_something_somewhere_and_nothing_in_silence() -> None:
    """Each can answer both ways."""
    logs: list[tuple[Log, Mapping[str, bytes]]] = [(golden(), {}), rich()]
    amended = Federation(sites=SITES)
    said = {"charter": make.charter(SITES, title="Other"), "previous": amended.state.version_id}
    names = (make.RESEARCHER, *(f"{site}/institution" for site in SITES))
    amended.must("charter.amended", said, make.RESEARCHER, signers=names)
    logs.append((log_of(amended), {}))

    for name, question in QUESTIONS.items():
        assert any(list(question.ask(log, given)) for log, given in logs), name
        assert not list(question.ask(silent(), {})), name
        assert question.words


def test_a_missing_part_is_named_beside_the_clause() -> None:
    """Record and examine: entries without a review are partial, and the review is missed."""
    world = Federation(sites=SITES).play_round()
    rows = by_id(log_of(world))

    assert rows["hipaa-164-312-b"]["status"] == "partial"
    assert rows["hipaa-164-312-b"]["outside"].endswith(" None in this log: a review.")
    assert rows["part11-10-b"]["outside"] == "None in this log: an export."
    assert "None in this log" not in rows["ai-act-14"]["outside"]
    assert by_id(golden())["hipaa-164-312-b"]["outside"].endswith("own audit.")


def test_without_a_quorum_nothing_counts_as_verified() -> None:
    """One cosignature of the two that are needed is none."""
    whole = bare()
    one = replace(whole, times=dict(list(whole.times.items())[:1]))
    rows = by_id(one)

    for name in ("hipaa-164-312-c", "part11-70", "part11-10-a", "part11-10-b", "gdpr-5-2"):
        assert rows[name]["status"] == "none"


def test_the_agreed_retention_decides_and_not_its_mention() -> None:
    """Six months are kept where six years are not; a later charter can take it back."""
    charter = make.charter(SITES)
    short = {"expires": charter["expires"], "retention_until": "2029-11-22T09:00:00Z"}
    rows = by_id(log_of(Federation(sites=SITES, **short)))
    world = Federation(sites=SITES)
    said = {"charter": make.charter(SITES, **short), "previous": world.state.version_id}
    names = (make.RESEARCHER, *(f"{site}/institution" for site in SITES))
    world.must("charter.amended", said, make.RESEARCHER, signers=names)
    amended = by_id(log_of(world))

    assert rows["ai-act-19-26-6"]["status"] == "evidence"
    assert rows["hipaa-164-316-b-2-i"]["status"] == "none"
    assert amended["ai-act-19-26-6"]["entries"] == [[1, 1]]
    assert amended["hipaa-164-316-b-2-i"]["status"] == "none"


def test_de_identification_is_only_shown_where_its_registration_came_along() -> None:
    """A hash of a description is no evidence; a forged or broken note is none either."""
    log, agreed = rich()
    broken = {path: b"no note" for path in agreed}
    other = {path: data for path, data in agreed.items() if ".note" not in path}

    assert by_id(log, agreed)["hipaa-164-514"]["entries"] == [[0, 0]]
    for given in ({}, broken, other):
        assert by_id(log, given)["hipaa-164-514"]["status"] == "none"


def test_a_registration_of_another_version_shows_nothing() -> None:
    """What was de-identified must be the version that the charter names."""
    union = Consortium(sites=SITES)
    union.must("dataset.registered", f"{EAST}/node", version=make.sha("another version"))
    note = {"data/consortium/1.note": union.entries[-1]}

    assert by_id(bare(), note)["hipaa-164-514"]["status"] == "none"


def test_a_stop_for_another_reason_is_no_sign_of_a_breach() -> None:
    """Only privacy and integrity point at one; a risk document is no plan of changes."""
    world = Federation(sites=SITES, documents=[
        {"kind": "risk", "ref": "paper", "sha256": make.sha("paper")},
    ])  # fmt: skip
    world.stop(f"{EAST}/node", "operator")
    rows = by_id(log_of(world))

    assert rows["gdpr-33"]["entries"] == []
    assert rows["ai-act-9"]["entries"] == [[0, 1]]
    assert rows["device-pccp"]["status"] == "none"


def test_what_left_one_hospital_is_asked_by_its_name() -> None:
    """Only its own updates count."""
    found = list(updates_of("north.example")(golden(), {}))

    assert found
    assert all(golden().events[index].actor == "north.example/node" for index in found)


# --- the choice of profiles ---


@pytest.mark.parametrize("profile", PROFILES)
def test_the_file_of_every_profile_has_the_published_form(profile: str) -> None:
    """A foreign reader validates it with JSON Schema alone."""
    checker = jsonschema.Draft202012Validator(schema())
    checker.check_schema(schema())

    chosen = told(golden(), {PATH: choice([profile])})

    checker.validate(chosen)
    asked = {profile_of(r["id"]) for r in chosen["controls"] if r["status"] != "not_selected"}
    assert asked == {profile}
    assert chosen["size"] == 34
    for wrong in ({"score": 100}, {"profiles": []}, {"root": "none"}, {"log": "x"}):
        assert not checker.is_valid(chosen | wrong)


def test_a_profile_that_was_not_chosen_is_not_asked() -> None:
    """It is said to be so, with no entry; the choice is recorded and made again from the record."""
    given = {PATH: choice(["gdpr", "ehds"])}
    first = files(golden(), given)
    rows = [row for row in json.loads(first[PATH])["controls"] if row["status"] == "not_selected"]

    again = files(golden(), {PATH: first[PATH]})

    assert again == first
    assert json.loads(first[PATH])["profiles"] == ["ehds", "gdpr"]
    assert {profile_of(row["id"]) for row in rows} == {"hipaa", "part11", "device", "ai-act"}
    assert not any(row["entries"] or row["files"] for row in rows)
    assert "hipaa" not in first["data/controls.csv"].decode()


def test_the_consortiums_agreement_chooses_unless_the_exporter_does() -> None:
    """The newest agreement that came along; without one of ours in it, every profile is asked."""
    agreed = {"data/consortium/0.note": make.agreement0(make.agreement(profiles=["hipaa"]))}
    local = {"data/consortium/0.note": make.agreement0(make.agreement(profiles=["eu-research"]))}
    later = {"agreement": make.agreement(profiles=["ehds"]), "previous": make.sha("agreement")}
    envelope = {"time": make.BEGINS, "actor": HUB, "log": make.sha("log"), "nonce": "0" * 32}
    text = write_event("agreement.amended", later, kinds=CONSORTIUM, **envelope)
    amended = agreed | {"data/consortium/9.note": seal(text, make.key(HUB))}

    assert told(bare(), amended)["profiles"] == ["ehds"]
    assert told(bare(), agreed)["profiles"] == ["hipaa"]
    assert told(bare(), agreed | {PATH: choice(["gdpr"])})["profiles"] == ["gdpr"]
    assert told(bare(), local)["profiles"] == list(PROFILES)
    assert told(bare(), {"data/consortium/0.note": b"no note"})["profiles"] == list(PROFILES)


def test_every_status_occurs() -> None:
    """Four answers and the choice not to ask."""
    given = [(golden(), {}), (bare(), {}), (golden(), {PATH: choice(["gdpr"])})]

    seen = {row["status"] for log, files_ in given for row in told(log, files_)["controls"]}

    assert seen == {"evidence", "partial", "none", "organisational", "not_selected"}
    assert seen == {*SHOWN, "not_selected"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"7",
        b"[" * 20_000,
        b'{"profiles": []}',
        b'{"profiles": ["iso"]}',
        b'{"profiles": "gdpr"}',
        b'{"profiles": ["gdpr", "gdpr"]}',
        b'{"profiles": ["gdpr", "ehds"]}',
        b'{"profiles": ["gdpr", ["gdpr"]]}',
    ],
)
def test_a_record_of_no_choice_or_of_an_unknown_one_proves_nothing(data: bytes) -> None:
    """The verifier says no and goes on; it never guesses which profiles were meant."""
    with pytest.raises(NotProven):
        chosen_in(data)


@pytest.mark.parametrize("names", [[], ["iso"], ["gdpr", "gdpr"], ["gdpr", "iso"]])
def test_an_exporter_who_names_no_profile_of_ours_is_told_the_list(names: list[str]) -> None:
    """The sentence says which there are; no choice at all leaves it to the agreement."""
    with pytest.raises(NotReady, match="ai-act, device, ehds, gdpr, hipaa, part11"):
        choice(names)
    assert recorded(()) == {}
    assert recorded(["gdpr"]) == {"controls.json": choice(["gdpr"])}


# --- in a bundle ---


def test_every_file_that_a_clause_names_is_in_the_bundle() -> None:
    """Evidence that is laid out for people can be opened."""
    world, made = example()
    rows = json.loads(made[PATH])["controls"]

    named = {path for row in rows for path in row["files"]}

    assert len(named) > 15
    assert named <= set(made)
    assert f"data/sites/{EAST}/disclosures.csv" in named
    assert check(made, world).exit_code == 0


def test_a_status_that_was_typed_is_refuted() -> None:
    """Whoever writes a better answer and signs the bundle again is found by the verifier."""
    world, made = example()
    told_ = json.loads(made[PATH])
    row = next(row for row in told_["controls"] if row["status"] == "none")
    row["status"] = "evidence"
    lie = (json.dumps(told_, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()

    report = check(lied(made, {PATH: lie}), world)

    assert report.exit_code == 1
    assert failed(report) == {12: f"Not proven at step derived: {PATH} is not what the log says"}


def test_table_and_file_say_the_same() -> None:
    """The CSV is for people who sort; its rows are those of the JSON."""
    made = files(golden(), {})
    rows = list(csv.DictReader(io.StringIO(made["data/controls.csv"].decode())))
    told_ = {row["id"]: row for row in json.loads(made[PATH])["controls"]}

    assert [row["id"] for row in rows] == [row.id for row in TABLE]
    for row in rows:
        pairs = [part.split("-") for part in row["entries"].split()]
        assert [[int(p[0]), int(p[-1])] for p in pairs] == told_[row["id"]]["entries"]
        assert row["status"] == told_[row["id"]]["status"]


def test_the_file_ends_with_the_sentence_that_it_is_no_verdict() -> None:
    """The last line of what a reader sees."""
    ending = files(golden(), {})[PATH].decode().rstrip("}\n ")

    assert ending.endswith('"Evidence drawn from a signed log. Not a legal determination."')


def test_ranges_are_merged_and_complete() -> None:
    """Neighbours become one range; order and repetition do not matter."""
    assert ranges_of([5, 1, 2, 2, 3, 9]) == [[1, 3], [5, 5], [9, 9]]
    assert ranges_of([]) == []


def test_a_row_that_nobody_read_for_400_days_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Laws change: the check of a change fails until somebody reads the row again."""
    read = replace(TABLE[0], reviewed="2026-01-01")
    fresh = replace(TABLE[1], reviewed="2027-01-01")

    assert overdue(date(2027, 2, 5), [read, fresh]) == []
    assert overdue(date(2027, 2, 6), [read, fresh]) == [read.id]
    assert read_again(["2026-11-25"]) == 0
    assert read_again(["2099-01-01"]) == 1
    assert "read again: gdpr-5-2 in" in capsys.readouterr().out
