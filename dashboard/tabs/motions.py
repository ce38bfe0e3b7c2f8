"""Texts that several hospitals sign: what each would change, who signed, what is still missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from compliance.errors import ConsiliumError
from compliance.signing.keys import fingerprint
from dashboard import page, style, words, words_consortium
from dashboard.motions import Known, Motion, read_motion

Plain = dict[str, Any]
LONGEST = 80


def draw(
    rows: list[Plain],
    log_of: Callable[[str], Known],
    names: words.Names,
    titles: Mapping[str, str],
) -> None:
    """Draw the tab.

    Args:
        rows: what the hub tells.
        log_of: a log as it was checked here, by its name.
        names: titles of the hospitals.
        titles: titles of the studies by their id.
    """
    st.markdown(f":gray[{words_consortium.NO_BUTTON}]")
    waiting = [row for row in rows if row.get("state") == "open"]
    carried = [row for row in rows if row.get("state") != "open"]
    st.subheader(f"Waiting for signatures ({len(waiting)})")
    if not waiting:
        page.empty(
            "No text waits for signatures.",
            "A hospital lays one before the others, such as `consilium site suspend NAME`.",
        )
    for row in waiting:
        _card(row, log_of, names, titles)
    st.subheader("Carried")
    if not carried:
        st.markdown(":gray[No text has become an entry yet.]")
    for row in carried:
        _card(row, log_of, names, titles)


def _card(
    row: Plain, log_of: Callable[[str], Known], names: words.Names, titles: Mapping[str, str]
) -> None:
    with st.container(border=True):
        try:
            motion = read_motion(row, log_of(str(row["log"])))
        except ConsiliumError as error:
            st.error(
                f"**The hub shows a text that is not what it claims.** {error}",
                icon=":material/dangerous:",
            )
            return
        _head(motion, names, titles)
        _signatures(motion, names)
        if motion.outcome != "carried":
            _compare(motion)
        if motion.outcome in ("open", "unjudged"):
            st.markdown("At the hospital:")
            st.code(motion.command, language="sh")


def _head(motion: Motion, names: words.Names, titles: Mapping[str, str]) -> None:
    event, told = motion.event, motion.told
    sentence = words.filled(
        words_consortium.MOTIONS[event.type], event.type, event.actor or "", event.body.plain(),
        names,
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        page.badge(motion.outcome)
        if told["log"] in titles:
            st.markdown(f"Study **{titles[told['log']]}**")
    st.markdown(f"**{sentence}**")
    if motion.outcome == "carried":
        st.markdown(f":gray[It is entry {told['index']} of its log.]")
        return
    st.markdown(
        f":gray[Laid before the others {style.moment(told['created'])}; it waits until "
        f"{style.moment(told['expires'])} (times of the hub).]"
    )
    if words_consortium.WAITING_MEANS[motion.outcome]:
        st.markdown(words_consortium.WAITING_MEANS[motion.outcome])
    if motion.outcome == "impossible" and motion.denied is not None:
        st.markdown(f":red[{motion.denied.sentence}]")


def _signatures(motion: Motion, names: words.Names) -> None:
    needed = motion.needed if motion.outcome == "open" else None
    count = f" ({needed[0]} of {needed[1]} needed)" if needed else ""
    st.markdown(f"Signed{count}: {_who(motion.signed, names)}")
    for name in motion.forged:
        st.markdown(
            f":red-badge[✕ refuted] The hub shows a signature of {words.speaker(name, names)} that "
            "does not hold. It counts not."
        )
    if motion.outcome == "open":
        st.markdown(f"Could still sign: {_who(motion.wanting, names)}")


def _who(keys: tuple[str, ...], names: words.Names) -> str:
    return words.listed(list(dict.fromkeys(words.speaker(name, names) for name in keys)))


def _compare(motion: Motion) -> None:
    """What to compare by telephone, and what changes against the text in force."""
    body = motion.event.body.plain()
    prints = {
        name: fingerprint(body[name])
        for name in words_consortium.PRINTS
        if isinstance(body.get(name), str)
    }
    with st.expander("What to compare before a signature", icon=":material/call:"):
        st.markdown("Id of this text")
        st.code(motion.id, language=None)
        for name, value in prints.items():
            st.markdown(f"{words_consortium.PRINTS[name]}: `{value}`")
        if motion.changed:
            st.table(
                [
                    {"Place": place, "In force": _short(old), "Would become": _short(new)}
                    for place, old, new in motion.changed
                ],
                border="horizontal",
            )


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
