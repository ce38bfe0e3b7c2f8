"""A study whose entries lie at a real hub: its service, its rules, its database."""

from __future__ import annotations

import itertools
from typing import Any

from compliance.errors import Malformed, Refused
from compliance.records.types import seconds_of
from compliance.rules.fold import advance
from compliance.rules.verdict import ALLOWED, Denied, Verdict
from compliance.signing.keyfile import write_key
from tests import factories as make
from tests.hub.house import House
from tests.simulator import Federation

NUMBERS = itertools.count(1)
"""Of the next study, never used twice."""


def origin_of(number: int) -> str:
    """Name of the log of a study by its number."""
    return f"{make.HUB}/study/{number:016x}"


def begun(house: House, number: int, body: dict[str, Any], *signers: str) -> bytes | None:
    """Let the hub begin a study under these signatures; its first entry, or None if it refuses."""
    study, origin = f"{number:016x}", origin_of(number)
    write_key(house.home / "keys" / f"{study}.key", make.key(origin))
    house.time.now = seconds_of(make.BEGINS)
    entry0 = make.entry0(body, *signers)
    ledger = house.rooms.ledger
    try:
        with ledger.writing(study) as session:
            ledger.begin(session, study, entry0)
    except Refused:
        return None
    return entry0


class AtHub(Federation):
    """One study of a hub.

    Args:
        house: the hub.
        number: of the study.
        charter: fields of the charter to replace, and who signs it.
    """

    def __init__(self, house: House, number: int, **charter: Any) -> None:
        self.house, self.study = house, f"{number:016x}"
        self.rooms = house.rooms
        origin = origin_of(number)
        super().__init__(origin=origin, log_key=make.vkey(origin), **charter)
        signers = [f"{site}/institution" for site in charter.get("signed", self.sites)]
        body = self.state.charter.plain()
        entry0 = begun(house, number, body, *signers, make.RESEARCHER)
        assert entry0 == self.entries[0]

    def push(self, note: bytes, now: str | None = None) -> Verdict:
        """Append a note at the hub, as its HTTP door does."""
        self.house.time.now = seconds_of(now or self.time)
        try:
            self.rooms.ledger.append(self.study, note)
        except Refused as refusal:
            return Denied(refusal.rule, refusal.found, refusal.agreed)
        self.catch_up()
        return ALLOWED

    def catch_up(self) -> None:
        """Take what the hub wrote meanwhile."""
        for note in self.rooms.ledger.entries(self.study, len(self.entries)):
            self.state = advance(self.state, note, len(self.entries))
            self.entries.append(note)

    def open_by_the_program(self) -> bool:
        """The hub's own program opens the next round of all who may take part, if the rules allow.

        Returns:
            Whether it was opened.
        """
        self.time = make.later(self.time, minutes=1)
        self.house.time.now = seconds_of(self.time)
        rounds = self.rooms.rounds
        try:
            rounds.open(rounds.begin(self.study))
        except (Refused, Malformed):  # not allowed, or nobody is left to be asked
            return False
        self.catch_up()
        return True
