"""Following a successor: the hub is lost, another one carries the same logs on.

The order matters. First the successor's certificate is compared with the code that people told each
other; then its logs are read, and each must begin with this hospital's own mirror; only then is
anything changed here. A successor that knows less than this hospital is refused: what it would
write next could not stand beside what was cosigned here.
"""

from __future__ import annotations

import base64
import binascii
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from compliance.errors import Malformed, NotReady, Refused
from compliance.ledger.checkpoint import open_checkpoint, parse_text
from compliance.signing.keys import VerifierKey
from compliance.signing.note import parse
from site_node.gate.hub_client import HubClient
from site_node.gate.invitation import FINGERPRINT
from site_node.gate.joining import Connections, check_fingerprint
from site_node.gate.journal import Journal
from site_node.gate.keys import Keys
from site_node.gate.mirror import Mirror, fold
from site_node.settings import FILE, Settings, file_values, write_settings
from site_node.store.mirror import MirrorLog

PREFIX = "consilium-follow1-"
_FIX = "Copy the whole code again, as the successor's administrator printed it."


@dataclass(frozen=True)
class Code:
    """What a code says.

    Args:
        address: https address of the successor.
        ca_sha256: 64 hex digits of its certificate file.
        hub: name of the hub that it carries on.
        events_vkey: the key by which it will speak, after the takeover.
    """

    address: str
    ca_sha256: str
    hub: str
    events_vkey: str


@dataclass(frozen=True)
class Looked:
    """One log at the successor, beside this hospital's mirror."""

    log: str
    here: int
    there: int


def read_code(text: str) -> Code:
    """Read the code of a successor.

    Raises:
        NotReady: it is no such code, or cut off.
    """
    text = "".join(text.split())
    if not text.startswith(PREFIX):
        raise NotReady(f"this is no code of a successor: it does not begin with {PREFIX}.", _FIX)
    body = text.removeprefix(PREFIX)
    try:
        told = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        names = ("address", "ca_sha256", "hub", "events_vkey")
        code = Code(*(str(told[name]) for name in names))
        name = VerifierKey.parse(code.events_vkey).name
    except (binascii.Error, ValueError, KeyError, TypeError, Malformed):
        raise NotReady("the code is damaged or cut off.", _FIX) from None
    whole = name == f"{code.hub}/events" and FINGERPRINT.fullmatch(code.ca_sha256)
    if not whole or not code.address.startswith("https://"):
        raise NotReady("the code is damaged or cut off.", _FIX)
    return code


Ask = Callable[[Code, list[Looked]], None]
Way = Callable[[Any], HubClient]


class Following:
    """Points this site to a successor of its hub.

    Args:
        settings: of this site, as they are now.
        keys: the node key signs the requests, the Flower key is told.
        mirror: what this hospital knows of each log.
        journal: what was changed is written down.
        way: makes a client for the successor from an open connection.
    """

    def __init__(
        self, *, settings: Settings, keys: Keys, mirror: Mirror, journal: Journal, way: Way
    ) -> None:
        self._settings, self._keys, self._mirror = settings, keys, mirror
        self._journal, self._way = journal, way

    def follow(self, code: Code, connections: Connections, ask: Ask) -> list[Looked]:
        """Look at the successor's logs, ask, then change the address and the certificate.

        Args:
            code: as people told it.
            connections: how a hub is reached.
            ask: shows what was found to a person; raises to leave everything as it is.

        Raises:
            NotReady: another hub's name, nothing is mirrored here, or a folder is not writable.
            NotProven: another certificate than the code names.
            Refused: the successor's logs do not go on from this hospital's mirror.
        """
        if code.hub != self._settings.hub_name:
            finding = f"the code is of hub {code.hub}, this site belongs to "
            raise NotReady(f"{finding}{self._settings.hub_name}.", _FIX)
        authority = connections.authority(code.address)
        check_fingerprint(authority, code.ca_sha256)
        with self._staged(authority) as ca_path, connections.open(code.address, ca_path) as http:
            client = self._way(http)
            looked = [self._compare(client, head) for head in self._mirror.all_heads()]
            if not looked:
                raise NotReady("no log is mirrored here yet.", "Ask for a new invitation instead.")
            ask(code, looked)
            welcome = client.follow(self._keys.public.flower)
            self._settle(code, ca_path, welcome)
        self._journal.write("followed", hub=code.address, logs=len(looked))
        return looked

    def _compare(self, client: HubClient, head: MirrorLog) -> Looked:
        """One log of the successor begins with what is mirrored here, and every entry obeys.

        The entries that are new here are folded on from this hospital's own state: when that leads
        to the root that the log signed, the mirror is its beginning.
        """
        note = client.checkpoint(head.study)
        claimed = parse_text(parse(note).text)
        if claimed.size < head.size:
            raise Refused(
                "mirror.behind",
                claimed.size,
                head.size,
                f"The successor knows less of {head.study} than this hospital. Send it this "
                "hospital's mirror (`consilium site mirror --out DIR`) before the takeover.",
            )
        new = client.entries(head.study, head.size, claimed.size)
        state = self._mirror.log_state(head.study)
        self._mirror.forget(head.study)  # the state grows below; the mirror itself does not
        state = fold(head.study, state, new, head.size, None)
        checkpoint = open_checkpoint(note, state.keys.current[state.origin])
        if (checkpoint.size, checkpoint.root) != (state.size, state.root()):
            raise Refused(
                "checkpoint.proof",
                sentence=f"The successor's log {head.study} is another history than this "
                "hospital's mirror. Nothing was changed. Show both to the other hospitals.",
            )
        return Looked(head.study, head.size, claimed.size)

    @contextmanager
    def _staged(self, authority: bytes) -> Iterator[Path]:
        path = self._settings.home / "ca.pem.next"
        try:
            path.write_bytes(authority)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _settle(self, code: Code, ca_path: Path, welcome: dict[str, Any]) -> None:
        """Change certificate, signers and settings; the settings come last, so it can be redone."""
        values = _settings_of(code, welcome, str(self._settings.site))
        home = self._settings.home
        shutil.copyfile(ca_path, home / "ca.pem.part")
        signers = home / "signers.yaml.part"
        signers.touch(mode=0o600)
        told = {str(name): str(key) for name, key in welcome["signers"].items()}
        signers.write_text(yaml.safe_dump(told))
        if self._settings.hub_address != code.address:  # a second time keeps the first one's
            kept = home / f"{FILE}.before"
            shutil.copyfile(home / FILE, kept)
            kept.chmod(0o600)
        (home / "ca.pem.part").replace(self._settings.ca_path)
        signers.replace(home / "signers.yaml")
        write_settings(home / FILE, file_values(home) | values)


def _settings_of(code: Code, welcome: dict[str, Any], site: str) -> dict[str, Any]:
    try:
        fleet = welcome["fleet"]
        said = (welcome["site"], welcome["hub_name"], welcome["events_vkey"])
        if said != (site, code.hub, code.events_vkey) or not isinstance(welcome["signers"], dict):
            raise ValueError
        return {
            "hub_address": code.address,
            "events_vkey": code.events_vkey,
            "fleet_host": str(fleet["host"]),
            "fleet_port": int(fleet["port"]),
            "bundle_sha256": str(welcome["bundle_sha256"]),
        }
    except (KeyError, TypeError, ValueError):
        finding = "the welcome is not of the hub that the code names"
        raise Malformed("answer of the hub", finding) from None
