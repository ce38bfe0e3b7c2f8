"""Motions: texts that wait for signatures. With enough of them a text becomes an entry.

Nothing in these tables decides: after each signature the rules of the log judge the whole note.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import Malformed, NotReady, Refused
from compliance.records.envelope import Event, parse_event
from compliance.records.members import MemberAdmitted
from compliance.records.types import time_text
from compliance.rules.logs import LIFTED_BY_SIGNATURES, State, family_of
from compliance.rules.signers import OF_CONSORTIUM, OF_STUDY, Signers, may_sign
from compliance.rules.verdict import Denied
from compliance.signing.note import assemble, parse_line
from hub.services.clock import Clock, text_of
from hub.services.ledger import LedgerService, refused
from hub.services.logbook import CONSORTIUM
from hub.storage import motions as rows
from hub.storage.database import Database, Transaction

DAYS = 30
SHOWN = 50
OPEN, CARRIED, REFUSED, EXPIRED = "open", "carried", "refused", "expired"
Founded = Callable[[Transaction], None]


class MotionService:
    """Texts that wait for signatures.

    Args:
        database: where they lie.
        ledger: the logs that they become entries of.
        clock: the time now.
        founded: writes what follows the agreement, in the same transaction.
    """

    def __init__(
        self, *, database: Database, ledger: LedgerService, clock: Clock, founded: Founded
    ) -> None:
        self._database, self._ledger, self._clock = database, ledger, clock
        self._founded = founded

    def lay(self, log: str, text: bytes) -> str:
        """Lay a text of the hub itself before its signers; returns the motion's id.

        Raises:
            NotReady: it is there already.
        """
        self._event(log, text)
        with self._database.transaction("motions") as session:
            self._add(session, log, text)
        return sha256_id(text)

    def propose(self, log: str, text: bytes, line: str, *, newcomer: str = "") -> dict[str, Any]:
        """Take a new text with its first signature.

        Args:
            log: `consortium`, or a study.
            text: the statement, as it was signed.
            line: the signature line.
            newcomer: a hospital that is no member; it may ask for its own admission only.

        Raises:
            Refused: no signature that can count, or a rule that no further signature lifts.
            Malformed: no statement of a kind that can wait.
            NotReady: there is no such log.
        """
        event = self._event(log, text)
        body = event.body
        if event.type == "agreement":
            raise Refused("authority", sentence="The hub writes the agreement: `hub found`.")
        if newcomer and not (isinstance(body, MemberAdmitted) and body.site == newcomer):
            raise Refused("authority", newcomer, "a member, or a hospital's own admission")
        with self._writing(log) as session:
            row = rows.find_motion(session, sha256_id(text)) or self._add(session, log, text)
            denied = self._take(session, row, event, line)
            if denied is not None:
                raise refused(denied)
        return self.get(row.motion)

    def sign(self, motion: str, line: str) -> dict[str, Any]:
        """Take one more signature; with enough of them the text becomes an entry.

        Raises:
            Refused: a key that cannot sign this, or a rule that no further signature lifts.
            NotReady: unknown, or it waits no more.
        """
        with self._database.reading() as session:
            log = self._row(session, motion).log
        with self._writing(log) as session:
            row = self._row(session, motion)
            event = self._event(log, row.text)
            state = self._state(row)
            if state == CARRIED:
                return self._plain(session, row)
            if state != OPEN:
                raise NotReady(f"this text is {state}.", "Propose a new one.")
            denied = self._take(session, row, event, line)
        if denied is not None:
            raise refused(denied)
        return self.get(motion)

    def get(self, motion: str) -> dict[str, Any]:
        """A motion with its text, signatures and who could still sign.

        Raises:
            NotReady: unknown.
        """
        with self._database.reading() as session:
            row = self._row(session, motion)
            return self._plain(session, row)

    def log_of(self, motion: str) -> str:
        """The log that a motion belongs to.

        Raises:
            NotReady: unknown.
        """
        with self._database.reading() as session:
            return self._row(session, motion).log

    def all(self) -> list[dict[str, Any]]:
        """Every motion that waits, then those that were carried last."""
        since = time_text(self._clock() - timedelta(days=DAYS))
        with self._database.reading() as session:
            found = [*rows.open_motions(session, since), *rows.carried_motions(session, SHOWN)]
            return [self._plain(session, row) for row in found]

    def waiting(self) -> int:
        """How many texts wait for signatures."""
        since = time_text(self._clock() - timedelta(days=DAYS))
        with self._database.reading() as session:
            return len(rows.open_motions(session, since))

    def _writing(self, log: str) -> AbstractContextManager[Transaction]:
        logs = (log,) if log == CONSORTIUM else (log, CONSORTIUM)
        return self._ledger.writing(*logs, before=("motions",))

    def _event(self, log: str, text: bytes) -> Event:
        kinds = OF_CONSORTIUM if log == CONSORTIUM else OF_STUDY
        event = parse_event(text, kinds=family_of(log).kinds)
        if event.type not in kinds:
            raise Malformed("motion", f"{event.type} waits for nobody: send it as an entry")
        return event

    def _add(self, session: Transaction, log: str, text: bytes) -> rows.MotionRow:
        if rows.find_motion(session, sha256_id(text)) is not None:
            raise NotReady("this text waits already.", "Sign it: `consilium site motions`.")
        row = rows.MotionRow(
            motion=sha256_id(text),
            log=log,
            kind=parse_event(text, kinds=family_of(log).kinds).type,
            text=text,
            created=text_of(self._clock),
            state=OPEN,
        )
        rows.add_motion(session, row)
        return row

    def _take(
        self, session: Transaction, row: rows.MotionRow, event: Event, line: str
    ) -> Denied | None:
        """Keep a signature and ask the rules; what they deny for good is returned."""
        state = self._ledger.state_in(session, row.log)
        signers = may_sign(state, event)
        parsed = parse_line(line)
        key = signers.get(parsed.name)
        if key is None or parsed.key_id != key.key_id:
            raise Refused("event.signer", parsed.name, ", ".join(sorted(signers)) or "nobody")
        if not key.verifies(row.text, parsed.signature):
            raise Refused("event.signer", sentence="The signature does not verify.")
        signature = rows.MotionSignatureRow(
            motion=row.motion, key_name=key.name, line=line.strip(), time=text_of(self._clock)
        )
        rows.add_motion_signature(session, signature)
        return self._try(session, row, state, signers)

    def _try(
        self, session: Transaction, row: rows.MotionRow, state: State | None, signers: Signers
    ) -> Denied | None:
        lines = [item.line for item in rows.motion_signatures(session, row.motion)]
        note = assemble(row.text, [line for line in lines if _counts(line, signers)])
        verdict = family_of(row.log).judge(state, note, now=text_of(self._clock))
        if isinstance(verdict, Denied):
            if verdict.rule in LIFTED_BY_SIGNATURES:
                return None
            row.state, row.rule = REFUSED, verdict.rule
            return verdict
        if state is None:
            row.idx = self._ledger.begin(session, row.log, note).index
            self._founded(session)
        else:
            row.idx = self._ledger.append_in(session, row.log, note).index
        row.state = CARRIED
        return None

    def _state(self, row: rows.MotionRow) -> str:
        return EXPIRED if row.state == OPEN and self._clock() > _end(row) else row.state

    def _plain(self, session: Transaction, row: rows.MotionRow) -> dict[str, Any]:
        event = parse_event(row.text, kinds=family_of(row.log).kinds)
        signed = rows.motion_signatures(session, row.motion)
        state = self._state(row)
        wanting = self._wanting(row, event, {item.key_name for item in signed})
        return {
            "id": row.motion,
            "log": row.log,
            "kind": row.kind,
            "actor": event.actor,
            "text_base64": base64.b64encode(row.text).decode(),
            "body": event.body.plain(),
            "created": row.created,
            "expires": time_text(_end(row)),
            "state": state,
            "rule": row.rule,
            "signatures": [
                {"name": item.key_name, "line": item.line, "time": item.time} for item in signed
            ],
            "wanting": wanting if state == OPEN else [],
            "index": row.idx,
        }

    def _wanting(self, row: rows.MotionRow, event: Event, signed: set[str]) -> list[str]:
        if row.log == CONSORTIUM:
            state: State | None = self._ledger.founded()
        else:
            state = self._ledger.state_of(row.log)
        return sorted(set(may_sign(state, event)) - signed)

    def _row(self, session: Transaction, motion: str) -> rows.MotionRow:
        row = rows.find_motion(session, motion)
        if row is None:
            raise NotReady(f"there is no motion {motion}.", "List them: GET /motions.")
        return row


def _counts(line: str, signers: Signers) -> bool:
    parsed = parse_line(line)
    key = signers.get(parsed.name)
    return key is not None and key.key_id == parsed.key_id


def _end(row: rows.MotionRow) -> datetime:
    return datetime.fromisoformat(row.created) + timedelta(days=DAYS)
