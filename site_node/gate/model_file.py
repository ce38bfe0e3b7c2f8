"""Model files: a safetensors file becomes a flat vector, after its own hash was recomputed.

A wrong network with plausible numbers is worse than no model: layout and hash must match.

Source: safetensors format (8 bytes length, JSON header, raw tensors); design/federation.md §4.1.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compliance.errors import Malformed, NotProven, NotReady
from compliance.records.layout import Layout, model_sha256
from compliance.records.recipe import Recipe, layout_of

LENGTH_BYTES = 8
MAX_HEADER = 16 << 20


@dataclass(frozen=True)
class ModelFile:
    """What a model file says about itself, and its bytes; nothing is believed yet."""

    metadata: dict[str, str]
    tensors: dict[str, dict[str, Any]]
    data: bytes


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
    length = int.from_bytes(raw[:LENGTH_BYTES], "little")
    end = LENGTH_BYTES + length
    if len(raw) < LENGTH_BYTES or length > MAX_HEADER or end > len(raw):
        raise Malformed("model file", "it is no safetensors file")
    try:
        header = json.loads(raw[LENGTH_BYTES:end])
        metadata = dict(header.pop("__metadata__", {}) or {})
    except (ValueError, AttributeError, TypeError):
        raise Malformed("model file", "it is no safetensors file") from None
    return ModelFile(metadata, header, raw[end:])


def vector_of(model: ModelFile, recipe: Recipe) -> NDArray[np.float32]:
    """The model as one vector in the order of the recipe's layout, shape (count,), float32.

    Raises:
        Malformed: another network than the recipe's.
        NotProven: the numbers do not have the hash that the file names.
    """
    layout = layout_of(recipe)
    if set(model.tensors) != {entry.name for entry in layout.entries}:
        raise Malformed("model file", f"it is another network than that of recipe {recipe.id}")
    vector = np.concatenate([_tensor(model, entry) for entry in layout.entries])
    _check_hash(model, layout, vector)
    return vector


def _tensor(model: ModelFile, entry: Any) -> NDArray[np.float32]:
    told = model.tensors[entry.name]
    try:
        begin, end = (int(place) for place in told["data_offsets"])
        fits = told["dtype"] == "F32" and list(told["shape"]) == list(entry.shape)
    except (KeyError, TypeError, ValueError):
        fits, begin, end = False, 0, 0
    if not fits or end - begin != entry.count * 4 or not 0 <= begin <= end <= len(model.data):
        raise Malformed("model file", f"the tensor {entry.name} has another form")
    return np.frombuffer(model.data[begin:end], dtype="<f4").astype(np.float32)


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
