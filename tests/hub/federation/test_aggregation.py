"""Averaging that gives the same bytes to everybody, and lets nobody weigh more than agreed."""

from __future__ import annotations

import itertools
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.errors import Malformed, Refused
from hub.federation.aggregation.aggregator import Inputs
from hub.federation.aggregation.catalogue import aggregator
from hub.federation.aggregation.details import details_of
from hub.federation.aggregation.rule import CHUNK, Update
from hub.federation.aggregation.shares import capped_shares, decimals
from hub.federation.aggregation.vectors import ArrayVector, FileVector

SITES = ("lyon.example", "north.example", "oslo.example")
COUNT = 1000


def deltas(count=COUNT, seed=0):
    """One drawn delta per site."""
    random = np.random.default_rng(seed)
    return {site: random.normal(0, 0.05, count).astype(np.float32) for site in SITES}


def average(vectors, examples, base, **params):
    """Aggregate and return the new model with its account."""
    rule = aggregator("fedavg", {name: Decimal(value) for name, value in params.items()})
    updates = {site: Update(ArrayVector(vectors[site]), examples[site]) for site in vectors}
    out = np.empty_like(base)
    outcome = rule.apply(Inputs(ArrayVector(base), updates), ArrayVector(out))
    return out, outcome


EXAMPLES = {"lyon.example": 60, "north.example": 30, "oslo.example": 10}
BASE = np.random.default_rng(9).normal(0, 1, COUNT).astype(np.float32)


def test_a_site_counts_by_its_examples():
    """The new model is base + sum of n·d over sum of n, rounded once to float32."""
    found = deltas()
    total = sum(EXAMPLES[s] * found[s].astype(np.float64) for s in SITES) / 100

    model, outcome = average(found, EXAMPLES, BASE)

    assert model.tobytes() == (BASE.astype(np.float64) + total).astype(np.float32).tobytes()
    assert outcome.weights == {
        "lyon.example": Decimal("0.6"),
        "north.example": Decimal("0.3"),
        "oslo.example": Decimal("0.1"),
    }


def test_the_order_of_replies_changes_no_bit():
    """Who answered first must not matter: all orders give the same bytes."""
    found = deltas()

    models = {
        average({site: found[site] for site in order}, EXAMPLES, BASE)[0].tobytes()
        for order in itertools.permutations(SITES)
    }

    assert len(models) == 1


def test_a_model_larger_than_a_chunk_is_the_same_from_files_and_memory(tmp_path):
    """Files are walked in pieces; where a piece ends leaves no trace."""
    count = CHUNK + 17
    found, base = deltas(count), np.ones(count, np.float32)
    rule = aggregator("fedavg", {})
    updates = {}
    for site, vector in found.items():
        path = tmp_path / site
        path.write_bytes(vector.tobytes())
        updates[site] = Update(FileVector(path), EXAMPLES[site])
    (tmp_path / "base").write_bytes(base.tobytes())
    out = np.empty(count, np.float32)

    rule.apply(Inputs(FileVector(tmp_path / "base"), updates), ArrayVector(out))

    assert out.tobytes() == average(found, EXAMPLES, base)[0].tobytes()
    whole = sum(EXAMPLES[s] * found[s].astype(np.float64) for s in SITES) / 100 + 1.0
    assert np.abs(out - whole).max() < 1e-7


def test_a_single_site_gives_its_own_model():
    """Alone, the update is the step."""
    found = {"oslo.example": deltas()["oslo.example"]}

    model, outcome = average(found, {"oslo.example": 3}, BASE)

    step = found["oslo.example"].astype(np.float64)
    assert model.tobytes() == (BASE.astype(np.float64) + step).astype(np.float32).tobytes()
    assert outcome.weights == {"oslo.example": Decimal(1)}


def test_a_share_above_the_cap_is_cut_and_the_others_fill_it():
    """60/30/10 with a cap of one half: 50, and 30 to 10 fill the other half."""
    _, outcome = average(deltas(), EXAMPLES, BASE, weight_cap="0.5")

    assert outcome.weights == {
        "lyon.example": Decimal("0.5"),
        "north.example": Decimal("0.375"),
        "oslo.example": Decimal("0.125"),
    }


