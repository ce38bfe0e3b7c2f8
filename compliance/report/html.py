"""The report as HTML 5: no script, nothing from elsewhere, every foreign text escaped.

Source: design/compliance.md §10.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from compliance.report.page_style import STYLE
from compliance.report.story.pieces import (
    BREAK,
    Block,
    Code,
    Entry,
    Facts,
    Group,
    Heading,
    Inline,
    Items,
    Line,
    Paragraph,
    Section,
    Story,
    Table,
    Text,
    Toned,
)
from compliance.report.story.words import moment

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
OPEN = 400
"""Logs of so many entries are shown unfolded, and so printed; longer ones are folded by round."""

LONG = 60
"""A table of more rows scrolls inside the page; on paper it is whole."""


def write_html(story: Story) -> bytes:
    """Draw a report as one page."""
    parts = (
        "<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>",
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        "<meta name='viewport' content='width=device-width,initial-scale=1'>",
        "<meta name='color-scheme' content='light'>",
        f"<title>{escape(story.title)}: evidence report</title>",
        f"<style>{STYLE}</style>\n</head>\n<body>",
        *_top(story),
        *_contents(story),
        "<main>",
        "<h2 id='about'>Who, what, when</h2>",
        _facts(story.facts),
        *(line for no, section in enumerate(story.sections, 1) for line in _section(no, section)),
        *_entries(story),
        f"<footer><p>{escape(story.closing)}</p></footer>",
        "</main>\n</body>\n</html>\n",
    )
    return "\n".join(parts).encode()


def _top(story: Story) -> Iterator[str]:
    yield "<header class='top'><div class='in'>"
    yield "<p class='kind'>Evidence report of a federated study</p>"
    yield f"<h1>{escape(story.title)}</h1>"
    yield f"<p class='about'>{escape(story.summary)}</p>"
    yield f"<p class='lead'>{_text(story.lead)}</p>"
    lines = "".join(f"<p>{_text(line)}</p>" for line in story.banner)
    yield f"<div class='banner'>{lines}</div>\n</div></header>"


def _contents(story: Story) -> Iterator[str]:
    yield "<nav aria-label='Contents'><div class='in'><ol>"
    for section in story.sections:
        yield f"<li><a href='#{section.name}'>{escape(section.title)}</a></li>"
    yield "<li><a href='#entries'>Every entry</a></li>"
    yield "</ol></div></nav>"


def _section(number: int, section: Section) -> Iterator[str]:
    yield f"<section aria-labelledby='{section.name}'>"
    title = f"<span class='no'>{number}</span> {escape(section.title)}"
    yield f"<h2 id='{section.name}'>{title}</h2>"
    for block in section.blocks:
        yield _block(block)
    yield "</section>"


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return f"<p>{_text(block.text)}</p>"
        case Heading():
            return f"<h3>{escape(block.words)}</h3>"
        case Items():
            tag = "ol" if block.numbered else "ul"
            items = "".join(f"<li>{_text(item)}</li>" for item in block.items)
            return f"<{tag}>{items}</{tag}>"
        case Facts():
            return _facts(block)
        case Table():
            return _table(block)


def _facts(facts: Facts) -> str:
    rows = (f"<dt>{escape(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts.rows)
    return f"<dl>{''.join(rows)}</dl>"


def _table(table: Table) -> str:
    columns = "".join(f"<col style='width:{width}%'>" for width in table.widths)
    head = "".join(f"<th scope='col'>{escape(cell)}</th>" for cell in table.head)
    body = "\n".join(f"<tr>{_cells(row)}</tr>" for row in table.rows)
    name = escape(table.caption)
    wide = "wide long" if len(table.rows) > LONG else "wide"
    return (
        f"<div class='{wide}' role='region' aria-label='{name}' tabindex='0'><table>"
        f"<caption>{name}</caption><colgroup>{columns}</colgroup>"
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )


def _cells(row: Iterable[Text]) -> str:
    return "".join(f"<td>{_text(cell)}</td>" for cell in row)


def _entries(story: Story) -> Iterator[str]:
    folded = story.size > OPEN
    number = f"<span class='no'>{len(story.sections) + 1}</span>"
    yield f"<section aria-labelledby='entries'><h2 id='entries'>{number} Every entry</h2>"
    yield (
        "<p>Hashes inside an entry are shown by their first 16 digits; whole statements stand in "
        "<code>data/events.jsonl</code>, a table in <code>data/events.csv</code>. A leaf hash is "
        "the hash under which the tree holds the entry with all its signatures.</p>"
    )
    if folded:
        yield (
            "<p>This log is long: its entries are folded by round. A link to an entry opens its "
            "round. Folded rounds are not printed.</p>"
        )
    for group in story.groups:
        yield _group(group, folded=folded)
    yield "</section>"


def _group(group: Group, *, folded: bool) -> str:
    lines = "\n".join(_line(line) for line in group.lines)
    opened = "" if folded else " open"
    return f"<details{opened}><summary>{escape(group.title)}</summary>\n{lines}\n</details>"


def _line(line: Line) -> str:
    signers = ", ".join(f"<code>{escape(name)}</code>" for name in line.signers)
    return (
        f"<div class='e' id='e{line.index}'><p><span class='n'>{line.index}</span>"
        f"{_text(line.sentence)}</p>"
        f"<p class='m'><code>{line.kind}</code>, {moment(line.time)} (claimed); {line.signed}: "
        f"{signers}</p>"
        f"<p class='m'><code>{escape(line.fields)}</code></p>"
        f"<p class='m'>leaf <code>{line.leaf}</code></p></div>"
    )


def _text(parts: Text) -> str:
    return "".join(_inline(part) for part in parts)


def _inline(part: Inline) -> str:
    match part:
        case Entry():
            name = f" aria-label='entry {part.index}'" if not part.words else ""
            shown = escape(part.words or str(part.index))
            return f"<a href='#e{part.index}'{name}>{shown}</a>"
        case Code():
            return f"<code>{_breakable(part.text)}</code>"
        case Toned():
            tag = "strong" if part.tone == "strong" else "span"
            return f"<{tag} class='{part.tone}'>{escape(part.text)}</{tag}>"
        case _:
            return "<br>" if part == BREAK else escape(part)


def _breakable(code: str) -> str:
    """A path or key name may break after a slash; base64 and commands stay as they are."""
    shown = escape(code)
    return shown if "=" in code or " " in code else shown.replace("/", "/<wbr>")
