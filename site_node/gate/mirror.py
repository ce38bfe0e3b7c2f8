"""The mirror: this site's own copy of each log, and its own fold over that copy.

Whether a study may do something here is answered from these bytes alone, never from what the hub
says about them.
"""

from __future__ import annotations

from collections.abc import Mapping

from compliance.canonical import sha256_id
from compliance.errors import NotReady, Refused
from compliance.ledger.merkle import leaf_hash
from compliance.records.types import time_text
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.logs import State, family_of
from compliance.rules.state import StudyState
from compliance.rules.verdict import Denied
from compliance.signing.note import parse
from site_node.gate.journal import Clock, Journal
from site_node.store import mirror as table
from site_node.store.destroyed import find_destroyed
from site_node.store.journal import Sessions
from site_node.store.mirror import Head, MirrorAlarm, MirrorLog

CHUNK = 512
CONSORTIUM = "consortium"
"""Short name of the consortium's own log; every other one is a study's."""


def fold(log: str, state: State | None, notes: list[bytes], start: int, now: str | None) -> State:
    """Judge and apply entries from index `start` on, by the rules of this log's family.

    Raises:
        Refused: an entry breaks a rule; the sentence names its index.
    """
    family = family_of(log)
    for offset, note in enumerate(notes):
        verdict = family.judge(state, note, now=now)
        if isinstance(verdict, Denied):
            sentence = f"Entry {start + offset}: {verdict.sentence}"
            raise Refused(verdict.rule, verdict.found, verdict.agreed, sentence)
        state = family.advance(state, note, start + offset)
    if state is None:
        raise Refused(f"{family.entry0}.form", sentence="The log is empty.")
    return state


