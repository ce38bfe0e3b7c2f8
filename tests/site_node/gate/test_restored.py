"""A home from a backup has forgotten what it signed: it mirrors first, and signs no fork."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compliance.errors import NotReady, Refused
from compliance.ledger.merkle import leaf_hash
from compliance.ledger.policy import Policy
from compliance.records.order import Order
from compliance.report.heads import FILE as HEADS
from compliance.rules.logs import family_of
from compliance.signing.note import parse
from hub.wiring import Rooms as HubRooms
from site_node.gate.doctor import examine
from site_node.gate.restored import FILE
from site_node.store import studies
from site_node.wiring import Rooms
from tests.failover.successors import client_of, mirror_of, settle, twin_of
from tests.house import House
from tests.site_node.gate.kept import back_up, come_back
from tests.site_node.gate.world import LAYOUT

NAMES = ("north.example", "south.example", "west.example")
NORTH = NAMES[0]
STOP = {"reason": "operator", "on_behalf": None}
CLOSE = {"reason": "abandoned", "on_behalf": None}
DELTA = np.full(LAYOUT.count, 0.001, dtype="<f4").tobytes()


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """A hub and three hospitals, two of which are a quorum, with a study of one round."""
    made = House(tmp_path / "town", capsys, NAMES)
    made.launch()
    made.close_round()
    settle(made)
    return made


@pytest.fixture
def kept(house: House, tmp_path: Path) -> Path:
    """North's backup."""
    back_up(house.sites[NORTH], tmp_path / "kept")
    return tmp_path / "kept"


def others(house: House) -> list[Rooms]:
    """The hospitals that were never restored."""
    return [rooms for name, rooms in house.sites.items() if name != NORTH]


def others_look(house: House, *logs: str) -> None:
    """The other hospitals look, and cosign what is new."""
    for rooms in others(house):
        for log in logs or ("consortium", house.study):
            rooms.witness.step(log)


def cosigners(hub: HubRooms, log: str) -> set[str]:
    """Who cosigned the newest checkpoint that this hub shows."""
    note = parse(hub.ledger.checkpoint(log, latest=True))
    return {line.name for line in note.lines if line.name.endswith("/witness")}


def say(house: House, kind: str, body: dict[str, object]) -> None:
    """The hub says something, and time passes until its next checkpoint."""
    house.hub.ledger.say(house.study, kind, body)
    house.time.forward(seconds=6)


def order_of(house: House) -> Order:
    """A new round is opened; its order."""
    state = house.hub.ledger.state(house.study)
    number, deadline = state.rounds_opened + 1, house.time.text(seconds=600)
    body = {
        "round": number,
        "sites": list(NAMES),
        "model_sha256": state.model_sha256,
        "bundle_sha256": state.charter.bundle_sha256,
        "deadline": deadline,
        "on_behalf": None,
    }
    index = house.hub.ledger.say(house.study, "round.opened", body).index
    house.time.forward(seconds=6)
    return Order(
        kind="train",
        log=state.charter_id,
        entry=index,
        leaf="sha256:" + leaf_hash(house.hub.ledger.entries(house.study, index)[0]).hex(),
        round=number,
        layout_sha256=LAYOUT.sha256,
        model_sha256=str(body["model_sha256"]),
        deadline=deadline,
    )


def answer(house: House, rooms: Rooms, order: Order) -> None:
    """A hospital answers an order, and the hub puts it on record."""
    permit = rooms.permits.check(order, house.time.now)
    for note in rooms.release.admit(permit, order, delta=DELTA, n=40, steps=9, metrics=[]):
        house.hub.ledger.append(house.study, note)


def awake(house: House, back: Rooms) -> None:
    """The others cosign both logs anew; the restored hospital sees it."""
    body = {"what": "directory", "commitment": None}
    house.hub.ledger.say("consortium", "erasure.done", body)
    house.time.forward(seconds=6)
    for _ in range(2):
        others_look(house)
        for log in ("consortium", house.study):
            back.witness.step(log)


# --- what is signed again, and when ---


def test_a_restored_witness_cosigns_after_a_quorum_of_the_others(house, kept, tmp_path):
    """It mirrors what is new at once, and cosigns when two others have."""
    back = come_back(house, kept, tmp_path / "new")
    say(house, "study.stopped", STOP)

    assert back.witness.step(house.study).outcome == "resting"
    assert back.mirror.state(house.study).stopped is not None
    assert cosigners(house.hub, house.study) == set()

    south, west = others(house)
    south.witness.step(house.study)
    assert back.witness.step(house.study).outcome == "resting"
    west.witness.step(house.study)
    assert back.witness.step(house.study).outcome == "cosigned"
    assert cosigners(house.hub, house.study) == {f"{name}/witness" for name in NAMES}
    assert not back.restored.rests(house.study)


