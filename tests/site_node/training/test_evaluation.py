"""Numbers that may be shown: per patient, with n and positives, and silent about the few."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
import torch
from hospital_in_memory import MemoryDataset
from torch import nn

from site_node.training.datasets import Split
from site_node.training.evaluation import NOTHING, Scored, measure, score_patients

PLAIN = ["auroc", "accuracy", "sensitivity", "specificity"]


class Brightness(nn.Module):
    """A model whose logit is the mean of an image: scores can be worked out by hand."""

    def forward(self, images):
        """Return the mean."""
        return images.mean(dim=(1, 2, 3))[:, None]


def scored(positives: int, negatives: int, right: float = 0.9) -> Scored:
    """Scores of which a known share is on the right side of 0.5."""
    labels = np.arange(positives + negatives) < positives
    good = np.r_[np.arange(positives) < right * positives, np.arange(negatives) < right * negatives]
    scores = np.where(labels == good, 0.8, 0.2)
    return Scored(scores[:, None].astype(float), labels[:, None])


def test_a_patient_counts_once_whatever_the_number_of_images(makers):
    """The unit is the patient: the mean score over the images."""
    images = np.zeros((4, 1, 16, 16), np.float32)
    images[0], images[1], images[2] = 1.0, 0.5, 0.25
    part = (images, np.array([1, 1, 0, 0]))
    data = MemoryDataset(
        "binary",
        ["clear", "opacity"],
        {"train": part, "validation": part, "test": part},
        {"test": ["b", "b", "a", "c"]},
    )
    recipe = makers.recipe(preprocessing={"mean": "0", "std": "1"})

    found = score_patients(Brightness(), Split(data, "test", recipe), recipe)

    by_hand = torch.tensor([0.25, 1.0, 0.5, 0.0], dtype=torch.float64).sigmoid().numpy()
    expected = [by_hand[0], (by_hand[1] + by_hand[2]) / 2, by_hand[3]]
    assert found.labels[:, 0].tolist() == [False, True, False]
    assert found.scores[:, 0] == pytest.approx(expected)


def test_values_carry_interval_n_and_positives(makers):
    """Sensitivity 0.9 of 40 patients, specificity 0.9 of 60, with Wilson's ends."""
    values = measure(scored(40, 60), makers.recipe(), min_cell=5, names=PLAIN)

    assert values["sensitivity"] == {
        "value": Decimal("0.9"),
        "low": Decimal("0.769482"),
        "high": Decimal("0.96042"),
        "n": 100,
        "positives": 40,
    }
    assert values["specificity"]["value"] == values["accuracy"]["value"] == Decimal("0.9")
    assert values["auroc"]["low"] < values["auroc"]["value"] < values["auroc"]["high"]


def test_values_have_at_most_six_decimals_and_no_exponent(makers):
    """They are written into a signed record as plain decimals."""
    values = measure(scored(33, 67, 0.77), makers.recipe(), min_cell=5, names=PLAIN)

    for claim in values.values():
        for end in ("value", "low", "high"):
            assert -claim[end].as_tuple().exponent <= 6
            assert "E" not in str(claim[end])


@pytest.mark.parametrize(("positives", "negatives"), [(2, 1), (0, 4)])
def test_a_split_below_the_floor_shows_nothing(makers, positives, negatives):
    """Fewer patients than the agreed cell: every field of every value is null."""
    values = measure(scored(positives, negatives), makers.recipe(), min_cell=5, names=PLAIN)

    assert values == dict.fromkeys(PLAIN, NOTHING)


@pytest.mark.parametrize(("positives", "negatives"), [(3, 97), (97, 3), (0, 100)])
def test_a_class_below_the_floor_cannot_be_read_from_any_value(makers, positives, negatives):
    """Three ill patients must not be seen, nor counted back from a proportion."""
    values = measure(scored(positives, negatives), makers.recipe(), min_cell=5, names=PLAIN)

    assert values == dict.fromkeys(PLAIN, NOTHING)


def test_an_auroc_of_fewer_than_ten_positives_is_not_given(makers):
    """The counts say why; no ranking is built on seven patients."""
    values = measure(scored(7, 93), makers.recipe(), min_cell=5, names=PLAIN)

    assert values["auroc"] == {**NOTHING, "n": 100, "positives": 7}
    assert values["sensitivity"]["value"] is not None


def test_a_mean_over_classes_is_not_given_when_one_class_is_too_small(makers):
    """Else a hospital's place would follow from which classes it happens to have."""
    random = np.random.default_rng(0)
    labels = np.eye(3, dtype=bool)[np.r_[np.zeros(50, int), np.ones(50, int), np.full(4, 2)]]
    some = Scored(random.dirichlet(np.ones(3), 104), labels)
    names = ["auroc", "auroc.clear", "auroc.effusion"]

    values = measure(some, makers.recipe("multiclass"), min_cell=5, names=names)

    assert values["auroc"] == NOTHING
    assert values["auroc.effusion"] == NOTHING
    assert values["auroc.clear"]["value"] is not None


def test_the_mean_over_classes_is_the_mean_of_its_classes(makers):
    """Macro, one against the rest, each class alike."""
    random = np.random.default_rng(1)
    truth = random.integers(0, 3, 150)
    chance = random.dirichlet(np.ones(3), 150) + 0.3 * np.eye(3)[truth]
    some = Scored(chance / chance.sum(axis=1, keepdims=True), np.eye(3, dtype=bool)[truth])
    classes = [f"auroc.{label}" for label in makers.CLASSES]

    values = measure(
        some, makers.recipe("multiclass"), min_cell=5, names=["auroc", "accuracy", *classes]
    )

    parts = [values[name]["value"] for name in classes]
    assert abs(values["auroc"]["value"] - sum(parts) / 3) <= Decimal("0.000002")
    assert values["auroc"]["positives"] is None
    right = int((some.scores.argmax(axis=1) == truth).sum())
    assert values["accuracy"]["value"] == round(Decimal(right) / 150, 6)


def test_a_patient_with_several_labels_is_right_only_when_all_are(makers):
    """Accuracy of a multi-label task is the exact match; each label has its own values."""
    labels = np.array([[1, 0, 0], [0, 1, 1]] * 20, dtype=bool)
    scores = np.where(labels, 0.9, 0.1)
    scores[0, 2] = 0.8
    names = ["accuracy", "accuracy.effusion", "sensitivity"]

    values = measure(Scored(scores, labels), makers.recipe("multilabel"), min_cell=5, names=names)

    assert values["accuracy"]["value"] == values["accuracy.effusion"]["value"] == Decimal("0.975")
    assert values["sensitivity"]["value"] == 1
    assert values["sensitivity"]["high"] == 1
    assert values["sensitivity"]["low"] < 1
