"""Checks before the release: what the log says of the model, what each hospital told of its own."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import examined, page, spending, tables
from dashboard.checking import Checked, study_state
from dashboard.consent import Consent
from dashboard.hub_client import open_hub

Plain = dict[str, Any]
OWN = (
    "Each hospital attacks the model with its own cases before it agrees: can the model tell who "
    "was trained on? An AUC of 0.5 is a coin; above 0.6 with its whole interval counts as a leak. "
    "The numbers are the hospital's own; that it signed for them was checked here."
)


def draw(study: Plain, told: Consent, found: Checked) -> None:
    """Draw the part for the newest model."""
    names, number, state = tables.names_of(study["sites"]), study["study"], study_state(found)
    if state is None:
        return
    st.subheader("Checks of this model")
    facts = examined.facts(state, told.model, names)
    rows = spending.accounts(state, spending.stated(found.entries))
    facts["ε spent"] = examined.spent_words(rows, names)
    st.table(
        {"What": list(facts), "By the log": list(facts.values())},
        border="horizontal", hide_header=True,
    )  # fmt: skip
    agreed = told.standing.agreed
    if not agreed:
        st.markdown(":gray[No hospital has agreed yet: none has told of its own checks.]")
        return
    with page.problems(), open_hub() as hub:
        said = examined.said(
            found.entries, told.model, agreed, lambda index: hub.sealed_detail(number, index)
        )
    st.markdown(f":gray[{OWN}]")
    st.table(examined.table(said, state, names), border="horizontal")