def test_once_confirmed_it_cosigns_as_before(house, kept, tmp_path):
    """The next checkpoint needs nobody before it."""
    back = come_back(house, kept, tmp_path / "new")
    say(house, "study.stopped", STOP)
    others_look(house)
    back.witness.step(house.study)

    say(house, "study.closed", CLOSE)

    assert back.witness.step(house.study).outcome == "cosigned"


def test_a_quiet_log_rests_until_something_is_said(house, kept, tmp_path):
    """Cosignatures from before the restore say nothing about what was signed since the backup."""
    back = come_back(house, kept, tmp_path / "new")

    for _ in range(3):
        house.time.forward(seconds=6)
        others_look(house)
        assert back.witness.step(house.study).outcome == "resting"
    say(house, "study.stopped", STOP)
    others_look(house)
    assert back.witness.step(house.study).outcome == "cosigned"


def test_where_all_must_cosign_the_others_come_first(tmp_path, capsys):
    """With two of two, the other one is all the others; no study stands still for ever."""
    house = House(tmp_path / "town", capsys)
    house.launch()
    back_up(house.sites[NORTH], tmp_path / "kept")
    back = come_back(house, tmp_path / "kept", tmp_path / "new")
    say(house, "study.stopped", STOP)

    assert back.witness.step(house.study).outcome == "resting"
    others_look(house)
    assert back.witness.step(house.study).outcome == "cosigned"
    assert back.witness.follow_quorum(house.study) == back.mirror.state(house.study).size


# --- what it said itself and has forgotten ---


def test_its_own_forgotten_statements_are_no_forgery(house, kept, tmp_path):
    """A round was answered after the backup: the log tells it, and nobody alarms."""
    house.close_round()
    back = come_back(house, kept, tmp_path / "new")
    awake(house, back)

    assert back.mirror.alarms() == []
    assert len(back.mirror.state(house.study).rounds_closed) == 2
    assert back.witness.silent(house.study, house.time.now) == []


def test_a_forgery_after_the_restore_is_an_alarm_again(house, kept, tmp_path):
    """Only a log that rests is believed about this hospital's own words."""
    back = come_back(house, kept, tmp_path / "new")
    say(house, "study.stopped", STOP)
    others_look(house)
    back.witness.step(house.study)
    old = house.sites[NORTH]  # has the same keys: a thief of them

    old.steward.withdraw(house.study, "consent")
    house.time.forward(seconds=6)

    assert back.witness.step(house.study).outcome == "alarm"
    assert back.mirror.alarms()[0].rule == "own.forged"


def test_a_study_signed_after_the_backup_is_known_by_its_own_signature(house, tmp_path, kept):
    """The yes stands in the charter, by the hospital's key; the study is trained again here."""
    first = house.study
    house.hub.ledger.say(first, "study.stopped", STOP)
    house.hub.ledger.say(first, "study.closed", CLOSE)
    second = house.launch(title="Another opacity")
    settle(house)
    back = come_back(house, kept, tmp_path / "new")
    house.study = second
    order = order_of(house)
    awake(house, back)

    assert back.mirror.alarms() == []
    assert back.permits.check(order, house.time.now).study == second


def test_a_consortium_founded_after_the_backup_is_known_by_its_own_signature(tmp_path, capsys):
    """The agreement carries the hospital's key; nobody forged it."""
    house = House(tmp_path / "town", capsys, NAMES, founded=False)
    back_up(house.sites[NORTH], tmp_path / "kept")
    house._found()
    house.launch()
    back = come_back(house, tmp_path / "kept", tmp_path / "new")
    awake(house, back)

    assert back.mirror.alarms() == []
    assert back.standing() == "active"
    assert not back.restored.rests("consortium")
    with back.store() as session:
        signed = [row.charter_id for row in studies.signed_in(session, "consortium")]
    assert signed == [back.agreement_id()]


def test_an_agreement_that_the_backup_knows_otherwise_is_a_forgery_still(tmp_path, capsys):
    """Resting forgives what was forgotten, not what is remembered."""
    house = House(tmp_path / "town", capsys, NAMES)
    back_up(house.sites[NORTH], tmp_path / "kept")
    other = House(tmp_path / "elsewhere", capsys, NAMES)
    back = come_back(house, tmp_path / "kept", tmp_path / "new")
    before = back.agreement_id()
    back.hub = client_of(back, other.hub)

    back.look_at_consortium()

    assert back.agreement_id() == before


