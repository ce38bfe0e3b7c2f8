"""The journal: all that was asked, answered, refused and sent; and the ledger of what left."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import style
from dashboard.console import shared
from dashboard.console_tables import (
    csv_of,
    egress_table,
    journal_table,
    kinds,
    left_table,
    of_kind,
    plain,
    weight,
)
from dashboard.site_client import SiteClient

Plain = dict[str, Any]
PARTS = ("What happened", "What left")
SHOWN, MOST = 100, 2000


def render() -> None:
    """Draw the page."""
    shared.begin("Journal", "It stays in this hospital, private details included.")
    part = st.segmented_control(
        "Part of the journal", PARTS, default=PARTS[0], label_visibility="collapsed", key="part",
        bind="query-params",
    )  # fmt: skip
    study = st.text_input(
        "Only this study", placeholder="the study's 16 digits", max_chars=16, key="study"
    ).strip()
    if part == PARTS[1]:
        _left(study)
    else:
        _happened(study)


def _happened(study: str) -> None:
    rows = shared.ask(lambda site: site.journal(study, MOST), "Reading the journal …")
    if not rows:
        shared.empty("Nothing is written here.", "Lines come with what this hospital does.")
        return
    kind = st.selectbox("Only this kind", kinds(rows), index=None, placeholder="all kinds")
    chosen = of_kind(rows, kind)
    _count(len(chosen))
    shared.table(journal_table(chosen[:SHOWN]), "Lines of the journal, newest first")
    _download(chosen, "journal.csv")


def _left(study: str) -> None:
    def question(site: SiteClient) -> Plain:
        return site.egress(study, MOST)

    told = shared.ask(question, "Reading the ledger and following its chain …")
    _chain(told["chain"])
    if not told["lines"]:
        shared.empty("Nothing has left.", "Each body is written down before it leaves.")
        return
    total = told["total"]
    st.markdown(f"**{weight(total['bytes'])}** in {style.cases(total['lines'])} bodies")
    shared.table(left_table(told["kinds"]), "Sums by kind")
    st.subheader("Every body that left", anchor=False)
    _count(len(told["lines"]))
    shared.table(egress_table(told["lines"][:SHOWN]), "Every body that left, newest first")
    _download(told["lines"], "left.csv")


def _chain(chain: Plain) -> None:
    if not chain["holds"]:
        st.error(
            f"**The chain is broken at line {chain['broken_at']}**: the ledger was changed from "
            "outside. Keep this machine as it is, and call whoever looks after its security.",
            icon=":material/dangerous:",
        )
    elif chain["lines"]:
        head = plain(style.short(chain["head"], 16))
        st.success(
            f"The chain holds over {style.cases(chain['lines'])} lines; its head is {head}…",
            icon=":material/task_alt:",
        )


def _count(count: int) -> None:
    more = f"; the newest {SHOWN} are shown, the file has all" if count > SHOWN else ""
    st.markdown(f":gray[{style.cases(count)} lines{more}]")


def _download(rows: list[Plain], name: str) -> None:
    st.download_button(
        "Download as CSV", data=lambda: csv_of(rows), file_name=name, mime="text/csv",
        on_click="ignore", icon=":material/download:",
    )  # fmt: skip


if __name__ == "__main__":
    render()
