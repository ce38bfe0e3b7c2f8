"""Keys that change and copies for others: rotation, evidence of a fork, the mirror as files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from compliance.errors import NotProven, NotReady, Refused
from compliance.ledger.checkpoint import parse_text
from compliance.ledger.policy import Policy
from compliance.report.compare import compare, read_evidence
from compliance.rules.logs import family_of
from compliance.signing.keyfile import read_public, write_key
from compliance.signing.keys import SigningKey
from compliance.signing.note import parse
from site_node.gate.evidence import write_evidence, write_mirror
from site_node.wiring import Rooms
from tests.house import House
from tests.site_node.gate.world import CONSORTIUM, STUDY, World

THREE = ("north.example", "south.example", "west.example")


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """A real hub and three hospitals with a running study."""
    made = House(tmp_path, capsys, THREE)
    made.launch()
    return made


def draw(word: str) -> Callable[[int], bytes]:
    """Randomness that is the same in every run."""
    return lambda count: hashlib.sha512(word.encode()).digest()[:count]


def rotate(rooms: Rooms, role: str, reason: str = "planned") -> dict[str, object]:
    """Replace a key without passphrases."""
    return rooms.rotation.rotate(
        role, reason, passphrase=None, new_passphrase=None, random=draw(f"{role} again")
    )


def look(house: House) -> list[str]:
    """Time for a checkpoint; every hospital looks at both logs."""
    house.time.forward(seconds=6)
    for rooms in house.sites.values():
        rooms.witness.step(CONSORTIUM)
    return house.look()


def settled(house: House) -> None:
    """Every agent puts into use what is in force."""
    look(house)
    for rooms in house.sites.values():
        rooms.rotation.settle()


# ------------------------------------------------------------------------------------- rotation


def test_a_new_node_key_is_in_use_at_once_and_the_old_one_is_refused(house: House) -> None:
    """The institution speaks for its machine in every log; the hub hears the new key only."""
    north = house.sites["north.example"]
    old = north.keys.node

    told = rotate(north, "node")

    assert told["in_force"]
    assert north.keys.node != old
    assert north.hub.studies()
    assert "alarm" not in look(house)
    for log in (CONSORTIUM, house.study):
        assert north.mirror.log_state(log).keys.current[old.name] == north.keys.node.verifier
    north.hub._key = lambda: old
    with pytest.raises(Refused):
        north.hub.studies()


def test_a_new_witness_key_cosigns_the_checkpoint_that_contains_it(house: House) -> None:
    """The old key serves each log until that log shows the change; no cosignature is lost."""
    north = house.sites["north.example"]
    rotate(north, "witness")
    new = read_public(north.keys.coming("witness"))
    house.time.forward(seconds=6)
    north.witness.step(CONSORTIUM)
    assert north.rotation.settle() == []  # the study's log has not shown it yet

    outcomes = look(house)

    assert outcomes == ["cosigned", "cosigned", "cosigned"]
    north.rotation.settle()
    assert north.keys.witness.verifier == new
    assert str(new) in north.steward.show(house.study)["policy"]  # what an auditor is handed
    house.close_round()
    assert north.witness.follow_quorum(house.study) > 0
    assert not north.mirror.alarms()


def test_a_planned_institution_key_speaks_for_its_successor(house: House) -> None:
    """The old key signs its own end; the next yes of this hospital is given with the new one."""
    north = house.sites["north.example"]
    rotate(north, "institution")
    settled(house)

    north.motions.suspend("west.example", "policy", None)

    (waiting,) = [row for row in house.sites["south.example"].motions.all() if row.state == "open"]
    assert waiting.signed == ["north.example/institution"]
    assert "key.in.use" in [row["kind"] for row in north.journal.lines()]


def test_a_lost_institution_key_is_replaced_by_the_other_hospitals_only(house: House) -> None:
    """Nothing is sent by the one who lost it; two others agree, in each log; then it is in use."""
    north, south, west = house.sites.values()
    told = rotate(north, "institution", "lost")
    assert told["peers"]
    assert sorted(told["logs"]) == sorted([CONSORTIUM, house.study])  # type: ignore[call-overload]
    name, vkey = str(told["name"]), str(told["vkey"])

    first = south.rotation.replace(name, vkey, "lost", None)
    second = west.rotation.replace(name, vkey, "lost", None)

    assert [row["state"] for row in first] == ["open", "open"]
    assert [row["state"] for row in second] == ["carried", "carried"]
    settled(house)
    assert str(north.keys.public.institution) == vkey
    assert not any(rooms.mirror.alarms() for rooms in house.sites.values())


def test_a_node_is_not_replaced_while_a_round_waits_for_it(house: House) -> None:
    """An update of the old key would be refused: the technician waits or stops the study."""
    state = house.hub.ledger.state(house.study)
    house.hub.ledger.say(
        house.study,
        "round.opened",
        {
            "round": 1,
            "sites": list(THREE),
            "model_sha256": state.model_sha256,
            "bundle_sha256": state.charter.bundle_sha256,
            "deadline": house.time.text(seconds=600),
            "on_behalf": None,
        },
    )
    look(house)

    with pytest.raises(NotReady, match="waits for this node"):
        rotate(house.sites["north.example"], "node")


def test_a_rotation_that_was_interrupted_goes_on_with_the_same_key(house: House) -> None:
    """Killed after the key was made: the second call uses that key and leaves no third one."""
    north = house.sites["north.example"]
    made = north.keys.prepare("witness", "north.example", None, draw("first attempt"))

    told = rotate(north, "witness")

    assert told["vkey"] == str(made)


def test_a_key_that_was_seen_before_is_not_announced(house: House) -> None:
    """The fold here says so before anything is signed, and nothing waits to be sent."""
    north = house.sites["north.example"]
    seen = north.keys.institution(None)
    write_key(north.keys.coming("node"), SigningKey("north.example/node", 1, seen.seed))

    with pytest.raises(Refused) as caught:
        rotate(north, "node")

    assert caught.value.rule == "key.reuse"
    assert north.statements.waiting() == 0


@pytest.mark.parametrize(("role", "reason"), [("flower", "planned"), ("node", "takeover")])
def test_another_word_than_the_lists_replaces_no_key(house: House, role: str, reason: str) -> None:
    """Roles and reasons are closed lists."""
    with pytest.raises(NotReady, match="Choose"):
        rotate(house.sites["north.example"], role, reason)


def test_a_key_that_no_log_knows_is_not_replaced(house: House) -> None:
    """A misspelt name is answered, not proposed."""
    vkey = str(house.sites["north.example"].keys.public.institution)

    with pytest.raises(NotReady, match="no log here knows"):
        house.sites["south.example"].rotation.replace("lake.example/node", vkey, "lost", None)


# ------------------------------------------------------------------------------------- evidence


def test_a_fork_is_proven_to_a_third_party_with_the_files_of_an_alarm(
    world: World, tmp_path: Path
) -> None:
    """Two histories of one log, both signed: `audit compare` needs nothing but the two folders."""
    rooms = world.joined()
    world.launched(rooms)
    world.hub.open_round()
    rooms.witness.step(STUDY)
    world.hub.log.entries.pop()
    world.time.forward(seconds=5)
    stop = {"reason": "operator", "on_behalf": None}
    end = {"reason": "abandoned", "on_behalf": None}
    world.hub.log.take(world.hub.note("study.stopped", stop), unchecked=True)
    world.hub.log.take(world.hub.note("study.closed", end), unchecked=True)
    rooms.witness.step(STUDY)

    (told,) = write_evidence(rooms.mirror, tmp_path / "out")

    assert {"known.checkpoint", "shown.checkpoint", "consistency.txt"} <= set(told["files"])
    first, second = (read_evidence(Path(path)) for path in told["compare"])
    with pytest.raises(NotProven) as caught:
        compare(first, second, rooms.steward.show(STUDY)["policy"])
    assert caught.value.step == "fork"


def test_two_checkpoints_of_one_size_are_evidence_by_themselves(
    world: World, tmp_path: Path
) -> None:
    """A hub that hands out no entries of its other history is proven by what it signed."""
    rooms = world.joined()
    world.launched(rooms)
    world.hub.open_round()
    rooms.witness.step(STUDY)
    world.hub.log.entries.pop()
    world.time.forward(seconds=5)
    stop = {"reason": "operator", "on_behalf": None}
    world.hub.log.take(world.hub.note("study.stopped", stop), unchecked=True)
    rooms.witness.step(STUDY)

    (told,) = write_evidence(rooms.mirror, tmp_path)

    folder = Path(told["folder"])
    pair = [read_evidence(folder / f"{name}.checkpoint") for name in ("known", "shown")]
    with pytest.raises(NotProven, match="two roots"):
        compare(pair[0], pair[1], rooms.steward.show(STUDY)["policy"])


def test_entries_that_the_hub_never_signed_are_no_evidence(world: World) -> None:
    """What is kept leads to the root that the log signed, or it is not kept: it proves nothing."""
    rooms = world.joined()
    world.launched(rooms)
    world.hub.open_round()
    shown = world.hub.checkpoint()
    world.hub.log.entries.pop()
    world.time.forward(seconds=3)
    world.hub.log.entries.append(
        world.hub.note("study.stopped", {"reason": "operator", "on_behalf": None})
    )
    world.hub.checkpoint = lambda log=None: shown  # type: ignore[method-assign]  # one face only

    rooms.witness.step(STUDY)

    kept = rooms.mirror.evidence(rooms.mirror.alarms()[0].id)
    assert set(kept) == {"known.checkpoint", "shown.checkpoint", "consistency.txt"}


def test_evidence_can_be_neither_changed_nor_deleted(world: World) -> None:
    """The site's own database keeps what an alarm rests on."""
    rooms = world.joined()
    world.launched(rooms)
    world.hub.log.entries.clear()
    world.hub.log.take(world.hub.note("study.stopped", {"reason": "operator", "on_behalf": None}),
                       unchecked=True)  # fmt: skip
    rooms.witness.step(STUDY)
    assert rooms.mirror.evidence(rooms.mirror.alarms()[0].id)

    for deed in ("UPDATE mirror_evidence SET data = x'00'", "DELETE FROM mirror_evidence"):
        with pytest.raises(Exception, match="append-only"), rooms.store.begin() as session:
            session.connection().exec_driver_sql(deed)


def test_the_mirror_as_files_is_a_whole_log_that_anybody_can_read(
    house: House, tmp_path: Path
) -> None:
    """Each log in static tiles, with the checkpoint of a quorum and the policy it satisfies."""
    house.close_round()
    north = house.sites["north.example"]
    look(house)
    for log in (CONSORTIUM, house.study):
        north.witness.follow_quorum(log)

    now = north.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    told = write_mirror(north.mirror, tmp_path, north.keys.node, now, lambda _: False)

    assert {row["log"] for row in told} == {CONSORTIUM, house.study}
    for row in told:
        folder = Path(row["folder"])
        found = read_evidence(folder)
        policy = (folder / "policy.txt").read_text()
        assert Policy.parse(policy).judge(found.note).checkpoint.size == row["witnessed"]
        kept = [bytes(note) for note in north.mirror.entries(row["log"], 0, row["witnessed"])]
        assert list(found.entries) == kept
        assert family_of(row["log"]).replay(found.entries).size == row["witnessed"]
        latest = parse_text(parse((folder / "checkpoint.latest").read_bytes()).text)
        assert latest.size == row["size"]
