"""What the terms of the data say to a purpose, by the very rule that judges the charter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from compliance.records.charter import Duo, Purpose
from compliance.rules.duo import Answer, match

Plain = dict[str, Any]
UNREADABLE = (
    "The purpose has a wrong form: a disease is a code such as MONDO:0005249, without its name."
)


@dataclass(frozen=True)
class Terms:
    """The terms of a data set as its hospital registered them."""

    duo: list[Duo]
    disease: list[str]


@dataclass(frozen=True)
class Said:
    """What the terms of one data set say.

    Args:
        site: the hospital.
        dataset: name of the data set.
        answer: approve, deny, or abstain: the data access committee decides.
        reason: why, in words.
        duo: the terms themselves.
    """

    site: str
    dataset: str
    answer: Answer
    reason: str
    duo: tuple[str, ...]

    @property
    def asks(self) -> bool:
        """Whether the hospital's data access committee must decide."""
        return self.answer is Answer.ABSTAIN


def said(purpose: Mapping[str, Any], datasets: Sequence[Plain]) -> list[Said]:
    """What each data set's terms say to this purpose; nothing where the purpose is unreadable.

    Args:
        purpose: as a draft has it.
        datasets: rows of the consortium's list, with `duo` and `disease`.
    """
    try:
        asked = Purpose.model_validate(dict(purpose))
    except ValidationError:
        return []
    found = []
    for row in datasets:
        terms = Terms(list(row.get("duo") or []), [str(code) for code in row.get("disease") or []])
        answer, reason = match(asked, terms)
        told = f"{reason}{_help(asked, terms, answer)}"
        found.append(Said(row["site"], row["dataset"], answer, told, tuple(terms.duo)))
    return found


def _help(purpose: Purpose, terms: Terms, answer: Answer) -> str:
    """Which code would fit, where only the disease is missing."""
    if answer is Answer.DENY and "DS" in terms.duo and purpose.use in ("DS", "MDS"):
        return f"; they are for {', '.join(terms.disease)}: name it if your disease is a kind of it"
    return ""
