"""A state remembers every entry of a log; each costs a few hundred bytes and not eight thousand."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from compliance.errors import NotProven
from compliance.ledger.merkle import Tree
from compliance.records.rounds import MetricReported
from compliance.rules.reports import Reports
from compliance.rules.seen import Seen
from tests import factories as make

NORTH, SOUTH = "north.example", "south.example"
MOST = 1000
NAMES = ("accuracy", "auroc", "average-precision", "brier", "ece", "loss", "sensitivity", "x-2")


def report(number: int, site: str = NORTH, **changes: object) -> MetricReported:
    """A report of eight numbers that no other one has."""
    digits = [make.sha(f"{number} {name}")[7:27] for name in NAMES]
    values = {
        name: make.value(value=f"0.{int(text, 16) % 10**9}")
        for name, text in zip(NAMES, digits, strict=True)
    }
    said = make.metric(site, model_sha256=make.sha(f"model {number}"), values=values)
    return MetricReported.model_validate(said | changes)


def test_what_was_measured_is_read_as_it_was_said() -> None:
    """In order, by place, as JSON values, hidden numbers too."""
    hidden = make.value(value=None, low=None, high=None, n=None, positives=None)
    said = [report(0), report(1, values={"auroc": hidden}, round=None, phase="post_market")]
    kept = Reports()
    for place, body in enumerate(said):
        kept.append(7 + place, NORTH, body)

    assert list(kept) == [(7, NORTH, said[0]), (8, NORTH, said[1])]
    assert kept[1] == (8, NORTH, said[1])
    assert len(kept) == 2
    assert [row for _, _, row in kept.plain()] == [body.plain() for body in said]


def test_the_newest_report_that_answers_counts_and_others_are_not_read() -> None:
    """An older answer stands where a newer report is silent; nothing older is looked at."""
    kept, read = Reports(), []
    for place, site in enumerate((NORTH, SOUTH, NORTH, SOUTH)):
        kept.append(place, site, report(place, site))

    def answer(body: MetricReported) -> str | None:
        read.append(body.model_sha256)
        return None if body.model_sha256 == make.sha("model 3") else body.model_sha256

    found = kept.newest(answer)

    assert found == {NORTH: make.sha("model 2"), SOUTH: make.sha("model 1")}
    assert make.sha("model 0") not in read


def test_a_nonce_is_known_to_whoever_said_it() -> None:
    """The same digits in another name are another statement; the same pair counts once."""
    seen = Seen()
    for actor, nonce in ((NORTH, "0a" * 16), (SOUTH, "0a" * 16), (NORTH, "0a" * 16), (NORTH, "")):
        seen.add(actor, nonce)

    assert len(seen) == 3
    assert seen.holds(SOUTH, "0a" * 16)
    assert not seen.holds(SOUTH, "0b" * 16)
    assert not seen.holds("east.example", "0a" * 16)


def test_a_tree_takes_whole_hashes_only() -> None:
    """Its rows of bytes would shift."""
    with pytest.raises(NotProven):
        Tree().append(b"short")


def test_a_thousand_entries_take_less_than_a_megabyte() -> None:
    """What a study remembers of each report, nonce and leaf, in bytes that Python counts."""
    bodies = [report(number) for number in range(MOST)]
    nonces = [make.sha(str(number))[7:39] for number in range(MOST)]
    gc.collect()
    tracemalloc.start()
    kept, seen, tree = Reports(), Seen(), Tree()
    for place, (body, nonce) in enumerate(zip(bodies, nonces, strict=True)):
        kept.append(place, NORTH, body)
        seen.add(NORTH, nonce)
        tree.append(bytes.fromhex(nonce * 2))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert used < MOST * 1000
