"""Who must have cosigned (C2SP tlog-policy): read, written, and derived from what was signed."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

from compliance.errors import Malformed, NotProven
from compliance.ledger.checkpoint import Checkpoint, open_checkpoint
from compliance.ledger.cosign import check_cosignature
from compliance.signing.keys import COSIGNATURE, NOTE, VerifierKey
from compliance.signing.note import Note, parse

AHEAD_SECONDS = 600
_NUMBER = re.compile(r"[1-9][0-9]*")
_KEYWORDS = ("none", "any", "all")


@dataclass(frozen=True)
class Quorum:
    """A checkpoint with enough cosignatures: witness name to time (s since 1970)."""

    checkpoint: Checkpoint
    times: dict[str, int]


@dataclass
class Policy:
    """The log, its witnesses, groups with their threshold, and the group that decides."""

    log: VerifierKey | None = None
    witnesses: dict[str, VerifierKey] = field(default_factory=dict)
    groups: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    quorum: str = ""

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Read a policy; names are defined before use, a public key stands once.

        Raises:
            Malformed: the first line that breaks a rule, by its number.
        """
        policy, keys = cls(), set[bytes]()
        for number, line in enumerate(text.split("\n"), 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            try:
                policy._take(words, keys)
            except Malformed as error:
                raise Malformed(f"policy, line {number}", error.rule) from None
        if not policy.quorum:
            raise Malformed("policy", "it defines no quorum")
        return policy

    def text(self) -> str:
        """The policy in its plain form, as `parse` reads it."""
        lines = [f"log {self.log}"] if self.log else []
        lines += [f"witness {name} {key}" for name, key in self.witnesses.items()]
        for name, (threshold, members) in self.groups.items():
            lines.append(f"group {name} {threshold} {' '.join(members)}")
        return "\n".join([*lines, f"quorum {self.quorum}"]) + "\n"

    def judge(self, note: bytes, now: int | None = None) -> Quorum:
        """Say who of the witnesses cosigned a checkpoint, and when.

        Args:
            note: the checkpoint with its signatures.
            now: seconds since 1970; a cosignature more than 10 minutes ahead is refused.

        Raises:
            Malformed: not a checkpoint.
            NotProven: not signed by the log, a cosignature does not hold, or too few.
        """
        checkpoint, times = self._cosigned(note)
        for name, time in times.items():
            if now is not None and time > now + AHEAD_SECONDS:
                raise NotProven("cosignature", f"{name} cosigned more than 10 min ahead of now")
        if not self.satisfied(set(times)):
            found = f"cosigned by {len(times)}; the policy asks for {self.words()}"
            raise NotProven("quorum", found)
        return Quorum(checkpoint, times)

    def without(self, name: str, note: bytes, since: int, until: int) -> bool:
        """Say whether a quorum of the others cosigned a checkpoint within a span of time.

        Where the policy asks for every witness, all of the others are enough.

        Args:
            name: the witness that does not count.
            note: the checkpoint with its signatures.
            since: seconds since 1970; older cosignatures do not count.
            until: newer ones do not count either: their clock is wrong.

        Raises:
            Malformed, NotProven: not a checkpoint of this log, or a cosignature does not hold.
        """
        _, times = self._cosigned(note)
        others = {who for who, at in times.items() if who != name and since <= at <= until}
        return self.satisfied(others) or others == set(self.witnesses) - {name}

    def _cosigned(self, note: bytes) -> tuple[Checkpoint, dict[str, int]]:
        if self.log is None:
            raise NotProven("policy", "it names no log")
        parsed = parse(note)
        return open_checkpoint(parsed, self.log), self._times(parsed)

    def _times(self, note: Note) -> dict[str, int]:
        times: dict[str, int] = {}
        for name, key in self.witnesses.items():
            for line in note.lines:
                if (line.name, line.key_id) == (key.name, key.key_id):
                    time = check_cosignature(note.text, line, key)
                    times[name] = max(time, times.get(name, 0))
        return times

    def satisfied(self, cosigned: Set[str], component: str | None = None) -> bool:
        """Say whether these witnesses are enough for the quorum (or for one component of it)."""
        component = component or self.quorum
        if component == "none":
            return True
        if component in self.witnesses:
            return component in cosigned
        threshold, members = self.groups[component]
        return sum(self.satisfied(cosigned, member) for member in members) >= threshold

    def words(self) -> str:
        """How many of whom, for people."""
        if self.quorum not in self.groups:
            return self.quorum
        threshold, members = self.groups[self.quorum]
        return f"{threshold} of {len(members)} ({', '.join(members)})"

    def _take(self, words: list[str], keys: set[bytes]) -> None:
        if any("#" in word for word in words):
            raise Malformed("policy", "a comment stands on a line of its own")
        match words:
            case ["log", key, *_] if self.log is None:
                self.log = _key(key, NOTE, keys)
            case ["witness", name, key] | ["witness", name, key, _]:
                self._new(name)
                self.witnesses[name] = _key(key, COSIGNATURE, keys)
            case ["group", name, threshold, *members]:
                self._group(name, threshold, members)
            case ["quorum", name] if not self.quorum:
                self._known(name)
                self.quorum = name
            case _:
                raise Malformed("policy", "an unknown line, or one that may stand only once")

    def _group(self, name: str, threshold: str, members: list[str]) -> None:
        self._new(name)
        for member in members:
            self._known(member)
        if not members or len(set(members)) != len(members):
            raise Malformed("policy", "a group has members, each once")
        counted = {"any": "1", "all": str(len(members))}.get(threshold, threshold)
        if not _NUMBER.fullmatch(counted) or int(counted) > len(members):
            raise Malformed("policy", "the threshold is any, all, or 1 to the number of members")
        self.groups[name] = (int(counted), tuple(members))

    def _new(self, name: str) -> None:
        if name in _KEYWORDS:
            raise Malformed("policy", f"{name} is no name")
        if name in self.witnesses or name in self.groups:
            raise Malformed("policy", f"{name} is defined twice")

    def _known(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups and name != "none":
            raise Malformed("policy", f"{name} is not defined before its use")


class Chartered(Protocol):
    """The fields of a charter from which its policy follows."""

    @property
    def log_key(self) -> str:
        """Verifier key of the log."""

    @property
    def sites(self) -> Sequence[Any]:
        """Hospitals with `name` and `witness`."""

    @property
    def quorum(self) -> Any:
        """`k`, `witnesses` and `external`."""


class Agreed(Protocol):
    """The fields of an agreement from which its policy follows."""

    @property
    def log_key(self) -> str:
        """Verifier key of the consortium log."""

    @property
    def members(self) -> Sequence[Any]:
        """Hospitals with `name` and `witness`."""

    @property
    def quorum(self) -> Any:
        """`k` and `witnesses`."""


def policy_of_charter(charter: Chartered) -> str:
    """Derive the policy text from a charter; it is never stored twice (design/ledger.md §4.1)."""
    keys = {site.name: site.witness for site in charter.sites}
    keys |= {witness.name: witness.vkey for witness in charter.quorum.external}
    names = [*charter.quorum.witnesses, *(witness.name for witness in charter.quorum.external)]
    return _text(charter.log_key, {name: keys[name] for name in names}, charter.quorum.k)


def policy_of_agreement(agreement: Agreed) -> str:
    """Derive the policy text of the consortium log from its agreement, in the same form."""
    keys = {member.name: member.witness for member in agreement.members}
    witnesses = {name: keys[name] for name in agreement.quorum.witnesses}
    return _text(agreement.log_key, witnesses, agreement.quorum.k)


def _text(log_key: str, witnesses: dict[str, str], k: int) -> str:
    lines = [f"log {log_key}"]
    lines += [f"witness {name} {key}" for name, key in witnesses.items()]
    lines += [f"group consortium {k} {' '.join(witnesses)}", "quorum consortium"]
    return "\n".join(lines) + "\n"


def _key(text: str, kind: int, seen: set[bytes]) -> VerifierKey:
    key = VerifierKey.parse(text)
    if key.kind != kind and kind == NOTE:
        raise Malformed("policy", "the key has another type")
    if key.public in seen:
        raise Malformed("policy", "a public key stands twice")
    seen.add(key.public)
    return key
