"""What each hospital would refuse in a draft: the rules' findings, hospital by hospital.

A charter is one text: as long as one point is open, every hospital refuses it. Each point stands
at the hospital that it concerns, and what concerns all stands first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Plain = dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """What is open at one hospital, or at the study as a whole.

    Args:
        site: the hospital; None for what every hospital would refuse.
        refused: findings that refuse, as the hub tells them.
    """

    site: str | None
    refused: list[Plain]

    @property
    def allowed(self) -> bool:
        """Whether no rule has anything against this part."""
        return not self.refused


def by_hospital(found: Iterable[Plain], sites: Iterable[str]) -> list[Verdict]:
    """The study first, then each hospital by name; a hospital that a finding names is there too.

    Args:
        found: findings of `POST /charters/check`.
        sites: hospitals of the draft.
    """
    refused = [row for row in found if not row["allowed"]]
    names = sorted({*sites, *(row["site"] for row in refused if row.get("site"))})
    return [
        Verdict(site, [row for row in refused if row.get("site") == site])
        for site in (None, *names)
    ]


def sites_of(draft: Plain) -> list[str]:
    """The hospitals whose data sets a draft names, sorted."""
    rows = draft.get("datasets") or []
    named = (row.get("site") for row in rows if isinstance(row, dict))
    return sorted({site for site in named if isinstance(site, str)})


def lines_of(verdicts: Sequence[Verdict]) -> list[str]:
    """The same in lines for a terminal, with what to change below each point."""
    lines = []
    for verdict in verdicts:
        title = verdict.site or "Every hospital"
        lines.append(f"✓ {title}: nothing" if verdict.allowed else f"✕ {title} would refuse:")
        for row in verdict.refused:
            lines += [f"    {row['rule']}: {said(row)}"]
            lines += [f"      Change: {row['fix']}"] if row.get("fix") else []
    return lines


def said(row: Plain) -> str:
    """One finding: the rule in words, what the draft says, what can be agreed."""
    parts = [str(row["sentence"]).removeprefix("Not ready: ")]
    parts += [f"Found: {row['found']}."] if row["found"] else []
    parts += [f"Can be agreed: {row['agreed']}."] if row["agreed"] else []
    return " ".join(parts)
