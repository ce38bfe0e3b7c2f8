"""My account: roles and open sessions."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import page, style, words
from dashboard.hub_client import open_hub

Plain = dict[str, Any]


def render() -> None:
    """Draw the page."""
    page.begin("My account")
    with open_hub() as hub:
        me = page.ask("me", hub.me)
        sessions = page.ask("sessions", hub.my_sessions)
        _person(me)
        st.subheader("Open sessions")
        st.markdown(":gray[A session ends after 30 minutes without use and after 8 hours anyway.]")
        for row in sessions:
            _session(row, hub.end_session)


def _person(me: Plain) -> None:
    one, two, three = st.columns(3)
    one.metric("Name", me["name"], border=True)
    roles = [words.ROLES.get(row["role"], row["role"]) for row in me["roles"]]
    two.metric("Roles", ", ".join(roles) or "none", border=True)
    three.metric("Consortium", me["consortium"], border=True)


def _session(row: Plain, end: Any) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"Begun {style.moment(row['created'])} · last used {style.moment(row['seen'])}")
        if st.button("End this session", key=f"end {row['id']}", disabled=page.stale()):
            with page.problems():
                end(row["id"])
            st.rerun()


if __name__ == "__main__":
    render()
