"""How the files of a bundle are written: one form each, so that the same log gives equal bytes.

Source: design/compliance.md §1.1; RFC 4180.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t")


def write_json(value: Any) -> bytes:
    """Keys sorted, indent 1, final newline."""
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def write_jsonl(lines: Iterable[Any]) -> bytes:
    """One JSON value a line, keys sorted."""
    text = (json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n" for line in lines)
    return "".join(text).encode()


def write_csv(head: Sequence[str], body: Iterable[Sequence[Any]]) -> bytes:
    """RFC 4180 quoting; a text cell that a spreadsheet would run gets a leading apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    for row in body:
        writer.writerow([_harmless(cell) for cell in row])
    return out.getvalue().encode()


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