def test_the_capped_model_is_the_one_its_weights_say():
    """What stands in the record is what was computed."""
    found = deltas()

    model, outcome = average(found, EXAMPLES, BASE, weight_cap="0.4")

    step = sum(float(outcome.weights[s]) * found[s].astype(np.float64) for s in SITES)
    assert np.abs(model - (BASE + step)).max() < 1e-6
    assert outcome.weights["lyon.example"] == outcome.weights["north.example"] == Decimal("0.4")


def test_a_cap_that_cannot_be_kept_makes_all_equal():
    """Two sites cannot each stay below 0.4."""
    assert set(capped_shares({"a.b": 90, "c.d": 10}, Fraction(2, 5)).values()) == {Fraction(1, 2)}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=12),
    st.fractions(Fraction(1, 100), 1),
)
def test_weights_always_add_up_to_one_and_respect_the_cap(counts, cap):
    """Whatever the sizes: exactly one in the record, nobody above the cap, order by size kept."""
    examples = {f"s{place:02}.example": n for place, n in enumerate(counts)}

    shares = capped_shares(examples, cap)
    written = decimals(shares)

    assert sum(written.values()) == 1
    assert sum(shares.values()) == 1
    assert max(shares.values()) <= max(cap, Fraction(1, len(counts)))
    assert sorted(shares, key=lambda s: (shares[s], examples[s])) == sorted(
        shares, key=lambda s: (examples[s], examples[s])
    ) or len(set(shares.values())) < len(shares)


def test_the_account_holds_the_scalars_exactly():
    """An auditor reads factors as hexadecimal floats, bit for bit."""
    _, outcome = average(deltas(), EXAMPLES, BASE)

    details = details_of(1, outcome)
    assert details["sites"] == list(SITES)
    assert float.fromhex(details["total"]) == 100
    assert [float.fromhex(factor) for factor in details["factors"]] == [60, 30, 10]


@pytest.mark.parametrize(
    ("vectors", "examples"),
    [
        ({}, {}),
        ({"a.b": np.zeros(COUNT - 1, np.float32)}, {"a.b": 1}),
        ({"a.b": np.zeros(COUNT, np.float32)}, {"a.b": 0}),
        ({"a.b": np.zeros(COUNT, np.float32)}, {"a.b": -450}),
    ],
)
def test_a_round_that_cannot_be_computed_writes_nothing(vectors, examples):
    """No update, another length, or no examples: refused before a value is written."""
    rule = aggregator("fedavg", {})
    updates = {s: Update(ArrayVector(vectors[s]), examples[s]) for s in vectors}
    out = np.full(COUNT, 7, np.float32)

    with pytest.raises(Malformed):
        rule.apply(Inputs(ArrayVector(BASE), updates), ArrayVector(out))

    assert (out == 7).all()


def test_a_vector_of_another_type_is_refused():
    """float64 would be twice the bytes under the same name."""
    with pytest.raises(Malformed, match="float32"):
        ArrayVector(np.zeros(3))


def test_a_file_that_was_cut_is_noticed(tmp_path):
    """Half a value at the end, or fewer values than asked for."""
    path = tmp_path / "cut"
    path.write_bytes(bytes(10))

    with pytest.raises(Malformed, match="multiple of four"):
        _ = FileVector(path).count
    path.write_bytes(bytes(8))
    with pytest.raises(Malformed, match="ends before"):
        FileVector(path).read(0, 3, np.empty(3, np.float32))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("krum", {}),
        ("fedavg.adam", {}),
        ("fedavg", {"beta1": Decimal("0.9")}),
        ("fedavg", {"weight_cap": Decimal(0)}),
        ("fedavg", {"weight_cap": Decimal("1.1")}),
    ],
)
def test_a_rule_outside_the_catalogue_is_refused(name, params):
    """The charter's list is closed; a near name is not taken for another."""
    with pytest.raises(Refused, match=r"charter\.terms"):
        aggregator(name, params)
