"""Backups of a hospital of a house, and the node that comes back from one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from compliance.records.types import time_text
from site_node.gate.backup import Home, write_backup
from site_node.gate.restoring import restore
from site_node.settings import load_settings
from site_node.store.backup import copy_of
from site_node.wiring import Rooms
from tests.failover.successors import client_of
from tests.house import House
from tests.site_node.gate.world import Shelf

PASSPHRASE = "a sentence for the safe"


def back_up(rooms: Rooms, out: Path, *, with_data: bool = False) -> dict[str, Any]:
    """What `consilium site backup` does at this hospital."""
    settings = rooms.settings
    copy = partial(copy_of, settings.store_path, with_objects=with_data)
    rows = [{"name": "chest", "version": "sha256:aa", "patients": 50}]
    source = Home(settings.home, str(settings.site), copy, rows, with_data)
    return write_backup(source, out, PASSPHRASE, time_text(rooms.clock()))


def come_back(house: House, out: Path, home: Path) -> Rooms:
    """The node of this backup in a new home, connected to the house's hub; a minute later."""
    house.time.forward(seconds=60)
    restore(out, home, PASSPHRASE, house.time())
    house.time.forward(seconds=60)
    rooms = Rooms(load_settings(home), house.time)
    rooms.hub = client_of(rooms, house.hub)
    rooms.catalogue = Shelf(home / "datasets")  # type: ignore[assignment]
    return rooms
