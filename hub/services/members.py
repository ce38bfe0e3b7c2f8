"""Hospitals: invitation, joining with their own keys, signed requests, signs of life."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from compliance.errors import NotReady, Refused
from compliance.records.types import Site, seconds_of
from compliance.signing.keys import VerifierKey
from compliance.signing.request import MAX_AGE_SECONDS, SiteRequest
from hub.services.alarms import heard
from hub.services.clock import Clock, Random, text_of
from hub.services.health import Knock, state_of, warning_of
from hub.services.logbook import LogBook
from hub.services.proofs import country_of, flower_of, hash_of, nobody_elses, proven_keys
from hub.services.standing import ACTIVE, MAY_RETURN, OUT, SHUT, WAITING, Known, standings_of
from hub.storage import members as rows
from hub.storage.database import Database

CODE_PREFIX = "consilium1-"
FOLLOW_PREFIX = "consilium-follow1-"
INVITATION_HOURS = 72
_SITE: TypeAdapter[str] = TypeAdapter(Site)


@dataclass(frozen=True)
class Hub:
    """What a joining site is told about this hub."""

    name: str
    address: str
    ca_sha256: str
    events_vkey: str
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
        logbook: the consortium's own log says who belongs, and with which keys.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        random: Random,
        hub: Hub,
        trust: Callable[[], tuple[str, dict[str, str]]],
        logbook: LogBook,
    ) -> None:
        self._database, self._clock, self._random = database, clock, random
        self._hub, self._trust, self._logbook = hub, trust, logbook
        self._knocks: dict[str, Knock] = {}

    def follow_code(self) -> str:
        """What a successor tells by telephone or mail: where it is and how to recognise it."""
        plain = {
            "address": self._hub.address,
            "ca_sha256": self._hub.ca_sha256,
            "hub": self._hub.name,
            "events_vkey": self._hub.events_vkey,
        }
        code = base64.urlsafe_b64encode(json.dumps(plain, sort_keys=True).encode()).decode()
        return FOLLOW_PREFIX + code.rstrip("=")

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
                token_hash=hash_of(token), site=site, title=title or site, expires=expires
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
        """Let a hospital in that holds an invitation and proves its keys.

        Once the consortium is founded it waits then: only the members admit it, by their log.

        Raises:
            Refused: the code is wrong, used or expired, a proof does not hold, or a key is another
                hospital's.
            Malformed: a key has another form.
        """
        token = str(body.get("token", ""))
        now = text_of(self._clock)
        bundle_sha256, signers = self._trust()
        agreement_id = self._logbook.agreement_id()
        with self._database.transaction("members") as session:
            invitation = rows.find_invitation(session, hash_of(token))
            if invitation is None:
                raise Refused("join.code", sentence="This invitation code is not known here.")
            if invitation.used_at:
                raise Refused("join.used", sentence="This invitation code was used already.")
            if invitation.expires <= now:
                raise Refused("join.expired", sentence="This invitation code has expired.")
            keys = proven_keys(invitation.site, token, body)
            flower = flower_of(body)
            nobody_elses(rows.all_members(session), keys, flower)
            row = rows.MemberRow(
                site=invitation.site,
                title=invitation.title,
                slot=0,
                flower_public=flower,
                joined=now,
                suspended=False,
                health="{}",
                country=country_of(body),
                **{role: str(key) for role, key in keys.items()},
            )
            rows.add_member(session, row)
            invitation.used_at = now
        return self._welcome(row, (bundle_sha256, signers), agreement_id)

    def follow(self, site: str, flower: str) -> dict[str, Any]:
        """Welcome a member to a successor of its hub; its Flower key is taken once.

        Raises:
            Refused: the key is another hospital's, or not the one that is known here.
            Malformed: it is no such key.
            NotReady: it is no member, or no bundle is signed yet.
        """
        key = flower_of({"flower_public": flower})
        trust, agreement_id = self._trust(), self._logbook.agreement_id()
        with self._database.transaction("members") as session:
            row = rows.find_member(session, site)
            if row is None:
                raise NotReady(f"{site} is no member.", "See `consilium hub status`.")
            nobody_elses([one for one in rows.all_members(session) if one is not row], {}, key)
            if row.flower_public and row.flower_public != key:
                raise Refused("join.key", sentence="Another Flower key is known here.")
            row.flower_public = key
        return self._welcome(row, trust, agreement_id)

    def _welcome(
        self, row: rows.MemberRow, trust: tuple[str, dict[str, str]], agreement_id: str
    ) -> dict[str, Any]:
        bundle_sha256, signers = trust
        return {
            "site": row.site,
            "title": row.title,
            "hub_name": self._hub.name,
            "address": self._hub.address,
            "events_vkey": self._hub.events_vkey,
            "consortium": agreement_id,
            "signers": signers,
            "bundle_sha256": bundle_sha256,
            "fleet": {"host": self._hub.fleet_host, "port": self._hub.fleet_port},
        }

    def admit(
        self, request: SiteRequest, method: str, path: str, body: bytes, *, returning: bool = False
    ) -> str:
        """Say which hospital made a signed request; the consortium log decides who may.

        Args:
            request: what it signed.
            method: of the request.
            path: of the request, with its query.
            body: of the request.
            returning: whether a hospital may ask that was suspended or has left.

        Raises:
            Refused: unknown, suspended, wrong signature, too old, or answered before.
            Malformed: its time does not exist.
        """
        try:
            return self._admit(request, (method, path, body), returning=returning)
        except Refused as error:
            self.knocked(request.site, error.rule)
            raise

    def knocked(self, site: str, rule: str) -> None:
        """Remember why a request in a member's name was not heard; it explains a silence."""
        with self._database.reading() as session:
            known = rows.find_member(session, site) is not None
        if known:
            self._knocks[site] = Knock(rule, self._clock())

    def _admit(self, request: SiteRequest, sent: tuple[str, str, bytes], *, returning: bool) -> str:
        age = abs((self._clock() - seconds_of(request.time)).total_seconds())
        if age > MAX_AGE_SECONDS:
            raise Refused(
                "request.time",
                sentence="The request's clock differs by more than 5 minutes from the hub's.",
            )
        before = text_of(self._clock, timedelta(seconds=-2 * MAX_AGE_SECONDS))
        known = self._known(request.site)
        with self._database.transaction(f"requests of {request.site}") as session:
            if known is None:
                raise Refused("request.site", sentence="This hospital is not known here.")
            if known.standing in SHUT and not (returning and known.standing in MAY_RETURN):
                raise Refused("request.site", sentence=OUT[known.standing])
            if not request.verifies(VerifierKey.parse(known.keys["node"]), *sent):
                raise Refused("request.signature", sentence="The signature does not verify.")
            fresh = rows.use_nonce(session, request.site, request.nonce, request.time, before)
            if not fresh:
                raise Refused("request.replay", sentence="This request was answered before.")
        return request.site

    def standings(self) -> dict[str, Known]:
        """Where every hospital stands, and its keys in force; after founding by the log alone.

        A row of the table is an index: it adds who waits to be admitted, and whom the hub's own
        administrator has shut out.
        """
        with self._database.reading() as session:
            found = rows.all_members(session)
        return self._logbook.ask_consortium(lambda state: standings_of(found, state))

    def _known(self, site: str) -> Known | None:
        """Where one hospital stands, whatever the number of the others."""
        with self._database.reading() as session:
            row = rows.find_member(session, site)
        found = [row] if row is not None else []
        return self._logbook.ask_consortium(lambda state: standings_of(found, state)).get(site)

    def standing_of(self, site: str) -> str:
        """Where a hospital stands (`standing.py`); an unknown one waits."""
        known = self._known(site)
        return known.standing if known else WAITING

    def heartbeat(self, site: str, told: dict[str, Any]) -> str:
        """Keep a site's sign of life; returns the hub's time.

        Raises:
            Malformed: states or versions are no object, or an alarm has another form.
        """
        now = text_of(self._clock)
        with self._database.transaction() as session:
            member = rows.find_member(session, site)
            if member is not None:
                kept = heard(told, json.loads(member.health), now)
                member.seen, member.health = now, json.dumps(kept, sort_keys=True)
        return now

    def members(self) -> list[dict[str, Any]]:
        """Every hospital: name, colour slot, standing, last sign of life, keys."""
        with self._database.reading() as session:
            found = rows.all_members(session)
            waiting = rows.open_invitations(session, text_of(self._clock))
        known = self.standings()
        listed = [self._plain(row, known[row.site]) for row in found]
        names = {row.site for row in found}
        listed += [
            {"name": row.site, "title": row.title, "slot": None, "health": {"state": "invited"},
             "standing": "invited", "last_seen": None, "member_since": None, "keys": {}}
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

    def joined(self) -> list[rows.MemberRow]:
        """Every hospital that has joined, by name."""
        with self._database.reading() as session:
            return rows.all_members(session)

    def keys_of(self, site: str) -> dict[str, str]:
        """A hospital's three keys in force.

        Raises:
            NotReady: it is no member.
        """
        known = self._known(site)
        if known is None:
            raise NotReady(f"{site} is no member.", "See `consilium hub status`.")
        return known.keys

    def flower_keys(self) -> dict[str, str]:
        """The Flower node key of every active hospital that has told it, in OpenSSH form."""
        known = self.standings()
        return {
            row.site: row.flower_public
            for row in self.joined()
            if row.flower_public and known[row.site].standing == ACTIVE
        }

    def flower_nodes(self) -> dict[str, str]:
        """Site by Flower node id, for active hospitals."""
        known = self.standings()
        return {
            row.flower_node: row.site
            for row in self.joined()
            if row.flower_node and known[row.site].standing == ACTIVE
        }

    def record_node(self, site: str, node: str) -> None:
        """Remember the Flower node id of a hospital."""
        with self._database.transaction("members") as session:
            row = rows.find_member(session, site)
            if row is not None:
                row.flower_node = node

    def suspend(self, site: str, *, suspended: bool = True) -> None:
        """Refuse to serve a hospital, or serve it again; takes effect at its next request.

        The administrator's emergency brake. It stands in no log: suspending a member is for the
        other members to decide, by a motion.
        """
        with self._database.transaction("members") as session:
            row = rows.find_member(session, site)
            if row is None:
                raise NotReady(f"{site} is no member.", "See `consilium hub status`.")
            row.suspended = suspended

    def _plain(self, row: rows.MemberRow, known: Known) -> dict[str, Any]:
        health = json.loads(row.health)
        now = self._clock()
        state = state_of(row.seen, now, shut=known.standing in SHUT)
        warning = warning_of(state, health, now, self._knocks.get(row.site))
        return {
            "name": row.site,
            "title": row.title,
            "slot": row.slot,
            "standing": known.standing,
            "health": {**health.get("states", {}), "state": state, "warning": warning},
            "versions": health.get("versions", {}),
            "last_seen": row.seen,
            "member_since": row.joined,
            "keys": known.keys,
        }


def site_name(name: str) -> None:
    """Make sure that a name can stand in keys and charters.

    Raises:
        NotReady: it has another form.
    """
    try:
        _SITE.validate_python(name)
    except ValidationError:
        raise NotReady(f"{name!r} is no site name.", "Use a form such as north.example.") from None
