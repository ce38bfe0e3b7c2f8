"""The table of families says what a real backward pass says: learns, repeats, noise or not."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from compliance.records.families import FAMILIES
from compliance.records.layout import layout_for
from site_node.training.learning import repeatable
from site_node.training.losses import dice_and_cross_entropy
from site_node.training.networks import build
from site_node.training.vectors import load, pack, start_vector

ALL = [(name, dims) for name, family in FAMILIES.items() for dims in family.dims]
LARGE = {("vnet", 3)}
"""182 MB of values: three passes of it take half a minute."""

CASES = [
    pytest.param(*case, marks=pytest.mark.long if case in LARGE else (), id=f"{case[0]}-{case[1]}d")
    for case in ALL
]
TOLERANCE = 1e-5


def started(name, dims):
    """A network of one channel and two outputs with its start weights."""
    layout = layout_for(name, 1, 2, dims)
    network = build(name, {}, channels=1, outputs=2, dims=dims)
    load(network, layout, start_vector(layout, 3))
    return network, layout


def batch(name, dims, cases=2):
    """Images at the family's smallest size, and what is to be said of them."""
    sides, draws = [FAMILIES[name].smallest] * dims, torch.Generator().manual_seed(1)
    images = torch.randn(cases, 1, *sides, generator=draws)
    if FAMILIES[name].draws:
        return images, (images[:, 0] > 0.8).long()
    return images, torch.arange(cases) % 2


def loss_of(name, logits, wanted):
    """The loss of masks, or of classes."""
    if FAMILIES[name].draws:
        return dice_and_cross_entropy(logits, wanted)
    return torch.nn.functional.cross_entropy(logits, wanted)


def stepped(name, dims):
    """Take one small step from the start; returns the losses around it and the packed values."""
    with repeatable(5, 1):
        network, layout = started(name, dims)
        without_dropout(network)
        images, wanted = batch(name, dims)
        optimiser = torch.optim.SGD(network.parameters(), lr=1e-4)
        before = loss_of(name, network(images), wanted)
        before.backward()
        optimiser.step()
        with torch.no_grad():
            after = loss_of(name, network(images), wanted)
        return float(before.detach()), float(after), pack(network, layout)


@pytest.mark.parametrize(("name", "dims"), CASES)
def test_a_family_learns_and_the_same_order_gives_the_same_bytes(name, dims):
    """One step lowers the loss of a tiny batch; a second run ends at the same bytes."""
    before, after, first = stepped(name, dims)
    *_, second = stepped(name, dims)

    assert after < before
    assert np.isfinite(first).all()
    assert first.tobytes() == second.tobytes()


def without_dropout(network):
    """Training mode, which Opacus needs, but nothing is left to chance: cases can be compared."""
    for part in network.train().modules():
        if isinstance(part, torch.nn.modules.dropout._DropoutNd):
            part.p = 0.0
        if hasattr(part, "drop_connect_rate"):
            part.drop_connect_rate = 0.0
    return network


def gradients_each(network, name, images, wanted):
    """One gradient per case, by Opacus; raises what its backward raises."""
    from opacus.grad_sample import GradSampleModule

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about the hooks that Opacus needs
        wrapped = GradSampleModule(network, loss_reduction="mean")
        loss_of(name, wrapped(images), wanted).backward()
    return [value.grad_sample for value in wrapped.parameters()]


@pytest.mark.parametrize(("name", "dims"), CASES)
def test_the_table_says_whether_a_family_can_train_with_noise(name, dims):
    """By a real backward: a gradient per case that equals the case's own, or none at all."""
    network = without_dropout(started(name, dims)[0])
    images, wanted = batch(name, dims)
    if not FAMILIES[name].noise:
        with pytest.raises(RuntimeError, match="modified inplace"):
            gradients_each(network, name, images, wanted)
        return

    each = gradients_each(network, name, images, wanted)

    alone = without_dropout(started(name, dims)[0])
    loss_of(name, alone(images[:1]), wanted[:1]).backward()
    whole = torch.sqrt(sum((value.grad**2).sum() for value in alone.parameters()))
    pairs = zip(each, alone.parameters(), strict=True)
    apart = torch.sqrt(sum(((rows[0] - value.grad) ** 2).sum() for rows, value in pairs))
    assert float(apart / whole) < TOLERANCE


def test_the_page_shows_every_row_of_the_table():
    """What researchers read is the table that the test above compares with the networks."""
    page = (Path(__file__).parents[3] / "docs" / "networks.md").read_text()

    rows = re.findall(r"^\| `(\w+)` \|.*\| (yes|no):", page, re.MULTILINE)

    assert dict(rows) == {name: "yes" if row.noise else "no" for name, row in FAMILIES.items()}
