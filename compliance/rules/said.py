"""One statement as the rules see it: form and signatures are checked, meaning is not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from compliance.records.types import Record

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
