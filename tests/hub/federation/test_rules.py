"""Every rule is the one of its paper, and nobody's speed or name changes a bit of a model."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from compliance.errors import Malformed, Refused
from compliance.rules.methods import AGGREGATORS, SERVERS
from hub.federation.aggregation.aggregator import Inputs
from hub.federation.aggregation.catalogue import RULES, aggregator
from hub.federation.aggregation.network import middle_network, run
from hub.federation.aggregation.rule import BLOCK, CHUNK, WIDE, Sections, Undecided, Update
from hub.federation.aggregation.vectors import ArrayVector
from tests.hub.federation import plain_rules as plain

ROOT = "root.example"
EACH = {
    "fedavg": {}, "clipped_mean": {}, "trimmed_mean": {"f": "1"}, "median": {},
    "nnm_trimmed": {"f": "1"}, "fltrust": {},
}  # fmt: skip
BASE = 0.25
NEAR = 1e-6


def names(count):
    """Sites in the order of their names."""
    return [f"s{place:02}.example" for place in range(count)]


def aggregate(name, vectors, params=None, examples=None, reference=None, parts=None):
    """The new model without its base, in float64, and the account of it."""
    rule = aggregator(name, {k: Decimal(v) for k, v in (params or {}).items()})
    sites = names(len(vectors))
    examples = examples or [10] * len(sites)
    updates = {
        site: Update(ArrayVector(np.asarray(vector, np.float32)), n)
        for site, vector, n in zip(sites, vectors, examples, strict=True)
    }
    if reference is not None:
        updates[ROOT] = Update(ArrayVector(np.asarray(reference, np.float32)), 100)
    base = np.full(len(vectors[0]), BASE, np.float32)
    out = np.empty_like(base)
    inputs = Inputs(ArrayVector(base), updates, parts, ROOT if reference is not None else None)
    outcome = rule.apply(inputs, ArrayVector(out))
    return out.astype(np.float64) - BASE, outcome


@st.composite
def rounds(draw, least=1, most=11, width=7):
    """Updates of several sites: drawn from few values, so that ties are common."""
    count = draw(st.integers(least, most))
    values = draw(st.sampled_from([
        st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0]),
        st.floats(-2, 2, width=32),
    ]))  # fmt: skip
    row = st.lists(values, min_size=width, max_size=width)
    return [draw(row) for _ in range(count)], [draw(st.integers(1, 500)) for _ in range(count)]


def near(found, wanted):
    """Equal within 10⁻⁶, of which float32 takes its part."""
    return np.abs(found - np.asarray(wanted)).max() <= NEAR


@settings(max_examples=80, deadline=None)
@given(rounds(), st.sampled_from(["1", "0.5", "0.3"]))
def test_the_weighted_mean_is_the_published_one(drawn, cap):
    """Capped or not, sum of share times delta."""
    vectors, examples = drawn

    found, outcome = aggregate("fedavg", vectors, {"weight_cap": cap}, examples)

    assert near(found, plain.fedavg(vectors, examples, float(cap)))
    assert sum(outcome.weights.values()) == 1


@settings(max_examples=80, deadline=None)
@given(rounds())
def test_the_clipped_mean_is_the_published_one(drawn):
    """Nobody is longer than the median, nobody weighs more than half."""
    vectors, examples = drawn

    found, _ = aggregate("clipped_mean", vectors, {}, examples)

    assert near(found, plain.clipped_mean(vectors, examples))


@settings(max_examples=100, deadline=None)
@given(rounds(), st.integers(1, 5))
def test_the_trimmed_mean_is_the_published_one(drawn, f):
    """Per number, f dropped at each end, ties and all."""
    vectors, _ = drawn
    assume(len(vectors) >= 2 * f + 1)

    found, outcome = aggregate("trimmed_mean", vectors, {"f": str(f)})

    assert near(found, plain.trimmed_mean(vectors, f))
    assert outcome.weights == {}


@settings(max_examples=80, deadline=None)
@given(rounds())
def test_the_median_is_the_published_one(drawn):
    """The middle, or the mean of the middle two."""
    vectors, _ = drawn

    assert near(aggregate("median", vectors)[0], plain.median(vectors))


@settings(max_examples=100, deadline=None)
@given(rounds(least=5), st.integers(1, 5))
def test_mixing_with_the_nearest_is_the_published_rule(drawn, f):
    """Each delta becomes the mean of its nearest, then the ends are dropped.

    Distances that differ by rounding alone may be told apart either way: they are passed over.
    """
    vectors, _ = drawn
    assume(len(vectors) >= 2 * f + 1 and _clear(vectors))

    found, _ = aggregate("nnm_trimmed", vectors, {"f": str(f)})

    assert near(found, plain.nnm_trimmed(vectors, f))


def _clear(vectors):
    """Whether distances from each vector are equal exactly or by far not."""
    for one in vectors:
        far = sorted(plain.length([a - b for a, b in zip(one, o, strict=True)]) for o in vectors)
        if any(0 < high - low < 1e-9 * max(high, 1e-9) for low, high in pairwise(far)):
            return False
    return True


@settings(max_examples=80, deadline=None)
@given(rounds(), st.lists(st.floats(-2, 2, width=16), min_size=7, max_size=7))
def test_trust_by_a_reference_is_the_published_rule(drawn, reference):
    """Cosine as weight, the reference's length as length, the reference itself no vote."""
    vectors, _ = drawn
    assume(plain.length(reference) > 1e-3)
    assume(all(plain.length(vector) > 1e-3 or not any(vector) for vector in vectors))
    wanted = plain.fltrust(vectors, reference)

    if wanted is None:
        with pytest.raises(Undecided, match="reference"):
            aggregate("fltrust", vectors, reference=reference)
        return
    assume(sum(abs(value) for value in wanted) < 1e3)
    found, outcome = aggregate("fltrust", vectors, reference=reference)

    assert near(found, wanted)
    assert outcome.weights[ROOT] == 0
    assert sum(outcome.weights.values()) == 1


