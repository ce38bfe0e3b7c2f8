"""The record itself: an auditor's review, and for administrators the end of retention."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import page, style, words
from dashboard.hub_client import open_hub

Plain = dict[str, Any]


def review(study: Plain, size: int) -> None:
    """Ask an auditor what a review came to; the remark is sealed."""
    with st.expander("Note a review", icon=":material/rate_review:"):
        kinds = words.REVIEWS
        result = st.selectbox("Result", list(kinds), format_func=kinds.__getitem__)
        one, two = st.columns(2)
        start = one.number_input("From entry", 0, size - 1, 0)
        stop = two.number_input("Up to entry, not itself", 1, size, size)
        body = {"result": result, "from": int(start), "to": int(stop)}
        body["remark"] = remark("Remark, sealed")
        page.act(
            "Note it", "review.note", study["study"], body,
            icon=":material/rate_review:",
        )  # fmt: skip


def remark(label: str) -> str | None:
    """Ask for a remark that the log commits to without telling it; None without one."""
    told = st.text_area(label, max_chars=2000)
    st.markdown(
        ":gray[The log holds a hash of the remark; auditors and the study's researcher can "
        "open it, and it can be erased. Name no patient in it.]"
    )
    return " ".join(told.split()) or None


def ending(study: Plain) -> None:
    """Tell an administrator until when the records are kept, and who may end them."""
    with page.problems(), open_hub() as hub:
        rows = page.ask("retention", hub.retention)
    row = next((row for row in rows if row["study"] == study["study"]), None)
    if row is None:
        return
    with st.expander("Retention of the records", icon=":material/event_busy:"):
        st.markdown(f"Kept until **{style.moment(row['retention_until'])}**.")
        st.markdown(f":gray[{words.RETENTION[row['state']]}]")
        if row["state"] == "due":
            page.act("Ask for destruction", "study.destroy.prepare", study["study"])
        if row["state"] == "prepared":
            page.act("Destroy for ever", "study.destroy", study["study"])
