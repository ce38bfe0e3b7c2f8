"""The consortium: its agreement, members, registry and studies, texts that wait, its own log.

What is shown follows from the entries that this process folded. What the hub tells of the same
things is compared with it, and every difference is said in red.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from compliance.errors import ConsiliumError
from compliance.records.types import time_text
from compliance.rules.consortium.state import ConsortiumState
from dashboard import board, checking, page, tables, words, words_consortium
from dashboard.checking import CONSORTIUM, Checked
from dashboard.hub_client import HubClient, open_hub
from dashboard.motions import Known
from dashboard.tabs import consortium, log, motions, witnesses

Plain = dict[str, Any]
TABS = ("Agreement", "Members", "Registry", "Studies", "Motions", "Witnesses", "Log")


def render() -> None:
    """Draw the page."""
    page.begin("Consortium", "Who belongs, what was agreed, and which texts wait for signatures.")
    page.only(*words.ROLES)
    with open_hub() as hub:
        told = page.ask("consortium", hub.consortium, loading="Asking for the consortium …")
        sites = page.ask("sites", hub.sites)
        waiting = page.ask("motions", hub.motions)
        studies = page.ask("studies", hub.studies)
        names = tables.names_of(sites)
        founded = told["agreement_id"] is not None
        found = page.checked(CONSORTIUM) if founded else page.gone(CONSORTIUM)
        if found is not None:
            _believed(hub, told, found)
    titles = {row["study"]: row["title"] for row in studies}
    witnesses.alarms(sites, names, titles)
    tab = st.segmented_control(
        "Part of the consortium", TABS, default=TABS[0], key="part", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    if tab == "Motions":
        motions.draw(waiting, _logs(found), names, titles)
    elif tab == "Witnesses":
        _witnesses(found, names, sites, studies)
    elif found is None:
        _not_founded(told, names)
    else:
        _tab(tab or TABS[0], found, told, names, studies)
    if found is not None:
        page.footer(found, names)


def _not_founded(told: Plain, names: words.Names) -> None:
    page.empty(
        "The consortium is not founded yet.",
        "On the hub's host: `consilium hub found`. Then every hospital reads and signs the "
        "agreement: see *Motions*.",
    )
    if told["waiting"]:
        joined = words.listed([words.hospital(site, names) for site in told["waiting"]])
        st.markdown(f"Joined so far, as the hub tells: {joined}.")


def _believed(hub: HubClient, told: Plain, found: Checked) -> None:
    """How far the log can be believed, and where the hub says something else than its log."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        page.badge(found.standing)
        st.markdown(f":gray[{words.STANDING_MEANS[found.standing]}]")
    if found.standing == "refuted":
        log.alarm(found)
        return
    lines = [] if page.stale() else _contradictions(hub, told, found)
    if lines:
        said = "".join(f"\n- {line}" for line in lines)
        st.error(
            "**The hub tells something else than its own log.** Believe the log; call the "
            f"auditor.\n{said}",
            icon=":material/dangerous:",
        )


def _contradictions(hub: HubClient, told: Plain, found: Checked) -> list[str]:
    """Every difference to what the hub tells, at the size for which it tells it."""
    size = int(told["size"])
    if size < found.size:
        return [f"The hub tells of {size} entries; {found.size} were checked here."]
    try:
        newer = hub.entries(CONSORTIUM, found.size, size) if size > found.size else []
        state = checking.further(found, CONSORTIUM, newer)
    except ConsiliumError as error:
        return [f"The entries from {found.size} on are not believed: {error}"]
    if newer:
        count = "1 newer entry waits" if len(newer) == 1 else f"{len(newer)} newer entries wait"
        st.markdown(f":gray[{count} for cosignatures and is not shown below.]")
    return board.contradictions(state, told) if isinstance(state, ConsortiumState) else []


def _tab(tab: str, found: Checked, told: Plain, names: words.Names, studies: list[Plain]) -> None:
    if tab == "Log":
        _log(found, names)
        return
    state = found.state
    if not isinstance(state, ConsortiumState):
        page.empty("Nothing of this log is believed.", "What the hub shows stands under *Log*.")
        return
    places = board.Places(found.entries)
    st.markdown(f":gray[{words_consortium.AS_THE_LOG_TELLS}]")
    if tab == "Agreement":
        consortium.agreement(state, places, names)
    elif tab == "Members":
        consortium.members(state, places, names, [*told["waiting"]])
    elif tab == "Registry":
        consortium.registry(state, places, names)
    else:
        listed = {row["charter_id"]: row for row in studies}
        consortium.studies(state, places, names, listed)


def _witnesses(
    found: Checked | None, names: words.Names, sites: list[Plain], studies: list[Plain]
) -> None:
    """The witnesses of the consortium's log, or of a launched study."""
    logs = {CONSORTIUM: "The consortium's own log"} if found is not None else {}
    logs |= {row["study"]: row["title"] for row in studies if row["state"] == "launched"}
    if not logs:
        page.empty("There is no log yet.", "The consortium's own begins with the agreement.")
        return
    chosen = st.selectbox("Log", list(logs), format_func=logs.__getitem__)
    own = found if chosen == CONSORTIUM else page.checked(chosen)
    if own is not None:
        witnesses.draw(own, chosen, names, sites)
    st.markdown(f":gray[{words_consortium.HIDDEN}]")


def _log(found: Checked, names: words.Names) -> None:
    log.standing(found)
    st.subheader("Entries")
    log.entries(found, names, CONSORTIUM)


def _logs(found: Checked | None) -> Callable[[str], Known]:
    """Each log that a text would stand in, as it was checked here."""
    now = time_text(page.now())

    def log_of(name: str) -> Known:
        own = found if name == CONSORTIUM else page.checked(name)
        if own is None:
            return Known(None, (), checked=True, now=now)
        return Known(own.state, own.entries, checked=own.state is not None, now=now)

    return log_of


if __name__ == "__main__":
    render()
