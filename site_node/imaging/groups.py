"""The groups by which patients are told apart when a model is measured: closed words of a header.

A word that is not on the list is no group of its own: it becomes empty, and nothing is told of it.

Source: design/federation.md §9; the lists stand in `compliance.records.measures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compliance.records.measures import GROUPS
from site_node.imaging.facts import ELDEST

SEXES = {"female": "f", "male": "m"}
BANDS = ((40, "under-40"), (60, "40-59"), (ELDEST, "60-79"))
EVERYBODY = "80-up"


def group_words(facts: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """By dimension the word of each sample, in the samples' order."""
    found = {
        "sex": [SEXES.get(row.get("sex", ""), "") for row in facts],
        "age": [band_of(row.get("age", "")) for row in facts],
        "scanner": [row.get("scanner", "") for row in facts],
    }
    return {
        name: [word if word in GROUPS[name] else "" for word in words]
        for name, words in found.items()
    }


def band_of(decade: str) -> str:
    """The band of a decade of life such as `60-69` or `80+`; empty for anything else."""
    first = decade.partition("-")[0].removesuffix("+")
    if not first.isdecimal():
        return ""
    return next((word for end, word in BANDS if int(first) < end), EVERYBODY)