class Mirror:
    """Reads and extends the site's copies of the logs.

    Args:
        sessions: the site's database.
        journal: where alarms are written down.
        clock: the time now.
    """

    def __init__(self, *, sessions: Sessions, journal: Journal, clock: Clock) -> None:
        self._sessions, self._journal, self._clock = sessions, journal, clock
        self._states: dict[str, State] = {}

    def head(self, study: str) -> MirrorLog | None:
        """How far this site has checked a log, or None."""
        with self._sessions() as session:
            log = table.find_log(session, study)
            return log if log and log.size else None

    def heads(self) -> list[MirrorLog]:
        """Every mirrored log of a study."""
        return [log for log in self.all_heads() if log.study != CONSORTIUM]

    def all_heads(self) -> list[MirrorLog]:
        """Every mirrored log, the consortium's own among them."""
        with self._sessions() as session:
            return [log for log in table.all_logs(session) if log.size]

    def any_open(self) -> bool:
        """Whether a study goes on for which this site may be asked to work."""
        for head in self.heads():
            state = self.state(head.study)
            if state.closed is None and state.stopped is None:
                return True
        return False

    def entries(self, study: str, start: int = 0, stop: int | None = None) -> list[bytes]:
        """Entries as received, in order."""
        with self._sessions() as session:
            stop = (1 << 62) if stop is None else stop
            return [row.note for row in table.read_entries(session, study, start, stop)]

    def state(self, study: str) -> StudyState:
        """Where a study stands by this site's own fold.

        Raises:
            Refused: nothing is mirrored yet (`mirror.behind`), or the copy breaks a rule.
        """
        state = self.log_state(study)
        if not isinstance(state, StudyState):
            raise Refused("event.type", study, "the log of a study")
        return state

    def consortium(self) -> ConsortiumState | None:
        """The consortium by this site's own fold; None before its log is mirrored here."""
        if self.head(CONSORTIUM) is None:
            return None
        state = self.log_state(CONSORTIUM)
        return state if isinstance(state, ConsortiumState) else None

    def log_state(self, log: str) -> State:
        """Where any log stands by this site's own fold; raises as `state`."""
        head = self.head(log)
        if head is None:
            raise Refused("mirror.behind", sentence=f"The log {log} is not mirrored here yet.")
        state = self._states.pop(log, None)
        if state is not None and state.size > head.size:
            state = None
        while state is None or state.size < head.size:
            size = state.size if state else 0
            part = self.entries(log, size, min(size + CHUNK, head.size))
            state = fold(log, state, part, size, None)
        self._states[log] = state
        return state

    def destroyed(self, study: str) -> bool:
        """Whether this hospital destroyed its copy at the end of retention; it takes no other."""
        with self._sessions() as session:
            return find_destroyed(session, study) is not None

    def forget(self, study: str) -> None:
        """Drop what is only in memory; the next question reads the copy again."""
        self._states.pop(study, None)

    def leaf(self, study: str, index: int) -> tuple[bytes, bytes] | None:
        """Leaf hash and note at an index, or None when the mirror is not that long."""
        with self._sessions() as session:
            rows = table.read_entries(session, study, index, index + 1)
            return (rows[0].leaf_hash, rows[0].note) if rows else None

    def extend(self, head: MirrorLog, entries: list[bytes], top: Head, state: State) -> bool:
        """Commit new entries and the checkpoint they belong to; False when outrun."""
        pairs = [(leaf_hash(note), note) for note in entries]
        with self._sessions.begin() as session:
            table.open_log(
                session, study=head.study, charter_id=head.charter_id, origin=head.origin
            )
            done = table.extend_log(
                session, study=head.study, old_size=head.size, entries=pairs, head=top
            )
        if done:
            self._states[head.study] = state
        else:
            self.forget(head.study)
        return done

    def cosignature_sent(self, study: str, note: bytes) -> None:
        """Remember that the hub has our cosignature of this checkpoint."""
        with self._sessions.begin() as session:
            table.mark_sent(session, study, note)

    def cosign_again(self, study: str, note: bytes, line: str, time: int) -> None:
        """Keep a cosignature of the checkpoint that is mirrored already; it is not sent yet."""
        with self._sessions.begin() as session:
            table.cosign_again(session, study, note, line, time)

    def quorum(self, study: str) -> tuple[int, bytes] | None:
        """Size and note of the newest checkpoint that a quorum cosigned."""
        with self._sessions() as session:
            row = table.find_quorum(session, study)
            return (row.size, row.note) if row else None

    def keep_quorum(self, study: str, size: int, note: bytes) -> None:
        """Keep a checkpoint that a quorum cosigned."""
        with self._sessions.begin() as session:
            table.keep_quorum(session, study=study, size=size, note=note)

    def alarms(self, study: str | None = None) -> list[MirrorAlarm]:
        """Why this site trusts a log no more; an alarm stays until people have looked."""
        with self._sessions() as session:
            return table.read_alarms(session, study)

    def evidence(self, alarm: int) -> dict[str, bytes]:
        """What was kept of an alarm, by name: checkpoints, proof, entries."""
        with self._sessions() as session:
            return table.read_evidence(session, alarm)

    def raise_alarm(
        self, study: str, rule: str, finding: str, evidence: bytes, parts: Mapping[str, bytes]
    ) -> None:
        """Keep evidence, write the journal; training in this study stops by it.

        An alarm about the consortium's log stops every study.
        """
        known = {(alarm.rule, alarm.evidence) for alarm in self.alarms(study)}
        if (rule, evidence) in known:
            return
        at = time_text(self._clock())
        with self._sessions.begin() as session:
            table.add_alarm(
                session,
                study=study,
                at=at,
                rule=rule,
                finding=finding,
                evidence=evidence,
                parts=parts,
            )
            self._journal.within(session, "alarm", study=study, rule=rule, finding=finding)


def charter_id_of(entry0: bytes) -> str:
    """The id of a charter: hash of the text of entry 0, without its signatures."""
    return sha256_id(parse(entry0).text)


def find_mirrored(mirror: Mirror, study: str) -> str:
    """The full id of a mirrored study from its first characters.

    Raises:
        NotReady: none or several fit.
    """
    wanted = study.removeprefix("sha256:").lower()
    found = [
        head.study
        for head in mirror.heads()
        if wanted
        and (
            head.study.startswith(wanted)
            or head.charter_id.removeprefix("sha256:").startswith(wanted)
        )
    ]
    if len(found) != 1:
        raise NotReady(
            f"{len(found)} mirrored studies fit {study!r}.", "List them: `consilium site studies`."
        )
    return found[0]
