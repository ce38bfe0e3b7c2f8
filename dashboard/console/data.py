"""Data: this hospital's datasets with exact counts, their quality, and what stayed out."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from dashboard import style
from dashboard.console import shared
from dashboard.console_tables import plain, quality_table, quarantine_table, split_table

Plain = dict[str, Any]


def render() -> None:
    """Draw the page."""
    shared.begin("Data", "Exact counts: they are shown on this machine only and never leave.")
    told = shared.ask(lambda site: site.datasets(), "Reading the catalogue …")
    if not told["rows"]:
        shared.empty(
            "No dataset is here.",
            "Your technician imports one: `consilium site import FOLDER --dataset NAME "
            "--labels CSV`.",
        )
    for row in told["rows"]:
        _dataset(row)
    st.header("Quarantine", anchor=False)
    if not told["quarantine"]:
        st.markdown("Nothing stayed out.")
        return
    st.markdown(":gray[Files that an import left out, by reason. No file name is shown.]")
    shared.table(quarantine_table(told["quarantine"]), "Files in quarantine by reason")


def _dataset(row: Plain) -> None:
    with st.container(border=True):
        st.subheader(plain(row["name"]), anchor=False)
        if not row["here"]:
            st.error("Its folder is away: your technician mounts or restores it.")
        what = ", ".join([*row["modality"], *row["body_part"]]) or "kind of image unknown"
        deid = row["deid"].get("profile", "unknown")
        st.markdown(
            f"**{style.cases(row['patients'])} patients** · {plain(what)} · "
            f"de-identification profile {plain(deid)}"
        )
        st.markdown(f":gray[Version] `{style.short(row['version'], 16)}`")
        shared.table(split_table(row), f"Images of {row['name']} by split and class")
        quality = quality_table(row)
        if quality:
            with st.expander("Quality: what the import found", icon=":material/fact_check:"):
                shared.table(quality, "Findings of the import")
        with st.expander("What others see of it", icon=":material/visibility:"):
            st.code(
                json.dumps(row["leaving"], indent=2, ensure_ascii=False), language=None,
                wrap_lines=True,
            )  # fmt: skip


if __name__ == "__main__":
    render()