# --- the attacks ---


def test_a_hub_that_goes_back_gets_no_cosignature_from_a_restored_witness(house, kept, tmp_path):
    """The log as the backup knows it, another next entry: alone it would have signed the fork."""
    twin = twin_of(house, tmp_path / "twin")
    say(house, "study.stopped", STOP)
    house.look()  # the true history has its quorum, north's own cosignature among it
    back = come_back(house, kept, tmp_path / "new")
    back.hub = client_of(back, twin)
    twin.ledger.say(house.study, "study.closed", CLOSE)
    house.time.forward(seconds=6)

    outcomes = [back.witness.step(house.study).outcome for _ in range(3)]

    assert outcomes == ["resting"] * 3
    assert cosigners(twin, house.study) == set()


def test_one_hospital_that_helps_the_hub_wakes_nobody(house, kept, tmp_path):
    """Of two that must have cosigned, one is bought: the fork still lacks an honest one."""
    twin = twin_of(house, tmp_path / "twin")
    say(house, "study.stopped", STOP)
    house.look()
    back = come_back(house, kept, tmp_path / "new")
    back_up(house.sites["west.example"], tmp_path / "west")
    bought = come_back(house, tmp_path / "west", tmp_path / "bought")
    (bought.settings.home / FILE).unlink()
    twin.ledger.say(house.study, "study.closed", CLOSE)
    house.time.forward(seconds=6)
    for rooms in (bought, back):
        rooms.hub = client_of(rooms, twin)
    bought.mirror.forget(house.study)
    line = forged(bought, twin, house)
    twin.ledger.cosign(house.study, "west.example", line)

    assert back.witness.step(house.study).outcome == "resting"
    assert cosigners(twin, house.study) == {"west.example/witness"}


def forged(rooms: Rooms, hub: HubRooms, house: House) -> str:
    """A cosignature by this hospital's key over whatever a hub shows."""
    from compliance.ledger.cosign import cosign

    note = parse(hub.ledger.checkpoint(house.study, latest=True))
    return cosign(note.text, rooms.keys.witness, int(house.time.now.timestamp()))


def test_the_true_log_afterwards_is_an_alarm_with_evidence(house, kept, tmp_path):
    """The fork that was mirrored, not signed, convicts the hub that showed it."""
    twin = twin_of(house, tmp_path / "twin")
    say(house, "study.stopped", STOP)
    back = come_back(house, kept, tmp_path / "new")
    back.hub = client_of(back, twin)
    twin.ledger.say(house.study, "study.closed", CLOSE)
    house.time.forward(seconds=6)
    back.witness.step(house.study)
    others_look(house)

    back.hub = client_of(back, house.hub)

    assert back.witness.step(house.study).outcome == "alarm"
    assert back.mirror.alarms()[0].rule.startswith("checkpoint.")


def test_cosignatures_from_before_the_restore_wake_nobody(house, kept, tmp_path):
    """A quorum of the others over more than the backup holds, but older than the restore."""
    say(house, "study.stopped", STOP)
    others_look(house)
    back = come_back(house, kept, tmp_path / "new")

    assert back.witness.step(house.study).outcome == "resting"
    assert len(cosigners(house.hub, house.study)) == 2


def test_a_cosignature_from_the_future_counts_for_nobody(house, kept, tmp_path):
    """More than ten minutes ahead: a clock that is wrong says nothing about before or after."""
    come_back(house, kept, tmp_path / "new")
    say(house, "study.stopped", STOP)
    others_look(house)
    note = house.hub.ledger.checkpoint(house.study, latest=True)
    state = house.hub.ledger.state(house.study)
    policy = Policy.parse(family_of(house.study).policy(state))
    now = int(house.time.now.timestamp())

    assert policy.without(NORTH, note, now - 60, now + 600)
    assert not policy.without(NORTH, note, now - 60, now - 30)


def test_a_lost_mark_is_not_the_same_as_a_damaged_one(house, kept, tmp_path):
    """What cannot be read stops every cosignature, and says how to go on."""
    back = come_back(house, kept, tmp_path / "new")
    say(house, "study.stopped", STOP)
    for text in ("", "{}", '{"since": "yesterday", "made": "", "awake": []}', "[1]"):
        (back.settings.home / FILE).write_text(text)
        with pytest.raises(NotReady, match="must not cosign"):
            back.witness.step(house.study)
    assert cosigners(house.hub, house.study) == set()


# --- nothing is spent or answered twice ---


