"""Updates that did not count, and rests: what the log says, and that it says nothing of anybody."""

from __future__ import annotations

from typing import Any

import streamlit as st

from compliance.records.reasons import Excluded
from compliance.rules.offences import ROUNDS_OF_REST, Rest, in_a_row, most_offences, rests
from compliance.rules.state import StudyState
from dashboard import tables, words
from dashboard.checking import Checked, study_state

Plain = dict[str, Any]
MEANS = (
    "A worn disk, an old program or a cable may be behind such an update as well as a wish to "
    "harm: the log cannot tell, and this page does not. After {most} in a row the hospital is not "
    f"asked for {ROUNDS_OF_REST} rounds, then again; it leaves nothing and loses nothing. Its own "
    "journal has the story."
)


def draw(study: Plain, found: Checked | None) -> None:
    """Draw the part; nothing where every update was what it claimed to be."""
    state = study_state(found)
    if state is None:
        return
    shown = rows(state, tables.names_of(study["sites"]))
    if not shown:
        return
    st.subheader("Updates that did not count, and rests")
    st.markdown(f":gray[{MEANS.format(most=most_offences(state))}]")
    st.table(shown, border="horizontal")


def rows(state: StudyState, names: words.Names) -> list[dict[str, str]]:
    """Each hospital with updates that did not count in a row, or with a rest."""
    most = most_offences(state)
    running, rested = in_a_row(state.rounds_closed, most), rests(state.rounds_closed, most)
    return [
        {
            "Hospital": words.hospital(site, names),
            "In a row now": f"{len(running.get(site, ()))} of {most}",
            "Why": _why(running.get(site) or rested[site].reasons),
            "Rest": _rest(rested.get(site), state),
        }
        for site in sorted({*running, *rested})
    ]


def _why(reasons: tuple[str, ...]) -> str:
    return words.listed(sorted({words.reason(Excluded, one) for one in reasons}))


def _rest(rest: Rest | None, state: StudyState) -> str:
    if rest is None:
        return "none so far"
    told = f"rounds {rest.since} to {rest.until}"
    return f"{told}, over" if rest.until <= len(state.rounds_closed) else told
