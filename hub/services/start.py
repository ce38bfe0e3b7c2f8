"""Start weights of a study, from the layout alone: the hub has no torch.

A public key stream makes every draw recomputable by anybody who knows the seed, so no hospital has
to believe the hub about where a study began.

Source: design/federation.md §4.1.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from compliance.records.layout import Layout, Uniform

FloatArray: TypeAlias = NDArray[np.float32]

_WORD = 4
_COUNTER_ZERO = bytes(16)


def initial_vector(layout: Layout, seed: bytes) -> FloatArray:
    """Return the start weights of a study.

    Per entry: words of an AES-256-CTR key stream, key = SHA-256(seed ‖ 0x00 ‖ name), counter from
    zero, little-endian; u = (word >> 8) · 2⁻²⁴; value = float32((2u - 1) · bound).

    Args:
        layout: entries with their `init`.
        seed: any bytes; published with the study.

    Returns:
        float32, shape (layout.count,), the same bytes on every machine.
    """
    vector = np.empty(layout.count, dtype="<f4")
    for entry in layout.entries:
        part = slice(entry.offset, entry.offset + entry.count)
        if isinstance(entry.init, Uniform):
            even = _even(seed, entry.name, entry.count)
            vector[part] = ((2.0 * even - 1.0) * float(entry.init.bound)).astype(np.float32)
        else:
            vector[part] = np.float32(float(entry.init.value))
    return vector


def _even(seed: bytes, name: str, count: int) -> NDArray[np.float64]:
    key = hashlib.sha256(seed + b"\x00" + name.encode()).digest()
    stream = Cipher(algorithms.AES256(key), modes.CTR(_COUNTER_ZERO)).encryptor()
    words = np.frombuffer(stream.update(bytes(count * _WORD)), dtype="<u4")
    return (words >> np.uint32(8)).astype(np.float64) * 2.0**-24


def start_model(layout: Layout, study: str, seed: int) -> bytes:
    """The values with which a study begins, float32, little-endian.

    Args:
        layout: of the recipe's network.
        study: the study's id.
        seed: of the recipe.
    """
    return initial_vector(layout, f"{study}:{seed}".encode()).tobytes()
