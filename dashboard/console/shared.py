"""What every page of the console shares: its states in words, and links to the pages of acts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NoReturn, TypeVar, cast
from urllib.parse import urlencode

import streamlit as st

from compliance.errors import ConsiliumError, NotReady, Refused, Unreachable
from dashboard import console_words, session
from dashboard.console_card import Line
from dashboard.console_tables import plain, spoken
from dashboard.site_client import SiteClient, open_site

Answer = TypeVar("Answer")
WIDTHS = (3, 7, 3)


def begin(title: str, intro: str = "") -> None:
    """Head of a page."""
    st.title(title, anchor=False)
    if intro:
        st.markdown(f":gray[{intro}]")


def ask(question: Callable[[SiteClient], Answer], loading: str) -> Answer:
    """Ask the site; whatever it cannot answer ends the page in words, with the next step.

    Args:
        question: the call.
        loading: what is said meanwhile.
    """
    with problems(), st.spinner(loading, show_time=False), open_site(session.settings()) as site:
        return question(site)


@contextmanager
def problems() -> Iterator[None]:
    """Say what went wrong in words, with the next step, and end the page."""
    try:
        yield
    except Refused as error:
        _trouble("A rule says no", str(error), "")
    except Unreachable as error:
        _trouble("The hub cannot be reached", error.finding, error.fix)
    except NotReady as error:
        _trouble("Not ready", error.finding, error.fix)
    except ConsiliumError as error:
        _trouble("Something is wrong with an answer", str(error), "Try again.")


def empty(sentence: str, step: str) -> None:
    """Nothing here yet: one sentence and the next step."""
    with st.container(border=True):
        st.markdown(f"**{sentence}**")
        st.markdown(step)


def answer(word: str | None) -> None:
    """This hospital's answer: glyph, word and colour."""
    text, icon, colour = console_words.answer(word)
    st.badge(text, icon=icon, color=cast("Any", colour))


def act(label: str, path: str, *, icon: str, primary: bool = False, **query: str) -> None:
    """A link to the page of an act; nothing happens before its form is sent."""
    kind: Literal["primary", "secondary"] = "primary" if primary else "secondary"
    st.link_button(label, f"{path}?{urlencode(query)}", icon=icon, type=kind)


def lines(rows: Iterable[Line]) -> None:
    """Lines of a card: what, here, and the source."""
    for row in rows:
        name, text, source = st.columns(WIDTHS, gap=None)
        name.markdown(f"**{plain(row.name)}**")
        text.markdown(plain(row.text))
        source.markdown(f":gray[{plain(row.source)}]")


def table(rows: Sequence[dict[str, Any]], what: str) -> None:
    """A small table.

    Args:
        rows: names and values, the same names in each.
        what: what is in it, for whoever cannot see it.
    """
    st.table(list(rows), border="horizontal", hide_index=True, alt=what)


def _trouble(what: str, means: str, fix: str) -> NoReturn:
    sentence = means[:1].upper() + means[1:]
    st.error(f"**{what}.** {spoken(sentence)} {spoken(fix)}".strip(), icon=":material/error:")
    st.button("Try again", icon=":material/refresh:", key="retry")
    st.stop()
