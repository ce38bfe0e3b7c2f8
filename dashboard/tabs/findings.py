"""What the rules say to a draft: refused, decided by the hospital, allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboard import verdicts, words

Plain = dict[str, Any]


def draw(found: list[Plain], draft: Plain, names: words.Names) -> int:
    """Draw the list; returns how many refusals there are."""
    refused = [row for row in found if not row["allowed"]]
    allowed = [row for row in found if row["allowed"]]
    with st.container(border=True):
        if refused:
            st.markdown(
                f":red[**✕ Not ready to propose: {_count(len(refused), 'point')} to mend**]"
            )
        for line in to_mend(refused, draft, names):
            st.markdown(f"✕ {line}")
        if not refused:
            st.markdown(":green[**✓ No rule has anything against this draft.**]")
        st.markdown(f"? :gray[{words.UNKNOWN_TO_THE_HUB}]")
    if allowed:
        with st.expander(f"✓ {_count(len(allowed), 'rule')} kept"):
            for row in allowed:
                st.markdown(f"✓ {words.KEPT.get(row['rule'], row['rule'])}")
    return len(refused)


def by_hospital(found: list[Plain], draft: Plain, names: words.Names) -> None:
    """What each hospital would refuse, with the rule and what to change, before it is proposed."""
    st.markdown("**What each hospital would refuse**")
    told = verdicts.by_hospital(found, verdicts.sites_of(draft))
    for verdict in told:
        title = words.hospital(verdict.site, names) if verdict.site else "Every hospital"
        if verdict.allowed:
            st.markdown(f":green-badge[✓ nothing] **{title}**")
            continue
        st.markdown(f":red-badge[✕ refuses] **{title}**")
        columns = ("Rule", "Found", "Can be agreed", "What to change")
        points = _points(verdict.refused, draft)
        st.table(
            {name: list(cells) for name, cells in zip(columns, zip(*points, strict=True),
                                                      strict=True)},
            border="horizontal",
        )  # fmt: skip
    st.markdown(
        ":gray[A charter is one text: while one point is open, nobody signs it. Each point stands "
        "at the hospital that it concerns.]"
    )


def _points(refused: list[Plain], draft: Plain) -> list[tuple[str, str, str, str]]:
    """Rule, found, agreed, what to change: one point each, missing fields together in one."""
    missing = [row for row in refused if _missing(row, draft)]
    points = []
    if missing:
        fields = dict.fromkeys(words.field(str(row["found"])) for row in missing)
        found = f"Missing: {words.listed(list(fields))}"
        points.append(("charter.form", found, "—", "Fill in these fields."))
    for row in refused:
        if row not in missing:
            agreed = str(row["agreed"] or "—").removeprefix("Value error, ")
            points.append((row["rule"], _found(row), agreed, str(row["fix"] or "—")))
    return points


def _missing(row: Plain, draft: Plain) -> bool:
    path = str(row["found"] or "")
    return row["rule"] == "charter.form" and bool(path) and _at(draft, path) in (None, "", [])


def _found(row: Plain) -> str:
    """What was found, in the words of the form; the rule's sentence where nothing was found."""
    path = str(row["found"] or "")
    if not path:
        return str(row["sentence"]).removeprefix("Not ready: ")
    return words.field(path) if row["rule"] == "charter.form" else path


def _count(number: int, word: str) -> str:
    return f"1 {word}" if number == 1 else f"{number} {word}s"


def to_mend(refused: Sequence[Plain], draft: Plain, names: words.Names) -> list[str]:
    """What the rules refuse in a draft, as lines for people: what is missing, hospital by hospital.

    Args:
        refused: findings of the hub that refuse.
        draft: what was checked.
        names: titles of the hospitals.
    """
    if not draft["datasets"]:
        return ["Choose at least one data set (step 2)."]
    missing: dict[str, list[str]] = {}
    lines = []
    for row in refused:
        path = str(row["found"] or "")
        if row["rule"] != "charter.form" or not path:
            lines.append(verdicts.said(row))
        elif _missing(row, draft):
            missing.setdefault(_whose(draft, path, names), []).append(words.field(path))
        else:
            said = str(row["agreed"]).removeprefix("Value error, ")
            lines.append(f"**{_whose(draft, path, names)}**, {words.field(path)}: {said}.")
    return [
        f"**{whose}**: missing {words.listed(parts)}." for whose, parts in missing.items()
    ] + lines


def _at(draft: Plain, path: str) -> Any:
    value: Any = draft
    for part in path.split("."):
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def _whose(draft: Plain, path: str, names: words.Names) -> str:
    parts = path.split(".")
    if parts[:2] != ["legal", "sites"] or len(parts) < 4:  # noqa: PLR2004 - a field of a row
        return "The study" if parts[0] != "legal" else "Terms"
    site = str(_at(draft, ".".join([*parts[:3], "site"])))
    return words.hospital(site, names)
