"""Acts that a person may suppose on a study's page, and what each of them asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Plain = dict[str, Any]


@dataclass(frozen=True)
class Act:
    """One kind of statement as a supposition.

    Args:
        words: what somebody would do.
        asks: which of `sites`, `site`, `dataset`, `n` and `form` are asked.
    """

    words: str
    asks: tuple[str, ...] = ()


ACTS: dict[str, Act] = {
    "round.opened": Act("The hub opens the next round", ("sites",)),
    "update.submitted": Act("A hospital sends its update", ("site", "dataset", "n")),
    "site.joined": Act("A hospital joins, or comes back", ("site",)),
    "site.withdrawn": Act("A hospital leaves the study", ("site",)),
    "dataset.withdrawn": Act("A hospital withdraws a data set", ("site", "dataset")),
    "release.approved": Act("A hospital agrees to hand out the newest model", ("site", "form")),
    "release.refused": Act("A hospital objects to the newest model", ("site",)),
    "model.released": Act("The hub hands out the newest model", ("form",)),
    "study.stopped": Act("The hub stops the study for somebody"),
    "study.resumed": Act("One hospital alone resumes the study", ("site",)),
    "study.closed": Act("The hub closes the study"),
}
"""By type; others are asked with `consilium study may`."""


def body_of(kind: str, said: Mapping[str, Any]) -> Plain:
    """The fields of a statement that were asked; the rest is filled in from the log."""
    asked = ACTS[kind].asks
    return {name: said[name] for name in asked if name != "site" and said.get(name) is not None}


def verdict_words(reply: Mapping[str, Any]) -> str:
    """The verdict in one sentence or a few: the rule, what was found, what was agreed."""
    if reply["allowed"]:
        return "It would be allowed: no rule is against it."
    parts = [f"It would be refused: {reply['sentence']}"]
    parts += [f"Found: {reply['found']}."] if reply["found"] is not None else []
    parts += [f"Agreed: {reply['agreed']}."] if reply["agreed"] is not None else []
    return " ".join(parts)
