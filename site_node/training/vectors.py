"""A network and its packed vector: the same numbers, in the order of the layout.

Source: design/federation.md §4.1.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compliance.errors import Malformed
from compliance.records.layout import Layout, Uniform

FloatArray: TypeAlias = NDArray[np.float32]


def load(network: nn.Module, layout: Layout, vector: FloatArray) -> None:
    """Copy a packed vector into a network.

    Args:
        network: a network with exactly the entries of the layout.
        layout: the order of the values.
        vector: float32, shape (layout.count,).

    Raises:
        Malformed: another length or type, or network and layout differ.
    """
    if vector.shape != (layout.count,) or vector.dtype != np.float32:
        raise Malformed("model vector", f"it must be float32 with {layout.count} values")
    tensors = _tensors(network, layout)
    with torch.no_grad():
        for entry in layout.entries:
            part = vector[entry.offset : entry.offset + entry.count].reshape(entry.shape)
            tensors[entry.name].copy_(torch.from_numpy(part.copy()))


def pack(network: nn.Module, layout: Layout) -> FloatArray:
    """Return a network's values in the order of the layout, float32, shape (layout.count,)."""
    tensors = _tensors(network, layout)
    packed = np.empty(layout.count, dtype=np.float32)
    for entry in layout.entries:
        values = tensors[entry.name].detach().cpu().numpy()
        packed[entry.offset : entry.offset + entry.count] = values.reshape(-1)
    return packed


def difference(local: FloatArray, base: FloatArray) -> FloatArray:
    """Return the update: float32(float64(local) - float64(base)), shape (P,)."""
    return (local.astype(np.float64) - base.astype(np.float64)).astype(np.float32)


def start_vector(layout: Layout, seed: int) -> FloatArray:
    """Return start weights with the spread that the layout prescribes, for training at one place.

    A study's start weights come from the hub (a public key stream); local-only and pooled training
    begin here, with the same bounds and another draw.
    """
    start = np.empty(layout.count, dtype=np.float32)
    for entry in layout.entries:
        part = slice(entry.offset, entry.offset + entry.count)
        if isinstance(entry.init, Uniform):
            bound = float(entry.init.bound)
            start[part] = _generator(seed, entry.name).uniform(-bound, bound, entry.count)
        else:
            start[part] = float(entry.init.value)
    return start


def _generator(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def _tensors(network: nn.Module, layout: Layout) -> dict[str, Tensor]:
    tensors = {k: v for k, v in network.state_dict().items() if v.is_floating_point()}
    shapes = {name: list(value.shape) for name, value in tensors.items()}
    if shapes != {entry.name: entry.shape for entry in layout.entries}:
        raise Malformed("layout", "it is not the layout of this network")
    return tensors
