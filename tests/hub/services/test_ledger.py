"""The logs: judged, sealed, cosigned; nothing half, nothing twice, nothing rewritten."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from sqlalchemy.exc import IntegrityError

from compliance.errors import ConsiliumError, Malformed, NotReady, Refused
from compliance.ledger.checkpoint import parse_text
from compliance.ledger.cosign import cosign
from compliance.ledger.policy import Policy
from compliance.ledger.proof import check_proof, parse_proof
from compliance.rules.fold import replay
from compliance.signing.keys import COSIGNATURE
from compliance.signing.note import parse
from tests import factories as make
from tests.hub.house import NAMES, House, behind_the_hubs_back, key_of, rows_of, site_keys

EAST, NORTH, SOUTH = NAMES


@pytest.fixture
def study(house: House) -> str:
    """A launched study of three hospitals; two cosignatures are a quorum."""
    return house.launched()


def test_a_statement_gets_its_place_and_keeps_its_bytes(house, study):
    """What comes back is the note as it was signed."""
    note = house.limit(NORTH)

    receipt = house.rooms.ledger.append(study, note)

    assert receipt.index == 1
    assert house.rooms.ledger.entries(study, 1) == [note]
    assert house.rooms.ledger.state(study).datasets_withdrawn == {(NORTH, make.DATASET)}


def test_the_same_statement_sent_again_gets_the_same_place(house, study):
    """A hospital whose line broke may repeat itself without harm."""
    note = house.limit(NORTH)
    first = house.rooms.ledger.append(study, note)

    assert house.rooms.ledger.append(study, note) == first
    assert house.rooms.ledger.size(study) == 2


def test_a_statement_that_a_rule_denies_is_not_written(house, study):
    """The hub cannot speak for a hospital; the refusal names the rule and the log stays."""
    body = {"dataset": make.DATASET, "reason": "policy"}
    forged = house.note("dataset.withdrawn", body, f"{NORTH}/node", by=house.rooms.keys.events)

    with pytest.raises(Refused) as refusal:
        house.rooms.ledger.append(study, forged)

    assert refusal.value.rule.startswith("event.")
    assert house.rooms.ledger.size(study) == 1


def test_bytes_that_are_no_note_are_refused_and_change_nothing(house, study):
    """Strange bytes only make it say no."""
    for data in (b"", b"hello", bytes(70_000), b"\xff\n\n\xe2\x80\x94 x y\n"):
        with pytest.raises((Malformed, Refused)):
            house.rooms.ledger.append(study, data)

    assert house.rooms.ledger.size(study) == 1


def test_entry_and_state_are_written_together_or_not_at_all(house, study):
    """A row that fails takes its entry with it, and the memory forgets both."""

    def fails(_session) -> None:
        raise IntegrityError("a row", {}, Exception())

    with pytest.raises(IntegrityError):
        house.rooms.ledger.append(study, house.limit(NORTH), also=fails)

    assert house.rooms.ledger.size(study) == 1
    assert house.rooms.ledger.state(study).datasets_withdrawn == set()
    assert house.rooms.ledger.append(study, house.limit(NORTH)).index == 1


def test_two_hubs_over_one_database_see_each_others_entries(house, study):
    """API and ServerApp are two processes: each catches up before it judges."""
    other = house.again()
    assert other.ledger.state(study).size == 1

    house.rooms.ledger.append(study, house.limit(NORTH))
    index = other.ledger.append(study, house.limit(SOUTH)).index
    again = house.rooms.ledger.append(study, house.limit(EAST)).index

    assert (index, again) == (2, 3)
    assert house.rooms.ledger.state(study).root() == other.ledger.state(study).root()
    assert replay(other.ledger.entries(study, 0)).root() == other.ledger.state(study).root()


def test_a_statement_from_the_future_is_refused(house, study):
    """A clock that runs half an hour ahead would let everything after it look late."""
    house.time.forward(minutes=30)
    note = house.limit(NORTH)
    house.time.forward(minutes=-30)

    with pytest.raises(Refused) as refusal:
        house.rooms.ledger.append(study, note)

    assert refusal.value.rule.startswith("time.")


@pytest.mark.parametrize(("hours", "allowed"), [(23, True), (25, False)])
def test_words_from_before_the_cosignatures_of_a_quiet_log_are_refused(
    house, study, hours, allowed
):
    """A witness would call them put into the past: whoever waited so long says it again."""
    note = house.limit(NORTH)
    house.time.forward(hours=hours)
    house.witness(SOUTH)
    size = house.rooms.ledger.size(study)

    with nullcontext() if allowed else pytest.raises(Refused, match="older than the log allows"):
        house.rooms.ledger.append(study, note)

    assert (house.rooms.ledger.size(study) > size) is allowed


def test_a_checkpoint_is_issued_at_once_for_urgent_statements(house, study):
    """A withdrawal does not wait for the next checkpoint."""
    house.rooms.ledger.append(study, house.limit(NORTH))

    rows = rows_of(house.rooms.database, "log_checkpoint")
    assert [row["size"] for row in rows if row["study"] == study] == [1, 2]


def test_a_growing_log_gets_a_checkpoint_after_five_seconds(house, study):
    """Not one for each entry, and none later than a witness asks after five seconds."""
    ledger = house.rooms.ledger
    review = {"from": 0, "to": 1, "result": "nothing_found", "on_behalf": None}
    ledger.say(study, "review.noted", review)
    assert parse_text(parse(ledger.checkpoint(study, latest=True)).text).size == 1

    house.time.forward(seconds=6)

    assert parse_text(parse(ledger.checkpoint(study, latest=True)).text).size == 2


def test_enough_cosignatures_make_a_quorum(house, study):
    """One of three is not enough; two are, and anybody can check it by the charter's policy."""
    ledger = house.rooms.ledger
    house.witness(NORTH)
    with pytest.raises(NotReady, match="quorum"):
        ledger.checkpoint(study)

    house.witness(NORTH, SOUTH)

    quorum = Policy.parse(ledger.policy(study)).judge(ledger.checkpoint(study))
    assert sorted(quorum.times) == [NORTH, SOUTH]
    assert quorum.checkpoint.root == ledger.state(study).root()


