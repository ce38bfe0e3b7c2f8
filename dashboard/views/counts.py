"""How many: ask every hospital for a kind of patient, and read what each of them tells."""

from __future__ import annotations

from typing import Any, get_args

import streamlit as st

from compliance.records.counts import Age, CountsAsked, Sex
from compliance.rules.consortium.state import ConsortiumState
from dashboard import counting, page, session, tables, words
from dashboard.checking import CONSORTIUM, Checked
from dashboard.hub_client import open_hub

Plain = dict[str, Any]
INTRO = "Each hospital answers for itself, or not at all. No image and no patient leaves it."
ROUNDED = (
    "A hospital counts small groups, each rounded down to a multiple of its own floor; the number "
    "is their sum. Asking again or in other words brings no more. None and too few look the same."
)
FORGED = "did not sign what the hub shows here: do not use this number, and tell the hospital."


def render() -> None:
    """Draw the page."""
    page.begin("How many", INTRO)
    page.only("researcher", "auditor", "admin")
    with open_hub() as hub:
        known = page.ask("count words", hub.count_words)
        rows = page.ask("counts", hub.counts)
        sites = page.ask("sites", hub.sites)
    if session.identity().has("researcher"):
        _ask(known)
    if not rows:
        page.empty("Nobody has asked yet.", "A researcher chooses words above and asks.")
        return
    names, found = tables.names_of(sites), page.checked(CONSORTIUM)
    opened = st.query_params.get("id") or rows[0]["question"]
    for row in rows:
        _question(row, names, found, opened=row["question"] == opened)


def _ask(known: dict[str, list[str]]) -> None:
    if not known["modality"]:
        page.empty(
            "No hospital offers data yet.",
            "At a hospital: `consilium site import FOLDER --dataset NAME`, then "
            "`consilium site serve`.",
        )
        return
    choices = known | {"age": list(get_args(Age)), "sex": list(get_args(Sex))}
    with st.container(border=True):
        places = st.columns(len(counting.FIELDS))
        chosen = {
            name: place.selectbox(
                label, choices[name], index=None, placeholder="Any", key=f"asked {name}"
            )
            for (name, label), place in zip(counting.FIELDS.items(), places, strict=True)
        }
        st.markdown(f":gray[{ROUNDED}]")
        asked = CountsAsked.model_validate(chosen)
        page.act(
            "Ask every hospital", "counts.ask", asked.phrase, asked.plain(),
            icon=":material/groups:", primary=True,
        )  # fmt: skip


def _question(row: Plain, names: dict[str, str], found: Checked, *, opened: bool) -> None:
    state = found.state if isinstance(found.state, ConsortiumState) else None
    forged = counting.forged(row, state) if state else []
    with st.expander(counting.asked_line(row), expanded=opened or bool(forged)):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{counting.summary(row)}**")
            page.badge(found.standing if state and not forged else "reported")
        for site in forged:
            st.error(f"{words.hospital(site, names)} {FORGED}", icon=":material/dangerous:")
        st.table(counting.lines_of(row, names), border="horizontal")


if __name__ == "__main__":
    render()
