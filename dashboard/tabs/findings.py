"""What the rules say to a draft: refused, decided by the hospital, allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboard import words

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
            lines.append(_refusal(row))
        elif _at(draft, path) in (None, "", []):
            missing.setdefault(_whose(draft, path, names), []).append(words.field(path))
        else:
            said = str(row["agreed"]).removeprefix("Value error, ")
            lines.append(f"**{_whose(draft, path, names)}**, {words.field(path)}: {said}.")
    return [
        f"**{whose}**: missing {words.listed(parts)}." for whose, parts in missing.items()
    ] + lines


def _refusal(row: Plain) -> str:
    parts = [str(row["sentence"]).removeprefix("Not ready: ")]
    parts += [f"Found: {row['found']}."] if row["found"] else []
    parts += [f"Can be agreed: {row['agreed']}."] if row["agreed"] else []
    return " ".join(parts)


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
