"""People: accounts, one-time enrolment, revocable sessions.

No default password and no self sign-up: an account begins with a one-time link. Tokens and codes
are stored as hashes only.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from compliance.errors import NotReady, Refused
from hub.services.clock import Clock, Random, text_of
from hub.services.members import site_name
from hub.services.numbers import Numbers
from hub.services.passwords import Passwords
from hub.storage import accounts as rows
from hub.storage import directory
from hub.storage.database import Database, Transaction

ROLES = ("researcher", "steward", "auditor", "admin")
MIN_PASSWORD = 12
ENROLMENT_HOURS = 24
PATIENT_FAILURES = 5
LONGEST_WAIT = 60
SHORT_ID = 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}")


@dataclass(frozen=True)
class Person:
    """Who is asking: account, roles, the session by the hash of its token, the directory's id."""

    number: int
    name: str
    roles: tuple[tuple[str, str], ...]
    session: str
    dir: str

    @property
    def who(self) -> dict[str, Any]:
        """How an entry names this person: an id of the directory, and how the person signed in."""
        return _who(self.dir)

    def has(self, *roles: str) -> bool:
        """Whether one of these roles was granted."""
        return any(role in roles for role, _ in self.roles)

    def sites(self) -> list[str]:
        """Sites for which this person is a steward."""
        return sorted(site for role, site in self.roles if role == "steward" and site)


