"""The witness: cosigns a log only when it grew, and every new entry obeyed the rules.

It is the same for a study's log and for the consortium's own, which comes first.

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
from compliance.ledger.merkle import leaf_hash
from compliance.ledger.policy import Policy
from compliance.records.envelope import parse_event
from compliance.records.types import time_text
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.logs import State, family_of
from compliance.signing.note import parse
from site_node.gate.evidence import PROOF, gather, proof_text
from site_node.gate.hub_client import HubClient
from site_node.gate.journal import Clock
from site_node.gate.mirror import CONSORTIUM, Mirror, charter_id_of, fold
from site_node.gate.restored import Restored
from site_node.gate.suspicion import (
    Contradiction,
    Identity,
    check_age,
    check_agreement,
    check_charter,
    check_prefix,
    contradiction,
)
from site_node.store import outbox
from site_node.store import studies as decisions
from site_node.store.journal import Sessions, Transaction
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


class ClockBehind(NotReady):
    """The log seems to come from the future; one of the two clocks is wrong."""


@dataclass(frozen=True)
class Step:
    """What one look at a log came to: `same`, `mirrored`, `cosigned`, `outrun` or `alarm`.

    `destroyed`: this hospital destroyed its copy at the end of retention and takes no other.
    `resting`: it came from a backup, and the others have not cosigned this checkpoint yet.
    """

    study: str
    outcome: str
    size: int
    rule: str | None = None


class Witness:
    """Mirrors and cosigns the consortium's log and those of the studies that name this site.

    Args:
        identity: this site, its keys, the hub's name.
        hub: the way out.
        mirror: the site's copies.
        sessions: the site's database, for outbox and decisions.
        clock: the time now.
        restored: which logs rest because this home came from a backup.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        hub: Callable[[], HubClient],
        mirror: Mirror,
        sessions: Sessions,
        clock: Clock,
        restored: Restored,
    ) -> None:
        self._restored = restored
        self._me, self._hub, self._mirror = identity, hub, mirror
        self._sessions, self._clock = sessions, clock

    def step(self, study: str) -> Step:
        """Look at a log once; safe to repeat, and to run in two processes at a time.

        Args:
            study: a study's id, or `consortium`.

        Raises:
            Unreachable: the hub does not answer; nothing changed.
            Malformed: its answer cannot be read; nothing changed.
        """
        if self._mirror.destroyed(study):
            return Step(study, "destroyed", 0)
        head = self._mirror.head(study)
        note = self._hub().checkpoint(study)
        if self._mirror.alarms(study):
            rule = self._mirror.alarms(study)[0].rule
            return Step(study, "alarm", head.size if head else 0, rule)
        if head is not None and parse(head.note).text == parse(note).text:
            return self._same(head, note)  # others may have cosigned it meanwhile
        try:
            return self._follow(study, head, note)
        except Contradiction as error:
            self._mirror.forget(study)
            old = head.note if head else b""
            evidence = b"\n=== known before ===\n".join((note, old))
            parts = gather(self._hub(), study, head, note) | error.parts
            self._mirror.raise_alarm(study, error.rule, str(error), evidence, parts)
            return Step(study, "alarm", head.size if head else 0, error.rule)

    def _same(self, head: MirrorLog, note: bytes) -> Step:
        if self._restored.rests(head.study):
            return self._wake(head.study, note)
        if head.cosignature and not head.sent:
            self._send(head.study, head.note, head.cosignature)
            return Step(head.study, "cosigned", head.size)
        return Step(head.study, "same", head.size)

    def _follow(self, study: str, head: MirrorLog | None, note: bytes) -> Step:
        known = head or _unknown(study, self._me.origin(study))
        claimed = parse_text(parse(note).text)  # a claim until `answer` says 200
        new = self._hub().entries(study, known.size, claimed.size)
        proof = self._hub().consistency(study, known.size, claimed.size) if head and new else []
        try:
            return self._take(known, note, claimed, new, proof)
        except Contradiction as error:
            error.parts |= {PROOF: proof_text(proof)} if proof else {}
            raise

    def _take(
        self,
        known: MirrorLog,
        note: bytes,
        claimed: Checkpoint,
        new: list[bytes],
        proof: list[bytes],
    ) -> Step:
        """Check everything that is new; commit and cosign, or name the contradiction."""
        state: State | None = None
        if not known.size:
            self._begin(known, new)
        else:
            state = self._mirror.log_state(known.study)
            if state.size != known.size:  # another process was faster
                return Step(known.study, "outrun", known.size)
            log_key = state.keys.current[state.origin]
            before = Checkpoint(known.origin, known.size, known.root)
            check_prefix(before, claimed, note, proof, log_key)
        state = self._grow(known, state, new)
        checkpoint = self._judge(known, note, proof, state)
        if state.root() != checkpoint.root:
            raise contradiction("checkpoint.entries", "the entries lead to another root.")
        check_age(known.study, new, known.size, known.cosigned_at)
        self._check_own(known.study, known.size, new)
        return self._commit(known, new, state, (checkpoint, note))

    def _begin(self, known: MirrorLog, new: list[bytes]) -> None:
        known.charter_id = charter_id_of(new[0]) if new else ""
        rests = self._restored.rests(known.study)
        with self._sessions() as session:
            if known.study == CONSORTIUM:
                signed = [row.charter_id for row in decisions.signed_in(session, CONSORTIUM)]
                forgotten = [known.charter_id] if rests and not signed else []
                check_agreement(self._me, new, signed or forgotten)
                return
            decision = decisions.find_decision(session, known.charter_id)
        signed_here = bool(decision and decision.line) or rests
        check_charter(self._me, known.study, new, signed_here=signed_here)

    def _grow(self, known: MirrorLog, state: State | None, new: list[bytes]) -> State:
        self._mirror.forget(known.study)  # it grows now; memory counts again after the commit
        try:
            return fold(known.study, state, new, known.size, time_text(self._clock()))
        except Refused as error:
            if error.rule == "time.clock":  # this clock may be the wrong one: no evidence of a lie
                raise ClockBehind(
                    "an entry of the log is more than ten minutes ahead of this clock.",
                    "Set this clock by NTP; nothing was cosigned.",
                ) from error
            raise contradiction(error.rule, str(error)) from error

    def _judge(self, known: MirrorLog, note: bytes, proof: list[bytes], state: State) -> Checkpoint:
        log_key = state.keys.current[state.origin]
        before = Checkpoint(known.origin, known.size, known.root) if known.size else None
        said = answer(before, known.size, proof, note, log_key)
        if said.status != OK:
            rule = RULES.get(said.status, "checkpoint.form")
            raise contradiction(rule, f"the witness answers {said.status}.")
        return open_checkpoint(note, log_key)

    def _check_own(self, study: str, start: int, new: list[bytes]) -> None:
        """Whatever carries this hospital's name or signature was said or signed here.

        A home from a backup has forgotten some of it: while the log rests, its keys remember.
        """
        kinds, mine = family_of(study).kinds, f"{self._me.site}/"
        rests = self._restored.rests(study)
        with self._sessions.begin() as session:
            for offset, data in enumerate(new):
                note = parse(data)
                actor = parse_event(note.text, kinds=kinds).actor or ""
                names = [actor, *(line.name for line in note.lines)]
                if not any(name.startswith(mine) for name in names):
                    continue
                said = sha256_id(note.text)
                if outbox.find_note(session, said) is not None:
                    outbox.mark_logged(session, said, start + offset)
                elif decisions.find_decision(session, said) is not None:
                    continue
                elif rests:
                    self._remember(session, study, data, start + offset)
                else:
                    raise contradiction(
                        "own.forged", f"entry {start + offset} was never said here."
                    )

    def _commit(
        self, known: MirrorLog, new: list[bytes], state: State, found: tuple[Checkpoint, bytes]
    ) -> Step:
        checkpoint, note = found
        now = int(self._clock().timestamp())
        line = self._cosignature(known.study, checkpoint, state, now)
        top = Head(checkpoint.root, note, now, line)
        if not self._mirror.extend(known, new, top, state):
            return Step(known.study, "outrun", known.size)
        if self._restored.rests(known.study):
            return self._wake(known.study, note)
        if not line:
            return Step(known.study, "mirrored", checkpoint.size)
        self._send(known.study, note, line)
        return Step(known.study, "cosigned", checkpoint.size)

    def _cosignature(self, study: str, checkpoint: Checkpoint, state: State, now: int) -> str:
        """The line of this witness, by the key in force in this very log.

        Empty for no witness, and while the log rests.
        """
        if self._restored.rests(study):
            return ""
        return self._line(checkpoint, state, now)

    def _line(self, checkpoint: Checkpoint, state: State, now: int) -> str:
        terms = state.agreement if isinstance(state, ConsortiumState) else state.charter
        if self._me.site not in terms.quorum.witnesses:
            return ""
        held = state.keys.current[f"{self._me.site}/witness"]
        return cosign(checkpoint.text(), self._me.keys.holding("witness", held), now)

    def _wake(self, study: str, note: bytes) -> Step:
        """Cosign a log that rested, once a quorum of the others cosigned what is mirrored here."""
        state, now = self._mirror.log_state(study), int(self._clock().timestamp())
        if not self._restored.seen_by_others(study, state, note, now):
            return Step(study, "resting", state.size)
        line = self._line(parse_text(parse(note).text), state, now)
        self._mirror.cosign_again(study, note, line, now)
        self._restored.wake(study, "a quorum of the others")
        if line:
            self._send(study, note, line)
        return Step(study, "cosigned" if line else "mirrored", state.size)

    def _remember(self, session: Transaction, study: str, data: bytes, index: int) -> None:
        """Take back what only the log still holds: a signature under entry 0, or a statement.

        The fold has verified it by this hospital's own key.
        """
        note, at = parse(data), time_text(self._clock())
        said, signer = sha256_id(note.text), self._me.keys.public.institution.name
        line = next((str(line) for line in note.lines if line.name == signer), "")
        if index == 0:
            decisions.decide(session, decisions.recalled(said, study, note.text, line, at))
            return
        outbox.keep_note(
            session, text_sha256=said, leaf_hash=leaf_hash(data), note=data, study=study,
            way=outbox.ENTRIES, at=at,
        )  # fmt: skip
        outbox.mark_delivered(session, said, at)
        outbox.mark_logged(session, said, index)

    def _send(self, study: str, note: bytes, line: str) -> None:
        self._hub().cosign(study, line)
        self._mirror.cosignature_sent(study, note)

    def follow_quorum(self, study: str) -> int:
        """Keep the newest checkpoint with a quorum; returns its size, 0 when there is none yet.

        It counts only when the policy in force accepts it and its root is that of our own mirror.
        """
        kept = self._mirror.quorum(study)
        head = self._mirror.head(study)
        if head is None or (kept and kept[0] >= head.size):
            return kept[0] if kept else 0
        try:
            note = self._hub().witnessed(study)
            policy = Policy.parse(family_of(study).policy(self._mirror.log_state(study)))
            checkpoint = policy.judge(note, int(self._clock().timestamp())).checkpoint
        except ConsiliumError:  # not yet, or not believed: the older one stays
            return kept[0] if kept else 0
        state = self._mirror.log_state(study)
        if checkpoint.size > state.size or state.root(checkpoint.size) != checkpoint.root:
            return kept[0] if kept else 0
        self._mirror.keep_quorum(study, checkpoint.size, note)
        return checkpoint.size

    def silent(self, study: str, now: datetime) -> list[str]:
        """Statements that the hub took from us and the log does not show after an hour: an alarm.

        Asked right after a step, when this mirror is as long as the hub's newest checkpoint.
        """
        before = time_text(now - PATIENCE)
        with self._sessions() as session:
            return [row.text_sha256 for row in outbox.missing_notes(session, study, before)]


def _unknown(study: str, origin: str) -> MirrorLog:
    return MirrorLog(study=study, charter_id="", origin=origin, size=0, root=b"", note=b"")
