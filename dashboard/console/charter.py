"""A charter: what will happen here, the text that would be signed, and the ways to answer."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard.console import shared
from dashboard.console_card import card_parts, charter_text, verdicts
from dashboard.console_tables import plain

Plain = dict[str, Any]


def render() -> None:
    """Draw the page."""
    number = st.query_params.get("id", "")
    if not number:
        shared.begin("Charter")
        shared.empty("No charter is chosen.", "Choose one in the inbox.")
        st.page_link("inbox.py", label="Open the inbox", icon=":material/inbox:")
        return
    head = st.empty()
    head.title("Charter", anchor=False)
    told = shared.ask(
        lambda site: site.charter(number), "Reading the charter and asking our rules …"
    )
    card = told["card"]
    head.title(plain(card["title"]), anchor=False)
    st.markdown(f":gray[{plain(card['summary'])}]")
    against, asked = verdicts(card)
    _head(card, against)
    _rules(against, asked)
    st.header("What will happen here", anchor=False)
    st.markdown(":gray[Each line says where it is from. Numbers are this hospital's own.]")
    for part in card_parts(card):
        with st.container(border=True):
            st.subheader(part.title, anchor=False)
            shared.lines(part.lines)
    _text(told)


def _head(card: Plain, against: list[str]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        shared.answer(card["own_answer"])
        st.markdown(f"Charter `{card['type_to_confirm']}`")
    with st.container(horizontal=True, gap="small"):
        _acts(card, against)


def _acts(card: Plain, against: list[str]) -> None:
    mine, number = card["own_answer"], str(card["charter_id"])
    if mine == "signed":
        shared.act("Leave the study", "/withdraw", icon=":material/logout:", study=card["study"])
        return
    if not against:
        shared.act(
            "Sign this charter", "/sign", icon=":material/edit:", primary=True, charter=number
        )
    if mine is None:
        shared.act("Refuse", "/refuse", icon=":material/block:", charter=number)


def _rules(against: list[str], asked: int) -> None:
    if not against:
        st.success(
            f"All {asked} rules and this hospital's own policy say yes.",
            icon=":material/task_alt:",
        )
        return
    listed = "".join(f"\n- {plain(sentence)}" for sentence in against)
    st.error(
        f"**{len(against)} of {asked} rules say no, so it cannot be signed here:**{listed}",
        icon=":material/block:",
    )


def _text(told: Plain) -> None:
    st.header("The charter's text", anchor=False)
    st.markdown(":gray[The signature covers these words and no others. Its id is their SHA-256:]")
    st.code(told["card"]["charter_id"], language=None, wrap_lines=True)
    with st.expander("Read the text", icon=":material/article:"):
        st.code(charter_text(told["text"]), language=None, wrap_lines=True)
    st.download_button(
        "The exact bytes", data=told["text"], mime="text/plain", on_click="ignore",
        file_name=f"charter-{told['card']['type_to_confirm']}.txt", icon=":material/download:",
    )  # fmt: skip


if __name__ == "__main__":
    render()
