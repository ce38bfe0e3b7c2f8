"""Witnesses: how far each hospital has cosigned a log, the quorum, and what alarmed a hospital."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from compliance.errors import ConsiliumError
from dashboard import checking, page, style, witnesses, words, words_consortium
from dashboard.checking import Checked
from dashboard.hub_client import open_hub

Plain = dict[str, Any]


def draw(found: Checked, log: str, names: words.Names, sites: list[Plain]) -> None:
    """Draw how far each witness of one log has come.

    Args:
        found: what this process found about the log.
        log: its name.
        names: titles of the hospitals.
        sites: hospitals as the hub tells, with what they say about their own copies.
    """
    st.subheader("Witnesses")
    if found.state is None:
        st.markdown(":gray[The log is refuted: no cosignature of it can be judged.]")
        return
    _quorum(found, witnesses.asked_for(found.state))
    with page.problems(), open_hub() as hub:
        told = page.ask(f"cosignatures {log}", lambda: hub.cosignatures(log))
        newest = max((int(row["size"]) for row in told), default=0)
        try:
            newer = hub.entries(log, found.size, newest) if newest > found.size else []
            state = checking.further(found, log, newer)
        except ConsiliumError:  # the hub is silent now, or what it shows beyond is not believed
            state = found.state
    st.table(
        [_row(row, names) for row in witnesses.reached(state, told)],
        border="horizontal",
    )
    st.markdown(f":gray[{words_consortium.BEHIND}]")
    for site, size in witnesses.other_copies(state, log, sites).items():
        st.error(
            f"**{words.hospital(site, names)} holds another history.** The root of its own copy "
            f"at {size} entries is not the one that this dashboard computed. "
            f"{words_consortium.TWO_HISTORIES}",
            icon=":material/dangerous:",
        )


def _quorum(found: Checked, asked_for: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if found.cosigned:
            st.badge("quorum", icon=":material/check_circle:", color="green")
            at = datetime.fromtimestamp(max(found.cosigned.values()), UTC)
            st.markdown(f"{found.size} entries, last cosigned {at:%-d %b %Y, %H:%M} UTC")
        else:
            st.badge("no quorum", icon=":material/hourglass_top:", color="orange")
            st.markdown("Releases and exports wait for it; training goes on.")
    st.markdown(f":gray[{asked_for}]")


def _row(row: witnesses.Witness, names: words.Names) -> Plain:
    at = f"{datetime.fromtimestamp(row.time, UTC):%-d %b %Y, %H:%M:%S} UTC" if row.time else ""
    return {
        "Hospital": words.hospital(row.site, names),
        "State": words_consortium.REACH[row.reach],
        "Cosigned": f"{row.size} entries" if row.size else style.MINUS,
        "Last at": at or style.MINUS,
        "Behind": style.MINUS if row.reach in ("false", "beyond") else str(row.behind),
    }


def alarms(sites: list[Plain], names: words.Names, titles: Mapping[str, str], *logs: str) -> None:
    """The red panel of what alarmed hospitals, as they told it through the hub.

    Args:
        sites: hospitals as the hub tells.
        names: their titles.
        titles: titles of the studies by id.
        logs: only alarms about these logs; about all, if none is named.
    """
    rows = [row for row in witnesses.alarms(sites) if not logs or row.log in logs]
    if not rows:
        return
    lines = "".join(f"\n- {_alarm(row, names, titles)}" for row in rows)
    st.error(
        f"**A hospital believes a log no more.** {words_consortium.ALARM}\n{lines}",
        icon=":material/notification_important:",
    )


def _alarm(row: witnesses.Told, names: words.Names, titles: Mapping[str, str]) -> str:
    log = (
        "the consortium's log"
        if row.log == checking.CONSORTIUM
        else titles.get(row.log, f"study {row.log}")
    )
    found = f"found {style.moment(row.at)}; " if row.at else ""
    heard = f"{found}the hub heard it {style.moment(row.heard)}"
    return f"**{words.hospital(row.site, names)}** about {log}: {row.sentence} ({heard})"
