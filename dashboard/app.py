"""The frame of the dashboard: pages by role, the consortium, the person, the way out."""

from __future__ import annotations

import streamlit as st
from streamlit.navigation.page import Page

from compliance.errors import ConsiliumError
from dashboard import session, words
from dashboard.hub_client import open_hub

RESEARCH, AUDIT, OPERATE = ("researcher",), ("auditor",), ("admin",)
READ_COUNTS = (*RESEARCH, *AUDIT, *OPERATE)


def run() -> None:
    """Draw the frame and the page that was asked for."""
    st.set_page_config(page_title="Consilium", page_icon="🏥", layout="wide")
    who = session.identity()
    chosen = st.navigation(_pages(who), expanded=True)
    with st.sidebar:
        _person(who)
    chosen.run()


def _pages(who: session.Identity) -> dict[str, list[Page]]:
    def page_of(
        file: str, title: str, icon: str, path: str, *roles: str, hidden: bool = False
    ) -> Page:
        shown = not hidden and (not roles or who.has(*roles))
        return st.Page(
            f"views/{file}.py",
            title=title,
            icon=f":material/{icon}:",
            url_path=path,
            default=not path,
            visibility="visible" if shown else "hidden",
        )

    return {
        "Work": [
            page_of("home", "Home", "home", ""),
            page_of("studies", "Studies", "labs", "studies"),
            page_of("counts", "How many", "groups", "counts", *READ_COUNTS),
            page_of("draft", "New study", "edit_document", "draft", *RESEARCH),
            page_of("study", "Study", "lab_research", "study", hidden=True),
        ],
        "Trust": [
            page_of("consortium", "Consortium", "diversity_3", "consortium"),
            page_of("reports", "Reports", "fact_check", "reports", *AUDIT),
        ],
        "Operate": [
            page_of("sites", "Hospitals", "local_hospital", "sites"),
            page_of("people", "People", "group", "admin", *OPERATE),
            page_of("account", "My account", "account_circle", "me"),
        ],
    }


def _person(who: session.Identity) -> None:
    st.markdown("### :material/hub: Consilium")
    title = _consortium()
    shown = title if title not in {"", "Consilium"} else "Learning together, data at home"
    st.markdown(f":gray[{shown}]")
    roles = ", ".join(words.ROLES.get(role, role) for role in who.roles) or "No role yet"
    with st.container(border=True):
        st.markdown(f"**{who.name or 'Nobody'}**  \n:gray[{roles}]")
        st.link_button("Sign out", "/logout", icon=":material/logout:", width="stretch")


def _consortium() -> str:
    """The consortium's title; the page itself says it when the hub is silent."""
    known = st.session_state
    if "consortium" not in known:
        try:
            with open_hub() as hub:
                known["consortium"] = str(hub.me()["consortium"])
        except ConsiliumError:
            return ""
    return str(known["consortium"])


run()
