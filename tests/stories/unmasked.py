"""What only all hospitals together could know of a masked round: every update without its masks.

A story takes the homes of all four hospitals, takes the masks off each update with their own keys,
and looks for what is left in everything that the hub has on its disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compliance.records.masking import Shares, read_paper
from compliance.rules.masking import threshold
from compliance.rules.shamir import SIZE, combine
from site_node.gate.masked_update import SEED, UNIT, Channel, Words, under_masks
from site_node.settings import load_settings
from site_node.store.masking import MaskedRow, find_key, find_masked
from site_node.wiring import Rooms

WINDOW = 12
LEAST = 5000
"""Words of a window are at least so large: rounding them rarely moves the first 16 bits of a value.
Where it does in one window, there are others."""


@dataclass(frozen=True)
class Kept:
    """One hospital's masked update and the half of its mask key that never left."""

    row: MaskedRow
    private: bytes
    wire: bytes


def kept(home: Path, log: str, number: int) -> Kept:
    """What a hospital's home holds of a masked round."""
    with Rooms(load_settings(home)) as rooms, rooms.store() as session:
        row = find_masked(session, log, number)
        assert row is not None, f"{home.name} masked nothing in round {number}"
        key = find_key(session, log, row.keys[rooms.settings.site])
        assert key is not None
        name = row.update_sha256.removeprefix("sha256:")
        (path,) = [p for p in (home / "replies").iterdir() if name in p.name]
        return Kept(row, key.private, path.read_bytes())


def bare(kept_by: Mapping[str, Kept], site: str) -> Words:
    """The words of one hospital's update, with the keys of all: uint32 (P,)."""
    own, sites = kept_by[site], sorted(kept_by)
    sealed = read_paper(Shares, own.row.shares).to
    first = {}
    for place, other in enumerate(sites[: threshold(len(sites))], 1):
        channel = Channel(other, kept_by[other].private, own.row.keys, own.row.leaf)
        first[place] = int.from_bytes(channel.open(site, sealed[other])[:SIZE], "big")
    seed = combine(first).to_bytes(SEED, "big")
    channel = Channel(site, own.private, own.row.keys, own.row.leaf)
    pairs = {other: channel.pair_seed(other) for other in sites if other != site}
    wire = np.frombuffer(own.wire, "<u4")
    masks = under_masks(np.zeros(len(wire), np.uint32), site, seed, pairs)
    return wire - np.frombuffer(masks, "<u4")


def floats_of(words: Words, n: int, n_ref: int, largest: float) -> NDArray[np.float32]:
    """The update that was masked, to the precision of its words: float32 (P,)."""
    scale = n_ref / n * largest / UNIT
    return (words.view(np.int32).astype(np.float64) * scale).astype(np.float32)


class Disk:
    """Everything that lies below some folders at one moment.

    Args:
        folders: of the hub.
    """

    def __init__(self, *folders: Path) -> None:
        self.files = {path: data for folder in folders for path, data in _read(folder)}
        self._tops = {
            path: [_tops(data[at : at + (len(data) - at) // 4 * 4]) for at in range(4)]
            for path, data in self.files.items()
        }

    def with_bytes(self, data: bytes) -> list[str]:
        """Names of files that hold these very bytes."""
        return [path.name for path, held in self.files.items() if data in held]

    def with_words(self, words: Words) -> list[str]:
        """Names of files that hold a piece of these words."""
        pieces = [words[at : at + WINDOW].astype("<u4").tobytes() for at in _windows(words)]
        return [p.name for p, held in self.files.items() if any(one in held for one in pieces)]

    def with_floats(self, values: NDArray[np.float32], words: Words) -> list[str]:
        """Names of files that hold a piece of these values: the upper 16 bits of float32."""
        pieces = [_tops(values[at : at + WINDOW].tobytes()) for at in _windows(words)]
        return [
            path.name
            for path, held in self._tops.items()
            if any(piece in tops for tops in held for piece in pieces)
        ]


def _tops(data: bytes) -> bytes:
    """The upper half of each 32-bit value, little-endian."""
    return np.frombuffer(data, np.uint8).reshape(-1, 4)[:, 2:].tobytes()


def _windows(words: Words) -> list[int]:
    """Up to forty places, spread out, where no word of a window is small."""
    large = np.abs(words.view(np.int32).astype(np.int64)) >= LEAST
    sums = np.convolve(large, np.ones(WINDOW, np.int64), "valid")
    places = np.flatnonzero(sums == WINDOW)
    assert len(places), "no piece of this update is large enough to be looked for"
    return [int(at) for at in places[:: max(1, len(places) // 40)]]


def _read(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in _files(folder.rglob("*")):
        try:
            yield path, path.read_bytes()
        except FileNotFoundError:  # a file of the moment before
            continue


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    return (path for path in paths if path.is_file() and not path.is_symlink())
