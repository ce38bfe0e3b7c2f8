"""The witness: cosigns what only grew and obeyed the rules; everything else is an alarm."""

from __future__ import annotations

import pytest

from compliance.canonical import sha256_id
from compliance.errors import Unreachable
from compliance.ledger.checkpoint import parse_text
from compliance.ledger.cosign import check_cosignature, cosign
from compliance.records.types import time_text
from compliance.signing.keys import COSIGNATURE
from compliance.signing.note import parse
from site_node.store import outbox
from site_node.wiring import Rooms
from tests.site_node.gate.world import STUDY, THEM, US, World, key


@pytest.fixture
def rooms(world: World) -> Rooms:
    """A site whose study is launched and mirrored."""
    made = world.joined()
    world.launched(made)
    return made


def test_a_log_that_only_grew_is_cosigned_with_the_witness_key(world: World, rooms: Rooms) -> None:
    """Each new checkpoint gets one cosignature that verifies."""
    world.hub.open_round()

    step = rooms.witness.step(STUDY)

    assert (step.outcome, step.size) == ("cosigned", 2)
    text = parse(world.hub.checkpoint()).text
    witness = rooms.keys.public.witness
    assert check_cosignature(text, world.hub.log.lines[-1], witness) == int(
        world.time.now.timestamp()
    )


def test_an_unchanged_log_is_not_cosigned_twice(world: World, rooms: Rooms) -> None:
    """Nothing new, nothing said."""
    assert rooms.witness.step(STUDY).outcome == "same"
    assert len(world.hub.log.lines) == 1


def test_the_cosignatures_of_others_are_no_new_checkpoint(world: World, rooms: Rooms) -> None:
    """The hub hands the checkpoint out with the lines of all witnesses; ours is given once."""
    theirs = key(f"{THEM}/witness", COSIGNATURE)
    text = parse(world.hub.checkpoint()).text
    world.hub.log.lines.append(cosign(text, theirs, int(world.time.now.timestamp())))
    world.time.forward(seconds=30)

    assert rooms.witness.step(STUDY).outcome == "same"
    assert len(world.hub.log.lines) == 2


def test_a_cosignature_that_was_lost_on_the_way_is_sent_again(world: World, rooms: Rooms) -> None:
    """Killed between commit and sending: the same line goes out after the restart."""
    world.hub.open_round()
    hub = rooms.hub
    rooms.hub = _Deaf(hub)  # type: ignore[assignment]
    with pytest.raises(Unreachable):
        rooms.witness.step(STUDY)
    assert world.hub.log.lines == []

    again = world.rooms()

    assert again.witness.step(STUDY).outcome == "cosigned"
    assert len(world.hub.log.lines) == 1


def test_a_rewritten_history_gets_no_cosignature_and_raises_an_alarm(
    world: World, rooms: Rooms
) -> None:
    """Another history with the same beginning is refused, its evidence is kept."""
    world.hub.open_round()
    rooms.witness.step(STUDY)
    world.hub.log.entries.pop()
    world.time.forward(seconds=5)
    world.hub.log.take(world.hub.note("study.stopped", _stop()), unchecked=True)
    world.hub.log.take(world.hub.note("study.closed", _end()), unchecked=True)

    step = rooms.witness.step(STUDY)

    assert (step.outcome, step.rule) == ("alarm", "checkpoint.proof")
    assert world.hub.log.lines == []
    alarm = rooms.mirror.alarms(STUDY)[0]
    assert b"=== known before ===" in alarm.evidence


def test_a_log_that_was_rolled_back_raises_an_alarm(world: World, rooms: Rooms) -> None:
    """A shorter log than the known one is the hub going back on its word."""
    world.hub.open_round()
    rooms.witness.step(STUDY)
    world.hub.log.entries.pop()
    world.hub.log.lines.clear()

    step = rooms.witness.step(STUDY)

    assert step.outcome == "alarm"
    assert world.hub.log.lines == []


def test_two_histories_of_one_length_are_an_alarm(world: World, rooms: Rooms) -> None:
    """The same size with another root is a fork, whatever it says."""
    world.hub.open_round()
    rooms.witness.step(STUDY)
    world.hub.log.entries.pop()
    world.time.forward(seconds=5)
    world.hub.log.take(world.hub.note("study.stopped", _stop()), unchecked=True)

    step = rooms.witness.step(STUDY)

    assert (step.outcome, step.rule) == ("alarm", "checkpoint.proof")
    assert world.hub.log.lines == []


