"""Masked arithmetic at both ends in one process: what the site puts on, the hub takes off."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest

from compliance.canonical import sha256_id
from compliance.errors import Refused
from compliance.records.masking import Commitments, Opened, OpenedShare
from compliance.rules.masking import threshold
from hub.federation.masked_sum import disagreeing, divisor_of, seeds_left, write_mean
from site_node.gate.masked_update import (
    UNIT,
    Channel,
    Scale,
    elements,
    public_of,
    share_out,
    under_masks,
    words_of,
)

SITES = tuple(f"{name}.example" for name in "abcde")
CASES = dict(zip(SITES, (100, 37, 250, 61, 180), strict=True))
SCALE = Scale(300, Decimal(1))
COUNT = 300_001
LEAF = "sha256:" + "5a" * 32


def source(seed: str) -> Callable[[int], bytes]:
    """Bytes that follow from a word, other ones at each call."""
    counter = itertools.count()
    return lambda count: hashlib.shake_256(f"{seed} {next(counter)}".encode()).digest(count)


@dataclass
class Round:
    """One round of five hospitals: what each made and shared out."""

    deltas: dict[str, np.ndarray]
    wires: dict[str, bytes]
    channels: dict[str, Channel]
    committed: dict[str, Commitments]
    sealed: dict[str, dict[str, str]]

    def opened(self, by: str, gone: list[str]) -> Opened:
        """The honest answer of one hospital."""
        told = {}
        for sender in (site for site in SITES if site not in gone):
            others = [site for site in SITES if site != sender]
            text = self.channels[by].open(sender, self.sealed[sender][by])
            own, *pairs = elements(text, len(SITES))
            shares = dict(zip(others, pairs, strict=True))
            told[sender] = OpenedShare(own=own, pairs={site: shares[site] for site in gone})
        return Opened(of=told)

    def alive(self, gone: list[str]) -> dict[str, Commitments]:
        """Commitments of those who are in the sum."""
        return {site: row for site, row in self.committed.items() if site not in gone}


@pytest.fixture(scope="module")
def played() -> Round:
    """Every hospital has masked its update of sd 0.05 and shared out its seeds."""
    random = np.random.default_rng(11)
    drawn = source("round")
    private = {site: drawn(32) for site in SITES}
    keys = {site: public_of(private[site]) for site in SITES}
    found = Round({}, {}, {}, {}, {})
    for site in SITES:
        channel = Channel(site, private[site], keys, LEAF)
        delta = random.normal(0, 0.05, COUNT).astype("<f4")
        own = drawn(32)
        pairs = {other: channel.pair_seed(other) for other in SITES if other != site}
        words = words_of(delta.tobytes(), CASES[site], SCALE)
        texts = share_out([own, *pairs.values()], threshold(5), 5, drawn)
        found.deltas[site], found.channels[site] = delta, channel
        found.wires[site] = under_masks(words, site, own, pairs)
        found.sealed[site] = {
            to: channel.seal(to, text) for to, text in zip(SITES, texts, strict=True)
        }
        hashes = {other: sha256_id(seed) for other, seed in pairs.items()}
        found.committed[site] = Commitments(own=sha256_id(own), pairs=hashes)
    return found


@pytest.mark.parametrize("gone", [[], ["c.example"], ["a.example"]])
def test_sum_is_plain_averaging_with_and_without_a_dropout(
    played: Round, tmp_path: Path, gone: list[str]
) -> None:
    """Five hospitals; whoever is gone leaves masks behind that the others' shares take off."""
    alive = [site for site in SITES if site not in gone]
    opened = {site: played.opened(site, gone) for site in alive[:4]}
    seeds = seeds_left(SITES, gone, played.alive(gone), opened)
    assert seeds is not None
    assert len(seeds) == len(alive) * (1 + len(gone))
    files = [tmp_path / site for site in alive]
    for path in files:
        path.write_bytes(played.wires[path.name])
    cases = [CASES[site] for site in alive]
    write_mean(tmp_path / "mean", files, seeds, COUNT, divisor_of(cases, 300, 1.0))

    mean = np.fromfile(tmp_path / "mean", "<f4")
    wanted = sum(CASES[site] * played.deltas[site].astype(float) for site in alive) / sum(cases)
    assert np.abs(mean - wanted).max() < 1e-6  # the acceptance asks for 1e-4


def test_fewer_than_t_answers_give_nothing(played: Round) -> None:
    """Three of five hospitals together with the hub learn no seed."""
    opened = {site: played.opened(site, []) for site in SITES[:3]}
    assert seeds_left(SITES, [], played.alive([]), opened) is None


