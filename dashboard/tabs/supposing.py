"""Would this be allowed? An act that nobody does, judged by the rules of the study's log."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import choices, page, supposing
from dashboard.hub_client import open_hub

Plain = dict[str, Any]


def draw(study: Plain, charter: Plain) -> None:
    """Ask for an act and show the verdict; nothing is said or stored by it."""
    with st.expander("Would this be allowed?", icon=":material/gavel:"):
        st.markdown(
            ":gray[The very rules that judge the log answer; nothing happens and nothing is "
            "stored. A hospital's own limits are known only there.]"
        )
        kind = st.selectbox(
            "Suppose that", list(supposing.ACTS),
            format_func=lambda name: supposing.ACTS[name].words,
        )  # fmt: skip
        said = _fields(kind, study, charter["body"])
        if not st.button("Ask the rules", icon=":material/help:", disabled=page.stale()):
            return
        site = str(said.get("site") or "")
        with page.problems(), open_hub() as hub:
            reply = hub.may(study["study"], kind, supposing.body_of(kind, said), site=site)
        _verdict(reply)


def _fields(kind: str, study: Plain, body: Plain) -> Plain:
    """Ask what this act needs; the rest is what one would say now."""
    said: Plain = {}
    asks = supposing.ACTS[kind].asks
    titles = {row["name"]: row["title"] for row in study["sites"]}
    if "sites" in asks:
        said["sites"] = sorted(
            st.multiselect("Hospitals", list(titles), list(titles), titles.__getitem__)
        )
    if "site" in asks:
        said["site"] = st.selectbox("Hospital", list(titles), format_func=titles.__getitem__)
    if "dataset" in asks:
        own = [row["id"] for row in body["datasets"] if row["site"] == said["site"]]
        said["dataset"] = st.selectbox("Data set", own)
    if "n" in asks:
        said["n"] = int(st.number_input("Cases", 0, 10_000_000, int(body["min_examples"])))
    if "form" in asks:
        said["form"] = st.selectbox("Form", list(choices.OUTPUTS), format_func=_output)
    return said


def _output(name: str) -> str:
    return choices.OUTPUTS[name]


def _verdict(reply: Plain) -> None:
    said = supposing.verdict_words(reply)
    if reply["allowed"]:
        st.success(f"**Supposed.** {said}", icon=":material/check_circle:")
    else:
        st.error(f"**Supposed.** {said}", icon=":material/cancel:")
        st.markdown(f":gray[Rule] `{reply['rule']}`")
    st.markdown(
        f":gray[By the log of {reply['size']} entries; `{reply['actor']}` would sign this:]"
    )
    st.json({"type": reply["type"], "body": reply["body"]}, expanded=False)
