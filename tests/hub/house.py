"""A real hub in one process with hospitals that are only keys; time is a number that tests move.

Nothing is faked but the clock and the cost of passwords: database, files, rules and signatures are
those of production.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import text

from compliance.canonical import sha256_id
from compliance.ledger.cosign import cosign
from compliance.records.envelope import write_event
from compliance.records.kinds import CONSORTIUM, STUDY
from compliance.records.sealed import Sealed, seal_payload
from compliance.records.types import time_text
from compliance.signing.keyfile import write_key
from compliance.signing.keys import COSIGNATURE, NOTE, SigningKey
from compliance.signing.note import parse, seal
from compliance.signing.request import authorization
from hub.services.accounts import Person
from hub.services.consortium import Terms
from hub.services.passwords import Passwords
from hub.settings import FILE, load_settings, write_settings
from hub.storage.database import Database
from hub.storage.schema import upgrade
from hub.wiring import Rooms
from tests import factories as make

NAMES = make.NAMES[:3]
START = datetime(2026, 11, 22, 9, 0, 0, tzinfo=UTC)
PASSWORD = "a long enough password"
SALT = bytes(range(16))
DESCRIPTION = json.dumps({"shape": [1, 28, 28]}).encode()
CHEAP = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)


@dataclass
class Time:
    """The time in this house."""

    now: datetime = START

    def __call__(self) -> datetime:
        """The time now."""
        return self.now

    def forward(self, **span: float) -> None:
        """Let time pass."""
        self.now += timedelta(**span)

    def text(self, **ahead: float) -> str:
        """The time now, or later, as records carry it."""
        return time_text(self.now + timedelta(**ahead))


class House:
    """A hub with its hospitals.

    Args:
        home: the hub's home, made here.
        database_url: another database than the hub's own file.
        random: another source of what the hub draws.
    """

    def __init__(
        self,
        home: Path,
        database_url: str | None = None,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.home, self.time = home, Time()
        self._url, self._random = database_url, random
        self._nonce = 0
        self._made: list[Rooms] = []
        make_home(home)
        self.rooms = self.again()
        upgrade(self.rooms.database)
        self.study = self.charter_id = ""

    def again(self) -> Rooms:
        """The hub's parts as another process over the same home would make them."""
        settings = load_settings(self.home, database_url=self._url)
        passwords = Passwords(hasher=CHEAP, patience=0)
        made = Rooms(settings, clock=self.time, passwords=passwords, random=self._random)
        self._made.append(made)
        return made

    def close(self) -> None:
        """Let go of every connection."""
        for rooms in self._made:
            rooms.database.engine.dispose()

    # ------------------------------------------------------------------ hospitals

    def application(self, site: str, token: str, **changes: Any) -> dict[str, Any]:
        """What a hospital sends to join, with proof of its keys."""
        keys = site_keys(site)
        text = f"consilium/join/v1\n{hashlib.sha256(token.encode()).hexdigest()}\n".encode()
        return {
            "token": token,
            **{role: str(key.verifier) for role, key in keys.items()},
            "flower_public": f"ecdsa-sha2-nistp384 {site}",
            "proof": [keys[role].line(text) for role in ("institution", "node")],
            **changes,
        }

    def token(self, site: str) -> str:
        """The secret inside a new invitation of this hospital."""
        code, _ = self.rooms.members.invite(site, site.split(".")[0].title())
        return read_code(code)["token"]

    def join(self, *sites: str) -> None:
        """These hospitals join, belong to the consortium, and register a data set.

        Two or more found it; whoever comes later is admitted by those that are there.
        """
        for site in sites:
            self.rooms.members.join(self.application(site, self.token(site)))
        if self.rooms.ledger.founded() is None:
            if len(sites) == 1:
                return
            self.found()
        else:
            for site in sites:
                self.admit(site)
        for site in sites:
            self.rooms.catalogue.register(site, self.registration(site))
            version = make.sha(f"{site} version 1")
            self.rooms.catalogue.describe(site, make.DATASET, version, DESCRIPTION)

    @property
    def agreement_id(self) -> str:
        """Id of the agreement, empty before it is signed."""
        return self.rooms.ledger.agreement_id()

    def found(self, *signers: str, **terms: Any) -> dict[str, Any]:
        """All hospitals that have joined lay down the agreement; these sign it, or all do."""
        papers = ({"kind": "joint_controllers", "ref": "JCA 1", "sha256": make.sha("paper")},)
        told = {"title": "Consilium", "documents": papers} | terms
        motion = self.rooms.consortium.found(Terms(**told))
        names = signers or tuple(row["name"] for row in motion["body"]["members"])
        return self.sign_motion(motion["id"], *names)

    def sign_motion(self, motion: str, *sites: str) -> dict[str, Any]:
        """These hospitals sign a text that waits."""
        told = self.rooms.motions.get(motion)
        text = base64.b64decode(told["text_base64"])
        for site in sites:
            told = self.rooms.motions.sign(motion, key_of(f"{site}/institution").line(text))
        return told

    def motion(self, kind: str, body: dict[str, Any], by: str, *, log: str = "") -> dict[str, Any]:
        """A hospital lays a text before the others, with its own signature."""
        name = f"{by}/institution"
        short = log or "consortium"
        text = self.rooms.ledger.draft(short, kind, body, name)
        return self.rooms.motions.propose(short, text, key_of(name).line(text))

    def admit(self, site: str) -> dict[str, Any]:
        """The members admit a hospital that has joined."""
        motion = self.motion("member.admitted", make.admission(site), site)
        active = self.rooms.ledger.consortium().active_members()
        return self.sign_motion(motion["id"], *active[: self._admit_k()])

    def suspend(self, site: str, reason: str = "security") -> dict[str, Any]:
        """The other members suspend one."""
        active = self.rooms.ledger.consortium().active_members()
        others = [name for name in active if name != site][: self._admit_k()]
        body = {"site": site, "reason": reason}
        motion = self.motion("member.suspended", body, others[0])
        return self.sign_motion(motion["id"], *others[1:])

    def _admit_k(self) -> int:
        return self.rooms.ledger.consortium().agreement.admit_k

    def registration(self, site: str, **changes: Any) -> bytes:
        """A hospital's signed statement about its data set."""
        body = {
            "dataset": make.DATASET,
            "version": make.sha(f"{site} version 1"),
            "modality": ["cr"],
            "body_part": ["chest"],
            "duo": ["HMB"],
            "disease": [],
            "examples": "≥100",
            "patients": "≥100",
            "description_sha256": sha256_id(DESCRIPTION),
            "deid": {
                "profile": "training",
                "version": 1,
                "rules_sha256": make.sha("rules"),
                "report_sha256": make.sha("report"),
            },
            "quality_sha256": make.sha("quality"),
            **changes,
        }
        return self.note("dataset.registered", body, f"{site}/node", log=self.agreement_id)

    def note(
        self, kind: str, body: dict[str, Any], actor: str, *, log: str = "", by: Any = None,
        detail: Sealed | None = None,
    ) -> bytes:  # fmt: skip
        """A signed statement now; `by` signs with whatever key one likes."""
        self._nonce += 1
        text = write_event(
            kind,
            body,
            actor=actor,
            log=log or self.charter_id,
            nonce=f"{self._nonce:032x}",
            time=self.time.text(),
            kinds=CONSORTIUM if kind not in STUDY or (log and log == self.agreement_id) else STUDY,
            sealed=detail.commitment if detail else None,
        )
        return seal(text, by or key_of(actor))

    # ------------------------------------------------------------------ studies

    def draft(self, **changes: Any) -> dict[str, Any]:
        """A researcher's draft over all three hospitals."""
        return {
            "title": "Pneumonia on chest radiographs",
            "summary": "Made up for tests.",
            "recipe": {"id": "cnn2d-small"},
            "datasets": [{"site": name, "id": make.DATASET} for name in NAMES],
            "legal": make.charter(NAMES)["legal"],
            "signatures_required": 2,
            **changes,
        }

    def propose(self, **changes: Any) -> str:
        """A researcher with an own key proposes; returns the charter's id."""
        if not self.rooms.accounts.everybody():
            self.rooms.accounts.add("lead", "researcher")
        researcher = key_of(make.RESEARCHER)
        vkey = str(researcher.verifier)
        text = self.rooms.charters.prepare(self.draft(**changes), vkey)
        told = self.rooms.charters.propose(text, researcher.line(text), 1, vkey)
        self.study, self.charter_id = told["study"], told["charter_id"]
        self.text = text
        return self.charter_id

    def sign(self, *sites: str) -> None:
        """These hospitals sign the charter."""
        for site in sites:
            line = key_of(f"{site}/institution").line(self.text)
            self.rooms.charters.sign(site, self.charter_id, line)

    def refusal(self, site: str, reason: str = "privacy") -> bytes:
        """A hospital's signed no."""
        body = {"charter": self.charter_id, "reason": reason}
        return self.note("study.refused", body, f"{site}/institution", log=self.agreement_id)

    def launched(self, **changes: Any) -> str:
        """Join, propose, sign, launch; returns the study."""
        self.join(*NAMES)
        self.propose(**changes)
        self.sign(*NAMES)
        self.rooms.charters.launch(self.charter_id)
        return self.study

    def say(self, reason: str = "operator") -> bytes:
        """A statement of the hub that is always allowed: the study is stopped."""
        body = {"reason": reason, "on_behalf": None}
        return self.note("study.stopped", body, make.EVENTS, by=self.rooms.keys.events)

    def limit(self, site: str) -> bytes:
        """A statement of a hospital: it would rather not share its data set any more."""
        body = {"dataset": make.DATASET, "reason": "policy"}
        return self.note("dataset.withdrawn", body, f"{site}/node")

    def agree(
        self, *sites: str, model: str | None = None, told: dict[str, Any] | None = None
    ) -> None:
        """These hospitals agree that a model (the newest) is handed out; `told` is sealed."""
        name = model or self.rooms.ledger.state(self.study).model_sha256
        checks = make.sha("checks")
        body = {"model_sha256": name, "form": "weights", "checks_sha256": checks}
        for site in sites:
            detail = seal_payload({"model_sha256": name, **told}, SALT) if told else None
            note = self.note("release.approved", body, f"{site}/institution", detail=detail)
            receipt = self.rooms.ledger.append(self.study, note)
            if detail is not None:
                self.rooms.sealed.keep(self.study, receipt.index, detail)

    def object_to_release(self, site: str, reason: str = "performance") -> None:
        """A hospital does not let the newest model out."""
        name = self.rooms.ledger.state(self.study).model_sha256
        body = {"model_sha256": name, "reason": reason}
        note = self.note("release.refused", body, f"{site}/institution")
        self.rooms.ledger.append(self.study, note)

    def witness(self, *sites: str, log: str = "") -> None:
        """These hospitals cosign the newest checkpoint of the study, or of another log."""
        log = log or self.study
        text = parse(self.rooms.ledger.checkpoint(log, latest=True)).text
        for site in sites:
            line = cosign(text, site_keys(site)["witness"], int(self.time().timestamp()))
            self.rooms.ledger.cosign(log, site, line)

    # ------------------------------------------------------------------ people and requests

    def person(self, name: str, role: str, site: str = "") -> tuple[str, Person]:
        """A person who has enrolled and signed in: token and person."""
        self.rooms.accounts.enrol(self.rooms.accounts.add(name, role, site), PASSWORD)
        return self.rooms.accounts.sign_in(name, PASSWORD)

    def signed(
        self, site: str, method: str, path: str, body: bytes = b"", key: SigningKey | None = None
    ) -> dict[str, str]:
        """The header of a hospital's signed request, by its own key or another one."""
        self._nonce += 1
        key, nonce = key or key_of(f"{site}/node"), f"{self._nonce:032x}"
        told = authorization(key, site, method, path, body, self.time.text(), nonce)
        return {"Authorization": told}


