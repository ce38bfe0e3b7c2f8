"""One statement as the rules see it, and what they ask of the log that it would stand in.

Form and signatures are checked, meaning is not.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from compliance.records.decisions import DecisionDenied
from compliance.records.types import Record
from compliance.rules.keyring import KeyRing

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


class LogState(Protocol):
    """What a study and the consortium have in common for the rules that both logs share."""

    keys: KeyRing
    nonces: set[tuple[str, str]]
    size: int
    newest: datetime
    newest_time: str
    denials: list[Denial]
    denial_times: dict[str, deque[datetime]]

    @property
    def charter_id(self) -> str:
        """`sha256:` of the text of entry 0, which every later entry names."""

    @property
    def origin(self) -> str:
        """Name of the log."""

    @property
    def log_key(self) -> str:
        """Verifier key of the log, as its charter or agreement in force names it."""

    @property
    def signatures_required(self) -> int:
        """How many institutions had to sign entry 0."""

    def active_sites(self) -> list[str]:
        """Hospitals that may speak now, sorted."""

    def root(self, size: int | None = None) -> bytes:
        """Root of the tree over the first `size` entries."""
