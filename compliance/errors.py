"""One family of errors: what happened, what it means, what to do.

Each edge (HTTP, command line, dashboard) translates in one table; the class says who can help and
which exit code a command ends with.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ConsiliumError(Exception):
    """Something that a person here can act on; `str()` is the sentence to show."""

    exit_code: ClassVar[int] = 2


class Refused(ConsiliumError):
    """A rule said no.

    Args:
        rule: id of the rule; it is the reason of the refusal.
        found: what was asked for, or what was found.
        agreed: what the rule allows.
        sentence: words for people; without it the rule id speaks.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, rule: str, found: Any = None, agreed: Any = None, sentence: str | None = None
    ) -> None:
        self.rule, self.found, self.agreed, self.sentence = rule, found, agreed, sentence
        parts = [sentence or f"Refused by rule {rule}."]
        if found is not None:
            parts.append(f"Found: {found}.")
        if agreed is not None:
            parts.append(f"Agreed: {agreed}.")
        super().__init__(" ".join(parts))


class NotProven(ConsiliumError):
    """A proof does not hold; names the step (RFC 6962, C2SP) that failed."""

    exit_code: ClassVar[int] = 1

    def __init__(self, step: str, finding: str) -> None:
        self.step, self.finding = step, finding
        super().__init__(f"Not proven at step {step}: {finding}")


class NotReady(ConsiliumError):
    """A person here can fix it; carries the finding and the fix."""

    def __init__(self, finding: str, fix: str) -> None:
        self.finding, self.fix = finding, fix
        super().__init__(f"Not ready: {finding} {fix}")


class Unreachable(ConsiliumError):
    """The other side does not answer; we try again by ourselves where that makes sense."""

    def __init__(self, finding: str, fix: str = "It will be tried again.") -> None:
        self.finding, self.fix = finding, fix
        super().__init__(f"Unreachable: {finding} {fix}")


class Malformed(ConsiliumError):
    """The bytes are not what they claim to be; names the input and the rule it breaks."""

    def __init__(self, what: str, rule: str) -> None:
        self.what, self.rule = what, rule
        super().__init__(f"Malformed {what}: {rule}")
