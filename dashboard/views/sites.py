"""Hospitals: state, last sign of life, versions, keys and studies; administrators invite here."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import page, session, tables, words
from dashboard.hub_client import open_hub
from dashboard.tabs import witnesses

Plain = dict[str, Any]
KEYS = {"institution": "Institution", "node": "Node", "witness": "Witness"}


def render() -> None:
    """Draw the page."""
    page.begin("Hospitals", "Who belongs to the consortium, and who answers now.")
    with open_hub() as hub:
        sites = page.ask("sites", hub.sites)
        studies = page.ask("studies", hub.studies)
    if session.identity().has("admin"):
        _invite()
    if not sites:
        page.empty("No hospital has joined yet.", "An administrator invites the first one here.")
        return
    titles = {row["study"]: row["title"] for row in studies}
    witnesses.alarms(sites, tables.names_of(sites), titles)
    for row in tables.hospitals(sites, studies, page.now()):
        _card(row)


def _invite() -> None:
    with st.expander("Invite a hospital", icon=":material/mail:"):
        left, right = st.columns(2)
        name = left.text_input("Name in keys and charters", placeholder="north.example")
        title = right.text_input("Title that people read", placeholder="North Hospital")
        st.markdown(
            ":gray[The code is shown once after you confirm, and is good for 72 hours. The "
            "hospital runs `consilium site join CODE`.]"
        )
        page.act(
            "Invite", "site.invite", name.strip(), {"title": title.strip()},
            icon=":material/mail:", primary=True, disabled=not name.strip(),
        )  # fmt: skip


def _card(row: Plain) -> None:
    with st.container(border=True):
        left, right = st.columns((3, 2), vertical_alignment="top")
        with left:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"#### {row['title']}")
                page.badge(row["state"])
            seen = f"Last seen {row['seen']}" if row["seen"] != "never" else "Never seen"
            st.markdown(f":gray[{row['name']} · {seen} · member since {row['since']}]")
            if row["state"] != "up":
                st.markdown(f":material/build: {words.SITE_FIXES.get(row['state'], '')}")
            st.markdown(
                f"Studies: {words.listed(row['studies']) if row['studies'] else 'none yet'}"
            )
        with right:
            _facts(row)


def _facts(row: Plain) -> None:
    versions = " · ".join(f"{name} {number}" for name, number in sorted(row["versions"].items()))
    st.markdown(f":gray[Versions]  \n{versions or 'not told yet'}")
    keys = "  \n".join(f"{KEYS.get(role, role)} `{key}`" for role, key in row["keys"].items())
    st.markdown(f":gray[Keys]  \n{keys or 'made when the hospital joins'}")


if __name__ == "__main__":
    render()
