"""The hub's own keys: replaced as planned, or by the hospitals when they are lost or stolen."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from compliance.command import main
from compliance.errors import NotReady, Refused
from compliance.ledger.checkpoint import Checkpoint, parse_text, sign
from compliance.ledger.policy import Policy
from compliance.signing.note import parse, seal
from hub.services.presence import Presence
from hub.settings import load_settings as load_hub
from hub.wiring import Rooms as HubRooms
from tests.failover.successors import ADDRESS, client_of, settle
from tests.house import House

STOP = {"reason": "operator", "on_behalf": None}


@pytest.fixture
def house(house: House) -> House:
    """The same, and it is today, as for commands."""
    house.time.now = datetime.now(UTC)
    return house


def rotate(house: House, role: str, *words: str) -> int:
    """Run the command in the hub's home."""
    return main(["hub", "rotate-key", role, "--home", str(house.hub.settings.home), *words])


def restarted(house: House) -> HubRooms:
    """The hub as `hub serve` makes it anew; every hospital reaches it."""
    home = house.hub.settings.home
    HubRooms(load_hub(home), clock=house.time).rotation.settle()
    house.hub = HubRooms(load_hub(home), clock=house.time, random=house._random)
    for rooms in house.sites.values():
        rooms.hub = client_of(rooms, house.hub, ADDRESS)
    house.hub.ready()
    return house.hub


def calm(house: House) -> bool:
    """No hospital is alarmed."""
    return not [alarm for rooms in house.sites.values() for alarm in rooms.mirror.alarms()]


def test_a_new_log_key_signs_and_every_witness_goes_on(house):
    """Also while the hub is served: the next checkpoint bears the new key, the policy names it."""
    before = Policy.parse(house.hub.ledger.policy(house.study))

    assert rotate(house, "log", "--study", house.study) == 0
    settle(house)

    state = house.hub.ledger.state(house.study)
    after = Policy.parse(house.hub.ledger.policy(house.study))
    assert after.log == state.keys.current[state.origin] != before.log
    assert calm(house)
    assert after.judge(house.hub.ledger.checkpoint(house.study), house.time().timestamp())
    assert house.hub.ledger.consortium().keys.current["hub.example/consortium"]


def test_a_checkpoint_by_the_replaced_log_key_is_refused(house):
    """Whoever has the old key signs one more entry: no hospital believes it."""
    old = house.hub.keys.log(house.study)
    assert rotate(house, "log", "--study", house.study) == 0
    settle(house)
    house.hub.ledger.say(house.study, "study.stopped", STOP)
    state = house.hub.ledger.state(house.study)
    note = sign(Checkpoint(state.origin, state.size, state.tree.root()), old)
    north = house.sites["north.example"]
    north.hub.checkpoint = lambda _: note

    step = north.witness.step(house.study)

    assert (step.outcome, step.rule) == ("alarm", "checkpoint.key")


def test_a_new_events_key_speaks_in_every_log_and_the_old_one_is_silent(house):
    """One transaction over all logs; the old file is kept, and worth nothing."""
    old = house.hub.keys.events

    assert rotate(house, "events") == 0
    hub = restarted(house)
    hub.ledger.say(house.study, "study.stopped", STOP)
    settle(house)

    assert calm(house)
    for log in hub.ledger.logs():
        assert hub.ledger.state_of(log).keys.current[old.name] == hub.keys.events.verifier
    state = hub.ledger.state(house.study)
    text = hub.ledger.draft(house.study, "study.stopped", STOP, old.name)
    with pytest.raises(Refused) as refusal:
        hub.ledger.append(house.study, seal(text, old))
    assert refusal.value.rule in ("event.signer", "note.form")
    assert old.verifier != state.keys.current[old.name]
    assert len(list((hub.settings.home / "keys").glob("events-*.key"))) == 1


def test_a_study_is_opened_under_the_new_events_key(house):
    """Hospitals compare a charter with the key in force, not with that of the day they joined."""
    assert rotate(house, "events") == 0
    restarted(house)
    settle(house)

    study = house.launch(title="Another opacity")

    assert str(house.hub.keys.events.verifier) == house.hub.ledger.state(study).charter.hub_key
    assert calm(house)


