"""Live: who answered, whom we wait for, and what became of each hospital in each round."""

from __future__ import annotations

from typing import Any

import streamlit as st

from compliance.errors import ConsiliumError, Refused
from dashboard import charts, page, style, tables, words
from dashboard.hub_client import open_hub

Plain = dict[str, Any]
EVERY = 5
HELD = "live shown"


def draw(study: Plain, now: Plain) -> None:
    """Draw the tab as it is now."""
    st.markdown(f"### {tables.sentence(now, study.get('closed'))}")
    st.session_state[HELD] = _mark(now)
    if now["asked"]:
        got = len(now["submitted"])
        st.progress(got / len(now["asked"]), text=f"{got} of {len(now['asked'])} updates arrived")
        for row in now["waiting"]:
            state = words.site_state(row["health"])
            with st.container(horizontal=True, vertical_alignment="center"):
                page.badge(state)
                seen = style.since(row["last_seen"], page.now())
                said = [
                    f"last seen {seen}",
                    *filter(None, [tables.progress_of(row, now.get("bytes", 0))]),
                ]
                st.markdown(f"**{row['title']}** · :gray[{' · '.join(said)}]")
    for sentence in tables.rests(now):
        st.warning(sentence, icon=":material/bedtime:")
    cells = tables.strip(now, study["sites"])
    if not cells:
        page.empty("No round has opened yet.", "The hub opens the first one by itself.")
        return
    st.altair_chart(charts.participation(cells), alt=charts.participation_alt(cells), theme=None)
    _unlike(tables.unlike(now, study["sites"]))
    odd = [row for row in cells if row["state"] in {"left out", "missing"}]
    if odd:
        st.subheader("Not in every round")
        st.table(
            [
                {"Round": str(row["round"]), "Hospital": row["hospital"], "Why": row["why"]}
                for row in odd
            ],
            border="horizontal",
        )


def _unlike(rows: list[Plain]) -> None:
    """How unlike the others each update was; nothing follows from it."""
    if not rows:
        return
    with st.expander("Unlike the others"):
        st.markdown(
            "Over the last rounds: 0 always the most ordinary update, 1 never. A hospital with "
            "other patients is unlike the others too, and whoever copies the others cannot be "
            "seen. Nobody is left out for this number."
        )
        st.table(rows, border="horizontal")


@st.fragment(run_every=EVERY, parallel=True)
def follow(study: str) -> None:
    """Look every 5 s, without keeping an idle session alive; draw again when something changed."""
    try:
        with open_hub(background=True) as hub:
            fresh = hub.live(study)
    except Refused:
        st.rerun(scope="app")  # the whole page says that the session has ended
    except ConsiliumError:
        st.markdown(":gray[The hub does not answer now; this page looks again by itself.]")
        return
    if _mark(fresh) != st.session_state.get(HELD):
        st.rerun(scope="app")
    st.markdown(f":gray[Looks again every {EVERY} s. Last look {page.now():%H:%M:%S} UTC.]")


def _mark(now: Plain) -> str:
    waiting = [(row["site"], row["health"].get("state")) for row in now["waiting"]]
    waiting += [(row["site"], tables.progress_of(row)) for row in now["waiting"]]
    return str((now["phase"], now["round"], now["submitted"], waiting, len(now["rounds"])))
