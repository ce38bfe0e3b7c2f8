"""Start weights from a layout, made by the hospital itself: it need not believe where a hub begins.

The hub makes the same (`hub.services.start`); a test compares the bytes.

Source: design/federation.md §4.1.
"""

from __future__ import annotations

import hashlib

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from compliance.records.layout import Layout, Uniform

_WORD = 4
_COUNTER_ZERO = bytes(16)


def start_values(layout: Layout, seed: bytes) -> bytes:
    """The start weights of a seed, float32, little-endian.

    Args:
        layout: entries with their `init`.
        seed: any bytes; it follows from the log.
    """
    vector = np.empty(layout.count, dtype="<f4")
    for entry in layout.entries:
        part = slice(entry.offset, entry.offset + entry.count)
        if isinstance(entry.init, Uniform):
            key = hashlib.sha256(seed + b"\x00" + entry.name.encode()).digest()
            stream = Cipher(algorithms.AES256(key), modes.CTR(_COUNTER_ZERO)).encryptor()
            words = np.frombuffer(stream.update(bytes(entry.count * _WORD)), dtype="<u4")
            even = (words >> np.uint32(8)).astype(np.float64) * 2.0**-24
            vector[part] = ((2.0 * even - 1.0) * float(entry.init.bound)).astype(np.float32)
        else:
            vector[part] = np.float32(float(entry.init.value))
    return vector.tobytes()
