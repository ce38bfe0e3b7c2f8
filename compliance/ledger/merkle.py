"""The tree of RFC 6962: leaves and nodes hashed apart, proofs that the log only grew.

Only complete subtrees are stored: 2n - 1 hashes at most for n leaves.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence

from compliance.errors import NotProven

EMPTY_ROOT = hashlib.sha256(b"").digest()
HASH_BYTES = 32


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry), RFC 6962 §2.1."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right), RFC 6962 §2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """Root over leaf hashes, in order."""
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


class Tree:
    """A growing tree over leaf hashes; the hashes of each level lie in one row of bytes."""

    def __init__(self) -> None:
        self._levels: list[bytearray] = []
        self.size = 0

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash, and every subtree that it completes."""
        level, position, value = 0, self.size, leaf
        self._put(level, value)
        while position % 2:
            value = node_hash(self._node(level, position - 1), value)
            level, position = level + 1, position // 2
            self._put(level, value)
        self.size += 1

    def completed(self, index: int) -> list[tuple[int, int, bytes]]:
        """The (level, position, hash) of each subtree that leaf `index` completed."""
        level, position = 0, index
        found = [(level, position, self._node(level, position))]
        while position % 2:
            level, position = level + 1, position // 2
            found.append((level, position, self._node(level, position)))
        return found

    def _put(self, level: int, value: bytes) -> None:
        """Subtrees of a level are completed from left to right."""
        if len(value) != HASH_BYTES:
            raise NotProven("tree", "a hash does not have 32 bytes")
        if level == len(self._levels):
            self._levels.append(bytearray())
        self._levels[level] += value

    def _node(self, level: int, position: int) -> bytes:
        begin = HASH_BYTES * position
        return bytes(self._levels[level][begin : begin + HASH_BYTES])

    def root(self, size: int | None = None) -> bytes:
        """Root of the first `size` leaves (all, if not said)."""
        size = self.size if size is None else size
        self._within(size)
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Audit path of one leaf, RFC 6962 §2.1.1."""
        size = self.size if size is None else size
        self._within(size)
        if not 0 <= index < size:
            raise NotProven("inclusion", f"index {index} is not below size {size}")
        return self._path(index, 0, size)

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Proof that the first `old` leaves are a prefix, RFC 6962 §2.1.2."""
        new = self.size if new is None else new
        self._within(new)
        if not 0 <= old <= new:
            raise NotProven("consistency", f"size {old} is not within {new}")
        return self._subproof(old, 0, new, whole=True) if 0 < old < new else []

    def _within(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise NotProven("tree", f"size {size} is not within {self.size}")

    def _range(self, begin: int, end: int) -> bytes:
        count = end - begin
        if count & (count - 1) == 0 and begin % count == 0:
            level = count.bit_length() - 1
            return self._node(level, begin >> level)
        half = _split(count)
        return node_hash(self._range(begin, begin + half), self._range(begin + half, end))

    def _path(self, index: int, begin: int, end: int) -> list[bytes]:
        if end - begin == 1:
            return []
        middle = begin + _split(end - begin)
        if index < middle:
            return [*self._path(index, begin, middle), self._range(middle, end)]
        return [*self._path(index, middle, end), self._range(begin, middle)]

    def _subproof(self, old: int, begin: int, end: int, *, whole: bool) -> list[bytes]:
        if old == end:
            return [] if whole else [self._range(begin, end)]
        middle = begin + _split(end - begin)
        if old <= middle:
            return [*self._subproof(old, begin, middle, whole=whole), self._range(middle, end)]
        return [*self._subproof(old, middle, end, whole=False), self._range(begin, middle)]


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], top: bytes) -> None:
    """Check that a leaf stands at `index` of the tree with root `top` (RFC 9162 §2.1.3.2).

    Raises:
        NotProven: index, length of the proof or root is wrong.
    """
    if not 0 <= index < size:
        raise NotProven("inclusion", f"index {index} is not below size {size}")
    if len(leaf) != HASH_BYTES or any(len(item) != HASH_BYTES for item in proof):
        raise NotProven("inclusion", "a hash does not have 32 bytes")
    inner = (index ^ (size - 1)).bit_length()
    border = (index >> inner).bit_count()
    if len(proof) != inner + border:
        raise NotProven("inclusion", f"{len(proof)} hashes, {inner + border} are needed")
    value = _chain_inner(leaf, proof[:inner], index)
    value = _chain_border(value, proof[inner:])
    if not hmac.compare_digest(value, top):
        raise NotProven("inclusion", "the path does not lead to the root")


def check_consistency(
    old: int, old_root: bytes, size: int, top: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of `old` leaves is a prefix of the tree of `size` (RFC 9162 §2.1.4.2).

    Raises:
        NotProven: sizes, length of the proof or one of the two roots is wrong.
    """
    if not 0 < old <= size:
        raise NotProven("consistency", f"nothing follows from size {old} for size {size}")
    if old == size:
        if proof:
            raise NotProven("consistency", "the proof must be empty")
        if not hmac.compare_digest(old_root, top):
            raise NotProven("consistency", "two roots for one size")
        return
    if any(len(item) != HASH_BYTES for item in (old_root, top, *proof)):
        raise NotProven("consistency", "a hash does not have 32 bytes")
    _consistency_chain(old, old_root, size, top, list(proof))


def _consistency_chain(
    old: int, old_root: bytes, size: int, top: bytes, proof: list[bytes]
) -> None:
    inner = ((old - 1) ^ (size - 1)).bit_length()
    border = ((old - 1) >> inner).bit_count()
    shift = (old & -old).bit_length() - 1
    inner -= shift
    if old == 1 << shift:
        proof = [old_root, *proof]
    if len(proof) != 1 + inner + border:
        raise NotProven("consistency", "the proof has another length")
    seed, mask = proof[0], (old - 1) >> shift
    path = proof[1:]
    before = _chain_inner_right(seed, path[:inner], mask)
    before = _chain_border(before, path[inner:])
    after = _chain_inner(seed, path[:inner], mask)
    after = _chain_border(after, path[inner:])
    if not hmac.compare_digest(before, old_root):
        raise NotProven("consistency", "the proof does not lead to the older root")
    if not hmac.compare_digest(after, top):
        raise NotProven("consistency", "the proof does not lead to the newer root")


def _chain_inner(value: bytes, proof: Sequence[bytes], index: int) -> bytes:
    for level, other in enumerate(proof):
        value = node_hash(other, value) if index >> level & 1 else node_hash(value, other)
    return value


def _chain_inner_right(value: bytes, proof: Sequence[bytes], index: int) -> bytes:
    for level, other in enumerate(proof):
        if index >> level & 1:
            value = node_hash(other, value)
    return value


def _chain_border(value: bytes, proof: Sequence[bytes]) -> bytes:
    for other in proof:
        value = node_hash(other, value)
    return value


def _split(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)
