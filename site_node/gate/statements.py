"""Statements of this site: sealed with its key, kept before they leave, delivered until taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compliance.canonical import decode, encode, sha256_id
from compliance.errors import NotReady, Refused, Unreachable
from compliance.ledger.merkle import leaf_hash
from compliance.records.consortium import DatasetRegistered
from compliance.records.envelope import parse_event, write_event
from compliance.records.sealed import Sealed, seal_payload
from compliance.records.types import seconds_of, time_text
from compliance.rules.arrival import LATENESS
from compliance.signing.keys import SigningKey
from compliance.signing.note import parse, seal
from site_node.gate.hub_client import HubClient
from site_node.gate.journal import Clock, Journal
from site_node.store import outbox
from site_node.store import studies as documents
from site_node.store.journal import Sessions, Transaction

ALREADY = ("event.replay", "site.withdrawn")
TOO_OLD = "time.order"
SEALED = b'"sealed":"sha256:'
NOT_HEARD = ("request.site", "request.signature", "request.time", "request.replay")
"""The hub did not listen to this hospital at all: nothing was said of the statement, it waits."""


class Statements:
    """Seals, keeps and delivers what this site says.

    Args:
        sessions: the site's database.
        journal: the site's own record.
        clock: the time now.
        nonce: 32 hex digits, new each time.
        node: the node key, for what is said again.
    """

    def __init__(
        self,
        *,
        sessions: Sessions,
        journal: Journal,
        clock: Clock,
        nonce: Callable[[], str],
        node: Callable[[], SigningKey],
    ) -> None:
        self._sessions, self._journal = sessions, journal
        self._clock, self._nonce, self._node = clock, nonce, node

    def seal(
        self,
        kind: str,
        body: dict[str, Any],
        *,
        log: str,
        key: SigningKey,
        detail: Sealed | None = None,
    ) -> bytes:
        """Make one signed note; it is not kept yet. With a detail it commits to that."""
        text = write_event(
            kind,
            body,
            time=time_text(self._clock()),
            actor=key.name,
            log=log,
            nonce=self._nonce(),
            sealed=None if detail is None else detail.commitment,
        )
        return seal(text, key)

    def detail(self, payload: dict[str, Any]) -> Sealed:
        """A payload that a statement will commit to, with a new salt; it is not kept yet."""
        return seal_payload(payload, bytes.fromhex(self._nonce()))

    def keep_detail(self, session: Transaction, detail: Sealed) -> None:
        """Keep a detail in the transaction of the statement that commits to it."""
        data = encode({"salt": detail.salt.hex(), "payload": detail.payload})
        documents.keep_document(session, detail.commitment, data)

    def keep(self, session: Transaction, note: bytes, *, study: str | None, way: str) -> None:
        """Put a note into the outbox in the caller's transaction."""
        outbox.keep_note(
            session,
            text_sha256=sha256_id(parse(note).text),
            leaf_hash=leaf_hash(note),
            note=note,
            study=study,
            way=way,
            at=time_text(self._clock()),
        )

    def deliver(self, hub: HubClient) -> int:
        """Hand over what waits, oldest first; returns how many were taken.

        A refusal of the hub is remembered with its rule and not tried again; an unreachable hub
        leaves everything waiting. What waited so long that the log went on is said again with the
        time of now.
        """
        with self._sessions() as session:
            rows = outbox.waiting_notes(session)
        taken = 0
        for row in rows:
            try:
                self._hand_over(hub, row)
            except Unreachable:
                break
            except (Refused, NotReady) as error:
                taken += self._answered(row, error)
                continue
            with self._sessions.begin() as session:
                outbox.mark_delivered(session, row.text_sha256, time_text(self._clock()))
            taken += 1
        return taken

    def _hand_over(self, hub: HubClient, row: outbox.OutboxRow) -> None:
        if row.way != outbox.DATASETS:
            index = hub.append(str(row.study), row.note)
            if SEALED in row.note:
                self._hand_in(hub, row, index)
            return
        hub.register_dataset(row.note)
        body = parse_event(parse(row.note).text).body
        if isinstance(body, DatasetRegistered):
            with self._sessions() as session:
                description = documents.find_document(session, body.description_sha256)
            if description is not None:
                hub.describe_dataset(body.dataset, body.version, description)

    def _hand_in(self, hub: HubClient, row: outbox.OutboxRow, index: int) -> None:
        """Bring the detail of an own statement; the hub's no is told here, the statement stands.

        While the hub is away the statement waits too: the same one again gets the same place.
        """
        sealed = parse_event(parse(row.note).text).sealed
        with self._sessions() as session:
            data = documents.find_document(session, str(sealed))
        if data is None:
            return
        try:
            hub.hand_in(str(row.study), index, decode(data))
        except (Refused, NotReady) as error:
            self._journal.write("detail.refused", study=row.study, said=str(error))

    def _answered(self, row: outbox.OutboxRow, error: Refused | NotReady) -> int:
        if isinstance(error, NotReady) or error.rule in NOT_HEARD:
            return 0  # busy, or not yet possible: it waits
        with self._sessions.begin() as session:
            if error.rule in ALREADY:
                outbox.mark_delivered(session, row.text_sha256, time_text(self._clock()))
                return 1
            if error.rule == TOO_OLD:
                self._say_again(session, row)
            outbox.mark_refused(session, row.text_sha256, error.rule)
            self._journal.within(
                session, "refused.by.hub", study=row.study, rule=error.rule, said=str(error)
            )
        return 0

    def _say_again(self, session: Transaction, row: outbox.OutboxRow) -> None:
        """Keep the same words with the time of now, if they waited and need no person's key."""
        event, node = parse_event(parse(row.note).text), self._node()
        waited = self._clock() - seconds_of(event.time) > LATENESS
        if not waited or event.actor != node.name or event.sealed or not event.log:
            return
        note = self.seal(event.type, event.body.plain(), log=event.log, key=node)
        self.keep(session, note, study=row.study, way=row.way)

    def waiting(self, study: str | None = None) -> int:
        """How many statements wait for the hub, in all or for one log."""
        with self._sessions() as session:
            return len(outbox.waiting_notes(session, study))
