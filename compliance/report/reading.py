"""One pass over the entries of a log: statements, fold, first refusal, and every policy in force.

Source: design/ledger.md §13, steps 8 to 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from compliance.canonical import sha256_id
from compliance.errors import NotProven, Refused
from compliance.ledger.checkpoint import parse_text
from compliance.ledger.policy import Policy
from compliance.records.envelope import Event
from compliance.report.log import Log
from compliance.rules.arrival import Opened, open_note
from compliance.rules.fold import advance, judge
from compliance.rules.policies import policy_in_force
from compliance.rules.state import StudyState
from compliance.rules.verdict import Denied
from compliance.signing.note import Note, parse

FORMS = ("note.", "event.", "time.")
CHANGES_POLICY = ("charter", "charter.amended", "key.rotated")


@dataclass(frozen=True)
class Refusal:
    """The first entry that a rule denies."""

    index: int
    rule: str
    sentence: str

    @property
    def of_form(self) -> bool:
        """Whether the note itself is wrong: its form, its signer or its time."""
        return self.rule.startswith(FORMS) or self.rule == "authority"

    def __str__(self) -> str:
        """What an auditor reads."""
        return f"entry {self.index} is refused by rule {self.rule}: {self.sentence}"


@dataclass(frozen=True)
class Witnessing:
    """The policy in force from an entry on."""

    since: int
    policy: Policy
    text: str


@dataclass
class Reading:
    """What one pass found.

    Args:
        entries: every note, as received.
        notes: the same, read, up to the first refusal.
        events: their statements.
        state: the fold of the entries before the first refusal; None: not even a charter.
        refusal: the first entry that a rule denies.
        policies: the policy of the charter, then one for each entry that changed it.
    """

    entries: Sequence[bytes]
    notes: list[Note] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    state: StudyState | None = None
    refusal: Refusal | None = None
    policies: list[Witnessing] = field(default_factory=list)

    @property
    def charter_id(self) -> str:
        """`sha256:` of the text of entry 0."""
        return sha256_id(parse(self.entries[0]).text)

    def whole(self) -> StudyState:
        """The fold of all entries.

        Raises:
            Refused: a rule denies an entry; `found` is its index.
        """
        if self.refusal is not None:
            at, words = self.refusal.index, self.refusal.sentence
            raise Refused(self.refusal.rule, found=at, sentence=words)
        if self.state is None:
            raise NotProven("entries", "the log has no entry")
        return self.state


def read_entries(entries: Sequence[bytes]) -> Reading:
    """Judge and apply each entry once; stop at the first refusal."""
    reading = Reading(entries)
    for index, entry in enumerate(entries):
        found = _judged(reading.state, entry)
        if isinstance(found, Denied):
            reading.refusal = Refusal(index, found.rule, found.sentence)
            break
        reading.state = advance(reading.state, entry, index)
        reading.notes.append(found.note)
        reading.events.append(found.event)
        if found.event.type in CHANGES_POLICY:
            _note_policy(reading, index)
    return reading


def _judged(state: StudyState | None, entry: bytes) -> Opened | Denied:
    opened = open_note(entry)
    if isinstance(opened, Denied):
        return opened
    verdict = judge(state, entry)
    return verdict if isinstance(verdict, Denied) else opened


def _note_policy(reading: Reading, index: int) -> None:
    if reading.state is None:
        return
    text = policy_in_force(reading.state)
    if not reading.policies or reading.policies[-1].text != text:
        reading.policies.append(Witnessing(index, Policy.parse(text), text))


def read_log(entries: Sequence[bytes], checkpoint_note: bytes) -> Log:
    """Fold a log and read its checkpoint; the policy in force tells the times of the witnesses.

    Raises:
        Refused: an entry breaks a rule.
        NotProven: the checkpoint lacks its quorum, or the entries do not lead to its root.
        Malformed: the checkpoint cannot be read.
    """
    return log_of(read_entries(entries), checkpoint_note)


def log_of(reading: Reading, checkpoint_note: bytes) -> Log:
    """The log of a reading, under its checkpoint.

    Raises:
        Refused, NotProven, Malformed: as `read_log`.
    """
    state = reading.whole()
    times = reading.policies[-1].policy.judge(checkpoint_note).times
    log = Log(
        reading.entries,
        checkpoint_note,
        parse_text(parse(checkpoint_note).text),
        times,
        state,
        notes=reading.notes,
        events=reading.events,
    )
    if (log.tree.size, log.tree.root()) != (log.checkpoint.size, log.checkpoint.root):
        raise NotProven("entries", "they do not lead to the root of the checkpoint")
    return log
