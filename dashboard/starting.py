"""Start weights: from a file or a released model into a draft, and what the hub made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import NotProven, NotReady
from compliance.records.charter import CharterBody, StartModel
from compliance.records.envelope import parse_event
from compliance.records.layout import model_sha256
from compliance.records.model_file import packed
from compliance.records.recipe import layout_of, parse_recipe
from dashboard.paths import Plain, table

Answers = dict[str, Any]
DRAWN, FILE, RELEASED = "drawn", "file", "released"
CHOICES = {
    DRAWN: "Drawn by the study's id",
    FILE: "From a file",
    RELEASED: "A released model of this consortium",
}


def read_start(path: Path) -> bytes:
    """The bytes of a file of start weights.

    Raises:
        NotReady: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotReady(
            f"the start model {path} cannot be read ({error.strerror}).",
            "Name a .safetensors or .f32 file.",
        ) from None


def check_start(recipe: Callable[[str], bytes], text: bytes, data: bytes) -> None:
    """Compare the start model of a charter's text with the file that was handed in.

    Args:
        recipe: asks the hub for a recipe's document by its hash.
        text: of the charter, as the hub wrote it.
        data: the file.

    Raises:
        NotProven: the hub wrote another model, recipe or origin into the text.
    """
    body = parse_event(text).body
    if not isinstance(body, CharterBody):
        raise NotProven("start model", "the hub wrote no charter.")
    document = recipe(body.recipe.sha256)
    if sha256_id(document) != body.recipe.sha256:
        raise NotProven("recipe", "the document has another hash than the charter names.")
    layout = layout_of(parse_recipe(document))
    found = model_sha256(layout.sha256, packed(data, layout))
    named = body.start_model.sha256 if body.start_model else None
    if (body.initial_model_sha256, named) != (found, sha256_id(data)):
        raise NotProven(
            "start model",
            f"the charter begins with {body.initial_model_sha256}, the file holds {found}. "
            "Do not launch it.",
        )


def start_of(answers: Answers) -> Plain:
    """The start of a draft; nothing where it is drawn. What is not chosen yet is refused."""
    source = answers.get("start")
    if source == FILE:
        return {"start_model": {"file": answers.get("start_file") or ""}}
    if source == RELEASED:
        return {"start_model": {"study": answers.get("start_study") or ""}}
    return {}


def answers_of(plain: Mapping[str, Any]) -> Answers:
    """The answers that make a draft's start."""
    told = table(dict(plain), "start_model")
    if "file" in told:
        return {"start": FILE, "start_file": str(told["file"])}
    if "study" in told:
        return {"start": RELEASED, "start_study": str(told["study"])}
    return {}


def agreed(start: Mapping[str, Any] | None) -> str:
    """Where the start weights of a charter come from."""
    return "drawn by the study's id" if not start else StartModel.model_validate(start).words


def told(start: Mapping[str, Any] | None) -> str:
    """Where the start weights of a draft come from, in few words."""
    if not start:
        return "drawn by the study's id"
    if "study" in start:
        return f"the released model of study {start['study'] or '(not chosen yet)'}"
    return f"a given file, {str(start.get('file'))[7:23] or '(not handed in yet)'}"
