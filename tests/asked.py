"""Questions how many, between a real hub and real hospitals whose patients a test chooses."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import Malformed
from compliance.records.counts import COUNTS, CountsAsked
from compliance.records.envelope import write_event
from compliance.rules.counts import question_id
from compliance.signing.keys import SigningKey
from compliance.signing.note import seal
from hub.storage import counts as table
from site_node.gate.counts import Cell
from site_node.settings import FILE, file_values, write_settings
from site_node.wiring import Rooms
from tests.house import NAMES, House
from tests.site_node.gate.world import Shelf

NORTH, SOUTH = NAMES
CELINE = 2
"""Number of the researcher's account; the first is the administrator's."""
SEXES = ("female", "male")
AGES = ("60-69", "70-79")
CELLS: list[Cell] = [
    ("cr", "chest", age, sex, label)
    for age, sex, label in itertools.product(AGES, SEXES, ("normal", "pneumonia"))
]


class Ward(Shelf):
    """A catalogue with one dataset whose cells a test chooses."""

    def __init__(self, folder: Path, exact: Mapping[Cell, int]) -> None:
        super().__init__(folder)
        self.exact = dict(exact)

    def cells(self, _: str) -> dict[Cell, int]:
        """Exact patients by cell."""
        return self.exact


def say_yes(rooms: Rooms, **settings: Any) -> None:
    """The hospital decides to answer, in its own file."""
    write_settings(
        rooms.settings.home / FILE,
        file_values(rooms.settings.home) | {"answer_counts": True} | settings,
    )


def people(house: House) -> None:
    """One researcher with an account; the hub keeps the key."""
    house.hub.accounts.add("celine", "researcher")


def fill(rooms: Rooms, exact: Mapping[Cell, int]) -> Ward:
    """These patients lie at a hospital from now on."""
    ward = Ward(rooms.settings.home / "datasets", exact)
    rooms.catalogue = ward  # type: ignore[assignment]
    return ward


def ask(house: House, **words: Any) -> str:
    """The researcher asks by the hub's own door; every hospital sees the log; returns the id."""
    told = house.hub.counts.ask(CELINE, words, None, house.hub.accounts.who(CELINE))
    house.time.forward(seconds=6)
    for rooms in house.sites.values():
        rooms.look_at_consortium()
    return str(told["question"])


def researcher(house: House) -> SigningKey:
    """The key that the hub keeps for the researcher."""
    return house.hub.keys.researcher(CELINE)


def question(house: House, words: Mapping[str, Any], **changes: Any) -> bytes:
    """The text of a question now, as whoever likes would write it."""
    fields = {
        "time": house.time.text(),
        "actor": researcher(house).name,
        "log": house.hub.ledger.agreement_id(),
        "nonce": secrets.token_hex(16),
        **changes,
    }
    return write_event("counts.asked", CountsAsked(**words), kinds=COUNTS, **fields)


def plant(house: House, *notes: bytes) -> None:
    """A hub that lies puts these bytes among its questions."""
    rows = [
        table.QuestionRow(question=_name(note), account=99, note=note, asked=house.time.text())
        for note in notes
    ]
    with house.hub.database.transaction() as session:
        for row in rows:
            table.add_question(session, row)


def _name(note: bytes) -> str:
    try:
        return question_id(note)
    except Malformed:
        return sha256_id(note)


def asked_by(house: House, key: SigningKey, **words: Any) -> bytes:
    """A question that this key signs in the researcher's name."""
    return seal(question(house, words), key)


def told(house: House, name: str, site: str = NORTH) -> dict[str, Any]:
    """What the hub shows of a hospital's answer."""
    rows = house.hub.counts.one(name)["hospitals"]
    return next(row for row in rows if row["site"] == site)


def kinds(rooms: Rooms) -> list[str]:
    """Kinds of the journal's lines about counts, in order."""
    lines = [line["kind"] for line in rooms.journal.lines(limit=10_000)]
    return [kind for kind in lines if kind.startswith(("counted", "counts."))]
