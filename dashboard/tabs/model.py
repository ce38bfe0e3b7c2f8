"""Model: who agreed that the newest one is handed out, its release, and the way to the file."""

from __future__ import annotations

from typing import Any, Literal

import streamlit as st

from compliance.errors import ConsiliumError
from dashboard import page, session, style, tables, words
from dashboard.checking import Checked
from dashboard.consent import Consent, consent_of
from dashboard.hub_client import open_hub
from dashboard.tabs import examined, handing, narrative

Plain = dict[str, Any]
Colour = Literal["green", "red", "orange"]
ANSWERS: dict[str, tuple[str, Colour]] = {
    "agreed": (":material/check_circle:", "green"),
    "refused": (":material/cancel:", "red"),
    "not yet": (":material/hourglass_top:", "orange"),
}


def draw(study: Plain, found: Checked | None) -> None:
    """Draw the tab."""
    with open_hub() as hub:
        models = page.ask("models", hub.models)
    mine = [row for row in models if row["study"] == study["study"]]
    if not mine:
        page.empty("There is no model yet.", "The first one comes when round 1 closes.")
        return
    _newest(study, mine[-1])
    told = _consent(found)
    if found is not None and told is not None:
        _release(study, told, found)
    st.subheader("All models")
    st.table(
        [
            {
                "Made": style.moment(row["created"]),
                "Kind": str(row["kind"]).replace("_", " "),
                "Size": style.size(row["bytes"]),
                "Fingerprint": style.short(row["model_sha256"], 16),
            }
            for row in reversed(mine)
        ],
        border="horizontal",
    )


def _newest(study: Plain, newest: Plain) -> None:
    one, two, three = st.columns(3)
    one.metric("Newest model", style.short(newest["model_sha256"]), border=True)
    two.metric("Size", style.size(newest["bytes"]), border=True)
    three.metric("After round", study["round"], border=True)


def _consent(found: Checked | None) -> Consent | None:
    """Who agreed, from the entries that were checked here; a refuted log tells nothing."""
    if found is None or not found.entries or found.standing == "refuted":
        return None
    try:
        return consent_of(found.entries)
    except ConsiliumError:
        return None


def _release(study: Plain, told: Consent, found: Checked) -> None:
    names = tables.names_of(study["sites"])
    st.subheader("Release")
    st.markdown(_sentence(told, names))
    for site, state in _answers(told):
        icon, colour = ANSWERS[state]
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(state, icon=icon, color=colour)
            st.markdown(f"**{words.hospital(site, names)}**")
    examined.draw(study, told, found)
    if session.identity().has("researcher"):
        _acts(study, told, found)
    else:
        st.markdown(":gray[Researchers release and download models.]")
    handing.papers(study, told.handed_out)


def _answers(told: Consent) -> list[tuple[str, str]]:
    stand = told.standing
    rows = [(site, "agreed") for site in stand.agreed]
    rows += [(site, "refused") for site in stand.refused]
    return sorted([*rows, *((site, "not yet") for site in stand.silent)])


def _sentence(told: Consent, names: words.Names) -> str:
    stand = told.standing
    if told.state:
        return f"The model of round {told.round} is **{told.state}**."
    if stand.vetoed:
        who = words.listed([words.hospital(site, names) for site in stand.refused])
        return f"{who} refused, and the charter gives each hospital a veto: it stays here."
    count = f"**{len(stand.agreed)} of {stand.needed}** hospitals agreed"
    if stand.enough:
        return f"{count}: a researcher can release the model of round {told.round}."
    return (
        f"{count} that the model of round {told.round} is handed out. At each of the others the "
        "steward runs `consilium site release`."
    )


def _acts(study: Plain, told: Consent, found: Checked) -> None:
    if not told.state:
        said = narrative.ask(study["study"])
        narrative.look(found.entries, told.model, said, tables.names_of(study["sites"]))
        page.act(
            "Release the newest model", "model.release", study["study"],
            {"model": told.model, "narrative": said.plain()},
            icon=":material/outbox:", primary=told.standing.enough,
            disabled=not told.standing.enough,
        )  # fmt: skip
    if told.handed_out is not None:
        handing.acts(study, told.handed_out, newest=bool(told.state))
