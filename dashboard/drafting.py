"""A form's answers into a draft of a charter and back; nothing legal is filled in by itself.

Answers are a flat table, so that a page can ask them one by one: `title`, `max_rounds`,
`recipe.local.epochs`, `legal|north.example|ethics.ref`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import date, datetime
from typing import Any

import yaml

from compliance.errors import Malformed
from dashboard import aggregating, agreeing, legal_block, noise, starting
from dashboard.fitting import DRAWN
from dashboard.paths import Plain, codes, decimal, inner, paper, put, rows, table, without

Answers = dict[str, Any]
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

ASKED_CHANGES = (*NUMBERS, *COUNTS, "class_weights", "dp")
ASKED = frozenset(
    {"title", "summary", "recipe", "datasets", "max_rounds", "round_seconds", "min_examples",
     "min_cell", "min_sites", "signatures_required", "purpose", "legal", "quorum", "release",
     "contribution", "evaluation", "documents", "starts", "expires", "retention_until",
     "aggregator", "dp", "start_model"}
)  # fmt: skip
"""Fields that the form asks; others of a kept draft go along unchanged."""

WITH_DISEASE = ("DS", "MDS")
"""Uses that name a disease; with another use it is refused."""


def recipe_changes(document: Plain, answers: Answers) -> Plain:
    """What the answers change in a recipe; nothing when they are its own numbers.

    Changes of a kept draft that the form does not ask go along while the recipe stays the same.
    """
    kept = answers.get("recipe|kept") or {}
    changes: Plain = deepcopy(kept.get("changes") or {}) if kept.get("id") == document["id"] else {}
    for path in (*NUMBERS, *COUNTS):
        given, own = answers.get(f"recipe.{path}"), inner(document, path)
        if given is None or (own is not None and float(own) == float(given)):
            continue
        put(changes, path, given if path in COUNTS else decimal(given))
    classes = answers.get("recipe|classes")
    if classes and classes != document["classes"]:
        changes["classes"] = list(classes)
    balanced = None if document["task"] == DRAWN else answers.get("recipe.class_weights")
    if balanced is not None and balanced != document["class_weights"]:
        changes["class_weights"] = balanced
    noise.change(changes, document, answers)
    return changes


def classes_of(document: Plain, answers: Answers) -> list[str]:
    """The classes that will be trained: those of the chosen data, else of the recipe."""
    return list(recipe_changes(document, answers).get("classes") or document["classes"])


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
        "datasets": [_dataset(answers, site, name) for site, name in chosen],
        "max_rounds": int(answers.get("max_rounds") or 0),
        "round_seconds": 60 * int(answers.get("round_minutes") or 0),
        "min_examples": int(answers.get("min_examples") or 0),
        "min_cell": int(answers.get("min_cell") or 0),
        "min_sites": min(int(answers.get("min_sites") or 2), max(count, 1)),
        "signatures_required": min(int(answers.get("signatures_required") or count), max(count, 1)),
        "purpose": purpose_of(answers),
        **agreeing.agreed_of(answers, sites),
        **aggregating.aggregator_of(answers),
        **starting.start_of(answers),
        **noise.terms_of(answers),
        "legal": legal_block.legal_of(answers, sites),
        **answers.get("unasked", {}),
    }


def purpose_of(answers: Answers) -> Plain:
    """What the data are asked for; a disease comes with the wider ones that it is a kind of."""
    return {
        "use": answers.get("use") or "HMB",
        "disease": codes(f"{answers.get('disease') or ''} {answers.get('ancestors') or ''}"),
        "for_profit": bool(answers.get("for_profit")),
        "commercial": bool(answers.get("commercial")),
        "flags": list(answers.get("flags") or []),
    }


def _dataset(answers: Answers, site: str, name: str) -> Plain:
    """A data set with the decision of its hospital's data access committee, if one is named."""
    row = {"site": site, "id": name, **answers.get(f"dataset|{site}|{name}", {})}
    row |= noise.row_of(answers, site, name)
    given = (answers.get(f"dac|{site}|{name}|{part}") for part in ("ref", "sha256"))
    decision = paper(*given)
    return row | ({"dac": decision} if decision else {})


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
    recipe = table(plain, "recipe")
    answers["recipe"] = recipe.get("id")
    changes = table(recipe, "changes")
    for path in (*NUMBERS, *COUNTS, "class_weights"):
        value = inner(changes, path)
        if value is not None:
            answers[f"recipe.{path}"] = float(value) if path in NUMBERS else value
    answers["recipe|kept"] = {"id": recipe.get("id"), "changes": without(changes, ASKED_CHANGES)}
    for name in ("use", "for_profit", "commercial", "flags"):
        answers[name] = inner(plain, f"purpose.{name}")
    answers["disease"] = ", ".join(inner(plain, "purpose.disease") or [])
    return (
        answers | _dataset_answers(plain) | agreeing.answers_of(plain)
        | aggregating.answers_of(plain) | starting.answers_of(plain) | noise.answers_of(plain)
        | legal_block.answers_of(plain)
    )  # fmt: skip


def _dataset_answers(plain: Plain) -> Answers:
    answers: Answers = {"datasets": []}
    for row in rows(plain, "datasets"):
        name = f"{row.pop('site', '')}|{row.pop('id', '')}"
        decision, cap = row.pop("dac", None) or {}, row.pop("epsilon", None)
        answers["datasets"].append(name)
        answers[f"dataset|{name}"] = row
        answers |= {} if cap is None else {f"cap|{name}": float(cap)}
        answers |= {f"dac|{name}|{part}": decision.get(part) for part in ("ref", "sha256")}
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


def _texts(value: Any) -> Any:
    """YAML makes times of some texts; a charter holds texts."""
    if isinstance(value, dict):
        return {str(name): _texts(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return value.isoformat() if isinstance(value, date) else value