def test_a_hub_that_is_served_keeps_its_events_key(house, capsys):
    """The serving process would go on with the old one: end it first."""
    with Presence(house.hub.settings.home).hold():
        assert rotate(house, "events") == 2
    assert "End `consilium hub serve`" in capsys.readouterr().err
    assert not list((house.hub.settings.home / "keys").glob("events*coming*"))


def test_a_rotation_that_was_cut_short_is_ended_by_the_next_start(house, monkeypatch):
    """Killed after the entries and before the file: the start finds the coming key in force."""

    def cut(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hub.services.keys.KeyStore.take_over_events", cut)
    rooms = HubRooms(load_hub(house.hub.settings.home), clock=house.time)
    with pytest.raises(KeyboardInterrupt):
        rooms.rotation.rotate("events", "consortium", "planned")
    monkeypatch.undo()

    hub = restarted(house)

    assert hub.ledger.say(house.study, "study.stopped", STOP)
    assert not hub.keys.events_are_coming()


def test_the_hub_is_served_by_the_key_that_is_in_force(house, monkeypatch):
    """Hospitals signed for a prepared key: the next `hub serve` speaks by it."""
    assert rotate(house, "events", "--reason", "lost") == 0
    coming = house.hub.keys.coming_events().verifier
    replaced(house, coming.name, str(coming))
    served = []
    monkeypatch.setattr("hub.cli.port_is_free", lambda *_: None)
    monkeypatch.setattr("hub.cli.build_supervisor", lambda *_: SimpleNamespace(status=str))
    monkeypatch.setattr("hub.cli.serve_hub", lambda rooms, _: served.append(rooms))

    assert main(["hub", "serve", "--home", str(house.hub.settings.home)]) == 0

    assert [rooms.keys.events.verifier for rooms in served] == [coming]


def replaced(house: House, name: str, vkey: str) -> None:
    """Both hospitals agree by `site replace-key`."""
    for rooms in house.sites.values():
        rooms.look_at_consortium()
        rooms.rotation.replace(name, vkey, "stolen", None)


@pytest.mark.parametrize("role", ["events", "log"])
def test_a_stolen_key_of_the_hub_is_worth_nothing_afterwards(house, capsys, role):
    """The hub prepares another one and says nothing by itself; most hospitals put it in force."""
    words = ("--study", house.study) if role == "log" else ()
    sizes = {log: house.hub.ledger.size(log) for log in house.hub.ledger.logs()}
    assert rotate(house, role, "--reason", "stolen", "--json", *words) == 0
    said = capsys.readouterr().out
    assert 'in_force": false' in said
    assert {log: house.hub.ledger.size(log) for log in sizes} == sizes
    coming = house.hub.keys.coming_events() if role == "events" else None
    vkey = said.split('"vkey": "')[1].split('"')[0]
    name = vkey.partition("+")[0]
    thief = house.hub.keys.events if role == "events" else house.hub.keys.log(house.study)

    replaced(house, name, vkey)
    hub = restarted(house)
    hub.ledger.say(house.study, "study.stopped", STOP)
    settle(house)

    assert calm(house)
    state = hub.ledger.state(house.study)
    assert str(state.keys.current[name]) == vkey != str(thief.verifier)
    assert coming is None or hub.keys.events.verifier == coming.verifier
    newest = parse(hub.ledger.checkpoint(house.study, latest=True))
    assert parse_text(newest.text).size == state.size


@pytest.mark.parametrize(
    "words", [("node",), ("events", "--reason", "takeover"), ("log", "--study", "0" * 16)]
)
def test_what_is_no_key_of_the_hub_is_named(house, words):
    """Another role, a reason that is not its own to say, a log that is not there."""
    assert rotate(house, *words) == 2


def test_a_hub_that_only_reads_replaces_no_key(house):
    """What it would say could be a second history."""
    assert main(["hub", "hold", "--home", str(house.hub.settings.home)]) == 0

    assert rotate(house, "log", "--study", house.study) == 1
    assert len(list((house.hub.settings.home / "keys").glob(f"{house.study}*.key"))) == 1


def test_a_key_that_no_log_has_is_not_put_into_use(house):
    """Prepared is not in force: a restart before the hospitals signed changes nothing."""
    old = house.hub.keys.events
    assert rotate(house, "events", "--reason", "lost") == 0

    assert restarted(house).keys.events.verifier == old.verifier
    with pytest.raises(NotReady):
        house.hub.rotation.rotate("events", "consortium", "because")
