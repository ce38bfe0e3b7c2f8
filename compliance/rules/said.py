"""One statement as the rules see it, and what they ask of the log that it would stand in.

Form and signatures are checked, meaning is not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from compliance.ledger.merkle import Tree
from compliance.records.decisions import DecisionDenied
from compliance.records.types import Record
from compliance.rules.keyring import KeyRing
from compliance.rules.seen import Seen

Body = TypeVar("Body", bound=Record)


@dataclass(frozen=True)
class Said:
    """Who said what and when.

    Args:
        kind: type of the statement.
        body: its typed body.
        actor: key name of the one who speaks.
        role: I, N, H or R.
        site: the hospital of I and N, else empty.
        signers: key names of all who signed.
        time: as written.
        moment: the same, read.
        index: place in the log that it takes.
    """

    kind: str
    body: Record
    actor: str
    role: str
    site: str
    signers: frozenset[str]
    time: str
    moment: datetime
    index: int

    def as_(self, form: type[Body]) -> Body:
        """Return the body in its own type."""
        if not isinstance(self.body, form):
            raise TypeError(f"{self.kind} carries {type(self.body).__name__}")
        return self.body


@dataclass(frozen=True)
class Denial:
    """A refusal that is on record."""

    index: int
    actor: str
    time: str
    body: DecisionDenied


@dataclass(kw_only=True)
class LogState(ABC):
    """What a study and the consortium have in common; each adds what its own statements change.

    Args:
        charter_id: `sha256:` of the text of entry 0, which every later entry names.
        version_id: hash of the charter or agreement in force.
        newest_time: the latest time that an entry claims, as written.
        newest: the same, read.
        keys: which key held when.
        tree: over the entries so far.
        size: how many those are.
        nonces: every (actor, nonce) that was said.
        denials: refusals on record.
        denial_times: when each signer's refusals of the last hour were said.
    """

    charter_id: str
    version_id: str
    newest_time: str
    newest: datetime
    keys: KeyRing = field(default_factory=KeyRing)
    tree: Tree = field(default_factory=Tree)
    size: int = 0
    nonces: Seen = field(default_factory=Seen)
    denials: list[Denial] = field(default_factory=list)
    denial_times: dict[str, deque[datetime]] = field(default_factory=dict)

    @property
    @abstractmethod
    def origin(self) -> str:
        """Name of the log."""

    @property
    @abstractmethod
    def log_key(self) -> str:
        """Verifier key of the log, as its charter or agreement in force names it."""

    @property
    @abstractmethod
    def signatures_required(self) -> int:
        """How many institutions had to sign entry 0."""

    @abstractmethod
    def active_sites(self) -> list[str]:
        """Hospitals that may speak now, sorted."""

    def moved(self, kind: str) -> None:  # noqa: B027 - most logs have one phase only
        """Go to the phase that a statement of this kind leads to."""

    def root(self, size: int | None = None) -> bytes:
        """Root of the tree over the first `size` entries (all, if not said)."""
        return self.tree.root(size)
