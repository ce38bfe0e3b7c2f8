"""Acts that wait for a yes: prepared by a person, confirmed on a plain page, done exactly once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from compliance.canonical import digest_of
from compliance.errors import NotReady, Refused
from hub.services.accounts import AccountService, Person
from hub.services.clock import Clock, Random, text_of
from hub.storage import intents as rows
from hub.storage.database import Database

MINUTES = 5
TYPED = 8


@dataclass(frozen=True)
class Act:
    """One kind of act: who may, what it says, whether a password or typing is asked, what it does.

    Args:
        roles: roles of which one is needed.
        words: one sentence.
        consequences: what follows, as bullets.
        step_up: whether the password is asked again.
        typed: whether the first characters of the object must be typed.
        do: person, object, body → result.
    """

    roles: tuple[str, ...]
    words: str
    consequences: tuple[str, ...]
    step_up: bool
    typed: bool
    do: Callable[[Person, str, dict[str, Any]], dict[str, Any]]


class IntentService:
    """Prepares and confirms acts.

    Args:
        database: keeps intents.
        accounts: asks the password again.
        acts: every act by its name.
        clock: the time now.
        random: source of ids.
    """

    def __init__(
        self,
        *,
        database: Database,
        accounts: AccountService,
        acts: dict[str, Act],
        clock: Clock,
        random: Random,
    ) -> None:
        self._database, self._accounts, self._acts = database, accounts, acts
        self._clock, self._random = clock, random

    def prepare(
        self, person: Person, action: str, subject: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        """Keep an act until it is confirmed.

        Raises:
            NotReady: no such act.
            Refused: this person may not.
        """
        act = self._act(person, action)
        number = self._random(16).hex()
        row = rows.IntentRow(
            id=number,
            account=person.number,
            session=person.session,
            action=action,
            object=subject,
            body=json.dumps(body, sort_keys=True),
            expires=text_of(self._clock, timedelta(minutes=MINUTES)),
        )
        with self._database.transaction() as session:
            rows.add(session, row)
        return self._plain(row, act)

    def show(self, person: Person, number: str) -> dict[str, Any]:
        """What the confirm page says.

        Raises:
            NotReady: unknown, or another person's.
        """
        row = self._row(person, number)
        return self._plain(row, self._act(person, row.action))

    def confirm(
        self,
        person: Person,
        number: str,
        password: str | None,
        typed: str | None,
        seen: str | None = None,
    ) -> dict[str, Any]:
        """Do the act; a second confirmation returns the first result.

        Args:
            person: who confirms, in the session that prepared it.
            number: the intent.
            password: asked again where the act needs it.
            typed: the first characters of the object, where it cannot be undone.
            seen: `object_hash` as the page showed it; another one means it was changed since.

        Raises:
            Refused: expired, wrong password, wrong typing, or the act's own refusal.
        """
        row = self._row(person, number)
        if row.result is not None:
            return dict(json.loads(row.result))
        act = self._act(person, row.action)
        if row.expires <= text_of(self._clock):
            raise Refused("intent.expired", sentence="Please look again: the page has expired.")
        if seen is not None and seen != _hash(row):
            raise Refused("intent.changed", sentence="Please look again: the act was changed.")
        if act.step_up:
            self._accounts.confirm(person, password or "")
        if act.typed and typed != _short(row.object):
            raise Refused("intent.typed", sentence=f"Type {_short(row.object)} to confirm.")
        return self._once(person, row, act)

    def _once(self, person: Person, row: rows.IntentRow, act: Act) -> dict[str, Any]:
        with self._database.transaction(f"intent {row.id}") as session:
            fresh = session.get_one(rows.IntentRow, row.id)
            if fresh.result is not None:
                return dict(json.loads(fresh.result))
            fresh.result = json.dumps({"running": True})
        result: dict[str, Any] | None = None
        try:
            result = act.do(person, row.object, json.loads(row.body))
        finally:
            with self._database.transaction(f"intent {row.id}") as session:
                done = session.get_one(rows.IntentRow, row.id)
                done.result = None if result is None else json.dumps({"result": result})
        return {"result": result}

    def _act(self, person: Person, action: str) -> Act:
        act = self._acts.get(action)
        if act is None:
            raise NotReady(f"there is no act {action!r}.", f"Acts: {', '.join(self._acts)}.")
        if not person.has(*act.roles):
            raise Refused("authority", person.name, " or ".join(act.roles))
        return act

    def _row(self, person: Person, number: str) -> rows.IntentRow:
        with self._database.reading() as session:
            row = rows.find_intent(session, number)
        if row is None or (row.account, row.session) != (person.number, person.session):
            raise NotReady("this page is not known.", "Begin again.")
        return row

    def _plain(self, row: rows.IntentRow, act: Act) -> dict[str, Any]:
        return {
            "id": row.id,
            "action": row.action,
            "object": row.object,
            "object_hash": _hash(row),
            "words": act.words.format(object=row.object),
            "consequences": list(act.consequences),
            "needs_step_up": act.step_up,
            "typed": _short(row.object) if act.typed else None,
            "expires": row.expires,
            "done": row.result is not None,
        }


def _hash(row: rows.IntentRow) -> str:
    return digest_of({"action": row.action, "object": row.object, "body": row.body})


def _short(subject: str) -> str:
    return subject.removeprefix("sha256:")[:TYPED]