def test_an_entry_that_breaks_a_rule_is_not_cosigned(world: World, rooms: Rooms) -> None:
    """A hub that opens a round with one hospital, against the charter, is not believed."""
    world.hub.log.take(
        world.hub.note(
            "round.opened",
            {
                "round": 1,
                "sites": [US],
                "model_sha256": sha256_id(b"start"),
                "bundle_sha256": world.hub.log.state.charter.bundle_sha256,  # type: ignore[union-attr]
                "deadline": world.time.text(seconds=600),
                "on_behalf": None,
            },
        ),
        unchecked=True,
    )

    step = rooms.witness.step(STUDY)

    assert (step.outcome, step.rule) == ("alarm", "round.min_sites")
    assert rooms.mirror.head(STUDY).size == 1  # type: ignore[union-attr]


def test_a_statement_in_our_name_that_we_never_made_is_an_alarm(world: World, rooms: Rooms) -> None:
    """Even with our own key's signature: what is not in the outbox was not said here."""
    stolen = rooms.keys.node
    note = world.hub.note("site.withdrawn", {"reason": "other"}, by=stolen)
    world.hub.log.take(note)

    step = rooms.witness.step(STUDY)

    assert (step.outcome, step.rule) == ("alarm", "own.forged")


def test_a_charter_that_carries_our_signature_although_we_never_signed_is_an_alarm(
    world: World,
) -> None:
    """A forged yes of this hospital is noticed at entry 0 and opens nothing."""
    rooms = world.joined()
    world.hub.propose(world.charter(rooms))
    stolen = rooms.keys.institution(None)
    world.hub.lines.append(stolen.line(world.hub.charter or b""))
    world.launch()

    step = rooms.witness.step(STUDY)

    assert (step.outcome, step.rule) == ("alarm", "own.forged")
    assert rooms.mirror.head(STUDY) is None


def test_a_charter_with_foreign_keys_under_our_name_is_an_alarm(world: World) -> None:
    """The hub cannot put a key of its own in this hospital's place."""
    rooms = world.joined()
    body = world.charter(rooms)
    fake = {role: str(key(f"{US}/{role}").verifier) for role in ("institution", "node")}
    sites = [body.sites[0].model_copy(update=fake), body.sites[1]]
    world.hub.propose(body.model_copy(update={"sites": sites}))
    world.hub.lines.append(key(f"{US}/institution").line(world.hub.charter or b""))
    world.launch()

    step = rooms.witness.step(STUDY)

    assert (step.outcome, step.rule) == ("alarm", "own.forged")


def test_a_checkpoint_signed_by_another_key_is_an_alarm(world: World, rooms: Rooms) -> None:
    """Only the log key that the charter names speaks for the log."""
    world.hub.open_round()
    world.hub.log_key = world.hub.log_key.__class__(world.hub.log_key.name, 1, key("impostor").seed)

    step = rooms.witness.step(STUDY)

    assert (step.outcome, step.rule) == ("alarm", "checkpoint.key")


def test_an_alarm_stays_until_people_have_looked(world: World, rooms: Rooms) -> None:
    """A hub that shows the right log again after a lie does not get its witness back."""
    world.hub.open_round()
    rooms.witness.step(STUDY)
    kept = world.hub.log.entries.pop()
    rooms.witness.step(STUDY)
    world.hub.log.entries.append(kept)
    world.time.forward(seconds=5)
    world.hub.say("round.aborted", {"round": 1, "reason": "operator", "on_behalf": None})

    assert rooms.witness.step(STUDY).outcome == "alarm"
    assert world.hub.log.lines == []


def test_a_hub_that_rests_changes_nothing(world: World, rooms: Rooms) -> None:
    """No answer is no alarm; the next look goes on where it was."""
    world.hub.open_round()
    world.hub.away = True
    with pytest.raises(Unreachable):
        rooms.witness.step(STUDY)

    world.hub.away = False

    assert rooms.witness.step(STUDY).size == 2
    assert rooms.mirror.alarms() == []


