"""The frame of the console: its pages, the hospital, the way out."""

from __future__ import annotations

import streamlit as st
from streamlit.navigation.page import Page

from compliance.errors import ConsiliumError
from dashboard import session
from dashboard.console_tables import plain
from dashboard.site_client import open_site

PAGES = (
    ("inbox", "Inbox", "inbox", ""),
    ("charter", "Charter", "description", "charter"),
    ("studies", "Studies", "labs", "studies"),
    ("releases", "Releases", "outbox", "releases"),
    ("journal", "Journal", "history_edu", "journal"),
    ("data", "Data", "database", "data"),
    ("health", "Health", "monitor_heart", "health"),
)
HIDDEN = ("charter",)


def run() -> None:
    """Draw the frame and the page that was asked for."""
    st.set_page_config(page_title="Consilium console", page_icon="🏥", layout="wide")
    chosen = st.navigation([_page(*row) for row in PAGES], expanded=True)
    with st.sidebar:
        _hospital()
    chosen.run()


def _page(file: str, title: str, icon: str, path: str) -> Page:
    return st.Page(
        f"{file}.py",
        title=title,
        icon=f":material/{icon}:",
        url_path=path,
        default=not path,
        visibility="hidden" if file in HIDDEN else "visible",
    )


def _hospital() -> None:
    st.subheader(":material/local_hospital: Site console", anchor=False)
    st.markdown(":gray[Decided here, signed here]")
    with st.container(border=True):
        st.markdown(_words())
        st.link_button("Close the console", "/leave", icon=":material/logout:", width="stretch")


def _words() -> str:
    """Who this hospital is; the page itself says it when its node is silent."""
    try:
        with open_site(session.settings()) as site:
            told = site.home()
    except ConsiliumError:
        return "**This hospital**  \n:gray[Its node does not answer]"
    name = plain(told["title"] or "This hospital")
    key = "Key under a passphrase" if told["protected"] else "Key WITHOUT a passphrase"
    where = plain(told["site"] or "not joined yet")
    return f"**{name}**  \n:gray[{where}]  \n:gray[{key}]"


run()
