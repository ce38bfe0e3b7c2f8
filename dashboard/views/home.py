"""Home: what needs this person, how the hospitals are, which studies run."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import page, session, tables, words
from dashboard.hub_client import open_hub

Plain = dict[str, Any]


def render() -> None:
    """Draw the page."""
    who = session.identity()
    page.begin(f"Hello {who.name}" if who.name else "Hello")
    with open_hub() as hub:
        studies = page.ask("studies", hub.studies)
        sites = page.ask("sites", hub.sites)
        ready = page.ask("ready", hub.ready)
        texts = page.ask("motions", hub.motions) if who.has("steward") else []
    said = words.HUB_CERTIFICATE.get(str(ready.get("certificate")), "")
    if said:
        st.warning(said.format(until=ready["certificate_until"]), icon=":material/gpp_maybe:")
    _numbers(studies, sites)
    if not sites or not studies:
        _first_steps(who, sites)
    else:
        _needs_you(who, studies, _to_sign(who, texts))
    _running(studies)
    _hospitals(sites)


def _numbers(studies: list[Plain], sites: list[Plain]) -> None:
    up = sum(row["health"].get("state") == "up" for row in sites)
    running = [row for row in studies if row["phase"] in {"ready", "in_round"}]
    waiting = [row for row in studies if row["state"] in {"proposed", "signed"}]
    one, two, three = st.columns(3)
    one.metric("Hospitals connected", f"{up} of {len(sites)}", border=True)
    two.metric("Studies running", len(running), border=True)
    three.metric("Studies before launch", len(waiting), border=True)


def _first_steps(who: session.Identity, sites: list[Plain]) -> None:
    st.subheader("First steps")
    steps = [
        "**Invite a hospital.** An administrator does this under Hospitals.",
        "**Register data.** At the hospital: `consilium site import FOLDER --dataset NAME`.",
        "**Draft a study.** A researcher does this under New study.",
    ]
    with st.container(border=True):
        for number, step in enumerate(steps, 1):
            st.markdown(f"{number}. {step}")
        if who.has("admin") and not sites:
            st.page_link("views/sites.py", label="Invite a hospital", icon=":material/mail:")
        if who.has("researcher") and sites:
            st.page_link("views/draft.py", label="Draft a study", icon=":material/edit_document:")


def _to_sign(who: session.Identity, texts: list[Plain]) -> int:
    """How many texts of several wait for the signature of this steward's hospital."""
    return sum(f"{who.site}/institution" in row["wanting"] for row in texts)


def _needs_you(who: session.Identity, studies: list[Plain], texts: int) -> None:
    items = [(row, need) for row in studies if (need := _need(who, row))]
    st.subheader(f"Needs you ({len(items) + texts})")
    if not items and not texts:
        st.markdown(":gray[Nothing waits for you.]")
    if texts:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            page.badge("open")
            count = "A text waits" if texts == 1 else f"{texts} texts wait"
            st.markdown(f"**{count}** for your hospital's signature; it signs there.")
            st.page_link(
                "views/consortium.py", label="Read", icon=":material/arrow_forward:",
                query_params={"part": "Motions"},
            )  # fmt: skip
    for row, need in items:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            page.badge(row["phase"])
            st.markdown(f"**{row['title']}** · {need}")
            _open(row, "Open")


def _need(who: session.Identity, row: Plain) -> str:
    if who.has("researcher") and row["state"] == "signed":
        return "enough hospitals signed; it can be launched."
    if who.has("steward") and row["state"] == "proposed":
        mine = [site for site in row["sites"] if site["name"] == who.site]
        if any(not site["signed"] and not site["refused"] for site in mine):
            return "your hospital has not answered; decide there: `consilium site show`."
    if who.has("auditor") and row.get("closed"):
        return "closed; its evidence can be exported and reviewed."
    return ""


def _running(studies: list[Plain]) -> None:
    running = [row for row in studies if row["phase"] in {"ready", "in_round"}]
    st.subheader("Running studies")
    if not running:
        st.markdown(":gray[No study is running now.]")
    for row in running:
        with st.container(border=True):
            top = st.container(horizontal=True, vertical_alignment="center")
            with top:
                page.badge(row["phase"])
                st.markdown(f"**{row['title']}**")
                _open(row, "Follow", tab="Live")
            done = row["round"] / max(1, row["max_rounds"])
            text = f"{tables.progress(row)} · {tables.main_measure(row)} {tables.spread(row)}"
            st.progress(min(1.0, done), text=text)


def _open(row: Plain, label: str, **query: str) -> None:
    st.page_link(
        "views/study.py", label=label, icon=":material/arrow_forward:",
        query_params={"id": row["study"], **query},
    )  # fmt: skip


def _hospitals(sites: list[Plain]) -> None:
    st.subheader("Hospitals")
    if not sites:
        st.markdown(":gray[No hospital has been invited yet.]")
        return
    with st.container(horizontal=True, gap="medium"):
        for row in sites:
            state = words.site_state(row["health"])
            word = words.SITE_STATES.get(state, state)
            page.badge(state, f"{row['title']} · {word}")


if __name__ == "__main__":
    render()