def test_one_witness_is_one_voice(house, study):
    """The same hospital twice stays one cosignature."""
    house.witness(NORTH)
    house.time.forward(seconds=3)
    house.witness(NORTH)

    with pytest.raises(NotReady, match="quorum"):
        house.rooms.ledger.checkpoint(study)


@pytest.mark.parametrize(
    ("site", "signer"), [(NORTH, SOUTH), (NORTH, "west.example"), ("west.example", "west.example")]
)
def test_a_forged_cosignature_is_refused(house, study, site, signer):
    """Another hospital's key, a stranger's key, a stranger: none makes a voice."""
    text = parse(house.rooms.ledger.checkpoint(study, latest=True)).text
    line = cosign(text, make.key(f"{signer}/witness", COSIGNATURE), int(house.time().timestamp()))

    with pytest.raises(Refused):
        house.rooms.ledger.cosign(study, site, line)

    with pytest.raises(NotReady):
        house.rooms.ledger.checkpoint(study)


@pytest.mark.parametrize("line", ["", "nonsense", "— north.example/witness AAAA", "— a b\n— c d"])
def test_a_line_that_is_no_cosignature_is_refused(house, study, line):
    """Strange bytes only make it say no."""
    with pytest.raises(ConsiliumError):
        house.rooms.ledger.cosign(study, NORTH, line)


def test_a_cosignature_from_the_future_is_refused(house, study):
    """It would make the whole checkpoint worthless for whoever checks its times."""
    text = parse(house.rooms.ledger.checkpoint(study, latest=True)).text
    ahead = int(house.time().timestamp()) + 3600
    line = cosign(text, site_keys(NORTH)["witness"], ahead)

    with pytest.raises(Refused, match="ahead"):
        house.rooms.ledger.cosign(study, NORTH, line)


