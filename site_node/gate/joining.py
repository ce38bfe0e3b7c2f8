"""Joining: one code in, keys made here, only public halves out, nothing left behind on failure.

Order matters. The hub's certificate is fetched without trust and compared with the fingerprint of
the code before the token, the one secret, is sent; afterwards only verified TLS is spoken.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from compliance.errors import ConsiliumError, Malformed, NotProven, NotReady, Refused
from compliance.signing.keys import SigningKey, VerifierKey
from site_node.gate import hub_client
from site_node.gate.invitation import Invitation
from site_node.gate.keys import make_keys
from site_node.settings import FILE, write_settings

PROOF_DOMAIN = "consilium/join/v1"
PLACES = ("keys", "ca.pem", "signers.yaml")
STORE = ("site.sqlite", "site.sqlite-wal", "site.sqlite-shm")
"""The database begins with the line that says what the application sent."""
MIN_PASSPHRASE = 8
UNSAID = "ZZ"
"""The country of a hospital that tells none (ISO 3166-1, user-assigned)."""


@dataclass(frozen=True)
class Connections:
    """How the joining site reaches the hub; tests hand in their own hub."""

    authority: Callable[[str], bytes] = hub_client.fetch_authority
    open: Callable[[str, Path], Any] = hub_client.open_http


@dataclass(frozen=True)
class Applicant:
    """Who joins.

    Args:
        title: name for people.
        passphrase: of the hospital's key; None leaves it unprotected.
        random: source of keys.
        country: two letters (ISO 3166-1); empty says nothing.
    """

    title: str | None
    passphrase: str | None
    random: Callable[[int], bytes]
    country: str = ""


Record = Callable[[bytes], None]
"""Writes down what is about to leave; when it cannot, nothing leaves."""


def join(
    home: Path,
    invitation: Invitation,
    applicant: Applicant,
    connections: Connections,
    record: Callable[[Path, bytes], None],
) -> dict[str, Any]:
    """Make this home a member's home; returns what the hub answered.

    Args:
        home: folder that becomes the member's.
        invitation: what the code says.
        applicant: who joins.
        connections: how the hub is reached.
        record: writes what leaves into the egress ledger of a home, before it leaves.

    Raises:
        NotReady: the home belongs to a site already, or cannot be written.
        NotProven: the hub shows another certificate than the invitation names.
        Refused: the code is wrong, used or expired.
    """
    _refuse_second(home)
    if applicant.passphrase is not None and len(applicant.passphrase) < MIN_PASSPHRASE:
        raise NotReady(
            f"the passphrase has fewer than {MIN_PASSPHRASE} characters.", "Choose a longer one."
        )
    staging, made_home = _stage(home)
    ours = (FILE, *PLACES, *(name for name in STORE if not (home / name).exists()))
    try:
        written = functools.partial(record, home)
        answer = _apply(staging, invitation, applicant, connections, written)
        _settle(staging, home, invitation, answer, applicant.title)
    except OSError as error:
        _undo(home, ours, created=made_home)
        raise NotReady(
            f"the folder {home} cannot be written ({error.strerror or error}); nothing was kept.",
            "Free space or give write access. If the hub had accepted already, ask for a new code.",
        ) from error
    except ConsiliumError:
        _undo(home, ours, created=made_home)
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return answer


def _refuse_second(home: Path) -> None:
    for name in (FILE, *PLACES):
        if (home / name).exists():
            raise NotReady(
                f"{home} belongs to a site that has joined already ({name} is there).",
                "Name another folder with --home, or go on with `consilium site doctor`.",
            )


def _stage(home: Path) -> tuple[Path, bool]:
    made = not home.exists()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
        return Path(tempfile.mkdtemp(prefix=".joining-", dir=home)), made
    except OSError as error:
        raise NotReady(
            f"the folder {home} cannot be written ({error.strerror}).",
            "Name another folder with --home, or give write access.",
        ) from error


def _apply(
    staging: Path,
    invitation: Invitation,
    applicant: Applicant,
    connections: Connections,
    record: Record,
) -> dict[str, Any]:
    authority = connections.authority(invitation.address)
    check_fingerprint(authority, invitation.ca_sha256)
    ca_path = staging / "ca.pem"
    ca_path.write_bytes(authority)
    keys = make_keys(staging / "keys", invitation.site, applicant.passphrase, applicant.random)
    flower = (staging / "keys" / "flower.pub").read_text(encoding="ascii").strip()
    body = request_body(invitation.token, keys, flower)
    if applicant.country:
        body["country"] = applicant.country
    with connections.open(invitation.address, ca_path) as http:
        answer = hub_client.send_join(http, body, record)
    _check_answer(answer, invitation)
    return answer


def check_fingerprint(authority: bytes, expected: str) -> None:
    """Compare the certificate file with the fingerprint of the invitation.

    Raises:
        NotProven: they differ; somebody may sit between this hospital and the hub.
    """
    found = hashlib.sha256(authority).hexdigest()
    if found != expected:
        raise NotProven(
            "hub.certificate",
            f"the hub shows fingerprint {found[:16]}…, the invitation names {expected[:16]}…. "
            "Nothing was sent. Ask the hub's administrator which one is right.",
        )


def request_body(token: str, keys: dict[str, SigningKey], flower: str) -> dict[str, Any]:
    """The application: token, public keys, and proof that their private halves are here."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    text = f"{PROOF_DOMAIN}\n{digest}\n".encode()
    return {
        "token": token,
        **{role: str(key.verifier) for role, key in keys.items()},
        "flower_public": flower,
        "proof": [keys[role].line(text) for role in ("institution", "node")],
    }


def _check_answer(answer: dict[str, Any], invitation: Invitation) -> None:
    try:
        VerifierKey.parse(str(answer["events_vkey"]))
        fleet = answer["fleet"]
        complete = bool(fleet["host"]) and 0 < int(fleet["port"]) < 1 << 16
        complete = complete and isinstance(answer["signers"], dict)
        complete = complete and bool(answer["hub_name"]) and bool(answer["bundle_sha256"])
    except (KeyError, TypeError, ValueError):
        complete = False
    if not complete:
        raise Malformed("answer of the hub", "the welcome lacks a key, the fleet or the signers")
    if answer.get("site") != invitation.site:
        raise Refused(
            "join.site",
            answer.get("site"),
            invitation.site,
            "The hub answered for another hospital than the invitation names; nothing was kept.",
        )


def _settle(
    staging: Path, home: Path, invitation: Invitation, answer: dict[str, Any], title: str | None
) -> None:
    signers = staging / "signers.yaml"
    signers.touch(mode=0o600)
    signers.write_text(yaml.safe_dump({str(k): str(v) for k, v in answer["signers"].items()}))
    values = {
        "site": invitation.site,
        "title": title or str(answer.get("title") or invitation.site),
        "hub_address": str(answer.get("address") or invitation.address),
        "hub_name": str(answer["hub_name"]),
        "consortium": str(answer.get("consortium") or ""),
        "events_vkey": str(answer["events_vkey"]),
        "fleet_host": str(answer["fleet"]["host"]),
        "fleet_port": int(answer["fleet"]["port"]),
        "bundle_sha256": str(answer["bundle_sha256"]),
    }
    write_settings(staging / FILE, values)
    for name in (*PLACES, FILE):  # the settings come last: they make the home a member's home
        (staging / name).rename(home / name)


def _undo(home: Path, ours: tuple[str, ...], *, created: bool) -> None:
    """Take away what the application made; where nobody joined, there is no ledger either."""
    if created:
        shutil.rmtree(home, ignore_errors=True)
        return
    for name in ours:
        path = home / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
