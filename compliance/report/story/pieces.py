"""What a report is made of, before anybody draws it: words, links to entries, tables.

Each piece tells itself as plain JSON (`plain`), so that a program that knows no Python can draw it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Tone = Literal["good", "left", "quiet", "strong"]
Plain = dict[str, Any]
NONE = "\u2014"
"""What stands where there is nothing."""

BREAK = "\n"
"""A new line inside a cell; no text of a record can hold one."""


@dataclass(frozen=True)
class Entry:
    """A link to an entry of the log; `words` stand in place of its number."""

    index: int
    words: str = ""

    def plain(self) -> Plain:
        """As JSON."""
        return {"is": "entry", "index": self.index, "text": self.words or str(self.index)}


@dataclass(frozen=True)
class Code:
    """A key name, a hash, a command: something to compare or to type, letter by letter."""

    text: str

    def plain(self) -> Plain:
        """As JSON."""
        return {"is": "code", "text": self.text}


@dataclass(frozen=True)
class Toned:
    """Words with a tone; the words alone say everything."""

    text: str
    tone: Tone

    def plain(self) -> Plain:
        """As JSON."""
        return {"is": self.tone, "text": self.text}


Inline: TypeAlias = "str | Entry | Code | Toned"
Text = tuple[Inline, ...]


@dataclass(frozen=True)
class Paragraph:
    """Some sentences."""

    text: Text

    def plain(self) -> Plain:
        """As JSON."""
        return {"is": "paragraph", "text": _plain(self.text)}


@dataclass(frozen=True)
class Items:
    """A list; numbered where the order matters."""

    items: tuple[Text, ...]
    numbered: bool = False

    def plain(self) -> Plain:
        """As JSON."""
        items = [_plain(item) for item in self.items]
        return {"is": "numbered" if self.numbered else "bullets", "items": items}


@dataclass(frozen=True)
class Facts:
    """Names and values, one pair a line."""

    rows: tuple[tuple[str, Text], ...]

    def plain(self) -> Plain:
        """As JSON."""
        return {"is": "facts", "rows": [[name, _plain(value)] for name, value in self.rows]}


@dataclass(frozen=True)
class Table:
    """Rows below a head; `widths` are shares of the page, one a column."""

    caption: str
    head: tuple[str, ...]
    widths: tuple[int, ...]
    rows: tuple[tuple[Text, ...], ...]

    def plain(self) -> Plain:
        """As JSON."""
        rows = [[_plain(cell) for cell in row] for row in self.rows]
        return {
            "is": "table", "caption": self.caption, "head": list(self.head),
            "widths": list(self.widths), "rows": rows,
        }  # fmt: skip


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    words: str

    def plain(self) -> Plain:
        """As JSON."""
        return {"is": "heading", "text": [self.words]}


Block: TypeAlias = "Paragraph | Items | Facts | Table | Heading"


@dataclass(frozen=True)
class Section:
    """One question of the reader and its answer; `name` is the target of links."""

    name: str
    title: str
    blocks: tuple[Block, ...]

    def plain(self) -> Plain:
        """As JSON."""
        blocks = [block.plain() for block in self.blocks]
        return {"name": self.name, "title": self.title, "blocks": blocks}


@dataclass(frozen=True)
class Line:
    """An entry as a reader sees it: a sentence, who signed, what it hashes to."""

    index: int
    time: str
    kind: str
    sentence: Text
    signers: tuple[str, ...]
    signed: str
    leaf: str
    fields: str


@dataclass(frozen=True)
class Group:
    """Entries that belong together, such as those of one round."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Story:
    """The whole report.

    Args:
        title: title of the study.
        summary: what the study says about itself.
        lead: one sentence that stands on top.
        banner: size, root and witnesses, in sentences.
        facts: who, what and when.
        sections: the questions, in the order in which they are asked.
        groups: every entry.
        size: entries covered.
        root: the root, as the log writes it.
        as_of: time of the newest cosignature.
        closing: the sentence that ends every page.
    """

    title: str
    summary: str
    lead: Text
    banner: tuple[Text, ...]
    facts: Facts
    sections: tuple[Section, ...]
    groups: tuple[Group, ...]
    size: int
    root: str
    as_of: str
    closing: str

    def plain(self) -> Plain:
        """As JSON; entries are left out, because who draws them knows how many fit."""
        return {
            "title": self.title,
            "summary": self.summary,
            "lead": _plain(self.lead),
            "banner": [_plain(text) for text in self.banner],
            "facts": self.facts.plain(),
            "sections": [section.plain() for section in self.sections],
            "size": str(self.size),
            "root": self.root,
            "as_of": self.as_of,
            "closing": self.closing,
        }


def text(*parts: Inline) -> Text:
    """Words and links, one after the other."""
    return tuple(part for part in parts if part != "")


def paragraph(*parts: Inline) -> Paragraph:
    """A paragraph of words and links."""
    return Paragraph(text(*parts))


def clean(foreign: str) -> str:
    """One line of text from a file that no record's form has judged."""
    return " ".join("".join(one if one.isprintable() else " " for one in foreign).split())


def joined(parts: Iterable[Inline], between: str = ", ") -> Text:
    """Parts with something between them."""
    found: list[Inline] = []
    for part in parts:
        found += [between, part] if found else [part]
    return tuple(found)


def short(digest: str) -> Code:
    """The first 16 hex digits of a hash; the whole one stands in the entry."""
    return Code(digest.removeprefix("sha256:")[:16])


def listed(names: Sequence[str]) -> str:
    """Names as in a sentence: A, B and C."""
    if not names:
        return "nobody"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def counted(number: int, one: str, many: str = "") -> str:
    """A number and its noun: 1 round, 2 rounds."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _plain(parts: Text) -> list[Any]:
    return [part if isinstance(part, str) else part.plain() for part in parts]
