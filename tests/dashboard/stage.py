"""A hub with something to show: hospitals, a study of several closed rounds, proposals, people.

Everything goes through the hub's own services and rules; only the hospitals are keys without
computers. Used by the tests of pages, and by the browser over TLS.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from compliance.records.recipe import layout_of, shipped
from hub.services.authority import make_authority
from tests import factories as make
from tests.hub.house import House
from tests.simulator import shares

TITLES = {
    "east.example": "East Clinic",
    "north.example": "North Hospital",
    "south.example": "South University Hospital",
}
SITES = tuple(TITLES)
CASES = {"east.example": 412, "north.example": 733, "south.example": 96}
POSITIVES = {"east.example": 131, "north.example": 288, "south.example": 9}
LAYOUT = layout_of(shipped()["cnn2d-small"])
PEOPLE = {
    "celine": ("researcher", ""),
    "omar": ("steward", "north.example"),
    "aya": ("auditor", ""),
    "ida": ("admin", ""),
}


class Stage(House):
    """A house that is ready to be looked at.

    Args:
        home: the hub's home, made here.
        tls: whether it will be served, with a certificate of its own.
        house: as `House`.
    """

    def __init__(self, home: Path, *, tls: bool = False, **house: Any) -> None:
        super().__init__(home, **house)
        if tls:
            (home / "tls" / "ca.pem").unlink()
            make_authority(home / "tls", make.HUB, "127.0.0.1", datetime.now(UTC))
        for site, title in TITLES.items():
            code, _ = self.rooms.members.invite(site, title)
            self.rooms.members.join(self.application(site, _token(code)))
        self.found()
        for site in TITLES:
            self.rooms.catalogue.register(site, self.registration(site))
            self.beat(site)
        self.tokens = {
            name: self.person(name, role, site)[0] for name, (role, site) in PEOPLE.items()
        }

    def beat(self, *sites: str) -> None:
        """These hospitals give a sign of life."""
        for site in sites:
            told = {"states": {"supernode": "up"}, "versions": {"consilium": "0.1.0"}}
            self.rooms.members.heartbeat(site, told)

    def run(self, rounds: int = 4, *, absent: dict[int, str] | None = None) -> str:
        """Launch the study and play rounds; `absent` names who sends nothing in a round."""
        self.propose(max_rounds=6, signatures_required=3, min_sites=2)
        self.sign(*SITES)
        self.rooms.charters.launch(self.charter_id)
        for number in range(1, rounds + 1):
            self.play_round(absent=(absent or {}).get(number))
        self.settle()
        return self.study

    def play_round(self, *, absent: str | None = None) -> None:
        """One whole round: updates, measurements, a new model in the registry."""
        self.open_round()
        number = self.rooms.ledger.state(self.study).running.number
        present = [site for site in SITES if site != absent]
        for site in present:
            self.answer(site)
        vector = _vector(f"{self.study} {number}")
        name = self.rooms.registry.put(self.study, LAYOUT, vector, "round")
        sent = self.rooms.ledger.state(self.study).running.submitted
        body = {
            "round": number,
            "used": {site: update.update_sha256 for site, update in sent.items()},
            "weights": shares(present),
            "excluded": {},
            "missing": {absent: "offline"} if absent else {},
            "aggregator": "fedavg",
            "model_sha256": name,
            "bytes": len(vector),
        }
        self.tick()
        self.rooms.ledger.say(self.study, "round.closed", body)

    def open_round(self) -> None:
        """The hub opens the next round."""
        self.tick()
        state = self.rooms.ledger.state(self.study)
        body = {
            "round": state.rounds_opened + 1,
            "sites": list(SITES),
            "model_sha256": state.model_sha256,
            "bundle_sha256": state.charter.bundle_sha256,
            "deadline": self.time.text(minutes=30),
            "on_behalf": None,
        }
        self.rooms.ledger.say(self.study, "round.opened", body)

    def answer(self, site: str) -> None:
        """A hospital measures the model of the open round and sends its update."""
        running = self.rooms.ledger.state(self.study).running
        self._measure(site, running.number, running.model_sha256)
        self.tick()
        body = make.update(
            site,
            round=running.number,
            base_model_sha256=running.model_sha256,
            update_sha256=make.sha(f"update {running.number} of {site}"),
            n=CASES[site],
            dp=None,
        )
        self.rooms.ledger.append(self.study, self.note("update.submitted", body, f"{site}/node"))

    def _measure(self, site: str, number: int, model: str) -> None:
        alone = 0.74 + 0.03 * SITES.index(site)
        together = alone - 0.06 + 0.26 * (1 - 0.55**number) - 0.01 * SITES.index(site)
        values = {"auroc": _value(site, together), "sensitivity": _value(site, together - 0.05)}
        values |= {"local.auroc": _value(site, alone)}
        self.tick()
        body = make.metric(site, round=number, model_sha256=model, split="test", values=values)
        self.rooms.ledger.append(self.study, self.note("metric.reported", body, f"{site}/node"))

    def tick(self) -> None:
        """Some seconds pass."""
        self.time.forward(seconds=20)

    def settle(self) -> None:
        """The log signs a checkpoint of everything, and every hospital cosigns it."""
        self.rooms.ledger.issue_checkpoint(self.study)
        self.witness(*SITES)

    def more(self) -> None:
        """A proposal that waits, and one that can be launched."""
        kept = self.study, self.charter_id, self.text
        self.propose(title="Fractures of the wrist", signatures_required=3)
        self.sign("east.example")
        self.rooms.charters.refuse("south.example", self.charter_id, self.refusal("south.example"))
        self.waiting = self.study
        self.propose(title="Triage of emergency chest films", signatures_required=2)
        self.sign("east.example", "north.example")
        self.ready = self.study
        self.study, self.charter_id, self.text = kept


def _value(site: str, number: float) -> dict[str, Any]:
    width = 1.6 / float(np.sqrt(CASES[site]))
    low, high = number - width, min(0.999, number + width)
    told = {"value": f"{number:.4f}", "low": f"{low:.4f}", "high": f"{high:.4f}"}
    return {**told, "n": CASES[site], "positives": POSITIVES[site]}


def _vector(seed: str) -> bytes:
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")
    values = np.random.default_rng(number).normal(0, 0.02, LAYOUT.count)
    return values.astype("<f4").tobytes()


def _token(code: str) -> str:
    from tests.hub.house import read_code

    return str(read_code(code)["token"])
