"""The networks a recipe may name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from compliance.errors import Malformed, Refused
from compliance.records.families import FAMILIES
from compliance.records.layout import layout_for
from site_node.training import layouts
from site_node.training.networks import NETWORKS, build
from site_node.training.vectors import load, pack, start_vector

FORMS = [
    (name, channels, dims)
    for name, family in sorted(FAMILIES.items())
    for channels, dims in family.layouts()
]
DIMENSIONS = [(name, dims) for name, channels, dims in FORMS if channels == 1]


def test_every_network_has_its_bounds_and_every_bound_its_network():
    """A family that nobody bounded could be asked for anything."""
    assert set(NETWORKS) == set(FAMILIES)


@pytest.mark.parametrize(("name", "channels", "dims"), FORMS)
def test_a_layout_is_the_order_of_the_real_network(name, channels, dims):
    """Names, shapes and roles of the written layout are those of the network that trains."""
    outputs = 1 if channels == 1 else 4
    network = build(name, {}, channels=channels, outputs=outputs, dims=dims)
    layout = layout_for(name, channels, outputs, dims)

    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}

    assert {entry.name: entry.shape for entry in layout.entries} == shapes
    assert {entry.role for entry in layout.entries} == {"param"}
    assert layout.count == sum(value.numel() for value in network.parameters())


@pytest.mark.parametrize(("name", "dims"), DIMENSIONS)
def test_a_network_carries_no_batch_statistics_and_computes_nothing_in_place(name, dims):
    """What travels is parameters only, and a per-case backward stays possible."""
    network = build(name, {}, channels=1, outputs=1, dims=dims)

    assert list(network.buffers()) == []
    assert not any(getattr(part, "inplace", False) for part in network.modules())
    assert not any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in network.modules())


@pytest.mark.parametrize(("name", "dims"), DIMENSIONS)
def test_a_network_answers_finitely_at_its_smallest_size_from_start_weights(name, dims):
    """Start weights that the layout prescribes give usable numbers: one row a case, or a mask."""
    layout, family = layout_for(name, 1, 3, dims), FAMILIES[name]
    network = build(name, {}, channels=1, outputs=3, dims=dims).eval()
    load(network, layout, start_vector(layout, 7))
    sides = [family.smallest] * dims

    with torch.no_grad():
        logits = network(torch.randn(2, 1, *sides, generator=torch.Generator().manual_seed(0)))

    assert logits.shape == (2, 3, *(sides if family.draws else []))
    assert torch.isfinite(logits).all()
    assert logits.abs().max() < 50


def test_a_network_for_images_is_not_built_for_volumes():
    """Layers of two dimensions on slices would be another network under the same name."""
    with pytest.raises(Refused, match="images"):
        build("cnn2d_small", {}, channels=1, outputs=1, dims=3)


def test_the_reference_network_has_the_number_of_values_its_design_names():
    """DenseNet121 with group norm, one channel and two outputs: 6,949,634 values."""
    assert layout_for("densenet121_gn", 1, 2).count == 6_949_634


def test_the_small_network_stays_near_seventy_two_thousand_values():
    """It is the network of tests and proxies: small enough to train in seconds."""
    assert 65_000 < layout_for("cnn2d_small", 1, 1).count < 80_000


def test_a_vector_comes_back_from_a_network_as_it_went_in():
    """Loading and packing change no bit."""
    layout = layout_for("cnn2d_small", 1, 2)
    vector = start_vector(layout, 3)
    network = build("cnn2d_small", {}, channels=1, outputs=2)

    load(network, layout, vector)

    assert pack(network, layout).tobytes() == vector.tobytes()


def test_a_vector_for_another_network_is_refused():
    """The same numbers in another network are another model."""
    network = build("cnn2d_small", {}, channels=1, outputs=2)
    other = layout_for("cnn2d_small", 1, 3)

    with pytest.raises(Malformed, match="not the layout of this network"):
        load(network, other, start_vector(other, 0))


@pytest.mark.parametrize("kind", ["short", "double"])
def test_a_vector_of_another_length_or_type_is_refused(kind):
    """Nothing is stretched, cut or cast."""
    layout = layout_for("cnn2d_small", 1, 1)
    network = build("cnn2d_small", {}, channels=1, outputs=1)
    vector = start_vector(layout, 0)

    with pytest.raises(Malformed, match="model vector"):
        load(network, layout, vector[:-1] if kind == "short" else vector.astype("float64"))


@pytest.mark.parametrize(("name", "params"), [("vit", {}), ("cnn2d_small", {"depth": "9"})])
def test_a_network_or_parameter_outside_the_table_is_refused(name, params):
    """The table is closed: nothing is looked up, nothing is evaluated."""
    with pytest.raises(Refused, match=r"recipe\.network"):
        build(name, params, channels=1, outputs=1)


def test_the_written_layouts_and_recipes_are_current(capsys):
    """The files in compliance/records say what the networks are today."""
    assert layouts.main(["--check"]) == 0
    assert capsys.readouterr().out == ""


def test_a_stale_layout_is_named_and_written_anew(tmp_path, monkeypatch, capsys):
    """`--check` finds the difference and changes nothing; `--write` mends it."""
    stale = tmp_path / "cnn2d_small-c1.json"
    stale.write_text("{}")
    wanted = layouts.template_files()
    current = next(data for path, data in wanted.items() if path.name == stale.name)
    monkeypatch.setattr(layouts, "template_files", lambda: {stale: current})

    assert layouts.main(["--check"]) == 1
    assert stale.read_text() == "{}"
    assert layouts.main(["--write"]) == 0
    assert stale.read_bytes() == current
    assert "stale: cnn2d_small-c1.json" in capsys.readouterr().out
