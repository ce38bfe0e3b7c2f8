"""A detail is forgotten for good, and everything that was proven stays proven."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compliance.errors import Malformed, NotProven, NotReady, Refused
from compliance.records.envelope import parse_event, write_event
from compliance.records.sealed import commitment, seal_payload
from compliance.report.verify import verify
from compliance.rules.fold import replay
from compliance.signing.note import parse, seal
from tests.hub.house import NAMES, PASSWORD, House, behind_the_hubs_back, key_of, rows_of

EAST, NORTH, SOUTH = NAMES
CANARY = "The canary of ward seven sang"
SALT = bytes(range(16))


def note_review(house: House, remark: str | None = CANARY, **body: Any) -> dict[str, Any]:
    """An auditor prepares and confirms a review, as the dashboard does."""
    if "aya" not in {row["name"] for row in house.rooms.accounts.everybody()}:
        house.person("aya", "auditor")
    _, aya = house.rooms.accounts.sign_in("aya", PASSWORD)
    told = {"result": "nothing_found", "remark": remark, **body}
    intents = house.rooms.intents
    number = intents.prepare(aya, "review.note", house.study, told)["id"]
    done: dict[str, Any] = intents.confirm(aya, number, None, None)["result"]
    return done


def stop(house: House, remark: Any = CANARY) -> dict[str, Any]:
    """A researcher stops the study for a reason of the closed list, and says more under seal."""
    if "celine" not in {row["name"] for row in house.rooms.accounts.everybody()}:
        house.person("celine", "researcher")
    _, celine = house.rooms.accounts.sign_in("celine", PASSWORD)
    intents = house.rooms.intents
    told = {"reason": "safety", "remark": remark}
    number = intents.prepare(celine, "study.stop", house.study, told)["id"]
    done: dict[str, Any] = intents.confirm(celine, number, None, house.study[:8])["result"]
    return done


def committing(house: House, sealed: str | None) -> bytes:
    """A hospital's own review that commits to a payload."""
    body = {"from": 0, "to": 1, "result": "nothing_found", "on_behalf": None}
    text = write_event(
        "review.noted",
        body,
        actor=f"{NORTH}/node",
        log=house.charter_id,
        nonce="ab" * 16,
        time=house.time.text(),
        sealed=sealed,
    )
    return seal(text, key_of(f"{NORTH}/node"))


def test_forgetting_keeps_the_proof(either: House, tmp_path: Path) -> None:
    """The payload is gone, the log folds to its root, and the bundle of before still verifies."""
    study = either.launched()
    done = note_review(either)
    either.rooms.ledger.issue_checkpoint(study)
    either.witness(NORTH, SOUTH)
    made = either.rooms.exports.bundle(study, tmp_path / "before", wait=0)
    before = either.rooms.ledger.entries(study, 0)
    root = either.rooms.ledger.state(study).root(len(before))

    either.rooms.sealed.erase(study, done["index"])

    again = either.again()
    again.ready()
    entries = again.ledger.entries(study, 0)
    erased = parse_event(parse(entries[-1]).text)
    assert entries[:-1] == before
    assert replay(entries).root(len(before)) == root
    assert (erased.type, erased.body.what, erased.body.commitment) == (
        "erasure.done", "sealed", done["sealed"],
    )  # fmt: skip
    policy = again.ledger.policy(study)
    assert verify(Path(made["bundle"]).read_bytes(), policy).exit_code == 0
    either.rooms.ledger.issue_checkpoint(study)
    either.witness(NORTH, SOUTH)
    after = again.exports.bundle(study, tmp_path / "after", wait=0)
    assert verify(Path(after["bundle"]).read_bytes(), policy).exit_code == 0
    with pytest.raises(NotReady, match="was erased at"):
        again.sealed.open(study, done["index"])


def test_the_words_of_a_remark_stand_in_no_entry_and_in_one_table(either: House) -> None:
    """The log holds a hash; the payload lies beside it and opens to what was said."""
    study = either.launched()
    done = note_review(either, result="opened_case")

    told = either.rooms.sealed.open(study, done["index"])

    entry = parse_event(parse(either.rooms.ledger.entries(study, done["index"])[0]).text)
    assert told["payload"] == {"remark": CANARY}
    assert entry.sealed == commitment(bytes.fromhex(told["salt"]), {"remark": CANARY})
    assert entry.body.on_behalf is not None
    assert CANARY.encode() not in b"".join(either.rooms.ledger.entries(study, 0))


@pytest.mark.parametrize("said", [note_review, stop])
def test_nothing_of_an_erased_detail_is_left_in_the_files_of_the_hub(
    house: House, said: Callable[[House], dict[str, Any]]
) -> None:
    """Not in the table, not in the act that was confirmed, not in a free page of the database."""
    study = house.launched()
    done = said(house)
    files = [path for path in house.home.rglob("*") if path.is_file()]
    assert any(CANARY.encode() in path.read_bytes() for path in files)

    house.rooms.sealed.erase(study, done["index"])

    for path in house.home.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path.name


def test_erasing_twice_says_it_once(either: House) -> None:
    """The second time changes nothing, in the table and in the log."""
    study = either.launched()
    index = note_review(either)["index"]

    first = either.rooms.sealed.erase(study, index)
    either.time.forward(hours=1)
    second = either.again().sealed.erase(study, index)

    assert first == second
    assert len(either.rooms.ledger.places(study, "erasure.done")) == 1


