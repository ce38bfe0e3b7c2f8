"""A small consortium in memory: a hub that keeps logs, hospitals with keys, one with a real home.

The hub here implements the routes of the contract with compliance functions only, and tests make it
lie by changing its entries. Time is a number that tests move.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from compliance.canonical import digest_of, encode, sha256_id
from compliance.errors import ConsiliumError, NotReady, Refused
from compliance.ledger import checkpoint as checkpoints
from compliance.ledger.merkle import Tree, leaf_hash
from compliance.ledger.policy import Policy
from compliance.ledger.tiles import entry_bundle
from compliance.protocol import HEADER, PROTOCOL
from compliance.records.charter import CharterBody
from compliance.records.envelope import parse_event, write_event
from compliance.records.order import Order
from compliance.records.recipe import layout_of, shipped
from compliance.rules.logs import LIFTED_BY_SIGNATURES, family_of
from compliance.rules.verdict import Denied
from compliance.signing.keys import COSIGNATURE, SigningKey, VerifierKey
from compliance.signing.note import assemble, parse, parse_line, seal
from compliance.signing.request import parse_authorization
from hub.services.authority import make_authority
from site_node.gate.egress import Leaving
from site_node.gate.hub_client import HubClient
from site_node.gate.invitation import PREFIX
from site_node.gate.joining import Applicant, Connections, join
from site_node.gate.measures import MetricClaim
from site_node.settings import load_settings
from site_node.wiring import Rooms

HUB = "hub.example"
US, THEM = "north.example", "south.example"
START = datetime(2026, 11, 22, 9, 0, 0, tzinfo=UTC)
ADDRESS = "https://127.0.0.1:8443"
TOKEN = "token-of-north"
STUDY = "00112233445566aa"


def _authority() -> bytes:
    """A certificate authority that counts from the beginning of this world on."""
    with tempfile.TemporaryDirectory() as folder:
        make_authority(Path(folder) / "tls", HUB, "127.0.0.1", START)
        return (Path(folder) / "tls" / "ca.pem").read_bytes()


CA = _authority()
BUNDLE = sha256_id(b"the one bundle")
CONSORTIUM = "consortium"
RECIPE = shipped()["cnn2d-small"]
LAYOUT = layout_of(RECIPE)
DESCRIPTION: dict[str, Any] = {
    "shape": [1, 28, 28],
    "task": {"kind": "binary", "classes": ["normal", "pneumonia"]},
}
VERSION = sha256_id(b"chest, first version")


def key(name: str, kind: int = 1, *, seed: str = "") -> SigningKey:
    """A test key that follows from its name (or from another word); never used elsewhere."""
    return SigningKey(name, kind, hashlib.sha256((seed or name).encode()).digest())


def public_of(site: str) -> dict[str, str]:
    """The public keys of a hospital that only has keys."""
    kinds = {"institution": 1, "node": 1, "witness": COSIGNATURE}
    return {role: str(key(f"{site}/{role}", kind).verifier) for role, kind in kinds.items()}


@dataclass
class Time:
    """The time in this world."""

    now: datetime = START

    def __call__(self) -> datetime:
        """The time now."""
        return self.now

    def forward(self, **span: float) -> None:
        """Let time pass."""
        self.now += timedelta(**span)

    def text(self, **ahead: float) -> str:
        """The time now, or later, as records carry it."""
        return (self.now + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Log:
    """One log at the hub: a study's, or the consortium's own."""

    name: str = STUDY
    entries: list[bytes] = field(default_factory=list)
    state: Any = None
    lines: list[str] = field(default_factory=list)

    def take(self, note: bytes, *, unchecked: bool = False) -> int:
        """Judge and append, the same note once; a lying hub skips its own judgement."""
        if not unchecked and note in self.entries:
            return self.entries.index(note)
        if not unchecked:
            family = family_of(self.name)
            verdict = family.judge(self.state, note)
            if isinstance(verdict, Denied):
                raise Refused(verdict.rule, verdict.found, verdict.agreed, verdict.sentence)
            self.state = family.advance(self.state, note, len(self.entries))
        self.entries.append(note)
        self.lines.clear()
        return len(self.entries) - 1

    def tree(self) -> Tree:
        """The tree over the entries as they are now."""
        tree = Tree()
        for note in self.entries:
            tree.append(leaf_hash(note))
        return tree


class PlainHub:
    """The hub's routes over plain dictionaries."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.events = key(f"{HUB}/events")
        self.researcher = key("lead.example/r-7")
        self.log_key = key(f"{HUB}/study/{STUDY}")
        self.log = Log()
        self.consortium_key = key(f"{HUB}/{CONSORTIUM}")
        self.consortium = Log(CONSORTIUM)
        self.motions: dict[str, dict[str, Any]] = {}
        self.members: dict[str, dict[str, VerifierKey]] = {}
        self.tokens = {TOKEN: US}
        self.charter: bytes | None = None
        self.lines: list[str] = []
        self.refusals: list[bytes] = []
        self.datasets: list[bytes] = []
        self.descriptions: dict[str, bytes] = {}
        self.heartbeats: list[dict[str, Any]] = []
        self.questions: list[str] = []
        self.details: list[tuple[int, str, dict[str, Any]]] = []
        self.drop_details = 0
        self.away = False
        self.address, self.ca = ADDRESS, CA
        self.asked: list[str] = []

    # ------------------------------------------------------------------ the consortium

    def found(self, *others: str, **changes: Any) -> str:
        """Lay an agreement before north (as it joined) and others (south), who have signed it."""
        others = others or (THEM,)
        rows = {US: {role: str(vkey) for role, vkey in self.members[US].items()}}
        rows |= {name: public_of(name) for name in others}
        body = {
            "title": "Two towns",
            "hub": str(self.events.verifier),
            "origin": self.consortium_key.name,
            "log_key": str(self.consortium_key.verifier),
            "members": [
                {"name": name, **keys, "country": "SE"} for name, keys in sorted(rows.items())
            ],
            "signatures_required": len(rows),
            "admit_k": 2,
            "amend_k": 2,
            "quorum": {"k": 1, "witnesses": sorted(rows)},
            "floors": {"min_examples": 1, "min_cell": 1, "min_sites": 2},
            "profiles": ["gdpr"],
            "documents": [],
            "retention_until": self.time.text(days=5000),
            **changes,
        }
        text = write_event("agreement", body, time=self.time.text())
        return self.lay(CONSORTIUM, text, *(key(f"{n}/institution").line(text) for n in others))

    def lay(self, log: str, text: bytes, *lines: str) -> str:
        """Keep a text that waits for signatures; returns its id."""
        motion = sha256_id(text)
        self.motions[motion] = {"log": log, "text": text, "lines": list(lines), "state": "open"}
        return motion

    def told(self, motion: str) -> dict[str, Any]:
        """A motion as the hub hands it out."""
        kept = self.motions[motion]
        return {
            "id": motion,
            "log": kept["log"],
            "state": kept["state"],
            "text_base64": base64.b64encode(kept["text"]).decode(),
            "signatures": [{"name": parse_line(line).name} for line in kept["lines"]],
            "wanting": [],
        }

    def try_motion(self, motion: str) -> dict[str, Any]:
        """With enough signatures a text becomes an entry."""
        kept = self.motions[motion]
        log = self.consortium if kept["log"] == CONSORTIUM else self.log
        begins = not log.entries
        try:
            log.take(assemble(kept["text"], kept["lines"]))
        except Refused as error:
            if error.rule not in LIFTED_BY_SIGNATURES:
                raise
            return self.told(motion)
        kept["state"] = "carried"
        if begins:
            self._after_founding()
        return self.told(motion)

    def _after_founding(self) -> None:
        for recipe in shipped().values():
            self.agreed(
                "recipe.registered",
                recipe=recipe.id,
                version=recipe.version,
                recipe_sha256=recipe.sha256,
                bundle_sha256=BUNDLE,
                family=recipe.family,
                task="binary-classification",
                on_behalf=None,
            )
        vkey = str(self.researcher.verifier)
        self.agreed("researcher.admitted", name=self.researcher.name, vkey=vkey, on_behalf=None)

    def agreed(self, kind: str, *signers: SigningKey, **body: Any) -> int:
        """Append a statement of the hub (or of these signers) to the consortium's log."""
        return self.consortium.take(self.consortium_note(kind, *signers, **body))

    def consortium_note(self, kind: str, *signers: SigningKey, **body: Any) -> bytes:
        """Seal a statement for the consortium's log without appending it."""
        keys = signers or (self.events,)
        nonce = hashlib.sha256(f"{kind}{body}{self.time.text()}".encode()).hexdigest()[:32]
        text = write_event(
            kind,
            body,
            time=self.time.text(),
            actor=keys[0].name,
            log=self.consortium.state.agreement_id,
            nonce=nonce,
            kinds=family_of(CONSORTIUM).kinds,
        )
        return seal(text, *keys)

    def list_study(self, **changes: Any) -> None:
        """Name the study in the consortium's log, with its charter and its first entry."""
        body = {
            "charter": self.log.state.charter_id,
            "origin": self.log_key.name,
            "entry0": "sha256:" + leaf_hash(self.log.entries[0]).hex(),
            "on_behalf": None,
        }
        self.agreed("study.opened", **(body | changes))

    # ------------------------------------------------------------------ what the researcher does

    def propose(self, body: CharterBody) -> str:
        """Store a charter's text; returns its id."""
        self.charter = write_event("charter", body, time=self.time.text())
        return sha256_id(self.charter)

    def launch(self, *lines: str, listed: bool = True) -> None:
        """Assemble entry 0 from the signatures that are there; list the study."""
        assert self.charter is not None
        signed = [*self.lines, *lines, self.researcher.line(self.charter)]
        self.log.take(assemble(self.charter, signed))
        if listed:
            self.list_study()

    def say(self, kind: str, body: dict[str, Any], **how: Any) -> int:
        """Append a statement of the hub (or of whoever `key` is)."""
        return self.log.take(self.note(kind, body, **how))

    def note(self, kind: str, body: dict[str, Any], *, by: SigningKey | None = None) -> bytes:
        """Seal a statement without appending it."""
        signer = by or self.events
        nonce = hashlib.sha256(f"{kind}{body}{self.time.text()}".encode()).hexdigest()[:32]
        assert self.charter is not None
        text = write_event(
            kind,
            body,
            time=self.time.text(),
            actor=signer.name,
            log=sha256_id(self.charter),
            nonce=nonce,
        )
        return seal(text, signer)

    def open_round(self, number: int = 1, **changes: Any) -> Order:
        """Open a round and make the order that belongs to it."""
        assert self.log.state is not None
        charter = self.log.state.charter
        body = {
            "round": number,
            "sites": [US, THEM],
            "model_sha256": self.log.state.model_sha256,
            "bundle_sha256": charter.bundle_sha256,
            "deadline": self.time.text(seconds=600),
            "on_behalf": None,
        }
        index = self.say("round.opened", body)
        told = {
            "v": 1,
            "kind": "train",
            "log": sha256_id(self.charter or b""),
            "entry": index,
            "leaf": "sha256:" + leaf_hash(self.log.entries[index]).hex(),
            "round": number,
            "layout_sha256": LAYOUT.sha256,
            "model_sha256": body["model_sha256"],
            "deadline": body["deadline"],
        }
        return Order.model_validate({**told, **changes})

    def checkpoint(self, log: Log | None = None) -> bytes:
        """The newest checkpoint of the study's log (or another one), signed by it."""
        log = log or self.log
        tree, by = log.tree(), self.log_key if log is self.log else self.consortium_key
        return checkpoints.sign(checkpoints.Checkpoint(by.name, tree.size, tree.root()), by)

    def _log_of(self, request: Request) -> Log:
        return self.consortium if request.path_params["log"] == CONSORTIUM else self.log

    # ------------------------------------------------------------------ routes

    def app(self) -> Starlette:
        """The routes of the contract that a site uses."""
        routes = [
            Route("/api/v1/healthz", self._plain(lambda *_: {}), methods=["GET"]),
            Route("/api/v1/ca.pem", lambda _: Response(self.ca), methods=["GET"]),
            Route("/api/v1/join", self._join, methods=["POST"]),
            Route("/api/v1/studies", self._plain(self._studies), methods=["GET"]),
            Route("/api/v1/charters/{id}", self._plain(self._charter), methods=["GET"]),
            Route("/api/v1/charters/{id}/signatures", self._plain(self._sign), methods=["POST"]),
            Route("/api/v1/charters/{id}/refusals", self._plain(self._refuse), methods=["POST"]),
            Route("/api/v1/logs/{log}/checkpoint", self._plain(self._checkpoint)),
            Route("/api/v1/logs/{log}/entries", self._plain(self._entries), methods=["GET"]),
            Route("/api/v1/logs/{log}/entries", self._plain(self._append), methods=["POST"]),
            Route("/api/v1/logs/{log}/sealed", self._plain(self._detail), methods=["POST"]),
            Route("/api/v1/logs/{log}/consistency", self._plain(self._consistency)),
            Route("/api/v1/logs/{log}/cosignatures", self._plain(self._cosign), methods=["POST"]),
            Route("/api/v1/motions", self._plain(self._motions), methods=["GET"]),
            Route("/api/v1/motions", self._plain(self._propose), methods=["POST"]),
            Route(
                "/api/v1/motions/{id}/signatures", self._plain(self._sign_motion), methods=["POST"]
            ),
            Route("/api/v1/sites/heartbeat", self._plain(self._heartbeat), methods=["POST"]),
            Route("/api/v1/counts/open", self._plain(lambda *_: self.questions), methods=["GET"]),
            Route("/api/v1/datasets", self._plain(self._dataset), methods=["POST"]),
            Route(
                "/api/v1/datasets/{site}/{dataset}/{version}/description",
                self._plain(self._describe),
                methods=["PUT"],
            ),
        ]
        return Starlette(routes=routes)

    def _plain(self, answer: Any) -> Any:
        async def route(request: Request) -> Response:
            body = await request.body()
            self.asked.append(f"{request.method} {request.url.path}")
            dropped = request.url.path.endswith("/sealed") and self.drop_details > 0
            if self.away or dropped:
                self.drop_details -= dropped
                return _error(503, {"code": "busy", "sentence": "The hub rests."})
            try:
                if not request.url.path.endswith("/healthz"):
                    self._known(request, body)
                made = answer(request, body)
            except Refused as error:
                said = {"rule": error.rule, "found": error.found, "agreed": error.agreed}
                return _error(403, {**said, "sentence": "Refused."})
            except NotReady as error:
                return _error(404, {"code": "log.unknown", "sentence": error.finding})
            except ConsiliumError as error:
                return _error(400, {"code": "malformed", "sentence": str(error)})
            headers = {"Date": self.time.now.strftime("%a, %d %b %Y %H:%M:%S GMT")}
            headers[HEADER] = str(PROTOCOL)
            if isinstance(made, bytes):
                return Response(made, media_type="application/octet-stream", headers=headers)
            return JSONResponse(made, headers=headers)

        return route

    def _known(self, request: Request, body: bytes) -> str:
        told = parse_authorization(request.headers["Authorization"])
        query = f"?{request.url.query}" if request.url.query else ""
        path = request.scope["raw_path"].decode().split("?", 1)[0] + query
        node = self.members[told.site]["node"]
        if not told.verifies(node, request.method, path, body):
            raise Refused("request.signature")
        return told.site

    async def _join(self, request: Request) -> Response:
        told = await request.json()
        site = self.tokens.pop(told["token"], None)
        if site is None:
            sentence = "The code was used, has expired or is wrong; ask for a new one."
            return _error(403, {"rule": "code.invalid", "sentence": sentence})
        keys = {role: VerifierKey.parse(told[role]) for role in ("institution", "node", "witness")}
        digest = hashlib.sha256(told["token"].encode()).hexdigest()
        text = f"consilium/join/v1\n{digest}\n".encode()
        for line in map(parse_line, told["proof"]):
            role = line.name.split("/")[1]
            assert keys[role].verifies(text, line.signature)
        self.members[site] = keys
        return JSONResponse(
            {
                "site": site,
                "title": "North Hospital",
                "hub_name": HUB,
                "events_vkey": str(self.events.verifier),
                "consortium": self.consortium.state.agreement_id if self.consortium.state else "",
                "signers": {"release": "ssh-ed25519 AAAAC3Nza"},
                "fleet": {"host": "127.0.0.1", "port": 8443},
                "bundle_sha256": BUNDLE,
                "address": self.address,
            }
        )

    def _studies(self, *_: Any) -> list[dict[str, Any]]:
        if self.charter is None:
            return []
        launched = bool(self.log.entries)
        return [
            {
                "study": STUDY,
                "charter_id": sha256_id(self.charter),
                "title": "Opacity",
                "state": "open" if launched else "draft",
                "round": 0,
                "max_rounds": 5,
            }
        ]

    def _charter(self, *_: Any) -> dict[str, Any]:
        assert self.charter is not None
        rows = [{"name": line.split(" ")[1], "line": line} for line in self.lines]
        return {
            "charter_id": sha256_id(self.charter),
            "study": STUDY,
            "text_base64": base64.b64encode(self.charter).decode(),
            "signatures": rows,
        }

    def _sign(self, _: Request, body: bytes) -> dict[str, Any]:
        self.lines.append(json.loads(body)["line"])
        return {}

    def _refuse(self, _: Request, body: bytes) -> dict[str, Any]:
        self.refusals.append(body)
        return {}

    def _motions(self, *_: Any) -> list[dict[str, Any]]:
        return [self.told(motion) for motion in self.motions]

    def _propose(self, _: Request, body: bytes) -> dict[str, Any]:
        asked = json.loads(body)
        text = base64.b64decode(asked["text_base64"])
        return self.try_motion(self.lay(asked["log"], text, asked["line"]))

    def _sign_motion(self, request: Request, body: bytes) -> dict[str, Any]:
        motion = request.path_params["id"]
        self.motions[motion]["lines"].append(body.decode())
        return self.try_motion(motion)

    def _checkpoint(self, request: Request, _: bytes) -> bytes:
        log = self._log_of(request)
        if not log.entries:
            raise NotReady("there is no such log.", "")
        plain = parse(self.checkpoint(log))
        note = assemble(plain.text, [*plain.lines, *log.lines])
        if request.query_params.get("latest"):
            return note
        Policy.parse(family_of(log.name).policy(log.state)).judge(note)
        return note

    def _entries(self, request: Request, _: bytes) -> bytes:
        start, stop = (int(request.query_params[name]) for name in ("from", "to"))
        return entry_bundle(self._log_of(request).entries[start:stop])

    def _append(self, request: Request, body: bytes) -> dict[str, Any]:
        return {"index": self._log_of(request).take(body), "leaf_hash": leaf_hash(body).hex()}

    def _detail(self, _: Request, body: bytes) -> dict[str, Any]:
        told = json.loads(body)
        self.details.append((told["index"], told["salt"], told["payload"]))
        return {}

    def _consistency(self, request: Request, _: bytes) -> dict[str, Any]:
        old, new = (int(request.query_params[name]) for name in ("from", "to"))
        hashes = self._log_of(request).tree().consistency(old, new)
        return {"hashes": [base64.b64encode(value).decode() for value in hashes]}

    def _cosign(self, request: Request, body: bytes) -> dict[str, Any]:
        self._log_of(request).lines.append(body.decode())
        return {}

    def _heartbeat(self, _: Request, body: bytes) -> dict[str, Any]:
        self.heartbeats.append(json.loads(body))
        return {"time": self.time.text()}

    def _dataset(self, _: Request, body: bytes) -> dict[str, Any]:
        parse_event(parse(body).text)
        self.datasets.append(body)
        return {}

    def _describe(self, request: Request, body: bytes) -> dict[str, Any]:
        self.descriptions[request.path_params["dataset"]] = body
        return {}


