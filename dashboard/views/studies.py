"""Studies: the list, with filters that live in the address."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import page, session, style, tables, words
from dashboard.hub_client import open_hub

Plain = dict[str, Any]
GROUPS: dict[str, frozenset[str]] = {
    "All": frozenset(words.PHASES),
    "Before launch": frozenset({"proposed", "signed"}),
    "Running": frozenset({"ready", "in_round", "stopped"}),
    "Ended": frozenset({"closed", "refused"}),
}
WIDTHS = (5, 2, 2, 2, 2)


def render() -> None:
    """Draw the page."""
    page.begin("Studies", "Every study that you may read, newest first.")
    with open_hub() as hub:
        studies = page.ask("studies", hub.studies)
    if not studies:
        page.empty("There is no study yet.", _next_step())
        return
    shown = _filtered(studies)
    if not shown:
        page.empty("No study matches this filter.", "Choose *All* or clear the words.")
        return
    head = st.columns(WIDTHS)
    for column, title in zip(
        head, ("Study", "Progress", "Hospitals", "Main measure", "Last event"), strict=True
    ):
        column.markdown(f":gray[{title}]")
    for row in shown:
        _row(row)


def _next_step() -> str:
    if session.identity().has("researcher"):
        return "Begin with *New study* in the menu."
    return "A researcher begins with *New study*."


def _filtered(studies: list[Plain]) -> list[Plain]:
    left, right = st.columns((3, 2), vertical_alignment="bottom")
    group = left.segmented_control(
        "Show", list(GROUPS), default="All", key="show", bind="query-params"
    )
    text = right.text_input(
        "Words in the title", key="words", icon=":material/search:", bind="query-params"
    )
    phases = GROUPS[group or "All"]
    return [
        row
        for row in studies
        if row["phase"] in phases and (text or "").lower() in row["title"].lower()
    ]


def _row(row: Plain) -> None:
    with st.container(border=True):
        one, two, three, four, five = st.columns(WIDTHS, vertical_alignment="center")
        with one:
            st.page_link(
                "views/study.py", label=f"**{row['title']}**", query_params={"id": row["study"]}
            )
            page.badge(row["phase"])
        two.markdown(tables.progress(row))
        signed = sum(site["signed"] for site in row["sites"])
        three.markdown(f"{signed} of {len(row['sites'])} signed")
        four.markdown(f"**{tables.spread(row)}** :gray[{tables.main_measure(row)}]")
        five.markdown(f":gray[{style.moment(row['last_event'])}]")


if __name__ == "__main__":
    render()
