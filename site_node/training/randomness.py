"""Chance that nobody can repeat: an AES key stream with a key of the operating system.

What hides a patient must not follow from a seed that others know. torch's own generator takes 32
bits of a seed; a thief of a model could try them all.

Source: design/federation.md §8.1; Box & Muller 1958; NIST SP 800-38A (counter mode).
"""

from __future__ import annotations

import math
import secrets

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

WORD = 8
UNUSED_BITS = 11
"""A double has 53 bits."""


class Randomness:
    """Draws of one training; nothing of it is kept.

    Args:
        key: 32 bytes; tests alone give them, otherwise they come from the operating system.
    """

    def __init__(self, key: bytes | None = None) -> None:
        cipher = Cipher(AES256(key or secrets.token_bytes(32)), CTR(bytes(16)))
        self._stream = cipher.encryptor()

    def uniform(self, count: int) -> NDArray[np.float64]:
        """Numbers above 0 and below 1, shape (count,)."""
        words = np.frombuffer(self._stream.update(bytes(WORD * count)), dtype="<u8")
        return ((words >> np.uint64(UNUSED_BITS)).astype(np.float64) + 0.5) * 2.0**-53

    def normal(self, count: int) -> NDArray[np.float64]:
        """Standard normal numbers, shape (count,)."""
        half = (count + 1) // 2
        radius = np.sqrt(-2 * np.log(self.uniform(half)))
        angle = 2 * math.pi * self.uniform(half)
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]

    def seed(self) -> int:
        """A seed for what must only not be guessed beforehand, such as dropout."""
        return int(self.uniform(1)[0] * 2**53)
