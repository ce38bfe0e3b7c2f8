"""The arithmetic of a masked update: numbers to words, words under masks, seeds into shares.

A word is 32 bits; masks of two hospitals cancel in the sum of all. Nothing here is kept or sent.

Source: design/federation.md §11; HKDF RFC 5869, X25519 RFC 7748, ChaCha20-Poly1305 RFC 8439,
AES-CTR NIST SP 800-38A.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from compliance.errors import Refused
from compliance.rules.shamir import SIZE, split

Words: TypeAlias = NDArray[np.uint32]
UNIT = 1 << 26
SEED = 32
PAIR = b"consilium/mask/pair/v1"
SHARE = b"consilium/mask/share/v1"
NONCE = bytes(12)
"""Each key seals one text only: the leaf of `round.opened` is in it, and a round is masked once."""


@dataclass(frozen=True)
class Scale:
    """How numbers become words.

    Args:
        n_ref: the most cases that a hospital of the study trains on.
        range: largest absolute value of delta * n / n_ref.
    """

    n_ref: int
    range: Decimal

    def factor(self, n: int) -> float:
        """What a delta of so many cases is multiplied by."""
        return n / self.n_ref * UNIT / float(self.range)


def words_of(delta: bytes, n: int, scale: Scale) -> Words:
    """Round an update to whole words.

    Args:
        delta: float32, little-endian.
        n: cases behind it.
        scale: as the charter says.

    Returns:
        uint32 (P,): rint(delta * n / n_ref * 2^26 / range), modulo 2^32.

    Raises:
        Refused: `mask.range`: a value is not finite or too large, or n is above n_ref.
    """
    if not 0 < n <= scale.n_ref:
        raise Refused("mask.range", n, f"1 to {scale.n_ref} cases")
    scaled = np.frombuffer(delta, "<f4").astype(np.float64) * scale.factor(n)
    if not (np.abs(scaled) <= UNIT).all():  # false for what is no number, too
        raise Refused("mask.range", "a value beyond the range", str(scale.range))
    return np.rint(scaled).astype(np.int64).astype(np.uint32)


def stream(seed: bytes, count: int) -> Words:
    """So many words of a seed's key stream: AES-256-CTR from counter 0, little-endian."""
    cipher = Cipher(AES(seed), CTR(bytes(16))).encryptor()
    return np.frombuffer(cipher.update(bytes(4 * count)), "<u4").astype(np.uint32, copy=False)


def under_masks(words: Words, site: str, own: bytes, pairs: Mapping[str, bytes]) -> bytes:
    """Put all masks on.

    Args:
        words: the update.
        site: whose it is.
        own: its own seed, new in each round.
        pairs: the seed with each other hospital of the round.

    Returns:
        Bytes on the wire, uint32, little-endian.
    """
    masked = words + stream(own, len(words))
    for other, seed in pairs.items():
        mask = stream(seed, len(words))
        masked = masked + mask if other > site else masked - mask
    return masked.astype("<u4", copy=False).tobytes()


@dataclass(frozen=True)
class Channel:
    """What a hospital shares with the others of one round.

    Args:
        site: its name.
        private: its mask key.
        keys: public mask keys of the round by hospital, base64, its own among them.
        leaf: leaf hash of `round.opened`, `sha256:…`.
    """

    site: str
    private: bytes
    keys: Mapping[str, str]
    leaf: str

    @property
    def salt(self) -> bytes:
        """The leaf hash itself: other rounds have other seeds."""
        return bytes.fromhex(self.leaf.removeprefix("sha256:"))

    def pair_seed(self, other: str) -> bytes:
        """The seed with another hospital; both find the same.

        Both names are in it: whoever publishes a key that is related to another's does not get the
        other's seeds.
        """
        return self._derive(other, _named(PAIR, *sorted((self.site, other))))

    def seal(self, recipient: str, text: bytes) -> str:
        """Close a share for one recipient."""
        key = self._derive(recipient, _named(SHARE, self.site, recipient))
        return base64.b64encode(ChaCha20Poly1305(key).encrypt(NONCE, text, self.salt)).decode()

    def open(self, sender: str, sealed: str) -> bytes:
        """Open a share.

        Raises:
            Refused: `mask.lists`: it was not sealed for this hospital and round by this sender.
        """
        key = self._derive(sender, _named(SHARE, sender, self.site))
        try:
            return ChaCha20Poly1305(key).decrypt(NONCE, base64.b64decode(sealed), self.salt)
        except InvalidTag:
            raise Refused("mask.lists", f"a share of {sender} that does not open") from None

    def _derive(self, other: str, info: bytes) -> bytes:
        public = X25519PublicKey.from_public_bytes(base64.b64decode(self.keys[other]))
        try:
            secret = X25519PrivateKey.from_private_bytes(self.private).exchange(public)
        except ValueError:  # RFC 7748 §6.1: a shared secret of zeros
            raise Refused("mask.key", f"the key of {other}") from None
        return HKDF(algorithm=SHA256(), length=SEED, salt=self.salt, info=info).derive(secret)


def share_out(
    seeds: Iterable[bytes], threshold: int, places: int, random: Callable[[int], bytes]
) -> list[bytes]:
    """For each place the shares of all seeds, one after the other."""
    columns = [split(int.from_bytes(seed, "big"), threshold, places, random) for seed in seeds]
    return [
        b"".join(share.to_bytes(SIZE, "big") for share in row) for row in zip(*columns, strict=True)
    ]


def elements(text: bytes, count: int) -> list[str]:
    """The shares in an opened text, as they travel.

    Raises:
        Refused: `mask.lists`: it holds another number of shares.
    """
    if len(text) != SIZE * count:
        raise Refused("mask.lists", f"{len(text)} bytes of shares", SIZE * count)
    return [text[start : start + SIZE].hex() for start in range(0, len(text), SIZE)]


def public_of(private: bytes) -> str:
    """The public half of a mask key, base64."""
    public = X25519PrivateKey.from_private_bytes(private).public_key()
    return base64.b64encode(public.public_bytes_raw()).decode()


def _named(kind: bytes, *names: str) -> bytes:
    return b"\0".join([kind, *(name.encode() for name in names)])
