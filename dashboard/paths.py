"""Values at dotted paths of plain tables, and the small forms in which a charter writes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

Plain = dict[str, Any]


def inner(plain: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; None where there is none."""
    value: Any = plain
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def put(plain: Plain, path: str, value: Any) -> None:
    """Set the value at a dotted path; tables on the way are made."""
    *parents, last = path.split(".")
    for part in parents:
        plain = plain.setdefault(part, {})
    plain[last] = value


def without(plain: Mapping[str, Any], paths: Collection[str], at: str = "") -> Plain:
    """A copy without the values at these dotted paths, and without tables that are empty then."""
    left: Plain = {}
    for name, value in plain.items():
        path = f"{at}{name}"
        kept = without(value, paths, f"{path}.") if isinstance(value, Mapping) else value
        if path not in paths and kept != {}:
            left[name] = kept
    return left


def table(plain: Mapping[str, Any], name: str) -> Plain:
    """The table of this name; an empty one where there is none."""
    value = plain.get(name)
    return dict(value) if isinstance(value, Mapping) else {}


def rows(plain: Mapping[str, Any], name: str) -> list[Plain]:
    """The rows of a list of tables; what is no table is left out."""
    value = plain.get(name)
    listed = value if isinstance(value, list) else []
    return [dict(row) for row in listed if isinstance(row, Mapping)]


def decimal(number: float) -> str:
    """A number as a charter writes it: decimal text without needless zeros."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def codes(text: object) -> list[str]:
    """Words between commas or spaces, each once, in their order."""
    found = str(text or "").replace(",", " ").split()
    return list(dict.fromkeys(found))


def hash_text(sha256: object) -> str:
    """A hash as a charter names it; people may leave the `sha256:` out."""
    text = str(sha256 or "").strip().lower()
    return text if not text or text.startswith("sha256:") else f"sha256:{text}"


def paper(ref: object, sha256: object) -> Plain | None:
    """A document by reference and hash; None when neither was given."""
    return {"ref": ref or "", "sha256": hash_text(sha256)} if ref or sha256 else None


def day_text(day: date | None, kept: str | None = None) -> str | None:
    """A day as a time of a charter; a kept time of that day stays as it was written."""
    if day is None:
        return None
    same = kept is not None and kept[:10] == f"{day:%Y-%m-%d}"
    return kept if same else f"{day:%Y-%m-%d}T00:00:00Z"