def test_a_long_weekend_is_no_attack(world: World, rooms: Rooms) -> None:
    """A site that was down for three days cosigns again on return."""
    for number in (1, 2, 3):
        world.time.forward(days=1)
        world.hub.open_round(number)
        world.hub.say("round.aborted", {"round": number, "reason": "too_few", "on_behalf": None})

    step = rooms.witness.step(STUDY)

    assert (step.outcome, step.size) == ("cosigned", 7)


def test_the_faster_of_two_processes_wins_and_nothing_goes_back(world: World, rooms: Rooms) -> None:
    """Agent and ClientApp may look at once: one commits, the other sees it and starts again."""
    other = world.rooms()
    world.hub.open_round()
    head = other.mirror.head(STUDY)
    rooms.witness.step(STUDY)

    note = world.hub.checkpoint()
    step = other.witness._follow(STUDY, head, note)

    assert step.outcome == "outrun"
    assert other.mirror.head(STUDY).size == 2  # type: ignore[union-attr]
    assert other.mirror.state(STUDY).open_round is not None


def test_a_statement_of_ours_that_the_log_does_not_show_is_named_after_an_hour(
    world: World, rooms: Rooms
) -> None:
    """What was handed to the hub and never appears is remembered as missing."""
    order = world.hub.open_round()
    rooms.witness.step(STUDY)
    rooms.release.refuse(order, "site.failed")
    world.time.forward(hours=2)
    assert rooms.witness.silent(STUDY, world.time.now) == []  # the hub never took it
    with rooms.store.begin() as session:
        for row in outbox.of_study(session, STUDY):
            outbox.mark_delivered(session, row.text_sha256, time_text(world.time.now))

    assert rooms.witness.silent(STUDY, world.time.now) == []
    world.time.forward(hours=2)
    assert len(rooms.witness.silent(STUDY, world.time.now)) == 1


def test_the_checkpoint_with_a_quorum_is_kept_for_the_own_export(
    world: World, rooms: Rooms
) -> None:
    """A hospital can export the evidence without the hub."""
    assert rooms.witness.follow_quorum(STUDY) == 1
    size, note = rooms.mirror.quorum(STUDY) or (0, b"")

    assert size == 1
    assert parse_text(parse(note).text).size == 1


def test_a_mirrored_entry_can_be_neither_changed_nor_deleted(rooms: Rooms) -> None:
    """The site's own database refuses to rewrite what it mirrored."""
    for deed in ("UPDATE mirror_entry SET idx = 9", "DELETE FROM mirror_entry"):
        with pytest.raises(Exception, match="append-only"), rooms.store.begin() as session:
            session.connection().exec_driver_sql(deed)


def test_another_hospitals_late_signature_is_accepted(world: World) -> None:
    """A charter launched by two of three lets the third join afterwards, by its own key."""
    rooms = world.joined()
    world.launched(rooms)
    body = {"charter": rooms.mirror.state(STUDY).version_id}
    note = world.hub.note("site.joined", body, by=key(f"{THEM}/institution"))
    world.hub.log.take(note)

    assert rooms.witness.step(STUDY).outcome == "cosigned"


def test_entries_that_do_not_lead_to_the_signed_root_are_an_alarm(
    world: World, rooms: Rooms
) -> None:
    """A hub that shows this site other entries than it signed is caught."""
    world.hub.open_round()
    shown = world.hub.checkpoint()
    real = world.hub.log.entries.pop()
    world.time.forward(seconds=3)
    other = world.hub.note("study.stopped", _stop())
    world.hub.log.entries.append(other)
    world.hub.checkpoint = lambda log=None: shown  # type: ignore[method-assign]

    step = rooms.witness.step(STUDY)

    assert real != other
    assert (step.outcome, step.rule) == ("alarm", "checkpoint.proof")


def _stop() -> dict[str, object]:
    return {"reason": "operator", "on_behalf": None}


def _end() -> dict[str, object]:
    return {"reason": "abandoned", "on_behalf": None}


class _Deaf:
    """A hub client whose cosignatures get lost."""

    def __init__(self, hub: object) -> None:
        self._hub = hub

    def __getattr__(self, name: str) -> object:
        if name == "cosign":
            return self._lost
        return getattr(self._hub, name)

    def _lost(self, *_: object) -> None:
        raise Unreachable("the line is cut.")