def _error(status: int, told: dict[str, Any]) -> JSONResponse:
    return JSONResponse({"error": told}, status_code=status)


class Shelf:
    """A catalogue with one dataset; counts are a test's to choose."""

    def __init__(self, folder: Path, *, train: int = 40) -> None:
        self.folder, self.train, self.version = folder, train, VERSION
        self.said = DESCRIPTION
        self.asked: list[str] = []

    def get(self, name: str, version: str | None = None) -> Any:
        """The dataset, when name and version are those that lie here."""
        self.asked.append(name)
        if name != "chest" or version not in (None, self.version):
            raise NotReady(f"the dataset {name} is not here in this version.", "Import it.")
        return SimpleNamespace(
            name="chest",
            version=self.version,
            dir=self.folder,
            n_by_split={"train": {"normal": self.train - 10, "pneumonia": 10}, "test": 12},
            patients=50,
            positives={"train": 10},
            modality=["CR"],
            body_part=["CHEST"],
            description=self.said,
            croissant=DESCRIPTION,
            description_sha256=digest_of(DESCRIPTION),
            quality_sha256=sha256_id(b"quality"),
            deid={
                "profile": "training",
                "version": 1,
                "rules_sha256": sha256_id(b"rules"),
                "report_sha256": sha256_id(b"report"),
            },
        )

    def datasets(self) -> list[Any]:
        """All of them: one."""
        return [self.get("chest")]


