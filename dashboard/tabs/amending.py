"""Other terms for a running study: few numbers here, the others by `consilium study amend`."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import page

Plain = dict[str, Any]
TERMS: dict[str, tuple[str, int]] = {
    "max_rounds": ("Rounds at most", 1000),
    "min_sites": ("Fewest hospitals in a round", 64),
    "min_examples": ("Fewest cases of a hospital", 1_000_000),
    "min_cell": ("Smallest count that may be shown", 1000),
}
"""Numbers that this page changes: label and the largest that it offers."""


def draw(study: Plain, charter: Plain) -> None:
    """Draw the fold with the numbers of the charter; what differs is laid before the hospitals."""
    with st.expander("Propose other terms", icon=":material/edit_document:"):
        st.markdown(
            ":gray[The whole new charter is laid before the hospitals. It is in force when as many "
            "have signed as it asks for; a hospital that does not sign is outside from then on. "
            "Other terms: `consilium study amend`. What waits stands under *Consortium*.]"
        )
        body = charter["body"]
        asked = {name: _ask(name, int(body[name])) for name in TERMS}
        changes = {name: value for name, value in asked.items() if value != body[name]}
        page.act(
            "Lay the changed charter before the hospitals", "charter.amend", study["study"],
            {"changes": changes}, icon=":material/edit_document:", disabled=not changes,
        )  # fmt: skip


def _ask(name: str, now: int) -> int:
    label, most = TERMS[name]
    return int(st.number_input(label, 1, max(most, now), now, step=1, key=f"amend {name}"))
