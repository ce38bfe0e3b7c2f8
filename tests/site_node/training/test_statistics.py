"""Intervals that a journal's reader could recompute."""

from __future__ import annotations

import numpy as np
import pytest

from site_node.training.statistics import (
    auroc_influences,
    interval,
    mean_of,
    proportion,
    share_influences,
)


def test_wilsons_interval_is_that_of_the_textbook():
    """81 of 263: 0.2553 to 0.3662 (Newcombe 1998, table I, method 3)."""
    found = proportion(81, 263)

    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)


def test_wilsons_interval_stays_wide_when_nothing_was_missed():
    """15 of 148 and 0 of 20 from the same table; 0 of 20 ends at 0.1611, not at 0."""
    assert round(proportion(15, 148).high, 4) == 0.1605
    assert (proportion(0, 20).low, round(proportion(0, 20).high, 4)) == (0.0, 0.1611)


def test_the_auroc_is_the_share_of_rightly_ordered_pairs():
    """Ties count half, as Mann and Whitney count them."""
    random = np.random.default_rng(1)
    scores, positive = random.integers(0, 12, 90) / 12, random.random(90) < 0.4

    pairs = scores[positive][:, None] - scores[~positive][None, :]

    expected = float((pairs > 0).mean() + 0.5 * (pairs == 0).mean())
    assert auroc_influences(scores, positive).value == pytest.approx(expected, abs=1e-12)


def test_delongs_variance_is_that_of_its_definition():
    """The influences' squares add up to S10/m + S01/n, computed pair by pair."""
    random = np.random.default_rng(2)
    positive = random.random(80) < 0.35
    scores = np.round(random.normal(size=80) + positive, 1)
    psi = np.heaviside(scores[positive][:, None] - scores[~positive][None, :], 0.5)
    expected = psi.mean(axis=1).var(ddof=1) / psi.shape[0]
    expected += psi.mean(axis=0).var(ddof=1) / psi.shape[1]

    found = auroc_influences(scores, positive)

    assert float(np.square(found.cases).sum()) == pytest.approx(float(expected), rel=1e-9)


def test_delongs_interval_covers_the_truth_as_often_as_it_says():
    """In 600 drawn hospitals the 95 % interval holds the true AUROC 92 to 98 times in 100."""
    random, truth, hits = np.random.default_rng(3), 0.76025, 0  # Phi(1 / sqrt 2)
    positive = np.arange(200) < 80
    for _ in range(600):
        found = interval(auroc_influences(random.normal(size=200) + positive, positive), 80)
        hits += found.low <= truth <= found.high

    assert 0.92 <= hits / 600 <= 0.98


def test_perfect_order_of_a_few_cases_claims_no_certainty():
    """DeLong's spread is zero there; the interval then is Wilson's of the smaller class."""
    positive = np.arange(24) < 12

    found = interval(auroc_influences(positive.astype(float), positive), 12)

    assert found.value == found.high == 1
    assert found.low == pytest.approx(proportion(12, 12).low)


def test_the_mean_over_classes_counts_each_case_once():
    """Two identical classes have the spread of one, not a smaller one."""
    random = np.random.default_rng(4)
    positive = random.random(60) < 0.5
    one = auroc_influences(random.normal(size=60) + positive, positive)

    both = mean_of([one, one])

    assert interval(both, 20) == interval(one, 20)


def test_a_shares_influences_give_the_binomial_spread():
    """sd² = p(1 - p)/m for the share of hits among m cases."""
    among = np.arange(50) < 40
    hits = np.arange(50) < 30

    found = share_influences(hits, among)

    assert found.value == 0.75
    assert float(np.square(found.cases).sum()) == pytest.approx(0.75 * 0.25 / 40)