def test_a_round_from_before_the_restore_is_not_answered_again(house, kept, tmp_path):
    """It was answered after the backup, and the hub lost the answer: only the backup forgot it."""
    order = order_of(house)
    house.look()
    old = house.sites[NORTH]
    permit = old.permits.check(order, house.time.now)
    assert old.release.admit(permit, order, delta=DELTA, n=40, steps=9, metrics=[])
    back = come_back(house, kept, tmp_path / "new")

    with pytest.raises(Refused) as early:
        back.permits.check(order, house.time.now)
    answer(house, house.sites["south.example"], order)
    awake(house, back)
    with pytest.raises(Refused) as late:
        back.permits.check(order, house.time.now)

    assert early.value.rule == "mirror.behind"
    assert late.value.rule == "site.restored"


def test_nothing_is_trained_while_a_log_rests(house, kept, tmp_path):
    """A hub that shows an old log would have the same budget spent a second time."""
    back = come_back(house, kept, tmp_path / "new")
    order = order_of(house)
    back.look_at_consortium()
    back.witness.step(house.study)

    with pytest.raises(Refused) as refusal:
        back.permits.check(order, house.time.now)

    assert refusal.value.rule == "mirror.behind"
    assert "backup" in str(refusal.value)


def test_a_round_after_the_restore_is_trained(house, kept, tmp_path):
    """Confirmed by the others, the hospital takes part again."""
    back = come_back(house, kept, tmp_path / "new")
    order = order_of(house)
    awake(house, back)

    permit = back.permits.check(order, house.time.now)

    assert back.release.admit(permit, order, delta=DELTA, n=40, steps=9, metrics=[])


def test_an_old_backup_refills_no_budget(house, kept, tmp_path):
    """What was spent after the backup, in rounds and in updates, is spent in the fold again."""
    house.close_round()
    spent = house.sites[NORTH].mirror.state(house.study)
    back = come_back(house, kept, tmp_path / "new")
    awake(house, back)

    found = back.mirror.state(house.study)

    assert found.rounds_opened == spent.rounds_opened == 2
    assert found.rounds_closed == spent.rounds_closed
    assert found.tree.root() == house.hub.ledger.state(house.study).tree.root()


def test_what_the_backup_had_not_sent_is_not_said_twice(house, tmp_path):
    """A statement that waited in the backup and was sent since is known by the log."""
    north = house.sites[NORTH]
    way, north.hub = north.hub, Away(north.hub)
    north.steward.withdraw(house.study, "consent")
    back_up(north, tmp_path / "kept")
    north.hub = way
    north.statements.deliver(north.hub)
    size = house.hub.ledger.state(house.study).size
    back = come_back(house, tmp_path / "kept", tmp_path / "new")

    back.statements.deliver(back.hub)

    assert house.hub.ledger.state(house.study).size == size
    assert back.statements.waiting() == 0


class Away:
    """A hub that cannot be reached."""

    def __init__(self, hub: object) -> None:
        self._hub = hub

    def __getattr__(self, name: str) -> object:
        from compliance.errors import Unreachable

        raise Unreachable("the hub is away.")


# --- what others are told ---


def test_a_copy_from_a_backup_is_no_voice_for_a_hub_that_resumes(house, kept, tmp_path):
    """`mirror.note` would say that nothing more was ever cosigned here."""
    back = come_back(house, kept, tmp_path / "new")

    mirror_of(back, tmp_path / "mirror")

    assert not (tmp_path / "mirror" / HEADS).exists()
    assert (tmp_path / "mirror" / house.study / "checkpoint").exists()


def test_the_doctor_names_what_rests_until_it_does_not(house, kept, tmp_path):
    """Two rows in a life: rests, with what to do; then well."""
    back = come_back(house, kept, tmp_path / "new")
    rows = {row.code: row for row in examine(back.patient)}
    assert not rows["restored_rests"].well
    assert house.study in rows["restored_rests"].finding
    assert "site restored" in rows["restored_rests"].fix

    say(house, "study.stopped", STOP)
    awake(house, back)

    rows = {row.code: row for row in examine(back.patient)}
    assert rows["restored"].well


def test_a_home_that_was_never_restored_cosigns_as_ever(house):
    """No mark, no rest."""
    north = house.sites[NORTH]

    assert north.restored.mark() is None
    assert not north.restored.rests(house.study)
    assert not north.restored.predates(house.time.text())
    state, note = house.hub.ledger.state(house.study), b""
    assert north.restored.seen_by_others(house.study, state, note, 0)
    north.restored.wake(house.study, "nothing to wake")
    assert not (north.settings.home / FILE).exists()
