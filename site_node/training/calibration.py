"""Whether a score of 0.8 means four of five: bins, their error, and the losses of a score.

All of it is of two classes: with several a score has no single meaning. Ten bins of equal width;
what a bin says is the share of its patients that was positive.

Source: design/federation.md §9; Naeini et al. 2015 (expected calibration error), Brier 1950;
Efron 1979 (percentiles of 1,000 draws of patients).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compliance.records.measures import BINS
from site_node.training.claims import NOTHING, Claim, written
from site_node.training.statistics import Doubles, Estimate, Flags, proportion, resampled

WIDTH = 1 / len(BINS)
SMALLEST = 1e-6
"""A score is not believed to be surer than this when its loss is taken."""

VALUES = ("loss", "brier", "ece")


def bins_of(scores: Doubles) -> NDArray[np.int64]:
    """The bin of each score in [0, 1], from 0; a score of 1 is in the last."""
    places = np.floor(np.asarray(scores) * len(BINS)).astype(np.int64)
    return np.clip(places, 0, len(BINS) - 1)


def bin_claims(scores: Doubles, truth: Flags, floor: int) -> dict[str, Claim]:
    """The bins of one model: share of positives with Wilson's ends, n and positives.

    Args:
        scores: one per patient, in [0, 1].
        truth: who is positive.
        floor: a bin with fewer positives or negatives says nothing; an empty one looks the same.
    """
    places, found = bins_of(scores), {}
    for number, name in enumerate(BINS):
        inside = places == number
        n, positives = int(inside.sum()), int((inside & truth).sum())
        few = min(positives, n - positives) < max(1, floor)
        told = None if few else proportion(positives, n)
        found[name] = dict(NOTHING) if few else written(told, n, positives)
    return found


def value_of(kind: str, scores: Doubles, truth: Flags, seed: int) -> Estimate:
    """Loss, Brier score or calibration error over all patients, with its interval.

    Args:
        kind: `loss` (mean negative log-likelihood), `brier` or `ece`.
        scores: one per patient, in [0, 1].
        truth: who is positive; at least one patient.
        seed: of the draws of patients.
    """
    if kind == "ece":
        return resampled(_gaps(scores, truth), seed, _summed_gaps)
    if kind == "brier":
        return resampled(np.square(scores - truth)[:, None], seed, _only)
    said = np.clip(np.where(truth, scores, 1 - scores), SMALLEST, 1)
    return resampled(-np.log(said)[:, None], seed, _only)


def _gaps(scores: Doubles, truth: Flags) -> Doubles:
    """For each patient and bin the score less the truth; 0 in the bins he is not in."""
    table = np.zeros((len(scores), len(BINS)))
    table[np.arange(len(scores)), bins_of(scores)] = scores - truth
    return table


def _summed_gaps(means: Doubles) -> Doubles:
    """The error of each draw: the bins' gaps, each weighted by its share of the patients."""
    error: Doubles = np.abs(means).sum(axis=1)
    return error


def _only(means: Doubles) -> Doubles:
    return means[:, 0]
