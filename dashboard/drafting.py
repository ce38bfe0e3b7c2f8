"""A form's answers into a draft of a charter and back; nothing legal is filled in by itself.

Answers are a flat table, so that a page can ask them one by one: `title`, `max_rounds`,
`recipe.local.epochs`, `legal|north.example|ethics.ref`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import yaml

from compliance.errors import Malformed

Answers = dict[str, Any]
Plain = dict[str, Any]
MAX_DRAFT = 1 << 18

TERMS: dict[str, int] = {
    "max_rounds": 10,
    "round_minutes": 60,
    "min_examples": 20,
    "min_cell": 5,
}
"""Numbers of every charter that the form asks, with what it starts from."""

NUMBERS: dict[str, tuple[str, str, float, float]] = {
    "optimiser.lr": ("Learning rate", "%.5f", 0.00001, 10.0),
    "optimiser.weight_decay": ("Weight decay", "%.5f", 0.0, 10.0),
    "augment.rotate": ("Rotation, degrees", "%.1f", 0.0, 180.0),
    "augment.shift": ("Shift, share of the size", "%.2f", 0.0, 1.0),
    "augment.noise": ("Noise, standard deviation", "%.3f", 0.0, 10.0),
}
COUNTS: dict[str, tuple[str, int, int]] = {
    "local.epochs": ("Epochs per round", 1, 1000),
    "local.batch": ("Batch, images", 1, 4096),
    "seed": ("Seed", 0, 1_000_000),
}
"""Hyper-parameters that the form asks: label, and bounds as in `compliance.records.recipe`."""

ASKED = frozenset(
    {"title", "summary", "recipe", "datasets", "max_rounds", "round_seconds", "min_examples",
     "min_cell", "min_sites", "signatures_required", "purpose", "legal"}
)  # fmt: skip
"""Fields that the form asks; others of a kept draft go along unchanged."""

UNASKED = ("permit", "objections_checked", "us_basis")
"""Fields of a hospital's legal part that the form does not ask, for the same reason."""

SITE_FIELDS: dict[str, Any] = {
    "controller": "",
    "lawful_basis": None,
    "special_category_basis": None,
    "ethics.status": None,
    "ethics.ref": "",
    "ethics.sha256": "",
    "ethics.expires": None,
    "dua.ref": "",
    "dua.sha256": "",
    "dua.expires": None,
    "dpia.required": True,
    "dpia.ref": "",
    "dpia.sha256": "",
}


