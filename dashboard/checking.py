"""Checks a study's log in this process: signatures, rules, root, cosignatures, and memory.

What the hub says about itself is never believed here. Without a policy that the operator got
outside the hub nothing is proven, only reported: a hub could have written entry 0 for itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from compliance.canonical import sha256_id
from compliance.errors import Malformed, NotProven, NotReady, Refused
from compliance.ledger.checkpoint import Checkpoint, open_checkpoint, parse_text
from compliance.ledger.merkle import check_consistency
from compliance.ledger.policy import Policy
from compliance.records.charter import CharterBody
from compliance.records.envelope import parse_event
from compliance.rules.fold import replay
from compliance.rules.policies import policy_in_force
from compliance.signing.keys import VerifierKey, decode_base64
from compliance.signing.note import parse, parse_line

PROVEN, REPORTED, REFUTED, UNKNOWN = "proven", "reported", "refuted", "unknown"
_STUDY = re.compile(r"[0-9a-f]{1,64}")


class Source(Protocol):
    """Where log pieces come from: the hub's answers."""

    def checkpoint(self, log: str, *, latest: bool = False) -> bytes:
        """The newest checkpoint with quorum, or the newest at all."""

    def entries(self, log: str, start: int, stop: int) -> list[bytes]:
        """Entries start … stop - 1."""

    def consistency(self, log: str, old: int, new: int) -> list[bytes]:
        """Hashes that prove that the log only grew."""


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


