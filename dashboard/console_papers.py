"""The console's plain pages, their parts, and those by which one comes in and goes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from dashboard import paper, words
from dashboard.site_client import SiteClient

Plain = dict[str, Any]
Given = dict[str, str]
OPEN_KEY = (
    "This hospital's key has no passphrase: whoever uses this page can sign. Your technician can "
    "close it with `consilium site rotate-key institution`."
)


@dataclass(frozen=True)
class Act:
    """One act: what it looks at before, its page, the deed, and the page after it."""

    path: str
    look: Callable[[SiteClient, Given], Plain]
    page: Callable[[Plain, Given, str], str]
    do: Callable[[SiteClient, Given], Plain]
    done: Callable[[Plain, Given], str]


def charter_address(number: str) -> str:
    """The page of a charter."""
    return f"/charter?id={quote(number, safe='')}"


def used_link() -> str:
    """The page of a link that opens nothing."""
    text = "This link was used, or is older than 10 minutes."
    return paper.page("The link is used up", paper.complaint(text), _anew())


def stranger(origin: str) -> str:
    """The page of a browser without a session, or one that asks by another name."""
    text = "This browser has no session here, or it has ended."
    there = paper.said(f"If you have one, open {origin} by this very address.")
    return paper.page("Nobody is let in without a link", paper.complaint(text), there, _anew())


def leaving() -> str:
    """The page before the console is closed."""
    return paper.page(
        "Close the console?",
        paper.said("The console ends for every window. The hospital's node goes on as it is."),
        paper.form("/leave", "Close it"),
        paper.link("/", "Stay"),
    )


def left() -> str:
    """The last page."""
    text = "The console is closed. This window can be closed too."
    return paper.page("Closed", paper.good_news(text), _anew())


def _anew() -> str:
    text = "For a new link: end the console with Ctrl-C and run consilium site console again."
    return paper.said(text)


def already(text: str, back: str, where: str = "charter") -> str:
    """The page of an act that was done before."""
    news = paper.good_news(f"{text} Nothing was done again.")
    return paper.page("Done already", news, way_back(back, where))


def way_back(address: str, where: str = "") -> str:
    """A link back, without doing anything or after it was done."""
    text = f"Back to the {where}" if where else "Back; nothing is done"
    return paper.link(address, text)


def typed(digits: str, what: str) -> str:
    """The field for the first characters of what is signed."""
    return paper.field(
        "typed", f"Type the first 8 characters of the {what}", hint=digits, autocomplete="off",
        maxlength="16", spellcheck="false",
    )  # fmt: skip


def passphrase(looked: Plain) -> list[str]:
    """The field for the passphrase of the hospital's key, or a word that it has none."""
    if not looked["protected"]:
        return [paper.complaint(OPEN_KEY)]
    own = {"kind": "password", "autocomplete": "off"}
    return [paper.field("passphrase", "Passphrase of the hospital's key", **own)]


def reasons(kind: Any) -> str:
    """The words of a closed list, one to be chosen."""
    options = [(str(word), _capital(words.reason(kind, word))) for word in kind]
    return paper.choice("reason", "Why", options)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def digits(name: str) -> str:
    """A hash without its prefix."""
    return name.removeprefix("sha256:")
