"""Server optimisers: the published formulas over several rounds, and a memory that survives."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.errors import NotReady
from hub.federation.aggregation.aggregator import Inputs
from hub.federation.aggregation.catalogue import aggregator
from hub.federation.aggregation.moments import (
    FileMoments,
    FileMomentSink,
    NoMoments,
    state_sha256,
)
from hub.federation.aggregation.rule import CHUNK, Sections, Update
from hub.federation.aggregation.vectors import ArrayVector
from tests.hub.federation import plain_rules as plain

SERVERS = ("avgm", "adam", "yogi", "adagrad")
FLAMBY = {"avgm": "1", "adam": "0.01", "yogi": "0.01", "adagrad": "0.316228"}
"""Server rates of the published runs on Fed-Heart-Disease."""


class ArrayMoments:
    """Moments in memory.

    Args:
        names: of the moments.
        count: values of each, zero at first.
    """

    def __init__(self, names, count):
        self.arrays = {name: np.zeros(count, dtype=np.float64) for name in names}

    def read(self, name, start, stop, into):
        """Copy values start to stop."""
        into[: stop - start] = self.arrays[name][start:stop]

    def write(self, name, start, stop, values):
        """Take values start to stop."""
        self.arrays[name][start:stop] = values[: stop - start]


def rule_of(name, **params):
    """FedAvg with this server step."""
    given = {"server_lr": FLAMBY[name], **params}
    return aggregator(f"fedavg.{name}", {k: Decimal(v) for k, v in given.items()})


def play(rule, deltas, before=None, parts=None):
    """Steps of several rounds of one site, each from a base of zeros, in float64."""
    count = len(deltas[0])
    state, steps = before or NoMoments(), []
    for delta in deltas:
        out, after = np.empty(count, np.float32), ArrayMoments(rule.moments, count)
        update = {"a.example": Update(ArrayVector(np.asarray(delta, np.float32)), 10)}
        base = ArrayVector(np.zeros(count, np.float32))
        rule.apply(Inputs(base, update, parts, None, state), ArrayVector(out), after)
        steps.append(out.astype(np.float64))
        state = after
    return steps, state


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(SERVERS),
    st.lists(
        st.sampled_from([0.0, 0.5, -0.5]) | st.floats(-2, 2, width=16), min_size=1, max_size=6
    ),
    st.sampled_from(["0", "0.9"]),
    st.sampled_from(["0.00000001", "0.001"]),
)
def test_a_server_step_is_the_published_one(name, deltas, beta1, tau):
    """Up to six rounds of any deltas, zeros and ties of v and Δ² included."""
    rule = rule_of(name, beta1=beta1, tau=tau)

    steps, _ = play(rule, [[delta] for delta in deltas])

    wanted = plain.server(
        name, [float(np.float32(d)) for d in deltas], float(FLAMBY[name]), float(beta1), 0.999,
        float(tau),
    )  # fmt: skip
    for found, step in zip(steps, wanted, strict=True):
        assert abs(found[0] - step) <= 1e-6 * max(1.0, abs(step))


def test_buffers_pass_a_server_step_by():
    """A running mean is no gradient: it follows the rule's result alone."""
    parts = Sections(count=2, params=1)

    steps, state = play(rule_of("adam"), [[0.5, 0.5], [0.5, 0.5]], None, parts)

    assert [step[1] for step in steps] == [0.5, 0.5]
    assert state.arrays["m"][1] == 0.0


def on_disk(rule, deltas, folder, until=None):
    """Rounds whose states lie in files, as the hub keeps them; the models."""
    count, before, models = len(deltas[0]), NoMoments(), []
    for number, delta in enumerate(deltas[:until], 1):
        path, out = folder / f"{number}.f64", np.empty(count, np.float32)
        update = {"a.example": Update(ArrayVector(delta), 10)}
        inputs = Inputs(ArrayVector(np.zeros(count, np.float32)), update, None, None, before)
        with FileMomentSink(path, rule.moments, count) as after:
            rule.apply(inputs, ArrayVector(out), after)
        models.append(out.tobytes())
        before = FileMoments(path, rule.moments, count)
    return models


@pytest.mark.parametrize("name", SERVERS)
def test_a_state_on_disk_is_the_one_in_memory(name, tmp_path):
    """Over the end of a chunk; the same bytes as if nothing had ever been written."""
    random = np.random.default_rng(1)
    deltas = [random.normal(0, 0.1, CHUNK + 5).astype(np.float32) for _ in range(3)]
    rule = rule_of(name)

    models = on_disk(rule, deltas, tmp_path)

    steps, _ = play(rule, deltas)
    assert models == [step.astype(np.float32).tobytes() for step in steps]


def test_a_round_played_again_leaves_the_same_state(tmp_path):
    """A power cut after the state was written: it is written again, bit for bit."""
    random = np.random.default_rng(2)
    deltas = [random.normal(0, 0.1, 100).astype(np.float32) for _ in range(2)]
    rule = rule_of("yogi")
    models = on_disk(rule, deltas, tmp_path)
    name, data = state_sha256(tmp_path / "2.f64"), (tmp_path / "2.f64").read_bytes()

    assert on_disk(rule, deltas, tmp_path) == models

    assert (tmp_path / "2.f64").read_bytes() == data
    assert state_sha256(tmp_path / "2.f64") == name


@pytest.mark.parametrize("place", [3, 40, -40, -1])
def test_a_damaged_state_is_noticed_before_it_is_used(place, tmp_path):
    """One flipped bit anywhere, and a study must not go on from it."""
    path = tmp_path / "1.f64"
    with FileMomentSink(path, ("m", "v"), 10) as sink:
        sink.write("m", 0, 10, np.ones(10))
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)

    with pytest.raises(NotReady, match=r"store\.missing"):
        FileMoments(path, ("m", "v"), 10)


@pytest.mark.parametrize(("names", "count"), [(("m",), 10), (("m", "v"), 9), (("v", "m"), 10)])
def test_the_state_of_another_rule_is_not_taken(names, count, tmp_path):
    """Other moments, or a model of another length."""
    path = tmp_path / "1.f64"
    with FileMomentSink(path, ("m", "v"), 10):
        pass

    with pytest.raises(NotReady):
        FileMoments(path, names, count)
    with pytest.raises(NotReady):
        FileMoments(tmp_path / "none.f64", ("m", "v"), 10)


def test_momentum_goes_on_where_it_was():
    """Equal deltas with β₁ = 0.9: steps grow towards 1."""
    steps, _ = play(rule_of("avgm"), [[1.0]] * 5)

    sizes = [float(step[0]) for step in steps]
    assert all(low < high for low, high in pairwise(sizes))
    assert sizes[4] == pytest.approx(1 - 0.9**5)
