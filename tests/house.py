"""A real hub and real hospitals in one process, with one clock; no network, no Flower process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from compliance.canonical import sha256_id
from compliance.command import main
from compliance.ledger.merkle import leaf_hash
from compliance.records.order import Order
from compliance.records.recipe import layout_of, shipped
from compliance.signing.keys import SigningKey
from hub.federation.aggregation.again import aggregated
from hub.main import create_app
from hub.services.consortium import Terms
from hub.settings import load_settings as load_hub
from hub.wiring import Rooms as HubRooms
from site_node.gate.egress import Leaving
from site_node.gate.hub_client import HubClient
from site_node.gate.invitation import read_code
from site_node.gate.joining import Applicant, Connections, join
from site_node.settings import load_settings
from site_node.wiring import Rooms
from tests.simulator import shares
from tests.site_node.gate.world import InProcess, Shelf, Time, legal_of

NAMES = ("north.example", "south.example")


class House:
    """A real hub and its hospitals, with one clock."""

    def __init__(
        self,
        folder: Path,
        capsys: pytest.CaptureFixture[str],
        names: Sequence[str] = NAMES,
        *,
        founded: bool = True,
        address: str = "https://127.0.0.1:8443",
        bundled: bool = False,
    ) -> None:
        home = folder / "hub"
        assert main(["hub", "init", "--home", str(home), "--address", address, "--json"]) == 0
        if bundled:
            assert main(["hub", "sign-bundle", "--home", str(home), "--json"]) == 0
        else:
            _feign_bundle(home)
        capsys.readouterr()
        self.time = Time()
        self.draws = 0
        self.hub = HubRooms(load_hub(home), clock=self.time, random=self._random)
        self.http = httpx.Client(transport=InProcess(create_app(self.hub)), base_url=address)
        self.sites = {name: self._join(folder / name, name) for name in names}
        if founded:
            self._found()
        self.study = ""

    def _random(self, count: int) -> bytes:
        """The hub's randomness: the same study ids and start models in every house."""
        self.draws += 1
        return hashlib.sha512(f"hub {self.draws}".encode()).digest()[:count]

    def _join(self, home: Path, name: str) -> Rooms:
        code, _ = self.hub.members.invite(name, name.split(".", 1)[0].capitalize())
        ca = self.hub.ca_path.read_bytes()
        connections = Connections(lambda _: ca, lambda *_: contextlib.nullcontext(self.http))
        source = (hashlib.sha512(f"{name}{n}".encode()).digest() for n in range(10_000))
        join(
            home,
            read_code(code),
            Applicant(None, None, lambda count: next(source)[:count]),
            connections,
            self.record,
        )
        return self.rooms_of(home, name, source)

    def record(self, home: Path, data: bytes) -> None:
        """Write down what an application sends, at the time of this house."""
        with Rooms(load_settings(home), self.time) as rooms:
            rooms.egress.write(Leaving("join", data))

    def _found(self) -> None:
        """Every hospital signs the agreement, mirrors it, and registers what it has under it."""
        motion = self.hub.consortium.found(Terms(title="A house"))["id"]
        for rooms in self.sites.values():
            rooms.motions.sign(rooms.motions.find(motion), None, None)
        for rooms in self.sites.values():
            rooms.witness.step("consortium")
            rooms.registrar.register_new()
            rooms.statements.deliver(rooms.hub)

    def rooms_of(self, home: Path, name: str, source: Iterator[bytes]) -> Rooms:
        """A hospital's parts, connected to this hub."""
        rooms = Rooms(load_settings(home), self.time)
        rooms.hub = HubClient(
            http=self.http,
            site=name,
            key=lambda: rooms.keys.node,
            journal=rooms.journal,
            egress=rooms.egress,
            clock=self.time,
            nonce=lambda: next(source)[:16].hex(),
        )
        rooms.catalogue = Shelf(home / "datasets")  # type: ignore[assignment]
        return rooms

    def propose(self, **changes: Any) -> str:
        """A researcher with an own key proposes; returns the study's id."""
        researcher = SigningKey("lead.example/r-1", 1, hashlib.sha256(b"lead").digest())
        draft = {
            "title": "Opacity",
            "summary": "Whether an opacity is seen.",
            "recipe": {"id": "cnn2d-small"},
            "datasets": [{"site": name, "id": "chest"} for name in self.sites],
            "legal": legal_of(tuple(self.sites), self.time.text(days=700)),
            **changes,
        }
        vkey = str(researcher.verifier)
        text = self.hub.charters.prepare(draft, vkey)
        told = self.hub.charters.propose(text, researcher.line(text), 1, vkey)
        self.study = str(told["study"])
        return str(told["charter_id"])

    def look(self) -> list[str]:
        """Every witness looks once at both logs; returns what the study's came to."""
        for rooms in self.sites.values():
            rooms.look_at_consortium()
        return [rooms.witness.step(self.study).outcome for rooms in self.sites.values()]

    def launch(self, **changes: Any) -> str:
        """Propose, let every hospital sign, launch, let every witness look; returns the study."""
        charter_id = self.propose(**changes)
        for rooms in self.sites.values():
            rooms.look_at_consortium()
            rooms.steward.approve(self.study, None, None)
        self.hub.charters.launch(charter_id)
        self.look()
        return self.study

    def close_round(self) -> str:
        """One honest round of all hospitals; returns the model that it made."""
        layout = layout_of(shipped()["cnn2d-small"])
        state = self.hub.ledger.state(self.study)
        number, deadline = state.rounds_opened + 1, self.time.text(seconds=600)
        opening = {
            "round": number,
            "sites": sorted(self.sites),
            "model_sha256": state.model_sha256,
            "bundle_sha256": state.charter.bundle_sha256,
            "deadline": deadline,
            "on_behalf": None,
        }
        index = self.hub.ledger.say(self.study, "round.opened", opening).index
        order = Order(
            kind="train",
            log=state.charter_id,
            entry=index,
            leaf="sha256:" + leaf_hash(self.hub.ledger.entries(self.study, index)[0]).hex(),
            round=number,
            layout_sha256=layout.sha256,
            model_sha256=str(opening["model_sha256"]),
            deadline=deadline,
        )
        self.time.forward(seconds=6)
        self.look()
        base = self.hub.registry.path(self.study, order.model_sha256)
        for rooms in self.sites.values():
            permit = rooms.permits.check(order, self.time.now)
            rooms.weights.keep(self.study, order.model_sha256, base.read_bytes())
            delta = struct.pack("<f", 0.001 * number) * layout.count
            for note in rooms.release.admit(permit, order, delta=delta, n=40, steps=9, metrics=[]):
                self.hub.ledger.append(self.study, note)
        sent = self.hub.ledger.state(self.study).running.submitted
        updates = {
            site: (self.sites[site].settings.home / "replies" / f"{body.update_sha256[7:]}.f32", 40)
            for site, body in sent.items()
        }
        vector, _ = aggregated(state.charter, layout, base, updates)
        made = self.hub.registry.put(self.study, layout, vector, "round")
        closing = {
            "round": number,
            "used": {site: body.update_sha256 for site, body in sent.items()},
            "weights": shares(sorted(sent)),
            "excluded": {},
            "missing": {},
            "aggregator": "fedavg",
            "model_sha256": made,
            "bytes": 4 * layout.count,
        }
        self.hub.ledger.say(self.study, "round.closed", closing)
        self.time.forward(seconds=6)
        self.look()
        return made


def _feign_bundle(home: Path) -> None:
    """A bundle that no Flower ever reads: much faster than a signed one."""
    (home / "bundle").mkdir(exist_ok=True)
    signed = {"bundle_sha256": sha256_id(b"fab"), "verifications": [], "signers": {"a": "ssh"}}
    (home / "bundle" / "signed.json").write_text(json.dumps(signed))
