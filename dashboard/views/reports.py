"""Reports, for auditors: what a bundle will hold, its export, past exports, and verifying one."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import page, tables
from dashboard.checking import Checked
from dashboard.hub_client import open_hub
from dashboard.tabs import exporting, exports, log, verifying

Plain = dict[str, Any]
PARTS = ("Export", "Past exports", "Verify a bundle")


def render() -> None:
    """Draw the page."""
    page.begin("Reports", "Evidence for people who do not have to believe anybody.")
    page.only("auditor")
    part = st.segmented_control(
        "Part of the page", PARTS, default=PARTS[0], key="part", bind="query-params",
        label_visibility="collapsed", on_change=page.verify_again,
    )  # fmt: skip
    if part == PARTS[2]:
        verifying.draw()
        return
    study = _study()
    if study is None:
        return
    found = page.checked(study["study"])
    if found.standing == "refuted":
        log.alarm(found)
        return
    if part == PARTS[1]:
        exports.draw(study, found)
    else:
        _export(study, found)
    page.footer(found, tables.names_of(study["sites"]))


def _study() -> Plain | None:
    """Ask which study; None when none has a log yet."""
    with open_hub() as hub:
        studies = page.ask("studies", hub.studies)
    rows = {row["study"]: row for row in studies if row["state"] == "launched"}
    if not rows:
        page.empty("No study has a log yet.", "Evidence begins when a study is launched.")
        return None
    named = st.query_params.get("study", "")
    numbers = list(rows)
    at = numbers.index(named) if named in rows else 0
    chosen = st.selectbox(
        "Study", numbers, index=at, format_func=lambda number: _title(rows[number])
    )
    st.query_params["study"] = chosen
    return rows[chosen]


def _title(row: Plain) -> str:
    return f"{row['title']} · {row['study'][:8]}"


def _export(study: Plain, found: Checked) -> None:
    if found.standing == "unknown":
        page.empty(
            f"Nothing can be exported yet. {found.finding}",
            "A bundle needs its witnesses: the hospitals' nodes run `consilium site serve`.",
        )
        return
    body = exporting.ask()
    exporting.look(study, found, body)
    st.subheader("Export")
    exporting.act(study, body)
    st.markdown(":gray[Without this dashboard, on the hub's or a hospital's machine:]")
    st.code(
        f"consilium audit export {study['study']} --out DIR\n{verifying.COMMAND}", language=None
    )


if __name__ == "__main__":
    render()
