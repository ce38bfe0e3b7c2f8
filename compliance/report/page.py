"""README.html: one page for a human; no script, nothing from elsewhere, claims link entries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from compliance.ledger.checkpoint import Checkpoint
from compliance.rules.state import StudyState

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;
padding:0 1rem;color:#1b1f24}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem;border-bottom:1px solid #c8ccd0}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d8dce0;vertical-align:top}
.banner{background:#eef3fb;border:1px solid #b6c7e3;padding:1rem;border-radius:6px}
code{font-size:.85em;overflow-wrap:anywhere}@media print{body{margin:0}}"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(
    state: StudyState,
    rows: Sequence[dict[str, Any]],
    checkpoint: Checkpoint,
    times: dict[str, int],
    as_of: str,
) -> bytes:
    """Write the page from the folded state and the decoded entries."""
    charter = state.charter
    parts = [
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>",
        f"<meta http-equiv='Content-Security-Policy' content=\"{_POLICY}\">",
        f"<title>{escape(charter.title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(charter.title)}</h1><p>{escape(charter.summary)}</p>",
        _banner(checkpoint, times, as_of, state),
        "<h2>Who decided?</h2>" + _signers(rows[0]),
        "<h2>Which data, under which terms?</h2>" + _datasets(state),
        "<h2>Who trained which round, and who was left out?</h2>" + _rounds(state),
        "<h2>What was refused, and why?</h2>" + _kind(rows, "decision.denied"),
        "<h2>Is the record complete, and how do I check it?</h2>" + _check(checkpoint, state),
        "<h2>What this does not prove</h2><p>See <code>LIMITS.md</code> beside this page.</p>",
        "<h2>Every entry</h2>" + _entries(rows),
        "<p>Evidence drawn from a signed log. Not a legal determination.</p></body></html>\n",
    ]
    return "\n".join(parts).encode()


def _banner(checkpoint: Checkpoint, times: dict[str, int], as_of: str, state: StudyState) -> str:
    witnesses = ", ".join(sorted(times)) or "nobody"
    closed = state.rounds_closed
    sites = sorted({site for item in closed for site in item.used})
    return (
        "<div class='banner'><strong>"
        f"Trained in {len(closed)} rounds on {len(sites)} of {len(state.charter.sites)} hospitals."
        f"</strong><br>Log size {checkpoint.size}, root <code>{checkpoint.root.hex()}</code><br>"
        f"Witnessed by {escape(witnesses)}; latest {escape(as_of)}</div>"
    )


def _signers(entry: dict[str, Any]) -> str:
    items = "".join(f"<li>{escape(name)}</li>" for name in entry["signers"])
    return f"<p>The <a href='#e0'>charter</a> is signed by:</p><ul>{items}</ul>"


def _datasets(state: StudyState) -> str:
    basis = {site.site: site for site in state.charter.legal.sites}
    head = ("hospital", "data set", "data use terms", "lawful basis", "ethics")
    body = []
    for dataset in state.charter.datasets:
        legal = basis.get(dataset.site)
        terms = " ".join(str(item) for item in dataset.duo)
        lawful = str(legal.lawful_basis) if legal else "none"
        ethics = str(legal.ethics.status) if legal else "none"
        body.append((dataset.site, dataset.id, terms, lawful, ethics))
    return _table(head, body)


def _rounds(state: StudyState) -> str:
    head = ("round", "used", "left out", "entry")
    body = []
    for closed in state.rounds_closed:
        gone = {**closed.excluded, **closed.missing}
        left = ", ".join(f"{site}: {reason}" for site, reason in sorted(gone.items()))
        used = ", ".join(sorted(closed.used))
        body.append((str(closed.number), used, left or "nobody", _link(closed.index)))
    return _table(head, body) if body else "<p>No round is closed yet.</p>"


def _kind(rows: Sequence[dict[str, Any]], kind: str) -> str:
    found = [row for row in rows if row["type"] == kind]
    if not found:
        return "<p>None in this log.</p>"
    body = [
        (
            _link(row["index"]),
            row["actor"] or "",
            row["body"]["rule"],
            row["time"],
        )
        for row in found
    ]
    return _table(("entry", "who refused", "rule", "time"), body)


def _check(checkpoint: Checkpoint, state: StudyState) -> str:
    return (
        "<p>Get the policy file from a hospital that you trust, not from this bundle, and run "
        "<code>consilium audit verify BUNDLE --policy FILE</code>. By hand, compare these:</p>"
        + _table(
            ("what", "value"),
            [
                ("charter id", _code(state.charter_id)),
                ("origin", escape(checkpoint.origin)),
                ("size", str(checkpoint.size)),
                ("root (hex)", _code(checkpoint.root.hex())),
                ("quorum", f"{state.charter.quorum.k} of {len(state.charter.quorum.witnesses)}"),
            ],
        )
    )


def _entries(rows: Sequence[dict[str, Any]]) -> str:
    head = ("entry", "time", "what", "signed by", "content")
    body = [
        (
            _Html(f"<a id='e{row['index']}'>{row['index']}</a>"),
            row["time"],
            row["type"],
            ", ".join(row["signers"]),
            _content(row),
        )
        for row in rows
    ]
    return _table(head, body)


def _content(row: dict[str, Any]) -> str:
    if row["index"] == 0:
        return "the charter, see charter.json"
    return _code(json.dumps(row["body"], sort_keys=True, ensure_ascii=False))


class _Html(str):
    """Markup that this page wrote itself; every other text is escaped."""

    __slots__ = ()


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th scope='col'>{escape(cell)}</th>" for cell in head)
    lines = ("".join(f"<td>{_cell(cell)}</td>" for cell in row) for row in body)
    return f"<table><tr>{top}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _cell(cell: str) -> str:
    return cell if isinstance(cell, _Html) else escape(cell)


def _link(index: int) -> _Html:
    return _Html(f"<a href='#e{index}'>{index}</a>")


def _code(text: str) -> _Html:
    return _Html(f"<code>{escape(text)}</code>")