def test_an_altered_share_is_not_believed_and_costs_one_answer_more(played: Round) -> None:
    """A hospital lies about its share: four answers do not suffice then, five do."""
    opened = {site: played.opened(site, []) for site in SITES[:4]}
    honest = opened["b.example"]
    row = honest.of["d.example"]
    lie = OpenedShare(own=format(int(row.own, 16) ^ 1, "0132x"), pairs=row.pairs)
    opened["b.example"] = Opened(of={**honest.of, "d.example": lie})
    assert seeds_left(SITES, [], played.alive([]), opened) is None

    opened["e.example"] = played.opened("e.example", [])
    assert seeds_left(SITES, [], played.alive([]), opened) is not None


@pytest.mark.parametrize("site", SITES)
def test_a_masked_update_looks_like_noise(played: Round, site: str) -> None:
    """Kolmogorov-Smirnov against the uniform distribution; the plain words fail it by far."""
    masked = np.frombuffer(played.wires[site], "<u4")
    plain = words_of(played.deltas[site].tobytes(), CASES[site], SCALE)
    assert kstest(masked / 2**32, "uniform").pvalue > 0.001
    assert kstest(plain / 2**32, "uniform").pvalue < 1e-12
    assert abs(np.corrcoef(masked, played.deltas[site])[0, 1]) < 5 / COUNT**0.5


def test_both_ends_of_a_pair_find_the_same_seed_and_each_pair_another(played: Round) -> None:
    """Also where one hospital would use another's key: names are part of the seed."""
    a, b = played.channels["a.example"], played.channels["b.example"]
    assert a.pair_seed("b.example") == b.pair_seed("a.example")
    copied = {**dict(a.keys), "c.example": a.keys["b.example"]}
    thief = Channel("a.example", a.private, copied, LEAF)
    assert thief.pair_seed("c.example") != thief.pair_seed("b.example")
    later = Channel("a.example", a.private, a.keys, "sha256:" + "00" * 32)
    assert later.pair_seed("b.example") != a.pair_seed("b.example")


def test_a_share_opens_for_its_recipient_and_its_round_only(played: Round) -> None:
    """The hub changes a bit, gives it to another one, names another sender, or an old one."""
    sealed = played.sealed["a.example"]["b.example"]
    b = played.channels["b.example"]
    other_round = Channel(b.site, b.private, b.keys, "sha256:" + "00" * 32)
    flipped = ("B" if sealed[0] == "A" else "A") + sealed[1:]
    for channel, sender, text in (
        (b, "a.example", flipped),
        (b, "c.example", sealed),
        (b, "a.example", played.sealed["a.example"]["c.example"]),
        (played.channels["c.example"], "a.example", sealed),
        (other_round, "a.example", sealed),
    ):
        with pytest.raises(Refused) as caught:
            channel.open(sender, text)
        assert caught.value.rule == "mask.lists"
    with pytest.raises(Refused):
        elements(b.open("a.example", sealed), 4)


@pytest.mark.parametrize(
    ("value", "n"),
    [(float("nan"), 100), (float("inf"), 100), (3.01, 100), (-3.01, 100), (0.0, 301), (0.0, 0)],
)
def test_what_does_not_fit_the_range_is_not_masked(value: float, n: int) -> None:
    """Wrapped round, a value would come out as another one in the sum."""
    with pytest.raises(Refused) as caught:
        words_of(np.array([value], "<f4").tobytes(), n, SCALE)
    assert caught.value.rule == "mask.range"


def test_the_largest_values_of_31_hospitals_do_not_wrap_round() -> None:
    """The sum of all stays below 2^31 in size."""
    words = words_of(np.array([1, -1], "<f4").tobytes(), 300, SCALE)
    total = (words.astype(np.uint64) * 31 % 2**32).astype(np.uint32).view(np.int32)
    assert list(total) == [31 * UNIT, -31 * UNIT]


def test_who_contradicts_the_others_about_a_common_seed_is_left_out(played: Round) -> None:
    """The liar has most conflicts; of two who contradict only each other both go."""
    assert disagreeing(played.committed) == set()
    other = "sha256:" + "00" * 32
    lies = {**played.committed}
    row = lies["c.example"]
    lies["c.example"] = Commitments(own=row.own, pairs=dict.fromkeys(row.pairs, other))
    assert disagreeing(lies) == {"c.example"}
    pair = {**row.pairs, "d.example": other}
    two = {**played.committed, "c.example": Commitments(own=row.own, pairs=pair)}
    assert disagreeing(two) == {"c.example", "d.example"}