@pytest.mark.parametrize("name", [*EACH, *(f"fedavg.{server}" for server in sorted(SERVERS))])
def test_replies_in_a_thousand_orders_make_one_model(name):
    """Who answered first must not matter: same bytes, same scalars."""
    random = np.random.default_rng(3)
    rule = aggregator(
        name,
        {k: Decimal(v) for k, v in EACH.get(name, {"server_lr": "0.1"}).items()},
    )
    sites = [*names(6), ROOT]
    deltas = {site: random.normal(0, 0.1, 50).astype(np.float32) for site in sites}
    base, models = np.ones(50, np.float32), set()
    for _ in range(1000):
        order = random.permutation(sites)
        updates = {
            str(site): Update(ArrayVector(deltas[site]), 20 + ord(site[1])) for site in order
        }
        out = np.empty(50, np.float32)
        reference = ROOT if name == "fltrust" else None
        outcome = rule.apply(Inputs(ArrayVector(base), updates, None, reference), ArrayVector(out))
        models.add((out.tobytes(), repr(outcome.plan)))

    assert len(models) == 1


def test_the_catalogue_holds_every_rule_that_a_charter_may_name():
    """One list for the charter's rules and for the hub's."""
    assert RULES.keys() == AGGREGATORS.keys()


@pytest.mark.parametrize("name", EACH)
def test_a_model_of_many_chunks_is_made_as_a_small_one(name):
    """Where a chunk, a block or a thread ends leaves no trace: by the same scalars, same values."""
    random = np.random.default_rng(5)
    count = 2 * CHUNK + BLOCK + 3
    wide = random.normal(0, 0.1, (6, count)).astype(np.float32)
    ends = [0, 1, BLOCK - 1, BLOCK, WIDE - 1, WIDE, CHUNK - 1, CHUNK]
    ends += [2 * CHUNK, 2 * CHUNK + BLOCK, count - 1]
    rule = aggregator(name, {k: Decimal(v) for k, v in EACH[name].items()})
    reference = wide.mean(axis=0) if name == "fltrust" else None

    found, outcome = aggregate(name, wide, EACH[name], reference=reference)

    small, step = wide[:, ends].copy(), np.empty(len(ends))
    rule.rule.combine(outcome.plan, 6)(Held(small), step)
    assert (found[ends] == (BASE + step).astype(np.float32).astype(np.float64) - BASE).all()


