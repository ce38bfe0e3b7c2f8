"""The consortium in words and tables: agreement, members and keys, what is registered, studies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from compliance.rules.consortium.state import ConsortiumState
from dashboard import board, page, style, words, words_consortium

Plain = dict[str, Any]


def agreement(state: ConsortiumState, places: board.Places, names: words.Names) -> None:
    """What the hospitals agreed, in sentences, and who signed it."""
    agreed = state.agreement
    st.subheader(agreed.title)
    st.markdown(f"Begun with {places.at(0)}, signed by {places.signers(0, names)}.")
    changes = places.of_kind("agreement.amended")
    for index, _ in changes:
        st.markdown(f"Changed by {places.at(index)}, signed by {places.signers(index, names)}.")
    with st.container(border=True):
        for line in words_consortium.terms(agreed):
            st.markdown(line)
        st.markdown(f"**Kept until** {style.moment(agreed.retention_until)}")
    st.markdown("**Papers between the hospitals**")
    _table(
        [
            {"Kind": words_consortium.PAPERS[row.kind], "Reference": row.ref,
             "SHA-256": f"{style.short(row.sha256, board.LONG)}…"}
            for row in agreed.documents
        ],
        "The agreement names none.",
    )  # fmt: skip
    st.markdown("Id of the agreement, to compare with a hospital by telephone:")
    st.code(state.agreement_id, language=None)


def members(
    state: ConsortiumState, places: board.Places, names: words.Names, waiting: list[str]
) -> None:
    """Hospitals and researchers, their keys in force, and every replacement of a key."""
    st.subheader("Hospitals")
    _table(board.members(state, places, names), "No hospital is a member.")
    for standing in dict.fromkeys(str(row.standing) for row in state.members.values()):
        if standing != "active":
            said = words_consortium.STANDING_MEANS[standing]
            st.markdown(f":gray[{board.standing(standing)}: {said}]")
    for site in waiting:
        with st.container(horizontal=True, vertical_alignment="center"):
            page.badge("waiting")
            st.markdown(f"**{words.hospital(site, names)}** joined the hub and asks to come in.")
            page.badge("reported")
    st.subheader("Researchers")
    _table(board.researchers(state, places), "No researcher's key has been admitted yet.")
    st.subheader("Keys in force")
    _table(board.keys(state, places, names), "There is no key.")
    st.subheader("Replaced keys")
    _table(board.rotations(places, names), "No key of this log has been replaced.")


def registry(state: ConsortiumState, places: board.Places, names: words.Names) -> None:
    """Recipes and bundles, data sets, offers, exports."""
    st.subheader("Recipes")
    _table(board.recipes(state, places), "No recipe is registered.")
    st.subheader("Flower bundles released")
    _table(board.bundles(state, places), "No bundle is named yet.")
    st.subheader("Data sets")
    _table(
        board.datasets(state, places, names),
        "No hospital has registered data. At the hospital: `consilium site import`.",
    )
    st.subheader("Offers and requests")
    _table(board.offers(state, places, names), "Nobody has made an offer.")
    st.subheader("Exports of this log")
    _table(board.exports(state, places, names), "No export of this log is on record.")


def studies(
    state: ConsortiumState,
    places: board.Places,
    names: words.Names,
    listed: Mapping[str, Plain],
) -> None:
    """Every study of the list; a hospital trains none that is not on it."""
    st.subheader("Studies on record")
    titles = {charter: row["title"] for charter, row in listed.items()}
    _table(
        board.studies(state, places, names, titles),
        "No study has been proposed. A researcher begins with *New study*.",
    )
    st.markdown(
        ":gray[Titles are the hub's; charters, entries and refusals are the log's. A hospital "
        "joins no study that is not listed here: the hub cannot run a hidden one.]"
    )
    for row in listed.values():
        st.page_link(
            "views/study.py", label=row["title"], icon=":material/arrow_forward:",
            query_params={"id": row["study"]},
        )  # fmt: skip


def _table(rows: list[Plain], otherwise: str) -> None:
    if rows:
        st.table(rows, border="horizontal")
    else:
        st.markdown(f":gray[{otherwise}]")
