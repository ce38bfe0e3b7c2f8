"""The order of a network's numbers in one flat vector, and the hash that names a model.

Bytes in, hash out: no numpy here, so that an auditor's laptop can recompute every model's name.

Source: design/federation.md §4.1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from compliance import canonical
from compliance.errors import Malformed, NotReady
from compliance.records.families import FLAT
from compliance.records.types import Count, Dec, Record

LAYOUT_DOMAIN = b"consilium/layout/v1\n"
MODEL_DOMAIN = b"consilium/model/v1\n"
BYTES_PER_VALUE = 4
_TEMPLATES = Path(__file__).parent / "layouts"


class Uniform(Record):
    """Start values drawn evenly from [-bound, bound]."""

    kind: Literal["uniform"]
    bound: Dec


class Constant(Record):
    """One start value for all."""

    kind: Literal["const"]
    value: Dec


class LayoutEntry(Record):
    """One tensor: float32, little-endian, C order, at `offset` values from the start."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    shape: Annotated[list[Count], Field(max_length=8)]
    offset: Count
    count: Count
    role: Literal["param", "buffer"]
    init: Annotated[Uniform | Constant, Field(discriminator="kind")]


class Layout(Record):
    """A vector of `count` values: parameters first, each section sorted by name, no gap."""

    v: Literal[1] = 1
    count: Count
    entries: Annotated[list[LayoutEntry], Field(min_length=1, max_length=100_000)]

    @model_validator(mode="after")
    def _dense_and_sorted(self) -> Layout:
        order = [(entry.role != "param", entry.name.encode()) for entry in self.entries]
        if order != sorted(set(order)):
            raise ValueError("entries are not sorted: parameters first, then by name, none twice")
        offset = 0
        for entry in self.entries:
            if entry.offset != offset or entry.count != prod(entry.shape):
                raise ValueError(f"{entry.name}: offset or count does not follow from the shapes")
            offset += entry.count
        if offset != self.count:
            raise ValueError("the counts do not add up")
        return self

    @property
    def sha256(self) -> str:
        """Name the layout: SHA-256 of its domain line and canonical form."""
        return canonical.sha256_id(LAYOUT_DOMAIN + canonical.encode(self.plain()))

    @classmethod
    def of(cls, entries: Iterable[dict[str, Any]]) -> Layout:
        """Build a layout from {name, shape, role, init}; order, offsets and counts follow."""
        rows = sorted(entries, key=lambda row: (row["role"] != "param", row["name"].encode()))
        placed, offset = [], 0
        for row in rows:
            count = prod(row["shape"])
            placed.append({**row, "shape": list(row["shape"]), "offset": offset, "count": count})
            offset += count
        return read_layout({"v": 1, "count": offset, "entries": placed})


def read_layout(value: dict[str, Any]) -> Layout:
    """Read a layout document.

    Raises:
        Malformed: a field is wrong, or order and offsets do not fit.
    """
    try:
        return Layout.model_validate(value)
    except ValidationError as error:
        raise Malformed("layout", error.errors(include_url=False)[0]["msg"]) from None


def model_sha256(layout_sha256: str, vector: bytes | Iterable[bytes]) -> str:
    """Name a model: the same numbers in another network are another model.

    Args:
        layout_sha256: `sha256:` and 64 hex digits.
        vector: the 4·P bytes, float32 little-endian, whole or in pieces.
    """
    state = hashlib.sha256(MODEL_DOMAIN + bytes.fromhex(layout_sha256.removeprefix("sha256:")))
    for piece in (vector,) if isinstance(vector, bytes | bytearray | memoryview) else vector:
        state.update(piece)
    return "sha256:" + state.hexdigest()


def layout_file(network: str, channels: int, dims: int) -> str:
    """Name the template of a network: dimensions are told where they are more than two."""
    return f"{network}-c{channels}.json" if dims <= FLAT else f"{network}-{dims}d-c{channels}.json"


def layout_for(network: str, channels: int, outputs: int, dims: int = FLAT) -> Layout:
    """Return the layout of an installed network for so many input channels and outputs.

    Args:
        network: name of a network of the catalogue, e.g. `cnn2d_small`.
        channels: input channels, ≥ 1.
        outputs: values at the end, 1 for a binary task.
        dims: dimensions of a case: 3 for volumes.

    Raises:
        NotReady: no layout is installed for this network, these channels and dimensions.
    """
    path = _TEMPLATES / layout_file(network, channels, dims)
    if not network.replace("_", "").isalnum() or not path.is_file():
        raise NotReady(
            f"No layout is installed for network {network!r} with {channels} channels in {dims}D.",
            "Choose a recipe of the list, or install a release that has this network.",
        )
    template = json.loads(path.read_text(encoding="utf-8"))
    return Layout.of(_filled(row, outputs) for row in template["entries"])


def _filled(row: dict[str, Any], outputs: int) -> dict[str, Any]:
    shape = [outputs if side == "classes" else side for side in row["shape"]]
    return {"name": row["name"], "shape": shape, "role": row["role"], "init": row["init"]}
