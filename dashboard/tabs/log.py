"""Log: the checkpoint and its cosignatures as checked in this process, and every entry in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from dashboard import page, session, style, tables, words
from dashboard.checking import Checked, kind_of
from dashboard.tabs import exporting, records, sealed

Plain = dict[str, Any]
PAGE = 50


def draw(study: Plain, found: Checked | None) -> None:
    """Draw the tab."""
    if found is None:
        return
    names = tables.names_of(study["sites"])
    left, right = st.columns((3, 2), gap="large")
    with left:
        _standing(found)
    with right:
        _cosignatures(study, found, names)
    if session.identity().has("auditor", "researcher"):
        _export(study)
    if session.identity().has("auditor") and found.size:
        records.review(study, found.size)
    if found.size:
        sealed.draw(study, found)
    st.subheader("Entries")
    _entries(found, names)


def alarm(found: Checked) -> None:
    """The red bar: what the hub shows cannot be true."""
    place = f" First bad entry: {found.bad}." if found.bad is not None else ""
    st.error(
        f"**This log is refuted.** {found.finding}{place} {words.STANDING_MEANS['refuted']}",
        icon=":material/dangerous:",
    )
    for number, proof in enumerate(found.proofs, 1):
        st.download_button(
            f"Signed checkpoint {number}", proof, f"checkpoint-{number}.txt", on_click="ignore",
            icon=":material/download:",
        )  # fmt: skip


def _standing(found: Checked) -> None:
    st.subheader("Checkpoint")
    page.badge(found.standing)
    st.markdown(found.finding)
    st.markdown(f":gray[{words.STANDING_MEANS[found.standing]}]")
    if found.root:
        st.markdown(f"Size **{found.size}** · root `{found.root[:16]}…`")
    if st.button("Verify now", icon=":material/verified:", disabled=page.stale()):
        page.verify_again()
        st.rerun()
    st.markdown(":gray[Without this dashboard: `consilium audit verify BUNDLE --policy FILE`.]")


def _cosignatures(study: Plain, found: Checked, names: words.Names) -> None:
    st.subheader("Cosignatures")
    for row in study["sites"]:
        at = found.cosigned.get(row["name"])
        with st.container(horizontal=True, vertical_alignment="center"):
            if at:
                st.badge("cosigned", icon=":material/check_circle:", color="green")
                when = f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"
            else:
                st.badge("not yet", icon=":material/hourglass_top:", color="orange")
                when = "not under this checkpoint"
            st.markdown(f"**{words.hospital(row['name'], names)}** · :gray[{when}]")


def _export(study: Plain) -> None:
    with st.expander("Export the evidence bundle", icon=":material/inventory_2:"):
        if session.identity().has("auditor"):
            st.page_link(
                "views/reports.py", label="Look first at what it will hold",
                icon=":material/fact_check:", query_params={"study": study["study"]},
            )  # fmt: skip
        exporting.act(study, exporting.ask())


def _entries(found: Checked, names: words.Names) -> None:
    total = len(found.entries)
    pages = max(1, -(-total // PAGE))
    at = 1
    if pages > 1:
        at = int(st.number_input("Page", 1, pages, 1, help=f"{total} entries, newest first"))
    newest = list(enumerate(found.entries))[::-1][(at - 1) * PAGE : at * PAGE]
    st.table([_entry(index, note, names, found.bad) for index, note in newest], border="horizontal")


def _entry(index: int, note: bytes, names: words.Names, bad: int | None) -> Plain:
    kind, actor, time, body = kind_of(note)
    mark = "✕ " if index == bad else ""
    return {
        "Entry": f"{mark}{index}",
        "Time": style.moment(time),
        "Said by": words.speaker(actor, names) if actor else "The signers",
        "What": words.told(kind, actor, body, names),
    }