class Held:
    """All values of a few places, as a rule reads a chunk."""

    def __init__(self, values):
        self.values = values

    def __iter__(self):
        """One site after the other."""
        return iter(self.values.copy())

    def together(self):
        """All at once."""
        return self.values.copy()


def test_scalars_of_a_large_model_are_exact_over_threads_and_blocks():
    """Norms, distances and cosines as NumPy has them in one go."""
    wide = np.random.default_rng(6).normal(0, 0.1, (5, 2 * CHUNK + 7)).astype(np.float32)
    exact = wide.astype(np.float64)

    _, clipped = aggregate("clipped_mean", wide)
    _, mixed = aggregate("nnm_trimmed", wide, {"f": "1"})
    _, trusted = aggregate("fltrust", wide, reference=wide.mean(axis=0))

    mean = wide.mean(axis=0).astype(np.float64)
    cosines = exact @ mean / (np.linalg.norm(exact, axis=1) * np.linalg.norm(mean))
    assert np.allclose(clipped.plan.norms, np.linalg.norm(exact, axis=1), rtol=1e-12)
    assert np.allclose(
        mixed.plan.distances[:4], np.linalg.norm(exact[1:] - exact[0], axis=1), rtol=1e-12
    )
    assert np.allclose(trusted.plan.cosines, cosines, rtol=1e-10)


@pytest.mark.parametrize("name", EACH)
def test_an_update_of_another_length_is_refused_by_every_rule(name):
    """A shape that would broadcast, as one value does, is no update."""
    rule = aggregator(name, {k: Decimal(v) for k, v in EACH[name].items()})
    updates = {
        site: Update(ArrayVector(np.zeros(8 if place else 1, np.float32)), 10)
        for place, site in enumerate([*names(6), ROOT])
    }
    out = np.full(8, 7, np.float32)
    base = ArrayVector(np.zeros(8, np.float32))

    with pytest.raises(Malformed, match="must hold 8 values"):
        rule.apply(Inputs(base, updates, None, ROOT), ArrayVector(out))

    assert (out == 7).all()


@pytest.mark.parametrize(
    ("name", "params", "count"),
    [
        ("trimmed_mean", {"f": "2"}, 4),
        ("nnm_trimmed", {"f": "1"}, 4),
        ("nnm_trimmed", {"f": "3"}, 6),
    ],
)
def test_too_few_updates_for_a_rule_make_no_model(name, params, count):
    """Below what the rule needs it drops everything, or bears nobody."""
    with pytest.raises(Undecided, match="needs"):
        aggregate(name, np.zeros((count, 3)), params)


def test_a_round_without_its_reference_makes_no_model():
    """Trust has no measure then."""
    rule = aggregator("fltrust", {})
    updates = {site: Update(ArrayVector(np.ones(3, np.float32)), 10) for site in names(3)}

    with pytest.raises(Undecided, match=r"root\.example"):
        rule.apply(
            Inputs(ArrayVector(np.ones(3, np.float32)), updates, None, ROOT),
            ArrayVector(np.ones(3, np.float32)),
        )


def test_a_model_that_is_not_finite_is_not_made():
    """Finite updates can still run over in float32; such a model would infect everybody."""
    with pytest.raises(Undecided, match="not finite"):
        aggregate("fedavg.avgm", [[3e38], [3e38]], {"server_lr": "100"})


