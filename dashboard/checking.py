"""Checks a log in this process: signatures, rules, root, cosignatures, and memory.

It is the same for a study's log and for the consortium's own: only the rules differ, and they
follow from the log's name. What the hub says about itself is never believed here. Without a policy
that the operator got outside the hub nothing is proven, only reported: a hub could have written
entry 0 for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from compliance.errors import Malformed, NotProven, NotReady, Refused
from compliance.ledger.checkpoint import Checkpoint, open_checkpoint, parse_text
from compliance.ledger.policy import Policy
from compliance.rules.logs import State, family_of
from compliance.rules.state import StudyState
from compliance.signing.note import parse
from dashboard.remembered import Forked, Grown, Memory, only_grew

PROVEN, REPORTED, REFUTED, UNKNOWN = "proven", "reported", "refuted", "unknown"
CONSORTIUM = "consortium"
"""Short name of the consortium's own log; every other one is a study's."""


class Source(Grown, Protocol):
    """Where log pieces come from: the hub's answers."""

    def checkpoint(self, log: str, *, latest: bool = False) -> bytes:
        """The newest checkpoint with quorum, or the newest at all."""

    def entries(self, log: str, start: int, stop: int) -> list[bytes]:
        """Entries start … stop - 1."""


@dataclass(frozen=True)
class Checked:
    """What this process found.

    Args:
        standing: proven, reported, refuted or unknown.
        finding: one sentence.
        step: the step that failed, empty when none did.
        size: entries that the checkpoint covers.
        root: hex of the root, empty when there is none.
        cosigned: witness → seconds since 1970.
        quorum: how many of whom must cosign, in words.
        entries: the notes as read.
        bad: index of the first entry that contradicts a rule.
        proofs: the signed checkpoints that contradict one another, for others to judge.
        state: where the log stands by this process's own fold; None when it was refuted.
    """

    standing: str
    finding: str
    step: str = ""
    size: int = 0
    root: str = ""
    cosigned: dict[str, int] = field(default_factory=dict)
    quorum: str = ""
    entries: tuple[bytes, ...] = ()
    bad: int | None = None
    proofs: tuple[bytes, ...] = ()
    state: State | None = None


def check_log(
    source: Source,
    log: str,
    *,
    memory: Memory,
    now: Callable[[], int],
    policies: Sequence[str] = (),
) -> Checked:
    """Read a whole log and say how far it can be believed.

    (0) a checkpoint · (1) its entries · (2) every rule, from the start · (3) the root · (4) the
    log's signature and the cosignatures · (5) what was seen before.

    Args:
        source: where the pieces come from.
        log: `consortium`, or the id of a study.
        memory: what earlier visits saw.
        now: seconds since 1970; a cosignature of the future is refused.
        policies: policy texts from outside the hub; the one that names this log counts.
    """
    note, quorate = _checkpoint(source, log)
    try:
        size = parse_text(parse(note).text).size
        entries = source.entries(log, 0, size)
    except Malformed as error:
        return Checked(REFUTED, str(error), step="form")
    read: dict[str, Any] = {"size": size, "entries": tuple(entries)}
    try:
        found = _Proof(note, entries, log, policies, now()).run(quorate=quorate)
        before = memory.known(log)
        if before is not None:
            only_grew(source, log, before, note)
    except Forked as error:
        return Checked(REFUTED, error.finding, step=error.step, proofs=error.proofs, **read)
    except (NotProven, Malformed) as error:
        step = error.step if isinstance(error, NotProven) else "form"
        finding = error.finding if isinstance(error, NotProven) else str(error)
        return Checked(REFUTED, finding, step=step, **read)
    except Refused as error:
        bad = error.found if isinstance(error.found, int) else 0
        words = f"Entry {bad} breaks the rule {error.rule}."
        return Checked(REFUTED, words, step=error.rule, bad=bad, **read)
    if quorate:
        memory.keep(log, note)
    return found


