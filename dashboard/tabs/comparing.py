"""The rules of aggregation side by side: what each bears with so many hospitals, and excludes."""

from __future__ import annotations

import streamlit as st

from compliance.rules.honest import (
    default_f,
    default_rule,
    needed,
    needs_and_excludes,
    what_may_be_said,
)
from compliance.rules.methods import AGGREGATORS
from dashboard import choices


def draw(most: int) -> None:
    """Draw the table for a study of so many hospitals."""
    with st.expander("What each rule bears, and what it excludes"):
        st.table(rows(most), border="horizontal")


def rows(most: int) -> list[dict[str, str]]:
    """Every rule in the order of the catalogue, by what it bears when all hospitals answer."""
    return [_row(rule, most) for rule in AGGREGATORS]


def _row(rule: str, most: int) -> dict[str, str]:
    f = default_f(most) if "f" in AGGREGATORS[rule] else None
    enough = needed(rule, f) <= most
    name = choices.AGGREGATORS[rule]
    return {
        "Rule": f"{name} (proposed)" if rule == default_rule(most).rule else name,
        "Bears": what_may_be_said(rule, most, f) if enough else "Not with so few hospitals.",
        "Needs and excludes": needs_and_excludes(rule, f),
    }