def test_an_erased_payload_does_not_come_back(house: House) -> None:
    """Not even its author brings it back: forgotten is forgotten."""
    study = house.launched()
    sealed = seal_payload({"seen": "a case"}, SALT)
    index = house.rooms.ledger.append(study, committing(house, sealed.commitment)).index
    house.rooms.sealed.keep(study, index, sealed)
    house.rooms.sealed.erase(study, index)

    with pytest.raises(Refused, match="stays so"):
        house.rooms.sealed.keep(study, index, sealed)
    assert [row.state for row in house.rooms.sealed.all(study)] == ["erased"]


def test_a_wrong_payload_is_refused_and_the_right_one_is_kept(either: House) -> None:
    """Only what the entry commits to is taken; twice is no harm."""
    study = either.launched()
    sealed = seal_payload({"seen": "a case"}, SALT)
    index = either.rooms.ledger.append(study, committing(either, sealed.commitment)).index
    service = either.rooms.sealed
    for wrong in (
        seal_payload({"seen": "no case"}, SALT),
        seal_payload({"seen": "a case"}, SALT[::-1]),
    ):
        with pytest.raises(NotProven):
            service.keep(study, index, wrong)
    assert [row.state for row in service.all(study)] == ["not here"]
    with pytest.raises(NotReady, match="never handed in"):
        service.open(study, index)
    with pytest.raises(NotReady, match="never handed in"):
        service.erase(study, index)

    service.keep(study, index, sealed)
    service.keep(study, index, sealed)

    assert service.open(study, index)["payload"] == {"seen": "a case"}


def test_an_entry_that_commits_to_nothing_takes_no_payload(house: House) -> None:
    """Nothing can be hung on an entry afterwards, nor on one that is not there."""
    study = house.launched()
    index = house.rooms.ledger.append(study, committing(house, None)).index

    for place in (0, index, index + 1, -1):
        with pytest.raises(NotReady, match="commits to no sealed detail"):
            house.rooms.sealed.keep(study, place, seal_payload({"a": "b"}, SALT))
    assert rows_of(house.rooms.database, "sealed_payload") == []


def test_a_payload_changed_in_the_database_is_not_shown_as_proven(house: House) -> None:
    """Whoever writes to the table cannot make the entry say something else."""
    study = house.launched()
    index = note_review(house)["index"]
    change = "UPDATE sealed_payload SET payload = :data"
    behind_the_hubs_back(house.rooms.database, change, data=b'{"remark":"All is well"}')

    with pytest.raises(NotProven, match="commits to"):
        house.rooms.sealed.open(study, index)


def test_a_review_that_is_refused_leaves_no_payload(either: House) -> None:
    """Entry and payload together or not at all."""
    study = either.launched()

    with pytest.raises(Refused):
        note_review(either, **{"from": 5, "to": 9})

    assert rows_of(either.rooms.database, "sealed_payload") == []
    assert either.rooms.ledger.size(study) == 1


def test_a_stop_tells_its_reason_and_seals_its_remark(house: House) -> None:
    """Everybody reads the closed reason; the words open to those who may, and to nobody later."""
    study = house.launched()

    done = stop(house)

    event = parse_event(parse(house.rooms.ledger.entries(study, done["index"])[0]).text)
    assert (event.type, str(event.body.reason), event.sealed) == (
        "study.stopped", "safety", done["sealed"],
    )  # fmt: skip
    assert event.body.on_behalf is not None
    assert house.rooms.sealed.open(study, done["index"])["payload"] == {"remark": CANARY}
    assert house.rooms.ledger.state(study).phase.value == "stopped"
    house.rooms.sealed.erase(study, done["index"])
    replay(house.rooms.ledger.entries(study, 0))


def test_a_stop_needs_no_remark(house: House) -> None:
    """A brake waits for nobody's words."""
    house.launched()

    assert stop(house, None) == {"index": 1, "sealed": None}
    assert house.rooms.sealed.all(house.study) == []


@pytest.mark.parametrize("said", [note_review, stop])
@pytest.mark.parametrize("remark", ["two\nlines", "x" * 2001, 7, ["a"]])
def test_a_remark_is_one_short_text(
    house: House, remark: Any, said: Callable[[House, Any], dict[str, Any]]
) -> None:
    """Anything else is named and nothing is said."""
    study = house.launched()

    with pytest.raises(Malformed, match="remark"):
        said(house, remark)
    assert house.rooms.ledger.size(study) == 1


def test_a_review_without_a_remark_seals_nothing(house: House) -> None:
    """Most reviews find nothing and need no words."""
    study = house.launched()

    done = note_review(house, None)

    assert done == {"index": 1, "sealed": None}
    assert house.rooms.sealed.all(study) == []


def test_the_consortiums_log_is_reviewed_in_the_same_way(house: House) -> None:
    """Who belongs and what is listed is looked through too; the remark is opened and erased."""
    house.launched()
    house.study, study = "consortium", house.study

    done = note_review(house)

    assert house.rooms.sealed.open("consortium", done["index"])["payload"] == {"remark": CANARY}
    assert house.rooms.sealed.erase("consortium", done["index"])["state"] == "erased"
    assert house.rooms.sealed.all(study) == []
