"""What happens to images and losses before a step is taken."""

from __future__ import annotations

import pytest
import torch

from compliance.records.training import Augment
from site_node.training.augmentation import augment
from site_node.training.datasets import prepare
from site_node.training.losses import class_weights, label_weights, loss_of


def _terms(**changes):
    return Augment(**{"flip": False, "rotate": "0", "shift": "0", "noise": "0", **changes})


def _draws(seed=0):
    return torch.Generator().manual_seed(seed)


IMAGES = torch.linspace(0, 1, 2 * 1 * 8 * 8).reshape(2, 1, 8, 8)


def test_without_augmentation_an_image_stays_as_it_is():
    """Nothing agreed, nothing changed."""
    assert torch.equal(augment(IMAGES, _terms(), _draws()), IMAGES)


def test_a_mirrored_image_is_mirrored_left_to_right_and_only_sometimes():
    """Of many images about half are mirrored; none is turned upside down."""
    many = IMAGES[:1].repeat(200, 1, 1, 1)

    changed = augment(many, _terms(flip=True), _draws())

    mirrored = [torch.equal(image, many[0].flip(2)) for image in changed]
    same = [torch.equal(image, many[0]) for image in changed]
    assert all(a or b for a, b in zip(mirrored, same, strict=True))
    assert 60 < sum(mirrored) < 140


@pytest.mark.parametrize("terms", [{"rotate": "20"}, {"shift": "0.2"}, {"noise": "0.1"}])
def test_each_change_moves_the_image_a_little_and_follows_its_seed(terms):
    """Changed, still the same size, finite, and equal for an equal seed."""
    one, same, other = (augment(IMAGES, _terms(**terms), _draws(s)) for s in (1, 1, 2))

    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == IMAGES.shape
    assert 0 < (one - IMAGES).abs().mean() < 0.5


def test_a_shift_repeats_the_border_instead_of_inventing_black():
    """A black edge would be a sign that the network can learn."""
    bright = torch.ones(4, 1, 8, 8)

    assert torch.allclose(augment(bright, _terms(shift="0.5"), _draws()), bright)


def test_an_image_is_brought_to_size_channels_mean_and_spread(makers):
    """Grey becomes three equal channels; 0.5 becomes 0 for mean 0.5."""
    recipe = makers.recipe(
        preprocessing={"size": [12, 20], "channels": 3, "mean": "0.5", "std": "0.25"}
    )

    prepared = prepare(torch.full((2, 1, 8, 8), 0.75), recipe)

    assert prepared.shape == (2, 3, 12, 20)
    assert torch.allclose(prepared, torch.ones(1))


def test_both_sides_of_a_label_weigh_the_same_in_the_whole():
    """Ten ill among a hundred weigh as much as the ninety healthy."""
    labels = (torch.arange(100) < 10).float()[:, None]

    positive, negative = label_weights(labels)

    assert float(positive) * 10 == pytest.approx(float(negative) * 90)
    assert float(positive) * 10 + float(negative) * 90 == pytest.approx(100)


def test_one_single_rare_case_does_not_steer_a_hospital():
    """Weights end at twenty."""
    labels = (torch.arange(1000) < 1).float()[:, None]

    assert float(label_weights(labels)[0]) == 20


def test_a_label_that_a_hospital_never_saw_does_not_break_the_loss():
    """All negative: every case weighs one and the loss is a number."""
    labels = torch.zeros(10, 1)

    assert [float(w) for w in label_weights(labels)] == [1, 1]


def test_a_class_without_cases_weighs_nothing_and_the_others_share():
    """Two of three classes present: the whole weight is theirs."""
    labels = torch.eye(3)[torch.tensor([0] * 6 + [1] * 2)]

    weights = class_weights(labels)

    assert weights.tolist() == pytest.approx([8 / 12, 8 / 4, 0])


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("kind", ["balanced", "none"])
def test_a_better_answer_costs_less(makers, task, kind):
    """Every loss of the list falls when logits move towards the labels."""
    recipe = makers.recipe(task, class_weights=kind)
    labels = torch.eye(3)[torch.tensor([0, 1, 2, 1])][:, : recipe.outputs]

    loss = loss_of(recipe, labels)

    assert loss(4 * labels - 2, labels) < loss(labels * 0, labels) < loss(2 - 4 * labels, labels)


@pytest.mark.parametrize(("kind", "undecided"), [("balanced", True), ("none", False)])
def test_a_rare_class_is_heard(makers, kind, undecided):
    """Balanced, an undecided model is pulled neither way; plain, towards "nobody is ill"."""
    labels = (torch.arange(100) < 12).float()[:, None]
    logits = torch.zeros(100, 1, requires_grad=True)

    loss_of(makers.recipe(class_weights=kind), labels)(logits, labels).backward()

    pull = float(logits.grad.sum())
    assert (abs(pull) < 1e-6) if undecided else (pull > 0.3)
