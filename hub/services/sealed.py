"""Sealed details: kept beside the log, read by few, erased without breaking a proof.

A payload is taken only where an entry of the log commits to it already, or together with that
entry in one transaction. An erasure is itself an entry; it says that it was done, not what it was.

Source: design/ledger.md §12.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from compliance.errors import Malformed, NotProven, NotReady, Refused
from compliance.records.envelope import Event, parse_event
from compliance.records.sealed import Sealed, open_sealed, seal_payload
from compliance.records.types import Text2000
from compliance.rules.logs import family_of
from compliance.signing.note import parse
from hub.services.clock import Clock, Random, text_of
from hub.services.ledger import LedgerService, Receipt
from hub.services.logbook import must_exist
from hub.storage import intents, ledger
from hub.storage import sealed as rows
from hub.storage.database import Database, Transaction

SALT_BYTES = 16
KEPT, ERASED, NEVER = "kept", "erased", "not here"
MARK = b'"sealed":"sha256:'
REMARKED = ("review.note", "study.stop")
"""Acts with a remark: what was typed for them is erased with it."""

_TEXT: TypeAdapter[str] = TypeAdapter(Text2000)


@dataclass(frozen=True)
class Committed:
    """An entry that commits to a payload, and whether that is here."""

    index: int
    event: Event
    state: str
    erased_at: str | None = None

    @property
    def commitment(self) -> str:
        """What its envelope carries."""
        return self.event.sealed or ""

    def plain(self) -> dict[str, Any]:
        """For people and machines; nothing of the payload."""
        return {
            "index": self.index,
            "type": self.event.type,
            "actor": self.event.actor,
            "time": self.event.time,
            "commitment": self.commitment,
            "state": self.state,
            "erased_at": self.erased_at,
        }


class SealedService:
    """Keeps, opens and erases sealed payloads.

    Args:
        database: where they lie.
        ledger: the logs.
        clock: the time now.
        random: source of salts.
    """

    def __init__(
        self, *, database: Database, ledger: LedgerService, clock: Clock, random: Random
    ) -> None:
        self._database, self._ledger = database, ledger
        self._clock, self._random = clock, random

    def say(
        self,
        log: str,
        kind: str,
        body: dict[str, Any],
        *,
        payload: dict[str, Any],
        on_behalf: dict[str, Any] | None = None,
    ) -> tuple[Receipt, str]:
        """Say something in the hub's name with a sealed payload; returns place and commitment.

        Entry and payload are written together or not at all.
        """
        sealed = seal_payload(payload, self._random(SALT_BYTES))
        receipt = self._ledger.say(
            log,
            kind,
            body,
            on_behalf=on_behalf,
            sealed=sealed.commitment,
            also=lambda session: keep_sealed(session, log, sealed),
        )
        return receipt, sealed.commitment

    def remarked(
        self,
        log: str,
        kind: str,
        body: dict[str, Any],
        remark: Any,
        *,
        on_behalf: dict[str, Any] | None = None,
    ) -> tuple[Receipt, str | None]:
        """Say something in the hub's name, with a sealed remark of one paragraph if there is one.

        Raises:
            Malformed: the remark is no text of at most 2,000 characters; nothing is said.
        """
        told = _remark(remark)
        if told is None:
            return self._ledger.say(log, kind, body, on_behalf=on_behalf), None
        return self.say(log, kind, body, payload={"remark": told}, on_behalf=on_behalf)

    def keep(self, log: str, index: int, sealed: Sealed) -> None:
        """Keep the payload of an entry that its author brings afterwards; twice is no harm.

        Raises:
            NotProven: the entry commits to another payload.
            NotReady: there is no such entry, or it commits to nothing.
            Refused: the payload was erased; it does not come back.
        """
        with self._database.transaction(log) as session:
            event = _committed(session, log, index)
            if event.sealed != sealed.commitment:
                raise NotProven(
                    "sealed", "salt and payload are not those that the entry commits to."
                )
            row = rows.find_sealed(session, sealed.commitment)
            if row is None:
                keep_sealed(session, log, sealed)
            elif row.log != log or row.payload is None:
                raise Refused("sealed.erased", sentence="This payload was erased; it stays so.")

    def find(self, log: str, index: int) -> Committed:
        """An entry that commits to a payload, without opening it.

        Raises:
            NotReady: there is no such entry, or it commits to nothing.
        """
        with self._database.reading() as session:
            event = _committed(session, log, index)
            return _told(index, event, rows.sealed_of(session, log))

    def all(self, log: str) -> list[Committed]:
        """Every entry of a log that commits to a payload, in order."""
        kinds = family_of(log).kinds
        with self._database.reading() as session:
            must_exist(session, log)
            notes = enumerate(ledger.read_entries(session, log, 0))
            known = rows.sealed_of(session, log)
        found = [(index, parse_event(parse(note).text, kinds=kinds))
                 for index, note in notes if MARK in note]  # fmt: skip
        return [_told(index, event, known) for index, event in found if event.sealed]

    def open(self, log: str, index: int) -> dict[str, Any]:
        """The payload of an entry with its salt, checked against what the entry commits to.

        Raises:
            NotReady: it was erased, or never came.
            NotProven: what is kept here was changed.
        """
        with self._database.reading() as session:
            event = _committed(session, log, index)
            row = rows.sealed_of(session, log).get(event.sealed or "")
            told = _told(index, event, {row.commitment: row} if row else {})
        if row is None or row.salt is None or row.payload is None:
            when = f"was erased at {told.erased_at}" if told.erased_at else "was never handed in"
            raise NotReady(
                f"the sealed detail of entry {index} {when}.",
                "The entry and every proof of it hold without it.",
            )
        payload = open_sealed(told.commitment, row.salt, row.payload)
        return told.plain() | {"salt": row.salt.hex(), "payload": payload}

    def erase(self, log: str, index: int) -> dict[str, Any]:
        """Delete salt and payload of an entry for ever; a second time changes nothing.

        `erasure.done` is written in the same transaction.

        Raises:
            NotReady: there is no such entry, it commits to nothing, or nothing is kept of it.
        """
        with self._ledger.writing(log) as session:
            must_exist(session, log)
            event = _committed(session, log, index)
            row = rows.sealed_of(session, log).get(event.sealed or "")
            if row is None:
                raise NotReady(
                    f"the sealed detail of entry {index} was never handed in.",
                    "There is nothing to erase at this hub; ask the author.",
                )
            if row.payload is not None:
                now = text_of(self._clock)
                rows.empty(session, row, now)
                for action in REMARKED:
                    intents.blank(session, log, action, now)
                body = {"what": "sealed", "commitment": row.commitment}
                self._ledger.say_in(session, log, "erasure.done", body)
            told = _told(index, event, {row.commitment: row})
        self._database.scrub("sealed_payload", "intent")
        return told.plain()


def _remark(text: Any) -> str | None:
    if text is None or text == "":
        return None
    try:
        return _TEXT.validate_python(text)
    except ValidationError:
        raise Malformed(
            "remark", "it is no text of at most 2000 characters without line breaks"
        ) from None


def keep_sealed(session: Transaction, log: str, sealed: Sealed) -> None:
    """Keep a payload in the transaction of the entry that commits to it."""
    row = rows.SealedRow(
        commitment=sealed.commitment,
        log=log,
        salt=sealed.salt,
        payload=sealed.data,
        erased_at=None,
    )
    rows.add_sealed(session, row)


def _committed(session: Transaction, log: str, index: int) -> Event:
    must_exist(session, log)
    found = ledger.read_entries(session, log, index, index + 1) if index >= 0 else []
    event = parse_event(parse(found[0]).text, kinds=family_of(log).kinds) if found else None
    if event is None or event.sealed is None:
        raise NotReady(
            f"entry {index} commits to no sealed detail.",
            "List those that do: consilium hub seal show STUDY.",
        )
    return event


def _told(index: int, event: Event, known: dict[str, rows.SealedRow]) -> Committed:
    row = known.get(event.sealed or "")
    if row is None:
        return Committed(index, event, NEVER)
    state = KEPT if row.payload is not None else ERASED
    return Committed(index, event, state, row.erased_at)