class InProcess(httpx.BaseTransport):
    """Carries requests to an ASGI application without a socket."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx.ASGITransport(app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask the application and wait for its whole answer."""
        return asyncio.run(self._ask(request))

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        copy = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.read()
        )
        answer = await self._inner.handle_async_request(copy)
        data = b"".join([part async for part in answer.stream])  # type: ignore[union-attr]
        return httpx.Response(answer.status_code, headers=answer.headers, content=data)


class World:
    """One hub, a hospital `south` that only has keys, and the real home of `north`."""

    def __init__(self, folder: Path, now: datetime = START) -> None:
        self.time = Time(now)
        self.hub = PlainHub(self.time)
        self.home = folder / "north"
        self.http = httpx.Client(transport=InProcess(self.hub.app()), base_url=ADDRESS)

    def code(self, token: str = TOKEN) -> str:
        """An invitation as the hub prints it."""
        told = {
            "v": 1,
            "address": self.hub.address,
            "site": US,
            "token": token,
            "ca_sha256": hashlib.sha256(self.hub.ca).hexdigest(),
        }
        return PREFIX + base64.urlsafe_b64encode(encode(told)).decode().rstrip("=")

    def connections(self) -> Connections:
        """How a joining site reaches this hub."""
        return Connections(
            authority=lambda _: CA, open=lambda *_: contextlib.nullcontext(self.http)
        )

    def record(self, home: Path, data: bytes) -> None:
        """Write down what an application sends, at the time of this world."""
        with Rooms(load_settings(home), self.time) as rooms:
            rooms.egress.write(Leaving("join", data))

    def joined(
        self, passphrase: str | None = None, *, founded: bool = True, **limits: Any
    ) -> Rooms:
        """Join with a real home and return its parts, wired to this hub and clock.

        With `founded`, the agreement is signed here as well, and its log is mirrored.
        """
        from site_node.gate.invitation import read_code

        applicant = Applicant("North Hospital", passphrase, lambda n: _bytes(n, self))
        join(self.home, read_code(self.code()), applicant, self.connections(), self.record)
        rooms = self.rooms(**limits)
        if founded:
            rooms.motions.sign(rooms.motions.find(self.hub.found()), passphrase, None)
            rooms.witness.step(CONSORTIUM)
        return rooms

    def rooms(self, **limits: Any) -> Rooms:
        """The site's parts over its home, as a new process would make them."""
        rooms = Rooms(load_settings(self.home, **limits), self.time)
        rooms.hub = HubClient(
            http=self.http,
            site=US,
            key=lambda: rooms.keys.node,
            journal=rooms.journal,
            egress=rooms.egress,
            clock=self.time,
            nonce=lambda: _bytes(16, self).hex(),
        )
        rooms.catalogue = Shelf(self.home / "datasets" / "chest")  # type: ignore[assignment]
        return rooms

    def charter(self, rooms: Rooms, **changes: Any) -> CharterBody:
        """A charter between north (this home's keys) and south."""
        return CharterBody.model_validate({**self._terms(rooms), **changes})

    def launched(self, rooms: Rooms, **changes: Any) -> None:
        """Propose, let both hospitals sign, launch, and let our witness see it."""
        self.hub.propose(self.charter(rooms, **changes))
        rooms.steward.approve(STUDY, None, None)
        self.launch()
        rooms.witness.step(CONSORTIUM)
        rooms.witness.step(STUDY)

    def launch(self) -> None:
        """South signs, the researcher launches."""
        assert self.hub.charter is not None
        self.hub.launch(key(f"{THEM}/institution").line(self.hub.charter))

    def close_round(
        self, rooms: Rooms, number: int = 1, *, n: int = 40, model: str | None = None
    ) -> str:
        """One honest round: we measure the model it starts from (n cases), both send updates.

        It makes the model that is named, or one that nobody has.

        Returns:
            Hash of the model that the round made.
        """
        order = self.hub.open_round(number)
        rooms.witness.step(CONSORTIUM)
        rooms.witness.step(STUDY)
        value = {"value": 0.871, "low": 0.82, "high": 0.91, "n": n, "positives": n // 2}
        claim = MetricClaim("before_training", "test", {"auroc": value})
        delta = bytes(4 * LAYOUT.count)
        permit = rooms.permits.check(order, self.time.now)
        notes = rooms.release.admit(permit, order, delta=delta, n=40, steps=9, metrics=[claim])
        for note in notes:
            self.hub.log.take(note)
        update = {
            **parse_event(parse(notes[-1]).text).body.plain(),
            "update_sha256": sha256_id(f"update {number}".encode()),
        }
        self.hub.say("update.submitted", update, by=key(f"{THEM}/node"))
        assert self.hub.log.state is not None
        sent = self.hub.log.state.running.submitted
        model = model or sha256_id(f"model {number}".encode())
        closing = {
            "round": number,
            "used": {site: body.update_sha256 for site, body in sent.items()},
            "weights": {US: "0.5", THEM: "0.5"},
            "excluded": {},
            "missing": {},
            "aggregator": "fedavg",
            "model_sha256": model,
            "bytes": 4,
        }
        self.hub.say("round.closed", closing)
        self.time.forward(seconds=6)
        return model

    def _terms(self, rooms: Rooms) -> dict[str, Any]:
        public = rooms.keys.public
        ours = {"name": US, "institution": str(public.institution), "node": str(public.node)}
        ours["witness"] = str(public.witness)
        theirs = {"name": THEM, **public_of(THEM)}
        return {
            "title": "Opacity",
            "summary": "Whether an opacity is seen.",
            "consortium": self.hub.consortium.state.agreement_id,
            "origin": f"{HUB}/study/{STUDY}",
            "log_key": str(self.hub.log_key.verifier),
            "hub_key": str(self.hub.events.verifier),
            "researcher": str(self.hub.researcher.verifier),
            "sites": [ours, theirs],
            "signatures_required": 2,
            "purpose": {
                "use": "HMB",
                "disease": [],
                "for_profit": False,
                "commercial": False,
                "flags": [],
            },
            "task": {
                "kind": "binary",
                "labels": list(RECIPE.classes),
                "label_map_sha256": digest_of(list(RECIPE.classes)),
                "preprocessing_sha256": digest_of(RECIPE.preprocessing.plain()),
            },
            "recipe": {
                "id": RECIPE.id,
                "version": RECIPE.version,
                "sha256": RECIPE.sha256,
                "family": RECIPE.family,
            },
            "bundle_sha256": BUNDLE,
            "initial_model_sha256": sha256_id(b"start"),
            "datasets": [_dataset(US), _dataset(THEM)],
            "min_sites": 2,
            "min_examples": 20,
            "min_cell": 5,
            "max_rounds": 5,
            "round_seconds": 3600,
            "aggregator": {"name": "fedavg", "params": {}, "masked": False},
            "dp": None,
            "evaluation": {
                "primary": "auroc",
                "metrics": ["auroc", "sensitivity"],
                "subgroups": [],
            },
            "release": {"outputs": ["weights"], "k": 2, "veto": True},
            "contribution": {"rule": "equal", "params": {}},
            "quorum": {"k": 1, "witnesses": [US, THEM], "external": []},
            "legal": legal_of((US, THEM), self.time.text(days=700)),
            "documents": [],
            "starts": self.time.text(),
            "expires": self.time.text(days=365),
            "retention_until": self.time.text(days=2555),
        }


def _dataset(site: str) -> dict[str, Any]:
    return {
        "site": site,
        "id": "chest",
        "version": VERSION,
        "duo": ["GRU"],
        "disease": [],
        "description_sha256": digest_of(DESCRIPTION),
        "dac": None,
        "epsilon": None,
    }


def legal_of(sites: tuple[str, ...], far: str) -> dict[str, Any]:
    """A complete legal block, in order until `far`."""
    reference = {"ref": "REC 1/2026", "sha256": sha256_id(b"vote"), "expires": far}
    rows = [
        {
            "site": site,
            "controller": f"{site} Hospital",
            "lawful_basis": "art6_1_e",
            "special_category_basis": "art9_2_j",
            "ethics": {"status": "approved", **reference},
            "dua": reference,
            "dpia": {"required": False, "ref": None, "sha256": None},
            "permit": None,
            "objections_checked": None,
            "us_basis": None,
        }
        for site in sites
    ]
    return {
        "joint_controllers": False,
        "processor": None,
        "processing_agreement": None,
        "purposes": ["scientific_research"],
        "transfers": [],
        "sites": rows,
    }


def _bytes(count: int, world: World) -> bytes:
    world.drawn = getattr(world, "drawn", 0) + 1  # type: ignore[attr-defined]
    return hashlib.sha512(f"seed {world.drawn}".encode()).digest()[:count]  # type: ignore[attr-defined]
