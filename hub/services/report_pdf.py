"""The report as PDF/A-2a and PDF/UA-1, made by typst: the same log gives the same bytes.

Words reach typst as JSON, so that `#set` or `$x$` in a title stays text. A character that no font
of typst has would end the making (the standards ask for every letter): it is written as its number.

Source: design/compliance.md §10.2.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from compliance.report.log import Files, Log
from compliance.report.story.pieces import Group, Line, Story
from compliance.report.story.tell import tell
from compliance.report.story.words import moment

TEMPLATE = Path(__file__).with_name("report.typ")
LISTED = 250
"""Logs of so many entries are listed entry by entry; longer ones say where the list stands."""

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
PLAIN = range(0x20, 0x7F)
"""Letters that every font has; everything beyond is tried once."""

SAMPLE = b"""#set document(title: "one character")
#set text(font: ("Libertinus Serif", "DejaVu Sans Mono"), lang: "en")
#"""


def available() -> bool:
    """Whether typst is installed, so that a report can be drawn."""
    return importlib.util.find_spec("typst") is not None


def render(log: Log, attached: Files, controls: bytes | None = None) -> bytes | None:
    """The report of a log as PDF, or None where typst is not installed.

    Args:
        log: the study's log.
        attached: names, cards and registrations are read from here.
        controls: `data/controls.json`, already made, if it is.
    """
    if not available():
        return None
    return report_pdf(tell(log, attached, controls))


def report_pdf(story: Story, *, whole: bool = True) -> bytes:
    """Draw a report; what is not whole has no list of entries and no contents.

    Raises:
        typst.TypstError: the template is broken; no text of a log can cause it.
    """
    import typst

    day = datetime.fromisoformat(story.as_of)
    unusual = sorted({one for one in _material(story) if ord(one) not in PLAIN})
    absent = [one for one in unusual if not _printable(one)]
    text = _material(story, whole=whole, replaced=bool(absent))
    try:
        return _compile(_numbered(text, absent), day)
    except typst.TypstError:  # each letter passes alone, but not beside its neighbour
        return _compile(_numbered(_material(story, whole=whole, replaced=True), unusual), day)


def _material(story: Story, *, whole: bool = True, replaced: bool = False) -> str:
    listed = whole and story.size <= LISTED
    groups = [_group(group) for group in story.groups] if listed else []
    plain = story.plain() | {"listed": listed, "groups": groups, "replaced": replaced}
    plain["whole"] = whole
    return json.dumps(plain, ensure_ascii=False, sort_keys=True)


def _group(group: Group) -> dict[str, Any]:
    return {"title": group.title, "lines": [_line(line) for line in group.lines]}


def _line(line: Line) -> dict[str, Any]:
    return {
        "index": line.index,
        "sentence": [part for part in line.sentence if isinstance(part, str)],
        "kind": line.kind,
        "time": moment(line.time),
        "signed": line.signed,
        "signers": ", ".join(line.signers),
        "leaf": line.leaf,
    }


def _numbered(text: str, characters: Iterable[str]) -> str:
    """Write these characters as their numbers: `[U+65E5]`."""
    return text.translate({ord(one): f"[U+{ord(one):04X}]" for one in characters})


@cache
def _printable(character: str) -> bool:
    """Whether some font has it, and the standards take it; always the same for one typst."""
    import typst

    source = SAMPLE + json.dumps(character, ensure_ascii=False).encode()
    try:
        _typeset(source, {}, EPOCH)
    except typst.TypstError:
        return False
    return True


def _compile(text: str, day: datetime) -> bytes:
    return _typeset(TEMPLATE.read_bytes(), {"story": text}, day)


def _typeset(source: bytes, given: dict[str, str], day: datetime) -> bytes:
    import typst

    return typst.compile(
        source,
        format="pdf",
        pdf_standards=["a-2a", "ua-1"],
        ignore_system_fonts=True,
        sys_inputs=given,
        timestamp=day,
    )
