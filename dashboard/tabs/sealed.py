"""Sealed details of a study's log: which entries commit to one, and one opened and checked here."""

from __future__ import annotations

from typing import Any

import streamlit as st

from compliance.errors import NotProven, Refused
from dashboard import evidence_words, page, session, style, tables, words
from dashboard.checking import Checked
from dashboard.hub_client import HubClient, open_hub
from dashboard.reading import kind_of
from dashboard.unsealing import opened

Plain = dict[str, Any]
READERS = ("auditor", "researcher", "steward")


def draw(study: Plain, found: Checked) -> None:
    """List what is sealed; whoever may, opens one."""
    number = study["study"]
    with st.expander("Sealed remarks and details", icon=":material/lock:"), open_hub() as hub:
        st.markdown(f":gray[{evidence_words.WHO_OPENS}]")
        rows = page.ask(f"sealed {number}", lambda: hub.sealed(number))
        if not rows:
            page.empty("No entry commits to a sealed detail.", "A review may bring one.")
            return
        names = tables.names_of(study["sites"])
        st.table([_row(row, found, names) for row in rows], border="horizontal")
        kept = [row["index"] for row in rows if row["state"] == "kept"]
        if kept and session.identity().has(*READERS):
            _open(hub, number, found, kept)


def _row(row: Plain, found: Checked, names: words.Names) -> Plain:
    """One entry in words, from the entries that were checked here."""
    index = int(row["index"])
    known = found.entries[index] if index < len(found.entries) else None
    kind, actor, _, body = kind_of(known) if known else ("", "", "", {})
    state = evidence_words.SEALED[row["state"]]
    at = f", {style.moment(row['erased_at'])}" if row["erased_at"] else ""
    return {
        "Entry": str(index),
        "Time": style.moment(row["time"]),
        "What": words.told(kind, actor, body, names) if known else style.MINUS,
        "The detail": f"{state}{at}",
    }


def _open(hub: HubClient, study: str, found: Checked, kept: list[int]) -> None:
    """Open one; it is asked for each time and kept nowhere."""
    left, right = st.columns((1, 3), vertical_alignment="bottom")
    index = left.selectbox("Entry to open", kept)
    if not right.button("Open it here", icon=":material/lock_open:", disabled=page.stale()):
        return
    if index >= len(found.entries):
        st.info("This entry is newer than the last check. Use *Verify now* first.")
        return
    with page.problems():
        try:
            payload = opened(study, found.entries[index], hub.sealed_detail(study, index))
        except NotProven:
            st.error(f"**Refuted.** {evidence_words.SEAL_BROKEN}", icon=":material/dangerous:")
            return
        except Refused as error:
            if error.rule != page.FORBIDDEN:
                raise
            st.warning(f"This is not for you. {evidence_words.WHO_OPENS}", icon=":material/lock:")
            return
    _show(index, payload)


def _show(index: int, payload: Plain) -> None:
    """The detail, as text."""
    st.success(f"Entry {index} commits to exactly this; checked here.", icon=":material/verified:")
    for name, told in payload.items():
        st.markdown(f"**{name.replace('_', ' ').capitalize()}**")
        st.text(str(told))