def test_an_entry_is_proven_to_stand_in_the_log(house, study):
    """A proof that anybody can check without the hub."""
    note = house.limit(NORTH)
    house.rooms.ledger.append(study, note)
    house.witness(NORTH, SOUTH)

    proof = house.rooms.ledger.proof(study, 1)

    policy = Policy.parse(house.rooms.ledger.policy(study))
    assert sorted(check_proof(parse_proof(proof), note, policy).times) == [NORTH, SOUTH]


# --------------------------------------------------------------------------- the check at the start


def test_an_untouched_log_lets_the_hub_serve(house, study):
    """A new process folds every log again and finds what was signed."""
    house.rooms.ledger.append(study, house.limit(NORTH))

    again = house.again()
    again.ready()

    assert again.ledger.state(study).root() == house.rooms.ledger.state(study).root()


def swap_entry(house: House, study: str) -> None:
    """Put another statement of the same hospital in the place of entry 1."""
    other = house.note("site.withdrawn", {"reason": "consent"}, f"{NORTH}/node")
    change = "UPDATE log_entry SET leaf = :leaf WHERE idx = 1"
    behind_the_hubs_back(house.rooms.database, change, leaf=other)


def edit_entry(house: House, study: str) -> None:
    """Change one word inside entry 1."""
    old = house.rooms.ledger.entries(study, 1)[0]
    change = "UPDATE log_entry SET leaf = :leaf WHERE idx = 1"
    leaf = old.replace(b'"policy"', b'"erased"')
    behind_the_hubs_back(house.rooms.database, change, leaf=leaf)


def drop_newest(house: House, study: str) -> None:
    """Take the newest entry away."""
    behind_the_hubs_back(house.rooms.database, "DELETE FROM log_entry WHERE idx = 1")


def drop_all(house: House, study: str) -> None:
    """Take every entry away."""
    behind_the_hubs_back(house.rooms.database, "DELETE FROM log_entry")


def drop_checkpoints(house: House, study: str) -> None:
    """Take away what was signed."""
    behind_the_hubs_back(house.rooms.database, "DELETE FROM log_checkpoint")


def rename_log(house: House, study: str) -> None:
    """Show this log as another study's."""
    for table in ("log", "log_entry", "log_checkpoint"):
        change = f"UPDATE {table} SET study = 'ff' WHERE study = :study"  # noqa: S608 - a fixed list
        behind_the_hubs_back(house.rooms.database, change, study=study)


@pytest.mark.parametrize(
    "change", [swap_entry, edit_entry, drop_newest, drop_all, drop_checkpoints, rename_log]
)
def test_a_hub_whose_log_was_changed_refuses_to_serve(house, study, change):
    """Triggers out of the way, a row rewritten: the start check says which log and what to do."""
    house.rooms.ledger.append(study, house.limit(NORTH))
    for table in ("log_entry", "log_node"):
        for verb in ("update", "delete"):
            behind_the_hubs_back(house.rooms.database, f"DROP TRIGGER {table}_no_{verb}")
    change(house, study)

    with pytest.raises(NotReady, match="Restore the database") as refusal:
        house.again().ready()

    assert refusal.value.exit_code == 2


def test_a_question_about_an_unknown_study_is_answered_in_words(house):
    """No trace, no empty answer."""
    for ask in (house.rooms.ledger.state, house.rooms.ledger.checkpoint):
        with pytest.raises(NotReady, match="no log"):
            ask("0000000000000000")


def test_more_than_256_entries_are_not_read_at_once(house, study):
    """A range that does not rise or is too long is refused before the database is asked."""
    for start, stop in ((3, 1), (0, 300), (-1, 2)):
        with pytest.raises(Malformed):
            house.rooms.ledger.bundle(study, start, stop)


def test_the_key_of_a_log_is_made_once(house, study):
    """Another process over the same home signs with the same key."""
    key = house.rooms.keys.log(study)

    assert house.again().keys.log(study) == key
    assert key_of(make.EVENTS) == house.rooms.keys.events
