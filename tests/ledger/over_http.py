"""A federation whose log lies at a real hub: every statement goes through its HTTP door.

The kernel's own attacks (`tests/compliance/test_rules_attacks.py`) are played against the web
application, the service and the database unchanged: only `push` differs.
"""

from __future__ import annotations

import json
from typing import Any

import httpx

from compliance.records.types import seconds_of
from compliance.rules.fold import advance
from compliance.rules.verdict import ALLOWED, Denied, Verdict
from compliance.signing.keyfile import write_key
from tests import factories as make
from tests.hub.house import NAMES, House
from tests.simulator import Federation

EVENTS_PATH = "/api/v1/logs/{}/entries"
CALLER = "north.example"


class OverHttp(Federation):
    """One study whose entries are sent to a hub by one of its members.

    Set `house` and `http` before the first one is made; each one is another study of the same hub.
    """

    house: House
    http: httpx.Client
    made = 0

    def __init__(self, **charter: Any) -> None:
        type(self).made += 1
        self.study = f"{self.made:016x}"
        origin = f"{make.HUB}/study/{self.study}"
        self.log_key = make.key(origin)
        super().__init__(**({"origin": origin, "log_key": str(self.log_key.verifier)} | charter))
        self.house.time.now = seconds_of(make.BEGINS)
        keys = self.house.home / "keys"
        write_key(keys / f"{self.study}.key", self.log_key)
        with self.house.rooms.database.transaction(self.study) as session:
            self.house.rooms.ledger.begin(session, self.study, self.entries[0])

    def push(self, note: bytes, now: str | None = None) -> Verdict:
        """Send a note; the hub's answer is the verdict."""
        self.house.time.now = seconds_of(now or self.time)
        path = EVENTS_PATH.format(self.study)
        headers = self.house.signed(CALLER, "POST", path, note)
        answer = self.http.post(path, content=note, headers=headers)
        told = answer.json()
        if answer.status_code == 403:
            self._catch_up()
        if answer.status_code == 200:
            if told["index"] == len(self.entries):
                self.state = advance(self.state, note, told["index"])
                self.entries.append(note)
                return ALLOWED
            return Denied("event.replay", f"it is entry {told['index']}")
        assert answer.status_code in (400, 403, 413), (answer.status_code, json.dumps(told))
        told = told.get("error", told)
        return Denied(told["rule"], told.get("found"), told.get("agreed"))

    def _catch_up(self) -> None:
        """A refusal leaves an entry of the hub: `decision.denied`."""
        for note in self.house.rooms.ledger.entries(self.study, len(self.entries)):
            self.state = advance(self.state, note, len(self.entries))
            self.entries.append(note)


def of(house: House, http: httpx.Client) -> type[OverHttp]:
    """The federations of this hub; its three hospitals join first."""
    house.join(*NAMES)
    return type("AtThisHub", (OverHttp,), {"house": house, "http": http, "made": 0})
