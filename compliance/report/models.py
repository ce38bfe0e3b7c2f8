"""Model files: a safetensors file whose data section is the packed vector that the log names."""

from __future__ import annotations

import json
from collections.abc import Set

from compliance.errors import NotProven
from compliance.records.layout import model_sha256

LENGTH_BYTES = 8


def check_model(path: str, data: bytes, known: Set[str]) -> None:
    """Recompute `model_sha256` of a safetensors file and look for it in the log.

    Raises:
        NotProven: the form is wrong, the numbers are others, or no round closed with this model.
    """
    size = int.from_bytes(data[:LENGTH_BYTES], "little")
    try:
        head = json.loads(data[LENGTH_BYTES : LENGTH_BYTES + size])
        meta = head["__metadata__"]
        claimed, layout = str(meta["model_sha256"]), str(meta["layout_sha256"])
        found = model_sha256(layout, data[LENGTH_BYTES + size :])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotProven("models", f"{path} is not a model file of ours") from None
    if found != claimed:
        raise NotProven("models", f"{path} holds other numbers than it claims")
    if found not in known:
        raise NotProven("models", f"{path} is a model that no closed round of this log names")
