"""Looks: one colour, dash and shape for each hospital, and how numbers are written.

Source: design/dashboard.md §10 (contrast and distances under colour blindness are computed there
and again in a test).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

LIGHT = ("#1F5FD6", "#C2852A", "#0BA47C", "#D957B8", "#7A2A0C", "#5B6B7A")
ALL = "#111111"
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")

INK, QUIET, LINE, PAPER, WASH = "#111827", "#4B5563", "#D1D5DB", "#FFFFFF", "#F3F5F9"
GOOD, WAIT, BAD, GREY = "#0B7A5C", "#9A5B00", "#B42318", "#5B6B7A"

STATE_COLOURS: dict[str, str] = {
    "used": GOOD,
    "submitted": "#1F5FD6",
    "asked": WAIT,
    "left out": BAD,
    "missing": BAD,
    "not in round": GREY,
}

BADGES: dict[str, tuple[str, str]] = {
    "proposed": (":material/hourglass_top:", "orange"),
    "signed": (":material/task_alt:", "blue"),
    "refused": (":material/block:", "red"),
    "ready": (":material/pause_circle:", "blue"),
    "in_round": (":material/sync:", "blue"),
    "stopped": (":material/front_hand:", "gray"),
    "closed": (":material/flag:", "gray"),
    "launched": (":material/sync:", "blue"),
    "up": (":material/check_circle:", "green"),
    "silent": (":material/signal_disconnected:", "orange"),
    "suspended": (":material/block:", "red"),
    "key_refused": (":material/key_off:", "red"),
    "clock_refused": (":material/schedule:", "red"),
    "update_required": (":material/update_disabled:", "red"),
    "certificate_ended": (":material/gpp_bad:", "red"),
    "certificate_soon": (":material/gpp_maybe:", "orange"),
    "restored": (":material/restore:", "orange"),
    "update_available": (":material/update:", "blue"),
    "invited": (":material/mail:", "gray"),
    "active": (":material/check_circle:", "green"),
    "left": (":material/logout:", "gray"),
    "waiting": (":material/hourglass_top:", "orange"),
    "open": (":material/hourglass_top:", "orange"),
    "enough": (":material/help:", "orange"),
    "impossible": (":material/block:", "gray"),
    "carried": (":material/verified:", "green"),
    "unseen": (":material/info:", "blue"),
    "false": (":material/dangerous:", "red"),
    "unjudged": (":material/info:", "blue"),
    "even": (":material/check_circle:", "green"),
    "behind": (":material/hourglass_top:", "orange"),
    "beyond": (":material/help:", "orange"),
    "never": (":material/help:", "gray"),
    "proven": (":material/verified:", "green"),
    "reported": (":material/info:", "blue"),
    "refuted": (":material/dangerous:", "red"),
    "unknown": (":material/help:", "orange"),
}
"""Glyph and colour of each state; the word always stands beside."""

KIB = 1024
THIN, DASH, MINUS = "\u2009", "\u2013", "—"


def slots(sites: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The slot of each hospital: its own for ever, or the next free one."""
    given = {str(row["name"]): row.get("slot") for row in sites}
    taken: set[int] = set()
    result: dict[str, int] = {}
    for name in sorted(given, key=lambda item: (given[item] is None, given[item] or 0, item)):
        wanted = given[name]
        slot = wanted if isinstance(wanted, int) and wanted not in taken else _free(taken)
        taken.add(slot)
        result[name] = slot
    return result


def _free(taken: set[int]) -> int:
    return next(number for number in range(len(taken) + 1) if number not in taken)


def colour(slot: int) -> str:
    """The colour of a slot."""
    return LIGHT[slot % len(LIGHT)]


def dash(slot: int) -> list[int]:
    """The dash of a slot: another one for each turn through the colours."""
    return DASHES[(slot // len(LIGHT)) % len(DASHES)]


def shape(slot: int) -> str:
    """The point shape of a slot."""
    return SHAPES[slot % len(SHAPES)]


def value(number: object, places: int = 3) -> str:
    """A measured value with three decimals, or a dash where there is none."""
    return MINUS if number is None else f"{float(str(number)):.{places}f}"


def interval(low: object, high: object) -> str:
    """A 95 % interval, or nothing."""
    return "" if low is None or high is None else f"{value(low)}{DASH}{value(high)}"


def cases(count: object) -> str:
    """A count with thin spaces; one below the floor is not told."""
    return "fewer than the floor" if count is None else f"{int(str(count)):,}".replace(",", THIN)


def epsilon(number: object) -> str:
    """An epsilon with two decimals, rounded up: never less than it is."""
    told = float(str(number))
    return f"{math.ceil(round(100 * told, 6)) / 100:.2f}" if math.isfinite(told) else "∞"


def left(number: object) -> str:
    """What is left of an epsilon, rounded down: never more than there is."""
    return f"{math.floor(round(100 * float(str(number)), 6)) / 100:.2f}"


def size(count: int) -> str:
    """Bytes as KiB or MiB."""
    kib = count / KIB
    return f"{kib:.0f} KiB" if kib < 1024 else f"{kib / 1024:.1f} MiB"  # noqa: PLR2004 - KiB in a MiB


def moment(text: str | None) -> str:
    """A time of a record as people read it: 22 Nov 2026, 09:31 UTC."""
    if not text:
        return MINUS
    return f"{datetime.fromisoformat(text):%-d %b %Y, %H:%M} UTC"


def since(text: str | None, now: datetime) -> str:
    """How long ago: 3 min ago, 2 h ago, 4 days ago."""
    if not text:
        return "never"
    seconds = max(0, int((now - datetime.fromisoformat(text)).total_seconds()))
    for span, word in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= span:
            return f"{seconds // span} {word} ago"
    return "just now"


def short(name: str, length: int = 8) -> str:
    """The first characters of a hash."""
    return name.removeprefix("sha256:")[:length]


def key_name(vkey: str) -> str:
    """The short name of a public key: its key id."""
    parts = vkey.split("+")
    return parts[1] if len(parts) > 1 else MINUS
