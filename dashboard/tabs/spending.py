"""Privacy spent: what each hospital has charged for its steps with noise, from the checked log."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import charts, page, spending, style, tables
from dashboard.checking import Checked, study_state

Plain = dict[str, Any]


def draw(study: Plain, charter: Plain, found: Checked | None, sites: list[Plain]) -> None:
    """Draw the part; nothing for a study without noise."""
    terms = charter["body"]["dp"]
    if terms is None:
        return
    st.subheader("Privacy spent")
    st.markdown(
        f":gray[Agreed: ε at most {terms['epsilon']} at δ {terms['delta']}, for each "
        f"{terms['unit']}, over the whole study. Every hospital charges its own steps before its "
        "answer leaves; ε is stated rounded up.]"
    )
    state = study_state(found)
    if found is None or state is None:
        page.empty("Nothing of the log is checked here.", "See the tab *Log*.")
        return
    names, rows = tables.names_of(study["sites"]), spending.stated(found.entries)
    st.table(spending.table(spending.accounts(state, rows), names), border="horizontal")
    if not rows:
        page.empty("No step with noise was taken yet.", "The first are charged in round 1.")
        return
    points, slots = spending.points(rows, names), style.slots(sites)
    st.altair_chart(charts.spending(points, slots), alt=charts.spending_alt(points), theme=None)
    with st.expander("Every charge", icon=":material/table:"):
        st.table(spending.by_round(rows, names), border="horizontal")