def key_of(name: str) -> SigningKey:
    """The test key of this name."""
    return make.key(name, COSIGNATURE if name.endswith("/witness") else NOTE)


def site_keys(site: str) -> dict[str, SigningKey]:
    """A hospital's three keys."""
    return {role: key_of(f"{site}/{role}") for role in ("institution", "node", "witness")}


def read_code(code: str) -> dict[str, Any]:
    """What an invitation code holds."""
    body = code.removeprefix("consilium1-")
    return dict(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))


def make_home(home: Path) -> None:
    """Keys, certificate and settings of a hub, as `hub init` leaves them."""
    for part in ("keys", "tls", "bundle"):
        (home / part).mkdir(parents=True)
    (home / "tls" / "ca.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    write_key(home / "keys" / "events.key", key_of(make.EVENTS))
    told = {"bundle_sha256": make.sha("bundle"), "verifications": [], "signers": {"a": "ssh"}}
    (home / "bundle" / "signed.json").write_text(json.dumps(told))
    write_settings(home / FILE, {"name": make.HUB})


def rows_of(database: Database, table: str) -> list[dict[str, Any]]:
    """Every row of a table, for whoever reads the database behind the hub's back."""
    with database.engine.connect() as connection:
        found = connection.execute(text(f"SELECT * FROM {table}"))  # noqa: S608 - a test's own word
        return [dict(row._mapping) for row in found]


def behind_the_hubs_back(database: Database, *statements: str, **values: Any) -> None:
    """Write to the database as its administrator could, the triggers out of the way."""
    with database.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement), values)
