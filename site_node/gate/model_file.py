"""Model files: a safetensors file becomes a flat vector, after its own hash was recomputed.

A wrong network with plausible numbers is worse than no model: layout and hash must match.

Source: safetensors format (8 bytes length, JSON header, raw tensors); design/federation.md §4.1.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compliance.canonical import digest_of
from compliance.errors import Malformed, NotProven, NotReady
from compliance.records.layout import Layout, model_sha256
from compliance.records.model_file import ModelFile, parse_model, tensor_bytes
from compliance.records.recipe import Recipe, layout_of


def open_model(path: Path) -> ModelFile:
    """Read a safetensors file.

    Raises:
        NotReady: the file cannot be read.
        Malformed: it is no safetensors file.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise NotReady(
            f"the model {path} cannot be read ({error.strerror}).", "Name a .safetensors file."
        ) from None
    return parse_model(raw)


def vector_of(model: ModelFile, recipe: Recipe) -> NDArray[np.float32]:
    """The model as one vector in the order of the recipe's layout, shape (count,), float32.

    Raises:
        Malformed: another network than the recipe's.
        NotProven: layout, label map or preparation of images that the file names are not those of
            the recipe, or the numbers do not have the hash that it names.
    """
    layout = layout_of(recipe)
    _check_identity(model, recipe, layout)
    if set(model.tensors) != {entry.name for entry in layout.entries}:
        raise Malformed("model file", f"it is another network than that of recipe {recipe.id}")
    vector = np.frombuffer(
        b"".join(tensor_bytes(model, entry) for entry in layout.entries), dtype="<f4"
    ).astype(np.float32)
    _check_hash(model, layout, vector)
    return vector


def _check_identity(model: ModelFile, recipe: Recipe, layout: Layout) -> None:
    """Refuse before a number is made: another label map gives plausible scores (MediSwarm E2)."""
    agreed = (
        ("model.layout", "layout_sha256", layout.sha256),
        ("model.labels", "label_map_sha256", digest_of(list(recipe.classes))),
        ("model.preparation", "preprocessing_sha256", digest_of(recipe.preprocessing.plain())),
    )
    for step, field, own in agreed:
        told = model.metadata.get(field)
        if told is not None and told != own:
            raise NotProven(step, f"the file names {field} {told[:80]}, its recipe {own}")


def _check_hash(model: ModelFile, layout: Layout, vector: NDArray[np.float32]) -> None:
    claimed = model.metadata.get("model_sha256")
    found = model_sha256(layout.sha256, vector.astype("<f4").tobytes())
    if claimed is not None and claimed != found:
        raise NotProven("model.hash", f"the file says {claimed}, its numbers are {found}")


def recipe_told(model: ModelFile) -> tuple[str, bytes | None]:
    """The recipe's hash that the file names, and the document it may carry; not believed yet."""
    document = model.metadata.get("recipe", "")
    data = document.encode() if document.startswith("{") else None
    return model.metadata.get("recipe_sha256", ""), data


def write_scores(path: Path, scores: Any, labels: Any) -> None:
    """Write one row per patient, in no order that names anybody: score and label.

    Several classes: one column `score_<k>` and `label_<k>` each.
    """
    table, truth = np.atleast_2d(np.asarray(scores).T).T, np.atleast_2d(np.asarray(labels).T).T
    count = table.shape[1]
    heads = ["score", "label"] if count == 1 else []
    heads = heads or [f"{word}_{k}" for k in range(count) for word in ("score", "label")]
    partial = path.with_name(path.name + ".partial")
    partial.touch(mode=0o600)
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(heads)
        for row, marks in zip(table, truth, strict=True):
            pairs = zip(row, marks, strict=True)
            writer.writerow([word for x, y in pairs for word in (f"{float(x):.9f}", int(y))])
    partial.replace(path)
