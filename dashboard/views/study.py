"""One study: its tabs, the acts that this person may prepare, and the footer of its log."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import page, tables
from dashboard.checking import CONSORTIUM, Checked, study_state
from dashboard.hub_client import open_hub
from dashboard.tabs import (
    contribution,
    live,
    log,
    model,
    offences,
    overview,
    performance,
    spending,
    witnesses,
)

Plain = dict[str, Any]
TABS = ("Overview", "Live", "Performance", "Contribution", "Log", "Model")


def render() -> None:
    """Draw the page."""
    number = st.query_params.get("id", "")
    if not number:
        page.begin("Study")
        page.empty("No study is chosen.", "Choose one under *Studies*.")
        return
    with open_hub() as hub:
        study = page.ask(f"study {number}", lambda: hub.study(number))
        page.begin(study["title"])
        launched = study["state"] == "launched"
        charter = page.ask(f"charter {number}", lambda: hub.charter(study["charter_id"]))
        now = page.ask(f"live {number}", lambda: hub.live(number)) if launched else None
        sites = page.ask("sites", hub.sites)
    _head(study)
    tab = st.segmented_control(
        "Part of the study", TABS, default=TABS[0], key="tab", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    found = page.checked(number) if launched else None
    if found is not None and found.standing == "refuted":
        log.alarm(found)
    titles = {number: study["title"]}
    witnesses.alarms(sites, tables.names_of(sites), titles, number, CONSORTIUM)
    if tab == "Log" and now is not None:
        log.draw(study, found, sites)
    else:
        _tab(tab or TABS[0], study, _in_force(charter, found), now, found)
        if tab == "Live" and now is not None:
            offences.draw(study, found)
            spending.draw(study, _in_force(charter, found), found, sites)
    if found is not None:
        page.footer(found, tables.names_of(study["sites"]))
    if tab == "Live" and now is not None and now["phase"] != "closed":
        live.follow(number)  # last on the page: a live part above would swallow clicks below


def _in_force(charter: Plain, found: Checked | None) -> Plain:
    """The charter with the terms in force: an amendment may have changed those of the first day."""
    state = study_state(found)
    return charter if state is None else charter | {"body": state.charter.plain()}


def _head(study: Plain) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        page.badge(study["phase"])
        st.markdown(f":gray[{tables.progress(study)} · study `{study['study'][:8]}`]")


def _tab(tab: str, study: Plain, charter: Plain, now: Plain | None, found: Any) -> None:
    if tab == "Overview":
        overview.draw(study, charter, now)
    elif now is None:
        page.empty(
            "This study is not launched yet.", "Its log, rounds and numbers begin with the launch."
        )
    elif tab == "Live":
        live.draw(study, now)
    elif tab == "Performance":
        performance.draw(study, now)
    elif tab == "Contribution":
        contribution.draw(study, found)
    else:
        model.draw(study, found)


if __name__ == "__main__":
    render()