class Memory:
    """The last checked checkpoint of each study: one file each, replaced in one step.

    Args:
        folder: `<home>/checkpoints`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def known(self, study: str) -> bytes | None:
        """The checkpoint of the last visit."""
        try:
            return self._path(study).read_bytes()
        except FileNotFoundError:
            return None

    def keep(self, study: str, note: bytes) -> None:
        """Remember this checkpoint."""
        path = self._path(study)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
        fresh.write_bytes(note)
        fresh.replace(path)

    def _path(self, study: str) -> Path:
        if not _STUDY.fullmatch(study):
            raise Malformed("study", "its name has another form")
        return self._folder / study


def check_log(
    source: Source,
    study: str,
    *,
    memory: Memory,
    now: Callable[[], int],
    policy: str | None = None,
) -> Checked:
    """Read a whole log and say how far it can be believed.

    (0) a checkpoint · (1) its entries · (2) every rule, from the start · (3) the root · (4) the
    log's signature and the cosignatures · (5) what was seen before.

    Args:
        source: where the pieces come from.
        study: id of the study.
        memory: what earlier visits saw.
        now: seconds since 1970; a cosignature of the future is refused.
        policy: policy text from outside the hub, if there is one.
    """
    note, quorate = _checkpoint(source, study)
    try:
        size = parse_text(parse(note).text).size
        entries = source.entries(study, 0, size)
    except Malformed as error:
        return Checked(REFUTED, str(error), step="form")
    try:
        found = _Proof(note, entries, study, policy, now()).run(quorate=quorate)
        before = memory.known(study)
        if before is not None:
            _only_grew(source, study, before, note, found)
    except _Forked as error:
        return Checked(
            REFUTED, error.finding, step=error.step, size=size, entries=tuple(entries),
            proofs=error.proofs,
        )  # fmt: skip
    except (NotProven, Malformed) as error:
        step = error.step if isinstance(error, NotProven) else "form"
        finding = error.finding if isinstance(error, NotProven) else str(error)
        return Checked(REFUTED, finding, step=step, size=size, entries=tuple(entries))
    except Refused as error:
        bad = error.found if isinstance(error.found, int) else 0
        words = f"Entry {bad} breaks the rule {error.rule}."
        return Checked(REFUTED, words, step=error.rule, size=size, entries=tuple(entries), bad=bad)
    if quorate:
        memory.keep(study, note)
    return found


@dataclass(frozen=True)
class _Proof:
    note: bytes
    entries: list[bytes]
    study: str
    policy: str | None
    now: int

    def run(self, *, quorate: bool) -> Checked:
        """Go through the steps; raises at the first that does not hold."""
        if not self.entries:
            raise NotProven("entries", "the log has no entry, not even a charter")
        state = replay(self.entries)
        derived = Policy.parse(policy_in_force(state))
        given = Policy.parse(self.policy) if self.policy else None
        own = given is not None and given.log is not None and given.log.name == state.charter.origin
        rules = given if own and given is not None else derived
        if rules.log is None:
            raise NotProven("policy", "it names no log")
        checkpoint = open_checkpoint(self.note, rules.log)
        root = state.root(checkpoint.size)
        if root != checkpoint.root:
            raise NotProven("root", "the entries do not give the root that the log has signed")
        if own and str(derived.log) != str(rules.log):
            raise NotProven("policy", "the log has another key in force than the policy names")
        return self._standing(rules, checkpoint, own=own, quorate=quorate)

    def _standing(
        self, rules: Policy, checkpoint: Checkpoint, *, own: bool, quorate: bool
    ) -> Checked:
        plain: dict[str, Any] = {
            "size": checkpoint.size,
            "root": checkpoint.root.hex(),
            "quorum": rules.words(),
            "entries": tuple(self.entries),
        }
        try:
            times = rules.judge(self.note, self.now).times
        except NotProven as error:
            if error.step != "quorum":
                raise
            return Checked(UNKNOWN, f"Too few hospitals: {error.finding}.", step="quorum", **plain)
        finding = "Every entry, rule, signature and cosignature holds."
        if own and quorate:
            return Checked(PROVEN, finding, cosigned=times, **plain)
        return Checked(REPORTED, finding, cosigned=times, **plain)


class _Forked(NotProven):
    """Two signed checkpoints that cannot both be true."""

    def __init__(self, step: str, finding: str, *proofs: bytes) -> None:
        super().__init__(step, finding)
        self.proofs = proofs


def _checkpoint(source: Source, study: str) -> tuple[bytes, bool]:
    try:
        return source.checkpoint(study), True
    except NotReady:
        return source.checkpoint(study, latest=True), False


def _only_grew(source: Source, study: str, before: bytes, note: bytes, found: Checked) -> None:
    old, new = (parse_text(parse(data).text) for data in (before, note))
    if old.origin != new.origin or new.size < old.size:
        words = f"the hub showed {old.size} entries before and shows {new.size} now"
        raise _Forked("rollback", words, before, note)
    try:
        if new.size == old.size:
            check_consistency(old.size, old.root, new.size, new.root, [])
        else:
            proof = source.consistency(study, old.size, new.size)
            check_consistency(old.size, old.root, new.size, new.root, proof)
    except (NotProven, NotReady, Malformed):
        words = f"the log does not begin with the {old.size} entries that it had before"
        raise _Forked("fork", words, before, note) from None
    if found.size != new.size:
        raise NotProven("root", "the entries and the checkpoint have different sizes")


def signers(charter: Mapping[str, Any]) -> frozenset[str]:
    """Hospitals whose signature under a proposed charter verifies with the keys that it names.

    Before the launch nothing is folded yet: what the hub's tables say is counted only after this.

    Raises:
        Malformed: the text is not the charter that its id names.
    """
    text = decode_base64(str(charter["text_base64"]), "charter")
    body = parse_event(text).body
    if not isinstance(body, CharterBody) or sha256_id(text) != charter["charter_id"]:
        raise Malformed("charter", "its text has another hash than its id")
    keys = [VerifierKey.parse(site.institution) for site in body.sites]
    lines = [parse_line(str(row["line"])) for row in charter["signatures"]]
    return frozenset(
        key.name.partition("/")[0]
        for key in keys
        for line in lines
        if (line.name, line.key_id) == (key.name, key.key_id) and key.verifies(text, line.signature)
    )


def kind_of(note: bytes) -> tuple[str, str, str, dict[str, Any]]:
    """Kind, speaker, time and fields of an entry, for showing it."""
    parsed = parse(note)
    event = parse_event(parsed.text)
    fields = event.body.plain()
    if event.type == "charter":
        owners = [line.name.partition("/") for line in parsed.lines]
        fields["signers"] = sorted({site for site, _, role in owners if role == "institution"})
    return event.type, event.actor or "", event.time, fields
