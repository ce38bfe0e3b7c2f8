"""After a takeover the work goes on: rounds, charters, people; with the keys in force alone."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from compliance.command import main
from compliance.errors import NotReady, Refused
from compliance.records.envelope import write_event
from compliance.signing.keys import SigningKey
from tests.failover.successors import Successor, move, settle
from tests.house import House
from tests.postgres import Cluster

PASSWORD = "a long enough password"
LEAD = SigningKey("lead.example/r-1", 1, hashlib.sha256(b"lead").digest())


@pytest.fixture
def moved(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """The same house at the successor of its hub."""
    move(house, Successor(house, tmp_path / "successor", capsys), tmp_path / "mirrors")
    return house


def amend(house: House, **keys: str) -> dict[str, Any]:
    """The researcher proposes a new version of the charter, and every steward signs it."""
    state = house.hub.ledger.state(house.study)
    body = state.charter.plain() | {"min_examples": 25} | keys
    text = write_event(
        "charter.amended",
        {"charter": body, "previous": state.version_id},
        time=house.time.text(),
        actor=LEAD.name,
        log=state.charter_id,
        nonce="7" * 32,
    )
    told = house.hub.motions.propose(house.study, text, LEAD.line(text))
    for rooms in house.sites.values():
        told = rooms.motions.sign(rooms.motions.find(told["id"]), None, None)
    return told


def test_the_next_round_goes_on_from_the_model_of_the_last_one(moved: House) -> None:
    """Hospitals train, the successor closes the round, every witness cosigns it."""
    before = moved.hub.ledger.state(moved.study)

    made = moved.close_round()
    settle(moved)

    state = moved.hub.ledger.state(moved.study)
    assert [row.number for row in state.rounds_closed] == [1, 2]
    assert state.model_sha256 == made != before.rounds_closed[0].model_sha256
    assert not [alarm for rooms in moved.sites.values() for alarm in rooms.mirror.alarms()]
    assert moved.hub.ledger.checkpoint(moved.study)


def test_a_new_study_is_opened_at_the_successor(moved: House) -> None:
    """Proposed, signed at each hospital, launched, mirrored, trained on."""
    first = moved.study

    study = moved.launch(title="Another opacity")
    moved.close_round()
    settle(moved)

    assert study != first
    assert moved.hub.ledger.state(study).rounds_closed
    assert not [alarm for rooms in moved.sites.values() for alarm in rooms.mirror.alarms()]


def test_a_charter_is_amended_with_the_keys_that_took_over(moved: House) -> None:
    """The new version names the successor's keys; hub and witnesses take it in."""
    state = moved.hub.ledger.state(moved.study)
    keys = {
        "log_key": str(state.keys.current[state.origin]),
        "hub_key": str(moved.hub.keys.events.verifier),
    }

    with pytest.raises(Refused) as refusal:
        amend(moved)
    amend(moved, **keys)
    settle(moved)

    assert refusal.value.rule == "amend.fixed"
    assert moved.hub.ledger.state(moved.study).charter.min_examples == 25
    assert moved.look() == ["same"] * 2
    assert moved.close_round()


def proposed(house: House, vkey: str, key: SigningKey, number: int) -> Any:
    """What becomes of a proposal by the person with this number."""
    draft = {"title": "Mine", "summary": "s", "recipe": {"id": "cnn2d-small"},
             "datasets": [{"site": name, "id": "chest"} for name in house.sites],
             "legal": house.hub.ledger.state(house.study).charter.legal.plain()}  # fmt: skip
    text = house.hub.charters.prepare(draft, vkey)
    return house.hub.charters.propose(text, key.line(text), number, vkey)


@pytest.fixture
def attested(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """A researcher whose key the lost hub kept has proposed; then the house moves."""
    house.hub.accounts.add("celine", "researcher")
    key = house.hub.keys.researcher(2)
    proposed(house, str(key.verifier), key, 2)
    settle(house)
    move(house, Successor(house, tmp_path / "successor", capsys), tmp_path / "mirrors")
    return house


def test_nobody_comes_by_chance_to_the_name_of_a_researcher_of_the_lost_hub(
    attested: House,
) -> None:
    """Accounts begin anew, the logs do not: a new person gets a number that no log knows."""
    accounts = attested.hub.accounts
    accounts.enrol(accounts.add("david", "researcher"), PASSWORD)
    number = accounts.sign_in("david", PASSWORD)[1].number
    key = attested.hub.keys.researcher(number)

    assert number == 3
    assert proposed(attested, str(key.verifier), key, number)["study"]


def test_a_researcher_of_the_lost_hub_comes_back_when_the_hospitals_replace_the_key(
    attested: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """The number by choice, the key by most hospitals: without them it is another's name."""
    home = ["--home", str(attested.hub.settings.home)]
    asked = ["hub", "user", "add", "celine", "--role", "researcher", *home]
    assert main([*asked, "--number", "9"]) == 2
    assert main([*asked, "--number", "2"]) == 0
    assert main(["hub", "user", "add", "eve", "--role", "researcher", "--number", "2", *home]) == 2
    key = attested.hub.keys.researcher(2)

    with pytest.raises(Refused) as refusal:
        proposed(attested, str(key.verifier), key, 2)
    for rooms in attested.sites.values():
        rooms.rotation.replace(key.name, str(key.verifier), "lost", None)

    assert refusal.value.rule == "charter.members"
    assert proposed(attested, str(key.verifier), key, 2)["study"]


def test_an_administrator_takes_no_researchers_number(attested: House) -> None:
    """The number is a name in the logs: it is for who speaks there."""
    with pytest.raises(NotReady):
        attested.hub.accounts.add("david", "admin", number=2)


def test_a_successor_may_keep_its_logs_in_postgresql(
    house: House,
    postgres: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The lost hub used a file; rebuilt, taken over and trained on, the database is another."""
    monkeypatch.setenv("CONSILIUM_HUB_DATABASE_URL", postgres.database())
    successor = Successor(house, tmp_path / "successor", None)

    move(house, successor, tmp_path / "mirrors")
    house.close_round()
    settle(house)

    assert house.hub.database.url.startswith("postgresql")
    assert not (successor.home / "hub.sqlite").exists()
    assert len(house.hub.ledger.state(house.study).rounds_closed) == 2
    assert not [alarm for rooms in house.sites.values() for alarm in rooms.mirror.alarms()]
    successor.hub.ready()
    successor.hub.database.engine.dispose()
