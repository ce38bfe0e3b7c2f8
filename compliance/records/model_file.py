"""Model files: safetensors, or the bare numbers; never a format that can run something.

Bytes in, bytes out in the order of a layout: no numpy here, and nothing of the file is believed.

Source: safetensors format (8 bytes length, JSON header, raw tensors); design/federation.md §4.1.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from compliance.errors import Malformed, NotProven
from compliance.records.layout import BYTES_PER_VALUE, Layout, LayoutEntry, model_sha256

LENGTH_BYTES = 8
MAX_HEADER = 16 << 20
LEFT_OUT = "num_batches_tracked"
"""An integer count of BatchNorm, which no layout holds."""


@dataclass(frozen=True)
class ModelFile:
    """What a model file says about itself, and its bytes; nothing is believed yet."""

    metadata: dict[str, str]
    tensors: dict[str, dict[str, Any]]
    data: bytes


def parse_model(raw: bytes) -> ModelFile:
    """Read the bytes of a safetensors file.

    Raises:
        Malformed: it is no safetensors file.
    """
    length = int.from_bytes(raw[:LENGTH_BYTES], "little")
    end = LENGTH_BYTES + length
    if len(raw) < LENGTH_BYTES or length > MAX_HEADER or end > len(raw):
        raise Malformed("model file", "it is no safetensors file")
    try:
        header = json.loads(raw[LENGTH_BYTES:end])
        metadata = dict(header.pop("__metadata__", {}) or {})
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise Malformed("model file", "it is no safetensors file") from None
    return ModelFile(metadata, header, raw[end:])


def tensor_bytes(model: ModelFile, entry: LayoutEntry) -> bytes:
    """The values of one tensor, float32, little-endian.

    Raises:
        Malformed: it is not there, or has another type, shape or place.
    """
    try:
        told = model.tensors[entry.name]
        begin, end = (int(place) for place in told["data_offsets"])
        fits = told["dtype"] == "F32" and list(told["shape"]) == list(entry.shape)
    except (KeyError, TypeError, ValueError):
        fits, begin, end = False, 0, 0
    size = entry.count * BYTES_PER_VALUE
    if not fits or end - begin != size or not 0 <= begin <= end <= len(model.data):
        raise Malformed("model file", f"the tensor {entry.name} has another form")
    return model.data[begin:end]


def packed(raw: bytes, layout: Layout) -> bytes:
    """The values of a file in the order of a layout: 4 bytes each.

    Args:
        raw: a safetensors file, or the bare values (.f32) in the layout's order.
        layout: of the recipe's network.

    Raises:
        Malformed: neither of the two, or another network than the recipe's.
        NotProven: the file names a hash, and its numbers have another one.
    """
    size = layout.count * BYTES_PER_VALUE
    if raw[LENGTH_BYTES : LENGTH_BYTES + 1] != b"{":
        if len(raw) == size:
            return raw
        words = f"it is no safetensors file, and no {layout.count} bare values ({size} bytes)"
        raise Malformed("start model", f"{words}: it has {len(raw)} bytes")
    model = parse_model(raw)
    claimed = model.metadata.get("layout_sha256", layout.sha256)
    if claimed != layout.sha256:
        raise Malformed("start model", f"its layout is {claimed}, the recipe's {layout.sha256}")
    _check_names(model, layout)
    values = b"".join(tensor_bytes(model, entry) for entry in layout.entries)
    found = model_sha256(layout.sha256, values)
    if model.metadata.get("model_sha256", found) != found:
        told = model.metadata["model_sha256"]
        raise NotProven("model.hash", f"the file says {told}, its numbers are {found}")
    return values


def _check_names(model: ModelFile, layout: Layout) -> None:
    wanted = {entry.name for entry in layout.entries}
    held = {name for name in model.tensors if name.rpartition(".")[2] != LEFT_OUT}
    if held == wanted:
        return
    missing, strange = sorted(wanted - held), sorted(held - wanted)
    first = f"it lacks {missing[0][:80]}" if missing else f"it also has {strange[0][:80]}"
    raise Malformed("start model", f"it is another network than the recipe's: {first}")
