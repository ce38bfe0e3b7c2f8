"""Persons apart from the logs: their names, what is held of them, and how they are erased.

An entry names a person by a random id. The name lies in the directory; without its row the id leads
nowhere, and every proof holds as before. Source: design/ledger.md §12; GDPR Art. 15, 17.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compliance.errors import NotReady
from compliance.records.charter import CharterBody
from compliance.records.envelope import parse_event
from compliance.report.people import person
from compliance.rules.consortium.state import ConsortiumState
from compliance.signing.keys import VerifierKey
from compliance.signing.note import parse
from hub.services.accounts import SHORT_ID
from hub.services.clock import Clock, text_of
from hub.services.ledger import LedgerService
from hub.services.logbook import CONSORTIUM
from hub.storage import accounts as rows
from hub.storage import directory, intents
from hub.storage.database import Database, Transaction


class PeopleService:
    """The directory, and the way out of it.

    Args:
        database: accounts and directory.
        ledger: where it is put on record that somebody was erased.
        clock: the time now.
        researcher: name of the key that speaks for an account.
        exports: folder with copies of bundles, which may hold printed names.
    """

    def __init__(
        self,
        *,
        database: Database,
        ledger: LedgerService,
        clock: Clock,
        researcher: Callable[[int], str],
        exports: Path,
    ) -> None:
        self._database, self._ledger, self._clock = database, ledger, clock
        self._researcher, self._exports = researcher, exports

    def printed(self, entries: Sequence[bytes]) -> Mapping[str, str]:
        """Printed names of the persons in these entries of a study, by key or directory id."""
        said = set(_said_by(entries))
        with self._database.reading() as session:
            everybody = directory.known(session)
        named = {row.dir: row.display or "" for row in everybody}
        named |= {
            self._researcher(row.account): row.display or ""
            for row in everybody
            if row.account is not None
        }
        return {key: name for key, name in named.items() if key in said and name}

    def held(self, name: str) -> dict[str, Any]:
        """Everything that the hub holds about a person.

        Raises:
            NotReady: there is no such account.
        """
        with self._database.reading() as session:
            account = _account(session, name)
            row = directory.of_account(session, account.id)
            mine = [item for item in rows.operations(session) if _about(item, account.id)]
            return {
                "name": account.name,
                "account": account.id,
                "directory": row.dir if row else None,
                "display": row.display if row else None,
                "contact": row.contact if row else None,
                "created": account.created,
                "key": self._researcher(account.id),
                "own_key": account.vkey,
                "roles": [
                    {"role": grant.role, "site": grant.site}
                    for grant in rows.grants_of(session, account.id)
                ],
                "sessions": [
                    {"id": item.token_hash[:SHORT_ID], "created": item.created, "seen": item.seen}
                    for item in rows.sessions_of(session, account.id)
                ],
                "operations": [
                    {"time": item.time, "who": item.who, "what": item.what, "about": item.about}
                    for item in mine
                ],
            }

    def forget(self, name: str, by: str, on_behalf: dict[str, Any] | None = None) -> dict[str, Any]:
        """Erase a person: name, contact, password, roles, sessions. There is no way back.

        What the person did stays in the logs under an id that leads nowhere. Copies of bundles in
        the hub's folder of exports are deleted, because they may hold the printed name.

        Args:
            name: of the account.
            by: who erases, for the record.
            on_behalf: the same person, as the entry names one.

        Raises:
            NotReady: there is no such account, or it is the last administrator.
        """
        with self._writing() as (session, state):
            account = _account(session, name)
            _check_not_last_admin(session, account.id)
            number = account.id
            _empty(session, account, text_of(self._clock))
            about = str(number)
            moment = text_of(self._clock)
            rows.add_operation(session, time=moment, who=by, what="person.erased", about=about)
            index = self._on_record(session, state, number, on_behalf)
        shutil.rmtree(self._exports, ignore_errors=True)
        self._database.scrub("account", "directory", "intent")
        return {"account": number, "index": index}

    @contextmanager
    def _writing(self) -> Iterator[tuple[Transaction, ConsortiumState | None]]:
        if self._ledger.founded() is None:
            with self._database.transaction("accounts") as session:
                yield session, None
            return
        with self._ledger.writing(CONSORTIUM, before=("accounts",)) as session:
            state = self._ledger.state_in(session, CONSORTIUM)
            yield session, state if isinstance(state, ConsortiumState) else None

    def _on_record(
        self,
        session: Transaction,
        state: ConsortiumState | None,
        number: int,
        on_behalf: dict[str, Any] | None,
    ) -> int | None:
        """Say that it was done, not of whom; a researcher's key is silent from now on."""
        if state is None:
            return None
        key = self._researcher(number)
        known = state.researchers.get(key)
        if known is not None and known.left is None:
            body = {"name": key, "on_behalf": on_behalf}
            self._ledger.say_in(session, CONSORTIUM, "researcher.left", body)
        said = {"what": "directory", "commitment": None}
        return self._ledger.say_in(session, CONSORTIUM, "erasure.done", said).index


def _account(session: Transaction, name: str) -> rows.AccountRow:
    found = rows.account_named(session, name)
    if found is None:
        raise NotReady(f"there is no account {name!r}.", "List them: consilium hub user list.")
    return found


def _check_not_last_admin(session: Transaction, number: int) -> None:
    admins = {
        row.id
        for row in rows.all_accounts(session)
        if any(grant.role == "admin" for grant in rows.grants_of(session, row.id))
    }
    if admins == {number}:
        raise NotReady(
            "this is the last administrator.",
            "Make another one first: consilium hub user add NAME --role admin.",
        )


def _empty(session: Transaction, account: rows.AccountRow, now: str) -> None:
    """Leave numbers only: of the account, of its sessions, of its row in the directory."""
    rows.end_everything(session, account.id, now)
    rows.drop_grants(session, account.id)
    intents.forget(session, account.id, account.name)
    account.name, account.password, account.vkey = f"erased-{account.id}", None, None
    account.failures, account.failed_at = 0, None
    row = directory.of_account(session, account.id)
    if row is not None:
        row.account = row.display = row.contact = None
    session.flush()


def _about(row: rows.OperationRow, number: int) -> bool:
    return row.who == str(number) or row.about.split(" ", 1)[0] == str(number)


def _said_by(entries: Sequence[bytes]) -> Iterator[str]:
    """Directory ids and the researcher's key in these entries."""
    for note in entries:
        body = parse_event(parse(note).text).body
        if isinstance(body, CharterBody):
            yield VerifierKey.parse(body.researcher).name
        yield person(body)
