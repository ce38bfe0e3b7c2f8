"""The witness: cosigns a study's log only when it grew, and every new entry obeyed the rules.

One step: fetch the newest checkpoint, fetch what is new, fold it here, prove that the old tree is a
prefix of the new one, compare what was said in this hospital's name with what it really said,
commit, sign, send. On any contradiction: no signature, the evidence is kept, training stops.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from compliance.canonical import sha256_id
from compliance.errors import ConsiliumError, NotReady, Refused
from compliance.ledger.checkpoint import Checkpoint, open_checkpoint, parse_text
from compliance.ledger.cosign import answer, cosign
from compliance.ledger.policy import Policy, policy_of_charter
from compliance.records.envelope import parse_event
from compliance.records.types import time_text
from compliance.rules.state import StudyState
from compliance.signing.note import parse
from site_node.gate.hub_client import HubClient
from site_node.gate.journal import Clock
from site_node.gate.mirror import Mirror, charter_id_of, fold
from site_node.gate.suspicion import (
    Contradiction,
    Identity,
    check_charter,
    check_prefix,
    contradiction,
)
from site_node.store import outbox
from site_node.store import studies as decisions
from site_node.store.journal import Sessions
from site_node.store.mirror import Head, MirrorLog

OK = 200
RULES = {
    400: "checkpoint.old",
    403: "checkpoint.key",
    404: "checkpoint.origin",
    409: "checkpoint.old",
    422: "checkpoint.proof",
}
PATIENCE = timedelta(hours=1)


@dataclass(frozen=True)
class Step:
    """What one look at a log came to: `same`, `mirrored`, `cosigned`, `outrun` or `alarm`."""

    study: str
    outcome: str
    size: int
    rule: str | None = None


class Witness:
    """Mirrors and cosigns the logs of the studies that name this site.

    Args:
        identity: this site, its keys, the hub's name.
        hub: the way out.
        mirror: the site's copies.
        sessions: the site's database, for outbox and decisions.
        clock: the time now.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        hub: Callable[[], HubClient],
        mirror: Mirror,
        sessions: Sessions,
        clock: Clock,
    ) -> None:
        self._me, self._hub, self._mirror = identity, hub, mirror
        self._sessions, self._clock = sessions, clock

    def step(self, study: str) -> Step:
        """Look at a study's log once; safe to repeat, and to run in two processes at a time.

        Raises:
            Unreachable: the hub does not answer; nothing changed.
            Malformed: its answer cannot be read; nothing changed.
        """
        head = self._mirror.head(study)
        note = self._hub().checkpoint(study)
        if self._mirror.alarms(study):
            rule = self._mirror.alarms(study)[0].rule
            return Step(study, "alarm", head.size if head else 0, rule)
        if head is not None and parse(head.note).text == parse(note).text:
            return self._same(head)  # others may have cosigned it meanwhile
        try:
            return self._follow(study, head, note)
        except Contradiction as error:
            self._mirror.forget(study)
            old = head.note if head else b""
            evidence = b"\n=== known before ===\n".join((note, old))
            self._mirror.raise_alarm(study, error.rule, str(error), evidence)
            return Step(study, "alarm", head.size if head else 0, error.rule)

    def _same(self, head: MirrorLog) -> Step:
        if head.cosignature and not head.sent:
            self._send(head.study, head.note, head.cosignature)
            return Step(head.study, "cosigned", head.size)
        return Step(head.study, "same", head.size)

    def _follow(self, study: str, head: MirrorLog | None, note: bytes) -> Step:
        known = head or _unknown(study, self._me.origin(study))
        claimed = parse_text(parse(note).text)  # a claim until `answer` says 200
        new = self._hub().entries(study, known.size, claimed.size)
        proof = self._hub().consistency(study, known.size, claimed.size) if head and new else []
        state: StudyState | None = None
        if head is None:
            self._begin(study, known, new)
        else:
            state = self._mirror.state(study)
            if state.size != known.size:  # another process was faster
                return Step(study, "outrun", known.size)
            log_key = state.keys.current[state.charter.origin]
            before = Checkpoint(known.origin, known.size, known.root)
            check_prefix(before, claimed, note, proof, log_key)
        state = self._grow(known, state, new)
        checkpoint = self._judge(known, note, proof, state)
        if state.root() != checkpoint.root:
            raise contradiction("checkpoint.entries", "the entries lead to another root.")
        self._check_own(study, known.size, new)
        return self._commit(known, new, state, (checkpoint, note))

    def _begin(self, study: str, known: MirrorLog, new: list[bytes]) -> None:
        known.charter_id = charter_id_of(new[0]) if new else ""
        with self._sessions() as session:
            decision = decisions.find_decision(session, known.charter_id)
        check_charter(self._me, study, new, signed_here=bool(decision and decision.line))

    def _grow(self, known: MirrorLog, state: StudyState | None, new: list[bytes]) -> StudyState:
        self._mirror.forget(known.study)  # it grows now; memory counts again after the commit
        try:
            return fold(state, new, known.size, time_text(self._clock()))
        except Refused as error:
            if error.rule == "time.clock":  # this clock may be the wrong one: no evidence of a lie
                raise NotReady(
                    "an entry of the log is more than ten minutes ahead of this clock.",
                    "Set this clock by NTP; nothing was cosigned.",
                ) from error
            raise contradiction(error.rule, str(error)) from error

    def _judge(
        self, known: MirrorLog, note: bytes, proof: list[bytes], state: StudyState
    ) -> Checkpoint:
        log_key = state.keys.current[state.charter.origin]
        before = Checkpoint(known.origin, known.size, known.root) if known.size else None
        said = answer(before, known.size, proof, note, log_key)
        if said.status != OK:
            rule = RULES.get(said.status, "checkpoint.form")
            raise contradiction(rule, f"the witness answers {said.status}.")
        return open_checkpoint(note, log_key)

    def _check_own(self, study: str, start: int, new: list[bytes]) -> None:
        with self._sessions.begin() as session:
            for offset, note in enumerate(new):
                text = parse(note).text
                actor = parse_event(text).actor or ""
                if not actor.startswith(f"{self._me.site}/"):
                    continue
                said = sha256_id(text)
                if outbox.find_note(session, said) is None:
                    raise contradiction(
                        "own.forged", f"entry {start + offset} was never said here."
                    )
                outbox.mark_logged(session, said, start + offset)

    def _commit(
        self, known: MirrorLog, new: list[bytes], state: StudyState, found: tuple[Checkpoint, bytes]
    ) -> Step:
        checkpoint, note = found
        now = int(self._clock().timestamp())
        line = ""
        if self._me.site in state.charter.quorum.witnesses:
            line = cosign(checkpoint.text(), self._me.keys.witness, now)
        top = Head(checkpoint.root, note, now, line)
        if not self._mirror.extend(known, new, top, state):
            return Step(known.study, "outrun", known.size)
        if not line:
            return Step(known.study, "mirrored", checkpoint.size)
        self._send(known.study, note, line)
        return Step(known.study, "cosigned", checkpoint.size)

    def _send(self, study: str, note: bytes, line: str) -> None:
        self._hub().cosign(study, line)
        self._mirror.cosignature_sent(study, note)

    def follow_quorum(self, study: str) -> int:
        """Keep the newest checkpoint with a quorum; returns its size, 0 when there is none yet.

        It counts only when the charter's policy accepts it and its root is that of our own mirror.
        """
        kept = self._mirror.quorum(study)
        head = self._mirror.head(study)
        if head is None or (kept and kept[0] >= head.size):
            return kept[0] if kept else 0
        try:
            note = self._hub().witnessed(study)
            policy = Policy.parse(policy_of_charter(self._mirror.state(study).charter))
            checkpoint = policy.judge(note, int(self._clock().timestamp())).checkpoint
        except ConsiliumError:  # not yet, or not believed: the older one stays
            return kept[0] if kept else 0
        state = self._mirror.state(study)
        if checkpoint.size > state.size or state.root(checkpoint.size) != checkpoint.root:
            return kept[0] if kept else 0
        self._mirror.keep_quorum(study, checkpoint.size, note)
        return checkpoint.size

    def silent(self, study: str, now: datetime) -> list[str]:
        """Statements of ours that the log does not show after an hour: an alarm, no refusal."""
        before = time_text(now - PATIENCE)
        with self._sessions() as session:
            return [row.text_sha256 for row in outbox.missing_notes(session, study, before)]


def _unknown(study: str, origin: str) -> MirrorLog:
    return MirrorLog(study=study, charter_id="", origin=origin, size=0, root=b"", note=b"")
