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

from compliance.records.counts import COUNTS
from compliance.records.envelope import write_event
from compliance.records.measures import GROUPS, names_of
from compliance.records.recipe import layout_of, shipped
from compliance.signing.note import seal
from hub.services.authority import make_authority
from tests import factories as make
from tests.dashboard.evaluated import door_values
from tests.hub.house import PASSWORD, House, key_of
from tests.simulator import shares

TITLES = {
    "east.example": "East Clinic",
    "north.example": "North Hospital",
    "south.example": "South University Hospital",
}
SITES = tuple(TITLES)
CASES = {"east.example": 412, "north.example": 733, "south.example": 96}
POSITIVES = {"east.example": 131, "north.example": 288, "south.example": 9}
CLASSES = shipped()["cnn2d-small"].classes
SUBGROUPS = list(GROUPS)
EVALUATION = {
    "primary": "auroc",
    "metrics": names_of("binary", CLASSES, baseline=True, subgroups=SUBGROUPS),
    "subgroups": SUBGROUPS,
}
DRIFT = {"drift.labels": "0.041", "drift.light": "0.318"}
LEADS = {"value": 0.0, "low": -0.021, "high": 0.021}
WIDTH, FEWEST = 1.6, 10
SPENT = {"east.example": "0.412345", "north.example": "0.25", "south.example": "1.3"}
"""Epsilon of each answer in a study with noise."""
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

    def run(self, rounds: int = 4, *, absent: dict[int, str] | None = None, **changes: Any) -> str:
        """Launch the study and play rounds; `absent` names who sends nothing in a round."""
        asked = {"max_rounds": 6, "signatures_required": 3, "min_sites": 2}
        self.propose(**{**asked, "evaluation": EVALUATION, **changes})
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
        cost = make.cost(epsilon=SPENT[site]) if self._terms() else None
        body = make.update(
            site,
            round=running.number,
            base_model_sha256=running.model_sha256,
            update_sha256=make.sha(f"update {running.number} of {site}"),
            n=CASES[site],
            dp=cost,
        )
        self.rooms.ledger.append(self.study, self.note("update.submitted", body, f"{site}/node"))

    def _terms(self) -> Any:
        return self.rooms.ledger.state(self.study).charter.dp

    def _measure(self, site: str, number: int, model: str) -> None:
        alone = 0.74 + 0.03 * SITES.index(site)
        together = alone - 0.06 + 0.26 * (1 - 0.55**number) - 0.01 * SITES.index(site)
        values = {"auroc": _value(site, together), "sensitivity": _value(site, together - 0.05)}
        if self._terms() is None:
            values |= {"local.auroc": _value(site, alone)}
        lead = {name: f"{together - alone + by:.4f}" for name, by in LEADS.items()}
        values |= {"gain.auroc": _value(site, together) | lead}
        values = (
            door_values(CASES[site], POSITIVES[site], together, WIDTH / CASES[site] ** 0.5) | values
        )
        if site == "east.example":
            values |= {name: _index(site, much) for name, much in DRIFT.items()}
        self._report(site, number, model, "test", values)
        if number > 1:
            self._report(
                site,
                number,
                model,
                "validation",
                {"threshold": _point(site), "auroc": values["auroc"]},
            )

    def _report(
        self, site: str, number: int, model: str, split: str, values: dict[str, Any]
    ) -> None:
        self.tick()
        body = make.metric(site, round=number, model_sha256=model, split=split, values=values)
        self.rooms.ledger.append(self.study, self.note("metric.reported", body, f"{site}/node"))

    def bearer(self, name: str) -> dict[str, str]:
        """The session of a person, as a header."""
        return {"Authorization": f"Bearer {self.tokens[name]}"}

    def tick(self) -> None:
        """Some seconds pass."""
        self.time.forward(seconds=20)

    def settle(self) -> None:
        """The log signs a checkpoint of everything, and every hospital cosigns it."""
        self.rooms.ledger.issue_checkpoint(self.study)
        self.witness(*SITES)

    def counted(self) -> str:
        """Celine asked how many: north tells, east has too few, south says no; newest first."""
        counts, who = self.rooms.counts, self.rooms.accounts.sign_in("celine", PASSWORD)[1]
        words = {"modality": "cr", "body_part": "chest", "age": "60-69"}
        name = str(counts.ask(who.number, words, None, who.who)["question"])
        for site, patients in (("north.example", 1240), ("east.example", None)):
            told = [{"dataset": make.DATASET, "patients": patients}]
            body = {"question": name, "floor": 10, "told": told}
            counts.answer(site, name, self._about_counts("counts.answered", site, body))
        note = self._about_counts("counts.declined", "south.example", {"question": name})
        counts.answer("south.example", name, note)
        self.tick()
        counts.ask(who.number, {"sex": "female"}, None, who.who)
        return name

    def _about_counts(self, kind: str, site: str, body: dict[str, Any]) -> bytes:
        key = key_of(f"{site}/node")
        text = write_event(
            kind,
            body,
            time=self.time.text(),
            actor=key.name,
            log=self.agreement_id,
            nonce=hashlib.sha256(site.encode()).hexdigest()[:32],
            kinds=COUNTS,
        )
        return seal(text, key)

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


def _index(site: str, much: str) -> dict[str, Any]:
    alone = {"low": None, "high": None, "positives": None}
    return {"value": much, "n": CASES[site], **alone}


def _point(site: str) -> dict[str, Any]:
    if POSITIVES[site] < FEWEST:
        return dict.fromkeys(("value", "low", "high", "n", "positives"))
    number = 0.5 - 0.04 * SITES.index(site)
    n, positives = CASES[site] // 2, POSITIVES[site] // 2
    return {"value": f"{number:.2f}", "low": None, "high": None, "n": n, "positives": positives}


def _value(site: str, number: float) -> dict[str, Any]:
    width = WIDTH / float(np.sqrt(CASES[site]))
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
