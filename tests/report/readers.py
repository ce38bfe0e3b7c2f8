"""How tests read the report: its outline, its links, its tables, and the words that must not be."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

from compliance.report.log import Log
from compliance.report.page import page
from compliance.report.reading import read_log
from tests.report.evidence import witnessed
from tests.simulator import Federation

FORBIDDEN = (
    "compliant", "compliance score", "certified", "guarantee", "proves that the data",
    "gdpr-ready", "100 %", "100%", "immutable", "blockchain", "anonymous",
)  # fmt: skip
"""Words that no report says (design/compliance.md §11)."""

VOID = ("meta", "col", "br", "wbr", "link", "img", "input", "hr")


class Outline(HTMLParser):
    """A page as a list of tags with attributes, its headings, its links and its words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.headings: list[tuple[int, str]] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("h1", "h2", "h3", "h4"):
            self.headings.append((int(tag[1]), ""))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """Every tag is closed in its order."""
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        """Collect words by where they stand."""
        if "style" in self.open:
            return
        self.words.append(data)
        if self.open and self.open[-1] in ("h1", "h2", "h3", "h4"):
            level, before = self.headings[-1]
            self.headings[-1] = (level, before + data)
        if any(tag in ("td", "th") for tag in self.open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        """All words."""
        return "".join(self.words)

    def values(self, name: str) -> list[str]:
        """Every value of an attribute."""
        return [attributes[name] for _, attributes in self.tags if name in attributes]


def log_of(world: Federation) -> Log:
    """A witnessed log of a study."""
    return read_log(world.entries, witnessed(world))


def read(world: Federation, attached: Mapping[str, bytes] | None = None) -> Outline:
    """The page of a study, read back."""
    return Outline(page(log_of(world), attached or {}).decode())


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """Contrast of two colours (WCAG 2.2)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def card(model: str, **narrative: Any) -> dict[str, bytes]:
    """A card with a narrative, where a bundle keeps it."""
    import json

    path = f"data/model/{model.removeprefix('sha256:')[:16]}/card.json"
    return {path: json.dumps({"narrative": narrative}).encode()}
