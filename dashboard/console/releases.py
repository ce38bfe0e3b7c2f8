"""Releases: models that could leave a study, and this hospital's yes or no to each."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard.console import shared
from dashboard.console_card import model_lines
from dashboard.console_tables import plain

Plain = dict[str, Any]


def render() -> None:
    """Draw the page."""
    shared.begin("Releases", "A model leaves its study only after enough hospitals have agreed.")
    told = shared.ask(lambda site: site.releases(), "Checking the newest models …")
    if not told["rows"]:
        shared.empty(
            "This hospital has a say in no study.", "Models come with the rounds of signed studies."
        )
    for row in told["rows"]:
        _model(row)


def _model(row: Plain) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(plain(row["title"]), anchor=False)
            if row["ready"]:
                shared.answer(row["own_answer"])
        if not row["ready"]:
            why = row["why"][:1].upper() + row["why"][1:]
            st.markdown(f":material/hourglass_top: {plain(why)}")
            return
        if row["released"]:
            st.info("This model has left already; an objection does not call it back.")
        _acts(row)
        shared.lines(model_lines(row))
        st.markdown(":gray[Hash of the model]")
        st.code(row["model_sha256"], language=None, wrap_lines=True)


def _acts(row: Plain) -> None:
    which = {"study": row["study"], "model": row["model_sha256"]}
    floor = row["checks"]["floor_holds"]
    if not floor:
        st.error("Its numbers show a count below our floor: object with that reason.")
    with st.container(horizontal=True, gap="small"):
        if row["own_answer"] != "agreed" and floor:
            shared.act(
                "Agree to the release", "/release", icon=":material/task_alt:", primary=True,
                **which,
            )  # fmt: skip
        if row["own_answer"] != "objected":
            shared.act("Object", "/object", icon=":material/block:", **which)


if __name__ == "__main__":
    render()
