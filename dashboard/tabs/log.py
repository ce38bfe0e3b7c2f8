"""Log: the checkpoint and its cosignatures as checked in this process, and every entry in words."""

from __future__ import annotations

from typing import Any

import streamlit as st

from compliance.errors import ConsiliumError
from dashboard import page, session, style, tables, words
from dashboard.checking import Checked
from dashboard.reading import kind_of
from dashboard.tabs import exporting, records, sealed, witnesses

Plain = dict[str, Any]
PAGE = 50


def draw(study: Plain, found: Checked | None, sites: list[Plain]) -> None:
    """Draw the tab; `sites` are the hospitals as the hub tells of them."""
    if found is None:
        return
    names = tables.names_of(study["sites"])
    left, right = st.columns((2, 3), gap="large")
    with left:
        standing(found)
    with right:
        witnesses.draw(found, study["study"], names, sites)
    if session.identity().has("auditor", "researcher"):
        _export(study)
    if session.identity().has("auditor") and found.size:
        records.review(study, found.size)
    if found.size:
        sealed.draw(study, found)
    st.subheader("Entries")
    entries(found, names, study["study"])


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


def standing(found: Checked) -> None:
    """What this process found about the log, and what that means."""
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


def _export(study: Plain) -> None:
    with st.expander("Export the evidence bundle", icon=":material/inventory_2:"):
        if session.identity().has("auditor"):
            st.page_link(
                "views/reports.py", label="Look first at what it will hold",
                icon=":material/fact_check:", query_params={"study": study["study"]},
            )  # fmt: skip
        exporting.act(study, exporting.ask())


def entries(found: Checked, names: words.Names, log: str) -> None:
    """Every entry in words, newest first."""
    total = len(found.entries)
    pages = max(1, -(-total // PAGE))
    at = 1
    if pages > 1:
        at = int(st.number_input("Page", 1, pages, 1, help=f"{total} entries, newest first"))
    newest = list(enumerate(found.entries))[::-1][(at - 1) * PAGE : at * PAGE]
    st.table(
        [_entry(index, note, names, log, found) for index, note in newest], border="horizontal"
    )


def _entry(index: int, note: bytes, names: words.Names, log: str, found: Checked) -> Plain:
    place = f"✕ {index}" if index == found.bad else str(index)
    try:
        kind, actor, time, body = kind_of(note, log)
    except ConsiliumError:  # in a refuted log an entry may have any form
        told = "It cannot be read; nothing of it is believed."
        return {"Entry": place, "Time": style.MINUS, "Said by": style.MINUS, "What": told}
    return {
        "Entry": place,
        "Time": style.moment(time),
        "Said by": words.speaker(actor, names) if actor else "The signers",
        "What": words.told(kind, actor, body, names),
    }
