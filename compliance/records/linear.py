"""Networks of linear layers: their layout is told by a formula, for any number of inputs.

A network for images has a written layout per number of channels; one for a table would need a file
for every number of columns. So the shapes are computed here, and a test compares them with the
real networks. Start values are even within 1/sqrt(inputs) for weights and biases, as PyTorch
starts a `Linear`.

Source: design/federation.md §4.1, §7; torch.nn.Linear.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from compliance.errors import Malformed
from compliance.records.layout import Layout

LINEAR = ("logistic", "mlp")
"""Networks for tables: a head alone, or hidden layers before it."""

ANY_COLUMNS = "table"
"""What a recipe calls columns of which it only knows the number."""

MOST_INPUTS = 4096
BOUNDS = {"hidden": (1, 1024), "layers": (1, 4)}
"""Parameters of `mlp`: values of each hidden layer, number of hidden layers."""

DEFAULTS = {"hidden": 16, "layers": 1}


def sizes_of(network: str, params: Mapping[str, str], inputs: int, outputs: int) -> list[int]:
    """Return the sizes from the inputs over every hidden layer to the outputs.

    Args:
        network: `logistic` or `mlp`.
        params: `hidden` and `layers` for `mlp`, none for `logistic`.
        inputs: values of one case.
        outputs: logits.

    Raises:
        Malformed: an unknown parameter, or a number outside its bounds.
    """
    allowed = BOUNDS if network == "mlp" else {}
    strange = sorted(set(params) - set(allowed))
    if strange:
        raise Malformed("recipe", f"network {network} has no parameter {strange[0]}")
    if not 1 <= inputs <= MOST_INPUTS:
        raise Malformed("recipe", f"a table has 1 to {MOST_INPUTS} values a case")
    if network == "logistic":
        return [inputs, outputs]
    told = {name: _whole(name, params.get(name, str(DEFAULTS[name]))) for name in BOUNDS}
    return [inputs, *[told["hidden"]] * told["layers"], outputs]


def linear_layout(network: str, params: Mapping[str, str], inputs: int, outputs: int) -> Layout:
    """Return the layout of a network of linear layers; arguments and errors as `sizes_of`."""
    return Layout.of(_entries(sizes_of(network, params, inputs, outputs)))


def names_of(sizes: list[int]) -> list[str]:
    """Name the layers: `layer1`, `layer2` …, and the last one `head`."""
    return [f"layer{number}" for number in range(1, len(sizes) - 1)] + ["head"]


def _entries(sizes: list[int]) -> Iterator[dict[str, Any]]:
    for name, (before, after) in zip(names_of(sizes), pairwise(sizes), strict=True):
        bound = f"{1 / math.sqrt(before):.9f}".rstrip("0").rstrip(".")
        start = {"role": "param", "init": {"kind": "uniform", "bound": bound}}
        yield {"name": f"{name}.bias", "shape": [after], **start}
        yield {"name": f"{name}.weight", "shape": [after, before], **start}


def _whole(name: str, text: str) -> int:
    low, high = BOUNDS[name]
    if not text.isdecimal() or not low <= int(text) <= high:
        raise Malformed("recipe", f"network parameter {name} must lie between {low} and {high}")
    return int(text)
