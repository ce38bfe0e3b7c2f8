"""The mirror: this site's own copy of each study's log, and its own fold over that copy.

Whether a study may do something here is answered from these bytes alone, never from what the hub
says about them.
"""

from __future__ import annotations

from compliance.canonical import sha256_id
from compliance.errors import Refused
from compliance.ledger.merkle import leaf_hash
from compliance.records.types import time_text
from compliance.rules.fold import advance, judge
from compliance.rules.state import StudyState
from compliance.rules.verdict import Denied
from compliance.signing.note import parse
from site_node.gate.journal import Clock, Journal
from site_node.store import mirror as table
from site_node.store.journal import Sessions
from site_node.store.mirror import Head, MirrorAlarm, MirrorLog

CHUNK = 512


def fold(state: StudyState | None, notes: list[bytes], start: int, now: str | None) -> StudyState:
    """Judge and apply entries from index `start` on.

    Raises:
        Refused: an entry breaks a rule; the sentence names its index.
    """
    for offset, note in enumerate(notes):
        verdict = judge(state, note, now=now)
        if isinstance(verdict, Denied):
            sentence = f"Entry {start + offset}: {verdict.sentence}"
            raise Refused(verdict.rule, verdict.found, verdict.agreed, sentence)
        state = advance(state, note, start + offset)
    if state is None:
        raise Refused("charter.form", sentence="The log is empty.")
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
        self._states: dict[str, StudyState] = {}

    def head(self, study: str) -> MirrorLog | None:
        """How far this site has checked a study's log, or None."""
        with self._sessions() as session:
            log = table.find_log(session, study)
            return log if log and log.size else None

    def heads(self) -> list[MirrorLog]:
        """Every mirrored log."""
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
        """Where the study stands by this site's own fold.

        Raises:
            Refused: nothing is mirrored yet (`mirror.behind`), or the copy breaks a rule.
        """
        head = self.head(study)
        if head is None:
            raise Refused("mirror.behind", sentence=f"Study {study} is not mirrored here yet.")
        state = self._states.pop(study, None)
        if state is not None and state.size > head.size:
            state = None
        while state is None or state.size < head.size:
            size = state.size if state else 0
            state = fold(state, self.entries(study, size, min(size + CHUNK, head.size)), size, None)
        self._states[study] = state
        return state

    def forget(self, study: str) -> None:
        """Drop what is only in memory; the next question reads the copy again."""
        self._states.pop(study, None)

    def leaf(self, study: str, index: int) -> tuple[bytes, bytes] | None:
        """Leaf hash and note at an index, or None when the mirror is not that long."""
        with self._sessions() as session:
            rows = table.read_entries(session, study, index, index + 1)
            return (rows[0].leaf_hash, rows[0].note) if rows else None

    def extend(self, head: MirrorLog, entries: list[bytes], top: Head, state: StudyState) -> bool:
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

    def raise_alarm(self, study: str, rule: str, finding: str, evidence: bytes) -> None:
        """Keep evidence, write the journal; training in this study stops by it."""
        known = {(alarm.rule, alarm.evidence) for alarm in self.alarms(study)}
        if (rule, evidence) in known:
            return
        at = time_text(self._clock())
        with self._sessions.begin() as session:
            table.add_alarm(
                session, study=study, at=at, rule=rule, finding=finding, evidence=evidence
            )
            self._journal.within(session, "alarm", study=study, rule=rule, finding=finding)


def charter_id_of(entry0: bytes) -> str:
    """The id of a charter: hash of the text of entry 0, without its signatures."""
    return sha256_id(parse(entry0).text)