@dataclass(frozen=True)
class _Proof:
    note: bytes
    entries: list[bytes]
    log: str
    policies: Sequence[str]
    now: int

    def run(self, *, quorate: bool) -> Checked:
        """Go through the steps; raises at the first that does not hold."""
        if not self.entries:
            raise NotProven("entries", "the log has no entry, not even a charter or agreement")
        family = family_of(self.log)
        state = family.replay(self.entries)
        if state.origin.rpartition("/")[2] != self.log:
            raise NotProven("origin", f"the entries are of another log, {state.origin}")
        derived = Policy.parse(family.policy(state))
        checkpoint = self._signed(state, derived)
        given = self._given(state.origin)
        if given is not None and given.log != derived.log:
            return self._too_old(state, checkpoint, given)
        return self._standing(state, given or derived, checkpoint, green=bool(given) and quorate)

    def _signed(self, state: State, derived: Policy) -> Checkpoint:
        """The checkpoint, signed with the key in force, over exactly these entries."""
        if derived.log is None:
            raise NotProven("policy", "it names no log")
        checkpoint = open_checkpoint(self.note, derived.log)
        if state.root(checkpoint.size) != checkpoint.root:
            raise NotProven("root", "the entries do not give the root that the log has signed")
        return checkpoint

    def _given(self, origin: str) -> Policy | None:
        """The policy from outside the hub that names this log."""
        parsed = (Policy.parse(text) for text in self.policies)
        return next((own for own in parsed if own.log and own.log.name == origin), None)

    def _too_old(self, state: State, checkpoint: Checkpoint, given: Policy) -> Checked:
        """The log's key was replaced by an entry that obeys every rule; the policy is older."""
        held = state.keys.history[state.origin]
        if given.log not in [key for _, key in held]:
            raise NotProven("policy", "this log never had the key that the policy names")
        since = held[-1][0]
        finding = (
            f"Entry {since} put another key of this log in force than the policy of this dashboard "
            "names. Its operator asks a hospital for the new policy."
        )
        return Checked(UNKNOWN, finding, step="policy", **self._plain(state, checkpoint))

    def _plain(self, state: State, checkpoint: Checkpoint) -> dict[str, Any]:
        return {
            "size": checkpoint.size,
            "root": checkpoint.root.hex(),
            "entries": tuple(self.entries),
            "state": state,
        }

    def _standing(
        self, state: State, rules: Policy, checkpoint: Checkpoint, *, green: bool
    ) -> Checked:
        plain = self._plain(state, checkpoint) | {"quorum": rules.words()}
        try:
            times = rules.judge(self.note, self.now).times
        except NotProven as error:
            if error.step != "quorum":
                raise
            return Checked(UNKNOWN, f"Too few hospitals: {error.finding}.", step="quorum", **plain)
        finding = "Every entry, rule, signature and cosignature holds."
        return Checked(PROVEN if green else REPORTED, finding, cosigned=times, **plain)


def _checkpoint(source: Source, log: str) -> tuple[bytes, bool]:
    try:
        return source.checkpoint(log), True
    except NotReady:
        return source.checkpoint(log, latest=True), False


def further(found: Checked, log: str, newer: Sequence[bytes]) -> State:
    """Where a log stands with the entries after its checkpoint; what was found stays as it was.

    Raises:
        Refused, Malformed: one of them breaks a rule.
    """
    return family_of(log).replay([*found.entries, *newer])


def study_state(found: Checked | None) -> StudyState | None:
    """Where a study stands by the fold over its checked entries; None where nothing is believed."""
    state = found.state if found is not None else None
    return state if isinstance(state, StudyState) else None


def vanished(memory: Memory, log: str) -> Checked | None:
    """A log that was seen here before and that the hub says does not exist; None if never seen."""
    before = memory.known(log)
    if before is None:
        return None
    size = parse_text(parse(before).text).size
    words = f"the hub says that there is no such log; it showed {size} entries before"
    return Checked(REFUTED, words, step="rollback", proofs=(before,))
