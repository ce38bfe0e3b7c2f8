"""Hospitals: invitation, joining with their own keys, signed requests, signs of life."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from compliance.errors import Malformed, NotReady, Refused
from compliance.records.types import Site, seconds_of
from compliance.signing.keys import COSIGNATURE, NOTE, VerifierKey
from compliance.signing.note import parse_line
from compliance.signing.request import MAX_AGE_SECONDS, SiteRequest
from hub.services.clock import Clock, Random, text_of
from hub.storage import members as rows
from hub.storage.database import Database

CODE_PREFIX = "consilium1-"
INVITATION_HOURS = 72
PROOF_DOMAIN = "consilium/join/v1"
SILENT_SECONDS = 60
_SITE: TypeAdapter[str] = TypeAdapter(Site)


@dataclass(frozen=True)
class Hub:
    """What a joining site is told about this hub."""

    name: str
    address: str
    ca_sha256: str
    events_vkey: str
    consortium: str
    fleet_host: str
    fleet_port: int


class MemberService:
    """The hospitals of the consortium.

    Args:
        database: where members lie.
        clock: the time now.
        random: source of tokens.
        hub: what a joining site is told.
        trust: returns the bundle's hash and its signers at this moment.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        random: Random,
        hub: Hub,
        trust: Callable[[], tuple[str, dict[str, str]]],
    ) -> None:
        self._database, self._clock, self._random = database, clock, random
        self._hub, self._trust = hub, trust

    def invite(self, site: str, title: str) -> tuple[str, str]:
        """Make an invitation; returns the code, which is shown once, and when it expires.

        Raises:
            NotReady: the name has another form, or is a member already.
        """
        site_name(site)
        token = base64.urlsafe_b64encode(self._random(32)).decode().rstrip("=")
        expires = text_of(self._clock, timedelta(hours=INVITATION_HOURS))
        with self._database.transaction("members") as session:
            if rows.find_member(session, site) is not None:
                raise NotReady(f"{site} is a member already.", "Invite another name.")
            row = rows.InvitationRow(
                token_hash=_hash(token), site=site, title=title or site, expires=expires
            )
            rows.add_invitation(session, row)
        plain = {
            "address": self._hub.address,
            "ca_sha256": self._hub.ca_sha256,
            "site": site,
            "token": token,
        }
        code = base64.urlsafe_b64encode(json.dumps(plain, sort_keys=True).encode()).decode()
        return CODE_PREFIX + code.rstrip("="), expires

    def join(self, body: dict[str, Any]) -> dict[str, Any]:
        """Admit a hospital that holds an invitation and proves its keys.

        Raises:
            Refused: the code is wrong, used or expired, a proof does not hold, or a key is another
                hospital's.
            Malformed: a key has another form.
        """
        token = str(body.get("token", ""))
        now = text_of(self._clock)
        bundle_sha256, signers = self._trust()
        with self._database.transaction("members") as session:
            invitation = rows.find_invitation(session, _hash(token))
            if invitation is None:
                raise Refused("join.code", sentence="This invitation code is not known here.")
            if invitation.used_at:
                raise Refused("join.used", sentence="This invitation code was used already.")
            if invitation.expires <= now:
                raise Refused("join.expired", sentence="This invitation code has expired.")
            keys = _proven_keys(invitation.site, token, body)
            flower = _flower(body)
            _nobody_elses(rows.all_members(session), keys, flower)
            row = rows.MemberRow(
                site=invitation.site,
                title=invitation.title,
                slot=0,
                flower_public=flower,
                joined=now,
                suspended=False,
                health="{}",
                **{role: str(key) for role, key in keys.items()},
            )
            rows.add_member(session, row)
            invitation.used_at = now
        return {
            "site": row.site,
            "title": row.title,
            "hub_name": self._hub.name,
            "address": self._hub.address,
            "events_vkey": self._hub.events_vkey,
            "consortium": self._hub.consortium,
            "signers": signers,
            "bundle_sha256": bundle_sha256,
            "fleet": {"host": self._hub.fleet_host, "port": self._hub.fleet_port},
        }

    def admit(self, request: SiteRequest, method: str, path: str, body: bytes) -> str:
        """Say which member made a signed request.

        Raises:
            Refused: unknown, suspended, wrong signature, too old, or answered before.
            Malformed: its time does not exist.
        """
        age = abs((self._clock() - seconds_of(request.time)).total_seconds())
        if age > MAX_AGE_SECONDS:
            raise Refused(
                "request.time",
                sentence="The request's clock differs by more than 5 minutes from the hub's.",
            )
        before = text_of(self._clock, timedelta(seconds=-2 * MAX_AGE_SECONDS))
        with self._database.transaction(f"requests of {request.site}") as session:
            member = rows.find_member(session, request.site)
            if member is None or member.suspended:
                raise Refused("request.site", sentence="This site is no active member.")
            if not request.verifies(VerifierKey.parse(member.node), method, path, body):
                raise Refused("request.signature", sentence="The signature does not verify.")
            fresh = rows.use_nonce(session, request.site, request.nonce, request.time, before)
            if not fresh:
                raise Refused("request.replay", sentence="This request was answered before.")
        return request.site

    def heartbeat(self, site: str, told: dict[str, Any]) -> str:
        """Keep a site's sign of life; returns the hub's time."""
        now = text_of(self._clock)
        with self._database.transaction() as session:
            member = rows.find_member(session, site)
            if member is not None:
                member.seen, member.health = now, json.dumps(told, sort_keys=True)
        return now

    def members(self) -> list[dict[str, Any]]:
        """Every hospital: name, colour slot, last sign of life, key names."""
        with self._database.reading() as session:
            found = rows.all_members(session)
            waiting = rows.open_invitations(session, text_of(self._clock))
        listed = [self._plain(row) for row in found]
        names = {row.site for row in found}
        listed += [
            {"name": row.site, "title": row.title, "slot": None, "health": {"state": "invited"},
             "last_seen": None, "member_since": None, "keys": {}}
            for row in waiting if row.site not in names
        ]  # fmt: skip
        return listed

    def member(self, site: str) -> rows.MemberRow:
        """One hospital.

        Raises:
            NotReady: it is no member.
        """
        with self._database.reading() as session:
            row = rows.find_member(session, site)
        if row is None:
            raise NotReady(f"{site} is no member.", "See `consilium hub status`.")
        return row

    def flower_keys(self) -> dict[str, str]:
        """The Flower node key of every active hospital, in OpenSSH form."""
        with self._database.reading() as session:
            return {
                row.site: row.flower_public
                for row in rows.all_members(session)
                if not row.suspended
            }

    def flower_nodes(self) -> dict[str, str]:
        """Site by Flower node id, for active hospitals."""
        with self._database.reading() as session:
            return {
                row.flower_node: row.site
                for row in rows.all_members(session)
                if row.flower_node and not row.suspended
            }

    def record_node(self, site: str, node: str) -> None:
        """Remember the Flower node id of a hospital."""
        with self._database.transaction("members") as session:
            row = rows.find_member(session, site)
            if row is not None:
                row.flower_node = node

    def suspend(self, site: str, *, suspended: bool = True) -> None:
        """Shut a hospital out, or let it in again; takes effect at its next request."""
        with self._database.transaction("members") as session:
            row = rows.find_member(session, site)
            if row is None:
                raise NotReady(f"{site} is no member.", "See `consilium hub status`.")
            row.suspended = suspended

    def _plain(self, row: rows.MemberRow) -> dict[str, Any]:
        health = json.loads(row.health)
        silent = row.seen is None or (self._clock() - datetime.fromisoformat(row.seen)) > timedelta(
            seconds=SILENT_SECONDS
        )
        state = "suspended" if row.suspended else "silent" if silent else "up"
        return {
            "name": row.site,
            "title": row.title,
            "slot": row.slot,
            "health": {"state": state, **health.get("states", {})},
            "versions": health.get("versions", {}),
            "last_seen": row.seen,
            "member_since": row.joined,
            "keys": {"institution": row.institution, "node": row.node, "witness": row.witness},
        }


