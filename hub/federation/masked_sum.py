"""The sum of masked updates: masks that cancel are gone already, the rest is taken off here.

Whose seeds are needed is told by the lists in the log; each seed is found from t shares and held
against what its owner committed to, so a share that was altered on the way is not believed.

Source: design/federation.md §11.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from compliance.canonical import sha256_id
from compliance.records.masking import Commitments, Opened
from compliance.rules.masking import threshold
from compliance.rules.shamir import combine
from hub.federation.aggregation.rule import CHUNK
from hub.federation.aggregation.vectors import FileSink

UNIT = 1 << 26
SEED = 32
MOST_TRIED = 2_000
"""Groups of shares tried for one seed: all of them in rounds of up to 12 hospitals."""


@dataclass(frozen=True)
class Seed:
    """A mask that is still in the sum: its key, and whether it was added or taken off."""

    key: bytes
    added: bool


def disagreeing(told: Mapping[str, Commitments]) -> set[str]:
    """Hospitals whose word about a common seed stands against the others': most conflicts first.

    Both find the same seed, so one of two lies. Whoever contradicts most is left out, until nobody
    contradicts; where two contradict equally often, both are.
    """
    left = dict(told)
    out: set[str] = set()
    while True:
        conflicts = {
            site: sum(
                other in row.pairs and site in left[other].pairs
                and row.pairs[other] != left[other].pairs[site]
                for other in left if other != site
            )
            for site, row in left.items()
        }  # fmt: skip
        worst = max(conflicts.values(), default=0)
        if not worst:
            return out
        gone = {site for site, count in conflicts.items() if count == worst}
        out |= gone
        left = {site: row for site, row in left.items() if site not in gone}


def seeds_left(
    sites: Sequence[str],
    gone: Sequence[str],
    committed: Mapping[str, Commitments],
    opened: Mapping[str, Opened],
) -> list[Seed] | None:
    """Find every seed whose mask is still in the sum; None while the answers do not suffice.

    Args:
        sites: hospitals of the round, sorted: a hospital's place is its x.
        gone: those that are not in the sum.
        committed: what each alive hospital committed to.
        opened: answers so far, by hospital.
    """
    places = {site: place for place, site in enumerate(sites, 1)}
    found: list[Seed] = []
    for site, row in sorted(committed.items()):
        told = {places[who]: answer.of[site] for who, answer in opened.items() if site in answer.of}
        own = _seed({x: share.own for x, share in told.items()}, row.own, threshold(len(sites)))
        pairs = {
            other: _seed(
                {x: share.pairs[other] for x, share in told.items() if other in share.pairs},
                row.pairs[other],
                threshold(len(sites)),
            )
            for other in gone
        }
        if own is None or None in pairs.values():
            return None
        found.append(Seed(own, added=True))
        found += [Seed(key, other > site) for other, key in pairs.items() if key is not None]
    return found


def _seed(shares: Mapping[int, str], commitment: str, needed: int) -> bytes | None:
    """The seed that so many of the shares give, if one group gives what was committed to."""
    points = {x: int(text, 16) for x, text in sorted(shares.items())}
    for group in _groups(list(points), needed):
        value = combine({x: points[x] for x in group})
        if value < 1 << (8 * SEED):
            seed = value.to_bytes(SEED, "big")
            if sha256_id(seed) == commitment:
                return seed
    return None


def _groups(places: list[int], needed: int) -> Iterator[Sequence[int]]:
    """Every group of that size, or so many of them at random that a few liars are avoided."""
    if comb(len(places), needed) <= MOST_TRIED:
        yield from combinations(places, needed)
        return
    drawn = np.random.default_rng(0)  # which group is tried first is no secret
    yield places[:needed]
    for _ in range(MOST_TRIED):
        yield [int(x) for x in drawn.choice(places, needed, replace=False)]


def write_mean(
    out: Path, updates: Sequence[Path], seeds: Sequence[Seed], count: int, divisor: float
) -> None:
    """Write the mean delta, float32, chunk by chunk.

    Args:
        out: new file.
        updates: files of masked updates, uint32, little-endian.
        seeds: masks that are still in their sum.
        count: values.
        divisor: what the sum of words is divided by.
    """
    streams = [(_Stream(seed.key), seed.added) for seed in seeds]
    with FileSink(out, count) as sink:
        for start, stop in _chunks(count):
            total = np.zeros(stop - start, dtype=np.uint32)
            for path in updates:
                total += np.fromfile(path, "<u4", stop - start, offset=4 * start)
            for stream, added in streams:
                mask = stream.next(stop - start)
                total = total - mask if added else total + mask
            mean = total.view(np.int32).astype(np.float64) / divisor
            sink.write(start, stop, mean.astype(np.float32))


def divisor_of(examples: Sequence[int], n_ref: int, largest: float) -> float:
    """Σ n / n_ref, times the words of one: what makes a mean delta of a sum of words."""
    return sum(examples) / n_ref * UNIT / largest


class _Stream:
    """The key stream of one seed, read on and on."""

    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(AES(key), CTR(bytes(16))).encryptor()

    def next(self, count: int) -> NDArray[np.uint32]:
        return np.frombuffer(self._cipher.update(bytes(4 * count)), "<u4").astype(np.uint32)


def _chunks(count: int) -> Iterator[tuple[int, int]]:
    for start in range(0, count, CHUNK):
        yield start, min(start + CHUNK, count)