class AccountService:
    """Accounts and sessions.

    Args:
        database: where accounts lie.
        clock: the time now.
        random: source of codes and tokens.
        passwords: makes and checks hashes.
        numbers: chooses the number of a new account.
        idle: life of a session without use.
        longest: life of a session at most.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        random: Random,
        passwords: Passwords,
        numbers: Numbers,
        idle: timedelta = timedelta(minutes=30),
        longest: timedelta = timedelta(hours=8),
    ) -> None:
        self._database, self._clock, self._random = database, clock, random
        self._passwords, self._idle, self._longest = passwords, idle, longest
        self._numbers = numbers

    def add(
        self,
        name: str,
        role: str,
        site: str = "",
        *,
        by: str = "hub",
        display: str = "",
        contact: str = "",
        number: int | None = None,
    ) -> str:
        """Add a person with a role, or give another role; returns a one-time enrolment code.

        Args:
            name: letters, digits, dots and hyphens.
            role: one of `ROLES`.
            site: the site of a steward.
            by: who gives the role, for the record.
            display: name to print in reports; the account's name if none is given.
            contact: how to reach the person; kept in the directory only.
            number: of a researcher whom the logs know from a lost hub.

        Raises:
            NotReady: the role is unknown, a steward without a site, no name, or not that number.
        """
        if role not in ROLES:
            raise NotReady(f"there is no role {role!r}.", f"Say one of: {', '.join(ROLES)}.")
        if (role == "steward") != bool(site):
            raise NotReady("a steward, and only a steward, belongs to a site.", "Use --site NAME.")
        if site:
            site_name(site)
        if not _NAME.fullmatch(name):
            raise NotReady(f"{name!r} is no name.", "Use letters, digits, dots and hyphens.")
        now = text_of(self._clock)
        code = self._random(32).hex()
        with self._database.transaction("accounts") as session:
            found = rows.account_named(session, name)
            if found is None:
                place = self._numbers.choose(session, number, role)
                fresh = rows.AccountRow(id=place, name=name, created=now, failures=0)
                found = rows.add_account(session, fresh)
                person = directory.DirectoryRow(dir=self._new_dir(), account=found.id, display=name)
                directory.add(session, person)
            self._printed(session, found.id, display, contact)
            rows.add_grant(session, rows.GrantRow(account=found.id, role=role, site=site))
            expires = text_of(self._clock, timedelta(hours=ENROLMENT_HOURS))
            rows.add_enrolment(
                session,
                rows.EnrolmentRow(code_hash=_hash(code), account=found.id, expires=expires),
            )
            about = f"{found.id} {role} {site}".strip()
            rows.add_operation(session, time=now, who=by, what="role.granted", about=about)
        return code

    def enrolment(self, code: str) -> dict[str, object]:
        """Whose one-time code this is.

        Raises:
            Refused: unknown, used or expired.
        """
        with self._database.reading() as session:
            row = self._open_enrolment(rows.find_enrolment(session, _hash(code)))
            found = rows.account(session, row.account)
            roles = [grant.role for grant in rows.grants_of(session, row.account)]
        return {"name": found.name if found else "", "roles": roles}

    def enrol(self, code: str, password: str) -> str:
        """Choose a password with a one-time code; returns the account's name.

        Whoever asks for a new password fears for the old one: every session of the account ends,
        and no older code of it opens anything any more.

        Raises:
            Refused: the code is unknown, used or expired.
            NotReady: the password is too short.
        """
        if len(password) < MIN_PASSWORD:
            raise NotReady(
                f"the password has fewer than {MIN_PASSWORD} characters.", "Choose a longer one."
            )
        self.enrolment(code)  # a stranger must not make us compute
        hashed = self._passwords.hash(password)
        now = text_of(self._clock)
        with self._database.transaction("accounts") as session:
            row = self._open_enrolment(rows.find_enrolment(session, _hash(code)))
            found = rows.account(session, row.account)
            if found is None:
                raise _no_code()
            rows.end_everything(session, found.id, now)
            row.used_at, found.password, found.failures = now, hashed, 0
            rows.add_operation(session, time=now, who=str(found.id), what="enrolled", about="")
            return found.name

    def sign_in(self, name: str, password: str) -> tuple[str, Person]:
        """Check a password and begin a session; returns its token, which is shown once.

        Raises:
            Refused: name or password is wrong (`auth.password`), or too many tries (`auth.wait`).
        """
        now = self._clock()
        with self._database.reading() as session:
            found = rows.account_named(session, name)
            if found is not None:
                _wait(found, now)
            stored = found.password if found is not None else None
        if not self._passwords.right(password, stored) or found is None:
            self._failed(name)
            raise Refused("auth.password", sentence="The name or the password is wrong.")
        token = self._random(32).hex()
        moment = text_of(self._clock)
        with self._database.transaction("accounts") as session:
            account = rows.account(session, found.id)
            if account is not None:
                account.failures = 0
            row = rows.SessionRow(
                token_hash=_hash(token), account=found.id, created=moment, seen=moment
            )
            rows.add_session(session, row)
            rows.add_operation(session, time=moment, who=str(found.id), what="signed.in", about="")
        return token, self.person(token)

    def person(self, token: str, *, background: bool = False) -> Person:
        """Who holds this token.

        Args:
            token: as it was given at sign-in.
            background: a poll of a live page; it does not keep an idle session alive.

        Raises:
            Refused: unknown, ended, idle too long or too old (`auth.session`).
        """
        now = self._clock()
        with self._database.reading() as session:
            row = rows.find_session(session, _hash(token))
            if row is None or row.ended or self._too_old(row, now):
                raise _ended()
            found = rows.account(session, row.account)
            roles = tuple((g.role, g.site) for g in rows.grants_of(session, row.account))
            entered = directory.of_account(session, row.account)
            stale = (now - datetime.fromisoformat(row.seen)).total_seconds() > 60  # noqa: PLR2004 - once a minute is enough
        if stale and not background:
            with self._database.transaction() as session:
                seen = rows.find_session(session, _hash(token))
                if seen is not None:
                    seen.seen = text_of(self._clock)
        if found is None or entered is None:
            raise _ended()
        return Person(row.account, found.name, roles, row.token_hash, entered.dir)

    def who(self, number: int) -> dict[str, Any]:
        """How an entry names the person of an account.

        Raises:
            Refused: the person was erased.
        """
        with self._database.reading() as session:
            entered = directory.of_account(session, number)
        if entered is None:
            raise _ended()
        return _who(entered.dir)

    def sign_out(self, token_hash: str) -> None:
        """End a session."""
        with self._database.transaction() as session:
            row = rows.find_session(session, token_hash)
            if row is not None:
                row.ended = text_of(self._clock)

    def confirm(self, person: Person, password: str) -> None:
        """Ask for the password again before a binding act.

        Raises:
            Refused: it is wrong.
        """
        with self._database.reading() as session:
            found = rows.account(session, person.number)
            stored = found.password if found is not None else None
            if found is not None:
                _wait(found, self._clock())
        if not self._passwords.right(password, stored):
            self._failed(person.name)
            raise Refused("auth.password", sentence="The password is wrong; nothing was done.")

    def sessions(self, person: Person) -> list[dict[str, str]]:
        """The person's own open sessions."""
        with self._database.reading() as session:
            found = rows.sessions_of(session, person.number)
            return [
                {"id": row.token_hash[:SHORT_ID], "created": row.created, "seen": row.seen}
                for row in found
            ]

    def end_session(self, person: Person, short: str) -> None:
        """End one of the person's own sessions by the id that `sessions` shows."""
        with self._database.transaction() as session:
            for row in rows.sessions_of(session, person.number):
                if row.token_hash[:SHORT_ID] == short:
                    row.ended = text_of(self._clock)

    def set_key(self, person: Person, vkey: str) -> None:
        """Register the researcher's own public key."""
        with self._database.transaction() as session:
            found = rows.account(session, person.number)
            if found is not None:
                found.vkey = vkey

    def own_key(self, person: Person) -> str | None:
        """The researcher's own public key, if one was registered."""
        with self._database.reading() as session:
            found = rows.account(session, person.number)
            return found.vkey if found is not None else None

    def everybody(self) -> list[dict[str, object]]:
        """Every account with its roles; no hash, no token."""
        with self._database.reading() as session:
            return [
                {
                    "name": row.name,
                    "enrolled": row.password is not None,
                    "roles": [
                        {"role": grant.role, "site": grant.site}
                        for grant in rows.grants_of(session, row.id)
                    ],
                }
                for row in rows.all_accounts(session)
            ]

    def _new_dir(self) -> str:
        """A new id of the directory: random, so that it tells nothing and cannot be guessed."""
        return base64.b32encode(self._random(17)).decode().lower()[:26]

    def _printed(self, session: Transaction, number: int, display: str, contact: str) -> None:
        entered = directory.of_account(session, number)
        if entered is not None:
            entered.display = display or entered.display
            entered.contact = contact or entered.contact

    def _failed(self, name: str) -> None:
        with self._database.transaction("accounts") as session:
            found = rows.account_named(session, name)
            if found is not None:
                found.failures += 1
                found.failed_at = now = text_of(self._clock)
                who = str(found.id)
                rows.add_operation(session, time=now, who=who, what="password.wrong", about="")

    def _open_enrolment(self, row: rows.EnrolmentRow | None) -> rows.EnrolmentRow:
        if row is None or row.used_at or row.expires <= text_of(self._clock):
            raise _no_code()
        return row

    def _too_old(self, row: rows.SessionRow, now: datetime) -> bool:
        idle = now - datetime.fromisoformat(row.seen) > self._idle
        return idle or now - datetime.fromisoformat(row.created) > self._longest


def _wait(found: rows.AccountRow, now: datetime) -> None:
    extra = found.failures - PATIENT_FAILURES
    if extra < 0 or found.failed_at is None:
        return
    seconds = min(2**extra, LONGEST_WAIT)
    left = seconds - (now - datetime.fromisoformat(found.failed_at)).total_seconds()
    if left > 0:
        raise Refused(
            "auth.wait", sentence=f"Too many wrong passwords. Try again in {int(left) + 1} s."
        )


def _who(directory_id: str) -> dict[str, Any]:
    return {"dir": directory_id, "amr": ["pwd"]}


def _ended() -> Refused:
    return Refused("auth.session", sentence="Your session has ended. Sign in again.")


def _no_code() -> Refused:
    return Refused(
        "auth.code",
        sentence="This one-time link is unknown, used or expired. Ask for another.",
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
