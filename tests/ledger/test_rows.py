"""Somebody with the database's password changes the log: the place is named, nothing is served."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compliance.errors import NotReady
from compliance.ledger.checkpoint import open_checkpoint
from compliance.ledger.cosign import answer
from compliance.ledger.merkle import Tree, leaf_hash
from compliance.signing.keys import VerifierKey
from tests import factories as make
from tests.hub.house import NAMES, House, behind_the_hubs_back

EAST, NORTH, SOUTH = NAMES
ENTRIES = 5


@pytest.fixture
def house(either: House) -> House:
    """A study of six entries, cosigned; the guards of its tables are out of the way."""
    study = either.launched()
    for _ in range(ENTRIES):
        body = {"from": 0, "to": 1, "result": "nothing_found", "on_behalf": None}
        note = either.note("review.noted", body, make.EVENTS, by=either.rooms.keys.events)
        either.rooms.ledger.append(study, note)
    either.rooms.ledger.issue_checkpoint(study)
    either.witness(NORTH, SOUTH)
    unguard(either)
    return either


def unguard(house: House) -> None:
    """Drop what keeps the tables append-only, as an administrator of the database can."""
    if house.rooms.database.url.startswith("postgres"):
        statements = [f"ALTER TABLE {name} DISABLE TRIGGER ALL" for name in TABLES]
    else:
        statements = [f"DROP TRIGGER {name}_no_{verb}" for name in TABLES for verb in VERBS]
    behind_the_hubs_back(house.rooms.database, *statements)


TABLES, VERBS = ("log_entry", "log_node"), ("update", "delete")


def told(house: House) -> str:
    """What the hub says when it is started again."""
    with pytest.raises(NotReady, match="Nothing is served") as refusal:
        house.again().ready()
    return str(refusal.value)


def entries(house: House) -> list[bytes]:
    """What the table holds now."""
    return house.rooms.ledger.entries(house.study, 0)


def set_leaf(house: House, index: int, leaf: bytes) -> None:
    """Write other bytes into a row."""
    change = f"UPDATE log_entry SET leaf = :leaf WHERE study = '{house.study}' AND idx = {index}"  # noqa: S608 - a test's own words
    behind_the_hubs_back(house.rooms.database, change, leaf=leaf)


def move(house: House, old: int, new: int) -> None:
    """Give a row another place."""
    change = f"UPDATE log_entry SET idx = {new} WHERE study = '{house.study}' AND idx = {old}"  # noqa: S608 - a test's own words
    behind_the_hubs_back(house.rooms.database, change)


def is_refused_by_every_witness(house: House) -> bool:
    """What a witness says that saw the log before, when it is shown these entries."""
    ledger, tree = house.rooms.ledger, Tree()
    for note in entries(house):
        tree.append(leaf_hash(note))
    key = VerifierKey.parse(ledger.state(house.study).log_key)
    known = open_checkpoint(ledger.checkpoint(house.study), key)
    return tree.root() != known.root


def test_an_edited_row_is_named(house: House) -> None:
    """One word of one entry is another one."""
    old = entries(house)[3]
    set_leaf(house, 3, old.replace(b"nothing_found", b"closed_case"))

    assert "entry 3" in told(house)
    assert is_refused_by_every_witness(house)


def test_a_deleted_row_is_named(house: House) -> None:
    """One entry is gone, the later ones move up: each of them is valid, the tree is not."""
    behind_the_hubs_back(
        house.rooms.database,
        f"DELETE FROM log_entry WHERE study = '{house.study}' AND idx = 2",  # noqa: S608 - a test's own words
    )
    for index in range(3, ENTRIES + 1):
        move(house, index, index - 1)

    assert "entry 2 is not the one that was written" in told(house)
    assert is_refused_by_every_witness(house)


def test_a_reordered_row_is_named(house: House) -> None:
    """Two entries change places: every statement stays true, the order does not."""
    for old, new in ((2, 99), (4, 2), (99, 4)):
        move(house, old, new)

    assert "entry 2 is not the one that was written" in told(house)
    assert is_refused_by_every_witness(house)


def test_a_truncated_log_is_named(house: House) -> None:
    """The newest entries are gone with their nodes: the checkpoint is longer than the log."""
    behind_the_hubs_back(
        house.rooms.database,
        f"DELETE FROM log_entry WHERE study = '{house.study}' AND idx > 3",  # noqa: S608 - a test's own words
    )

    assert "entry 4 is not the one that was written" in told(house)


Change = Callable[[House], None]


def edit_with_nodes(house: House) -> None:
    """Exchange an entry for an honest other one, and its leaf hash too."""
    body = {"from": 0, "to": 1, "result": "closed_case", "on_behalf": None}
    other = house.note("review.noted", body, make.EVENTS, by=house.rooms.keys.events)
    set_leaf(house, 3, other)
    change = (
        f"UPDATE log_node SET hash = :hash WHERE study = '{house.study}' AND level = 0 AND pos = 3"  # noqa: S608 - a test's own words
    )
    behind_the_hubs_back(house.rooms.database, change, hash=leaf_hash(other))


def test_an_entry_exchanged_with_its_hash_contradicts_what_was_signed(house: House) -> None:
    """Even an honest statement in another's place, hash and all, is not what was cosigned."""
    edit_with_nodes(house)

    assert "not those of its last checkpoint" in told(house)
    assert is_refused_by_every_witness(house)


def test_a_witness_that_saw_the_log_refuses_the_changed_one(house: House) -> None:
    """The hub signs the changed log anew: from the size that was cosigned no proof leads there."""
    edit_with_nodes(house)
    tree = Tree()
    for note in entries(house):
        tree.append(leaf_hash(note))
    ledger = house.rooms.ledger
    key = VerifierKey.parse(ledger.state(house.study).log_key)
    known = open_checkpoint(ledger.checkpoint(house.study), key)
    again = house.again()
    again.ledger.issue_checkpoint(house.study)
    body = {"from": 0, "to": 1, "result": "nothing_found", "on_behalf": None}
    again.ledger.say(house.study, "review.noted", body)
    again.ledger.issue_checkpoint(house.study)
    note = again.ledger.checkpoint(house.study, latest=True)

    said = answer(
        known, known.size, again.ledger.consistency(house.study, known.size, 7), note, key
    )

    assert said.status == 422
