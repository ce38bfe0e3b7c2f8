"""Health: what the doctor finds, as a ladder; each fault with its fix."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard.console import shared
from dashboard.console_tables import first_fault, ladder, spoken

Plain = dict[str, Any]


def render() -> None:
    """Draw the page."""
    shared.begin(
        "Health", "What must be well before this hospital can take part, lowest rung first."
    )
    st.button("Look again", icon=":material/refresh:", key="again")
    told = shared.ask(lambda site: site.health(), "Looking at everything …")
    _sum(told["checks"])
    for name, rows in ladder(told["checks"]):
        with st.container(border=True):
            st.subheader(name, anchor=False)
            for row in rows:
                _check(row)


def _sum(checks: list[Plain]) -> None:
    fault = first_fault(checks)
    if fault is None:
        st.success(f"All {len(checks)} checks are well.", icon=":material/task_alt:")
        return
    st.error(
        f"**Mend this first:** {spoken(fault['finding'])} {spoken(fault['fix'])}".strip(),
        icon=":material/build:",
    )


def _check(row: Plain) -> None:
    glyph = ":green[:material/check_circle:]" if row["well"] else ":red[:material/cancel:]"
    word = "Well" if row["well"] else "Not well"
    st.markdown(f"{glyph} **{word}** · {spoken(row['finding'])} :gray[`{row['code']}`]")
    if not row["well"] and row["fix"]:
        st.markdown(f":material/build: {spoken(row['fix'])}")


if __name__ == "__main__":
    render()
