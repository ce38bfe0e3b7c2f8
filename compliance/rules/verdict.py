"""The answer of a rule: allowed, or denied by a rule that has an id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from compliance.errors import Refused
from compliance.rules.words import SENTENCES


@dataclass(frozen=True)
class Allowed:
    """No rule is against it."""


@dataclass(frozen=True)
class Denied:
    """A rule is against it.

    Args:
        rule: id of the rule, the reason of the refusal.
        found: what the statement says.
        agreed: what the charter or the log says.
        site: the hospital whom this concerns; None where it concerns the study.
    """

    rule: str
    found: Any = None
    agreed: Any = None
    site: str | None = None

    @property
    def sentence(self) -> str:
        """The rule in words for people."""
        return SENTENCES[self.rule]

    def refusal(self) -> Refused:
        """The same answer as an error, for whoever must stop here."""
        return Refused(self.rule, self.found, self.agreed, sentence=self.sentence)


Verdict = Allowed | Denied
ALLOWED = Allowed()