@pytest.mark.parametrize(
    ("name", "params", "named"),
    [
        ("fedavg", {"weight_cap": "0"}, "weight_cap = 0"),
        ("clipped_mean", {"weight_cap": "1.5"}, r"weight_cap = 1\.5"),
        ("trimmed_mean", {}, "trimmed_mean without f"),
        ("trimmed_mean", {"f": "0"}, "f = 0"),
        ("nnm_trimmed", {"f": "1.5"}, r"f = 1\.5"),
        ("median", {"f": "1"}, "parameter f of median"),
        ("fedavg.adam", {}, r"fedavg\.adam without server_lr"),
        ("fedavg.adam", {"server_lr": "0"}, "server_lr = 0"),
        ("fedavg.adam", {"server_lr": "101"}, "server_lr = 101"),
        ("median.yogi", {"server_lr": "1", "beta1": "1"}, "beta1 = 1"),
        ("median.yogi", {"server_lr": "1", "beta2": "-0.1"}, r"beta2 = -0\.1"),
        ("median.avgm", {"server_lr": "1", "tau": "0"}, "tau = 0"),
        ("fedavg", {"keep_updates": "2"}, "keep_updates = 2"),
        ("fedavg", {"norm_max": "0"}, "norm_max = 0"),
        ("fedavg", {"beta1": "0.9"}, "parameter beta1"),
        ("fedavg.", {}, r"aggregator fedavg\."),
        ("fedavg.lion", {}, r"aggregator fedavg\.lion"),
        ("krum", {}, "aggregator krum"),
    ],
)
def test_a_parameter_out_of_bounds_is_refused_by_name(name, params, named):
    """The sentence says which one, so that a researcher can mend it."""
    if name == "fedavg.":
        with pytest.raises(Refused):
            aggregator(name, {})
        return
    with pytest.raises(Refused, match=named):
        aggregator(name, {k: Decimal(v) for k, v in params.items()})


def test_buffers_are_averaged_or_the_middle_and_a_variance_is_never_negative():
    """Buffers follow the weights; under robust rules the median; running variances end at zero."""
    parts = Sections(count=5, params=2, floors=((4, 5),))
    vectors = [
        [0, 0, 1, 0, -9],
        [0, 0, 2, 0, -9],
        [0, 0, 9, 0, -9],
        [0, 0, 2, 0, -9],
        [0, 0, 2, 0, 0],
    ]
    last = vectors[-1]

    mean, _ = aggregate(
        "clipped_mean", vectors, {"weight_cap": "1"}, [10, 10, 10, 10, 40], None, parts
    )
    middles = {
        name: aggregate(name, vectors, EACH[name], None, [1, 0, *last[2:]] if name == "fltrust"
                        else None, parts)[0]
        for name in ("trimmed_mean", "median", "nnm_trimmed")
    }  # fmt: skip

    assert near(mean, [0, 0, (1 + 2 + 9 + 2 + 4 * 2) / 8, 0, -BASE])
    for found in middles.values():
        assert near(found, [0, 0, 2, 0, -BASE])


def test_scalars_are_of_parameters_alone():
    """A buffer of another scale must not decide whose update is near or long."""
    parts = Sections(count=3, params=2)
    vectors = [[3.0, 4.0, 1e6]] * 5

    _, outcome = aggregate("clipped_mean", vectors, {}, None, None, parts)

    assert outcome.plan.norms == (5.0,) * 5


@pytest.mark.parametrize("rows", range(1, 24))
def test_a_network_leaves_the_middle(rows):
    """Tried with zeros and ones, which proves it for all numbers (Knuth, 5.3.4 Z)."""
    random = np.random.default_rng(rows)
    bits = random.integers(0, 2, (rows, 512)).astype(np.float32)
    if rows <= 9:
        bits = np.array([[i >> row & 1 for i in range(2**rows)] for row in range(rows)], np.float32)
    for drop in range((rows - 1) // 2 + 1):
        network = middle_network(rows, drop)

        kept = run(network, list(bits.copy()), np.empty_like(bits[0]))

        wanted = np.sort(bits, axis=0)[drop : rows - drop]
        assert (np.sort(np.stack(kept), axis=0) == wanted).all()