def inner(plain: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; None where there is none."""
    value: Any = plain
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def recipe_changes(document: Plain, answers: Answers) -> Plain:
    """What the answers change in a recipe; nothing when they are its own numbers."""
    changes: Plain = {}
    for path in (*NUMBERS, *COUNTS):
        given, own = answers.get(f"recipe.{path}"), inner(document, path)
        if given is None or (own is not None and float(own) == float(given)):
            continue
        _put(changes, path, given if path in COUNTS else _decimal(given))
    balanced = answers.get("recipe.class_weights")
    if balanced is not None and balanced != document["class_weights"]:
        changes["class_weights"] = balanced
    return changes


def draft_of(answers: Answers, recipes: Sequence[Plain]) -> Plain:
    """The draft that these answers make."""
    chosen = [name.split("|", 1) for name in answers.get("datasets") or []]
    sites = sorted({site for site, _ in chosen})
    document = document_of(recipes, answers.get("recipe"))
    count = len(sites)
    return {
        "title": answers.get("title") or "",
        "summary": answers.get("summary") or "",
        "recipe": {
            "id": answers.get("recipe"),
            "changes": recipe_changes(document, answers) if document else {},
        },
        "datasets": [
            {"site": site, "id": name, **answers.get(f"dataset|{site}|{name}", {})}
            for site, name in chosen
        ],
        "max_rounds": int(answers.get("max_rounds") or 0),
        "round_seconds": 60 * int(answers.get("round_minutes") or 0),
        "min_examples": int(answers.get("min_examples") or 0),
        "min_cell": int(answers.get("min_cell") or 0),
        "min_sites": min(int(answers.get("min_sites") or 2), max(count, 1)),
        "signatures_required": min(int(answers.get("signatures_required") or count), max(count, 1)),
        "purpose": {
            "use": answers.get("use") or "HMB",
            "disease": _words(answers.get("disease")),
            "for_profit": bool(answers.get("for_profit")),
            "commercial": bool(answers.get("commercial")),
            "flags": list(answers.get("flags") or []),
        },
        "legal": legal_of(answers, sites),
        **answers.get("unasked", {}),
    }


def legal_of(answers: Answers, sites: Sequence[str]) -> Plain:
    """The legal block; what was not answered stays empty, and the rules say so."""
    ref, sha256 = (answers.get(f"processing_agreement.{part}") for part in ("ref", "sha256"))
    return {
        "joint_controllers": bool(answers.get("joint_controllers")),
        "processor": answers.get("processor") or None,
        "processing_agreement": {"ref": ref, "sha256": _named(sha256)} if ref or sha256 else None,
        "purposes": list(answers.get("purposes") or []),
        "transfers": list(answers.get("transfers") or []),
        "sites": [_legal_row(answers, site) for site in sites],
    }


def _legal_row(answers: Answers, site: str) -> Plain:
    row: Plain = {"site": site}
    row |= {name: answers.get(f"legal|{site}|{name}") for name in UNASKED}
    for path, default in SITE_FIELDS.items():
        value = answers.get(f"legal|{site}|{path}", default)
        if path.endswith("expires"):
            value = f"{value:%Y-%m-%d}T00:00:00Z" if value else None
        _put(row, path, value)
    for paper in ("ethics", "dua", "dpia"):
        row[paper]["sha256"] = _named(row[paper]["sha256"])
    row["dpia"] |= {name: row["dpia"][name] or None for name in ("ref", "sha256")}
    return row


def answers_of(draft: Mapping[str, Any]) -> Answers:
    """The answers that make this draft, for going on with a saved one."""
    plain = {str(name): value for name, value in draft.items()}
    answers: Answers = {
        name: plain[name] for name in (*TERMS, "title", "summary", "min_sites") if name in plain
    }
    if plain.get("signatures_required"):
        answers["signatures_required"] = plain["signatures_required"]
    if plain.get("round_seconds"):
        answers["round_minutes"] = int(plain["round_seconds"]) // 60
    answers["unasked"] = {name: value for name, value in plain.items() if name not in ASKED}
    answers["datasets"] = []
    for row in _rows(plain, "datasets"):
        name = f"{row.pop('site', '')}|{row.pop('id', '')}"
        answers["datasets"].append(name)
        answers[f"dataset|{name}"] = row
    recipe = plain.get("recipe") if isinstance(plain.get("recipe"), Mapping) else {}
    answers["recipe"] = inner({"recipe": recipe}, "recipe.id")
    for path in (*NUMBERS, *COUNTS, "class_weights"):
        value = inner({"recipe": recipe}, f"recipe.changes.{path}")
        if value is not None:
            answers[f"recipe.{path}"] = float(value) if path in NUMBERS else value
    for name in ("use", "for_profit", "commercial", "flags"):
        answers[name] = inner(plain, f"purpose.{name}")
    answers["disease"] = ", ".join(inner(plain, "purpose.disease") or [])
    return answers | _legal_answers(plain)


def _legal_answers(plain: Plain) -> Answers:
    legal = plain.get("legal") if isinstance(plain.get("legal"), Mapping) else {}
    answers = {
        name: inner({"l": legal}, f"l.{name}") for name in ("joint_controllers", "processor")
    }
    for name in ("purposes", "transfers"):
        answers[name] = inner({"l": legal}, f"l.{name}") or []
    for part in ("ref", "sha256"):
        path = f"processing_agreement.{part}"
        answers[path] = inner({"l": legal}, f"l.{path}") or ""
    for row in _rows(dict(legal or {}), "sites"):
        for path in (*SITE_FIELDS, *UNASKED):
            value = inner(row, path)
            if path.endswith(".expires") and value:
                value = datetime.fromisoformat(str(value)).date()
            if value is not None:
                answers[f"legal|{row.get('site')}|{path}"] = value
    return answers


def write_draft(draft: Plain) -> str:
    """The draft as YAML, to keep or to propose from the command line."""
    return str(yaml.safe_dump(draft, allow_unicode=True, sort_keys=False))


def read_draft(data: bytes) -> Plain:
    """Read a saved draft.

    Raises:
        Malformed: not YAML, not a table, or larger than 256 KiB.
    """
    if len(data) > MAX_DRAFT:
        raise Malformed("draft", "it is larger than 256 KiB")
    try:
        plain = yaml.safe_load(data.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise Malformed("draft", "it is not YAML") from None
    if not isinstance(plain, dict):
        raise Malformed("draft", "it is not a table of fields")
    return dict(_texts(plain))


def document_of(recipes: Sequence[Plain], name: str | None) -> Plain | None:
    """The newest document of a recipe."""
    found = [row["document"] for row in recipes if row["id"] == name]
    return min(found, key=lambda row: int(row["version"])) if found else None


def fingerprint(data: bytes) -> str:
    """The SHA-256 of a document, as the charter names it."""
    return hashlib.sha256(data).hexdigest()


def _put(plain: Plain, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for part in parents:
        plain = plain.setdefault(part, {})
    plain[last] = value


def _decimal(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


def _words(text: object) -> list[str]:
    return [word.strip() for word in str(text or "").split(",") if word.strip()]


def _named(sha256: object) -> str:
    text = str(sha256 or "").strip().lower()
    return text if not text or text.startswith("sha256:") else f"sha256:{text}"


def _rows(plain: Plain, name: str) -> list[Plain]:
    return [dict(row) for row in plain.get(name) or [] if isinstance(row, Mapping)]


def _texts(value: Any) -> Any:
    """YAML makes times of some texts; a charter holds texts."""
    if isinstance(value, dict):
        return {str(name): _texts(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return value.isoformat() if isinstance(value, date) else value
