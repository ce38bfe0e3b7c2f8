"""A lost hub and its successor: mirrors of real hospitals, a new home, the takeover."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from compliance.canonical import sha256_id
from compliance.command import main
from compliance.records.types import time_text
from hub.federation.aggregation.again import aggregated
from hub.main import create_app
from hub.settings import load_settings as load_hub
from hub.wiring import Rooms as HubRooms
from site_node.gate.evidence import write_mirror
from site_node.gate.following import read_code
from site_node.gate.hub_client import HubClient
from site_node.gate.joining import Connections
from site_node.settings import load_settings
from site_node.wiring import Rooms
from tests.house import House
from tests.site_node.gate.world import InProcess

LONG_AGO = "2026-01-01T00:00:00Z"
ADDRESS = "https://127.0.0.1:9443"


def studied(house: House) -> str:
    """A study with one closed round that every hospital has witnessed; returns its log."""
    study = house.launch()
    house.close_round()
    settle(house)
    return study


def settle(house: House) -> None:
    """Every hospital looks until it knows what the hub knows, and keeps the quorum."""
    house.time.forward(seconds=6)
    for _ in range(2):
        house.look()
    for rooms in house.sites.values():
        for log in ("consortium", house.study):
            rooms.witness.follow_quorum(log)


def mirror_of(rooms: Rooms, out: Path) -> Path:
    """What `consilium site mirror` writes at this hospital."""
    now, unsaid = time_text(rooms.clock()), rooms.restored.rests
    write_mirror(rooms.mirror, out, rooms.keys.node, now, unsaid)
    return out


def mirrors(house: House, out: Path) -> list[Path]:
    """The mirrors of all hospitals of a house."""
    return [mirror_of(rooms, out / name) for name, rooms in house.sites.items()]


class Successor:
    """A new hub of the same name, in its own home.

    Its database is the home's own file, or the one that the environment names.

    Args:
        house: whose hub is lost; its clock goes on.
        home: the new home, made here.
        capsys: swallows what the command prints; None where the command needs its own process,
            because a server's connections end with it.
    """

    def __init__(self, house: House, home: Path, capsys: pytest.CaptureFixture[str] | None) -> None:
        words = ["hub", "init", "--home", str(home), "--address", ADDRESS, "--json"]
        if capsys is None:
            subprocess.run([sys.executable, "-m", "compliance.command", *words], check=True)
        else:
            assert main(words) == 0
            capsys.readouterr()
        (home / "bundle").mkdir(exist_ok=True)
        signed = {"bundle_sha256": sha256_id(b"fab"), "verifications": [], "signers": {"b": "ssh"}}
        (home / "bundle" / "signed.json").write_text(json.dumps(signed))
        self.home, self._clock = home, house.time
        self.hub = self.again()
        self.http = httpx.Client(transport=InProcess(create_app(self.hub)), base_url=ADDRESS)

    @staticmethod
    def opened(home: Path, house: House) -> HubRooms:
        """The parts of a hub in any home, by the clock of a house."""
        return HubRooms(load_hub(home), clock=house.time)

    def again(self) -> HubRooms:
        """The hub's parts as a fresh process would make them."""
        return HubRooms(load_hub(self.home), clock=self._clock)

    def connections(self) -> Connections:
        """How a hospital reaches it in a test."""
        return reached(self.hub, self.http)


def reached(hub: HubRooms, http: httpx.Client) -> Connections:
    """The way to a hub in one process: its certificate, and a client of its application."""
    ca = hub.ca_path.read_bytes()
    return Connections(lambda _: ca, lambda *_: contextlib.nullcontext(http))


def roots(hub: HubRooms) -> dict[str, tuple[int, bytes]]:
    """Size and root of every log of a hub."""
    states: dict[str, Any] = {log: hub.ledger.state_of(log) for log in hub.ledger.logs()}
    return {log: (state.size, state.tree.root()) for log, state in states.items()}


SALT = (hashlib.sha512(f"salt {count}".encode()).digest() for count in range(10_000))
"""Randomness for hospitals that are opened a second time."""


def twin_of(house: House, home: Path) -> HubRooms:
    """A second hub over a copy of the first one's home: the same keys, another future."""
    shutil.copytree(house.hub.settings.home, home)
    return HubRooms(load_hub(home), clock=house.time)


def client_of(rooms: Rooms, hub: HubRooms, address: str = ADDRESS) -> HubClient:
    """A hospital's way to another hub."""
    return HubClient(
        http=httpx.Client(transport=InProcess(create_app(hub)), base_url=address),
        site=str(rooms.settings.site),
        key=lambda: rooms.keys.node,
        journal=rooms.journal,
        egress=rooms.egress,
        clock=rooms.clock,
        nonce=lambda: next(SALT)[:16].hex(),
    )


def follow(rooms: Rooms, successor: Successor) -> Rooms:
    """A hospital follows; returns its parts as the next process would make them."""
    code = read_code(successor.hub.members.follow_code())
    rooms.following.follow(code, successor.connections(), lambda *_: None)
    moved = Rooms(load_settings(rooms.settings.home), rooms.clock)
    assert moved.settings.hub_address == ADDRESS
    moved.hub = client_of(moved, successor.hub)
    return moved


def takeover(rooms: Rooms, hub: HubRooms) -> list[dict[str, Any]]:
    """A hospital signs for the keys that wait there, as the code named the first of them."""
    return rooms.rotation.takeover(hub.rebuilding.takeover(), None, str(hub.keys.events.verifier))


def taken_over(house: House, successor: Successor, folder: Path) -> list[Rooms]:
    """Rebuild, let every hospital follow and sign; returns them as they are connected now."""
    successor.hub.rebuilding.rebuild(mirrors(house, folder), LONG_AGO)
    moved = [follow(rooms, successor) for rooms in house.sites.values()]
    for rooms in moved:
        takeover(rooms, successor.hub)
    return moved


def move(house: House, successor: Successor, folder: Path) -> None:
    """The whole house lives at the successor from now on: logs, models, hospitals, clock."""
    folders = []
    for name, rooms in house.sites.items():
        folders.append(mirror_of(rooms, folder / name))
        rooms.weights.write(folder / name)
    shelves = {name: rooms.catalogue for name, rooms in house.sites.items()}
    moved = taken_over(house, successor, folder)
    successor.hub.weights(aggregated).take(folders)
    house.hub, house.http = successor.hub, successor.http
    house.sites = dict(zip(house.sites, moved, strict=True))
    for name, rooms in house.sites.items():
        rooms.catalogue = shelves[name]
    settle(house)
