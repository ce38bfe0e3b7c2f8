"""The inbox: charters that wait for this hospital's answer, and those that have one."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import console_words, words
from dashboard.console import shared
from dashboard.console_tables import plain

Plain = dict[str, Any]


def render() -> None:
    """Draw the page."""
    shared.begin("Inbox", "What researchers ask of this hospital. Nothing is trained unsigned.")
    told = shared.ask(lambda site: site.inbox(), "Asking for charters …")
    if told["away"]:
        st.warning(
            "The hub does not answer, so new charters cannot be seen. What was answered here is "
            "listed; a signature given now is kept until the hub is back.",
            icon=":material/cloud_off:",
        )
    waiting = [row for row in told["rows"] if row["own_answer"] == "waiting"]
    _waiting(waiting, away=bool(told["away"]))
    answered = [row for row in told["rows"] if row["own_answer"] != "waiting"]
    if answered:
        st.header("Answered", anchor=False)
    for row in answered:
        _card(row)


def _waiting(rows: list[Plain], *, away: bool) -> None:
    count = "" if away else f" ({len(rows)})"
    st.header(f"Waiting for this hospital{count}", anchor=False)
    for row in rows:
        _card(row)
    if not rows and not away:
        shared.empty(
            "No charter waits for you.",
            "A researcher proposes a study at the hub; its charter then appears here by itself.",
        )
    elif not rows:
        shared.empty("Nothing can be seen while the hub is away.", "Try again later.")


def _card(row: Plain) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(plain(row["title"]), anchor=False)
            shared.answer(row["own_answer"])
            if not row["believed"]:
                st.badge("Alarm: its log is not believed", icon=":material/dangerous:", color="red")
        if row["trouble"]:
            st.error(plain(row["trouble"]), icon=":material/dangerous:")
            return
        st.markdown(f":gray[{_about(row)}]")
        label = "Read and decide" if row["own_answer"] == "waiting" else "Read"
        st.page_link(
            "charter.py", label=f"{label}: {plain(row['title'])}", icon=":material/arrow_forward:",
            query_params={"id": row["charter_id"]},
        )  # fmt: skip


def _about(row: Plain) -> str:
    signed = f"{len(row['signed'])} of {row['needed']} needed signatures"
    sites = words.listed(row["sites"])
    about = f"Asked by {row['asked_by']} · {console_words.days(row)} · {signed} · {sites}"
    return plain(about)


if __name__ == "__main__":
    render()
