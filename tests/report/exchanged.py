"""Studies for the exchange formats: the golden log, and one whose texts attack every format."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from functools import cache
from typing import Any, NoReturn

import pytest

from compliance.canonical import sha256_id
from compliance.report.bundle import Material, build
from compliance.report.card import card
from compliance.report.narrative import Narrative
from compliance.signing.keys import NOTE, SigningKey
from tests import factories as make
from tests.report.evidence import SITES, files_of
from tests.shared import shared_data
from tests.simulator import HUB, Federation

EVIL = '</x><script>alert(1)</script> [a](javascript:b) **b** | `c` ]]> "d" & \ufffe'
FAB = b"the Flower bundle"
TOLD = Narrative(
    intended_use=EVIL, users="# Radiologists", risks="1. It errs. https://evil.example"
)
MODEL = "data/model/a63f0dfe98cc2a03"


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nothing can be reached: a validator that asks the network fails."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("this test asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@cache
def golden() -> Mapping[str, bytes]:
    """The bundle of the golden log; its card was never written."""
    plain = json.loads(shared_data("ledger", "golden.json").read_text("utf-8"))
    seed = bytes.fromhex(plain["private_seeds_hex"]["hub.example/events"])
    key = SigningKey("hub.example/events", NOTE, seed)
    entries = [entry.encode() for entry in plain["entries"]]
    return build(Material(entries, plain["checkpoint"].encode(), key))


@cache
def evil() -> tuple[Federation, Mapping[str, bytes]]:
    """A study whose title, summary, controllers and narrative are attacks; with its card."""
    legal = make.charter(SITES)["legal"]
    rows = [make.legal_row(name, controller=EVIL) for name in SITES]
    world = Federation(
        sites=SITES,
        title=EVIL,
        summary=EVIL,
        bundle_sha256=sha256_id(FAB),
        legal=legal | {"sites": rows},
    )
    world.play_round()
    world.opened()
    for site in SITES:
        told = make.metric(site, round=2, model_sha256=world.state.running.model_sha256)
        world.must("metric.reported", told, f"{site}/node")
    world.must("round.aborted", {"round": 2, "reason": "operator", "on_behalf": None}, HUB)
    model = world.state.model_sha256
    denied = {"action": "round.opened", "who": None, "rule": "site.floor", "round": None}
    world.must("decision.denied", denied | {"suppressed": 0}, f"{SITES[0]}/node")
    refused = {"model_sha256": model, "reason": "legal"}
    world.must("release.refused", refused, f"{SITES[2]}/institution")
    world.approve(*SITES)
    data = card(world.state, model, "weights", TOLD)
    world.release(card_sha256=sha256_id(data))
    assert world.state.released
    folder = f"model/{model.removeprefix('sha256:')[:16]}"
    files = {f"{folder}/card.json": data, "workflow/study-app.fab": FAB}
    return world, files_of(world, attachments=files)


def of_model(files: Mapping[str, bytes], name: str) -> bytes:
    """The file of this name beside the one released model."""
    (found,) = [data for path, data in files.items() if path.endswith(f"/{name}")]
    return found


def example(name: str) -> Any:
    """An example made by an independent implementation, to be reached or improved."""
    return json.loads(shared_data("schemas", "examples", name).read_text("utf-8"))