def _proven_keys(site: str, token: str, body: dict[str, Any]) -> dict[str, VerifierKey]:
    keys = {}
    for role, kind in (("institution", NOTE), ("node", NOTE), ("witness", COSIGNATURE)):
        key = VerifierKey.parse(str(body.get(role, "")))
        if key.name != f"{site}/{role}" or key.kind != kind:
            raise Refused(
                "join.key", key.name, f"{site}/{role}", "A key has another name or type than asked."
            )
        keys[role] = key
    if len({key.public for key in keys.values()}) != len(keys):
        raise Refused("join.key", sentence="One public key stands for two roles.")
    text = f"{PROOF_DOMAIN}\n{_hash(token)}\n".encode()
    lines = body.get("proof")
    if not isinstance(lines, list):
        raise Malformed("proof", "it is not a list of signature lines")
    proofs = [parse_line(str(line)) for line in lines]
    for role in ("institution", "node"):
        key = keys[role]
        signed = [p for p in proofs if (p.name, p.key_id) == (key.name, key.key_id)]
        if not any(key.verifies(text, proof.signature) for proof in signed):
            raise Refused("join.proof", sentence=f"The proof of the {role} key does not hold.")
    return keys


def _nobody_elses(members: list[rows.MemberRow], keys: dict[str, VerifierKey], flower: str) -> None:
    """Two hospitals with one key could speak for each other."""
    taken = {
        VerifierKey.parse(text).public
        for row in members
        for text in (row.institution, row.node, row.witness)
    }
    if taken & {key.public for key in keys.values()} or _bare(flower) in {
        _bare(row.flower_public) for row in members
    }:
        raise Refused("join.key", sentence="A key belongs to another hospital already.")


def site_name(name: str) -> None:
    """Make sure that a name can stand in keys and charters.

    Raises:
        NotReady: it has another form.
    """
    try:
        _SITE.validate_python(name)
    except ValidationError:
        raise NotReady(f"{name!r} is no site name.", "Use a form such as north.example.") from None


def _flower(body: dict[str, Any]) -> str:
    text = str(body.get("flower_public", "")).strip()
    if not text.startswith("ecdsa-sha2-nistp384 ") or len(text) > 1000:  # noqa: PLR2004 - longest key line
        raise Malformed("flower key", "it is not an EC P-384 key in OpenSSH form")
    return text


def _bare(key: str) -> tuple[str, ...]:
    return tuple(key.strip().split(" ")[:2])


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
