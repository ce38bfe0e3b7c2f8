"""One row of the doctor, and everything that the doctor looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from site_node.gate.egress import Egress
from site_node.gate.hub_client import HubClient
from site_node.gate.journal import Journal
from site_node.gate.keys import Keys
from site_node.gate.mirror import Mirror
from site_node.gate.predictions import Predictions
from site_node.gate.restored import Restored
from site_node.gate.statements import Statements
from site_node.settings import Settings


@dataclass(frozen=True)
class Check:
    """One row: its code of the closed list, whether it is well, what was found, what to do."""

    code: str
    well: bool
    finding: str
    fix: str = ""


@dataclass(frozen=True)
class Patient:
    """Everything the doctor looks at, opened when it is looked at: any of it may be broken."""

    settings: Settings
    store: Callable[[], object]
    keys: Callable[[], Keys]
    hub: Callable[[], HubClient]
    mirror: Callable[[], Mirror]
    statements: Callable[[], Statements]
    journal: Callable[[], Journal]
    restored: Callable[[], Restored]
    egress: Callable[[], Egress]
    receiver: Callable[[], str]
    pacs: Callable[[], str]
    catalogue: Callable[[], Any]
    predictions: Callable[[], Predictions]
    now: Callable[[], datetime]
