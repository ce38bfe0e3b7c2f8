"""Layout templates: the order in which a network's values are packed, and how they start.

The hub has no torch. So the networks are written down once, as JSON in compliance/records/layouts,
and a test compares them with the real `state_dict`. `python -m site_node.training.layouts --write`
rewrites them, `--check` compares and changes nothing.

Source: design/federation.md §4.1.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compliance import canonical
from compliance.records.families import FAMILIES, FLAT
from compliance.records.layout import layout_file
from compliance.records.recipe import network_layout, read_recipe
from site_node.training.networks import NETWORKS, build

_ONE_CLASS, _OTHER = 1, 5


def folder(kind: str) -> Path:
    """Return the folder of the installed `layouts` or `recipes`."""
    return Path(str(resources.files("compliance.records").joinpath(kind)))


def template(network: str, channels: int, dims: int = FLAT) -> dict[str, Any]:
    """Describe a network's values for any number of outputs.

    Two builds with different numbers of outputs are compared: an axis that follows the number is
    written as "classes". Integer buffers are left out.

    Returns:
        `{"v", "network", "channels", "entries": [{"name", "shape", "role", "init"}]}`, parameters
        first, each section sorted by the bytes of its names; `dims` where it is for volumes.
    """

    def made(outputs: int) -> nn.Module:
        return build(network, {}, channels=channels, outputs=outputs, dims=dims)

    told = {"v": 1, "network": network, "channels": channels, "entries": entries_of(made)}
    return told if dims == FLAT else told | {"dims": dims}


def entries_of(made: Callable[[int], nn.Module]) -> list[dict[str, Any]]:
    """Describe the values of a network for any number of outputs.

    Args:
        made: builds the network for so many outputs.
    """
    one, other = made(_ONE_CLASS), made(_OTHER).state_dict()
    starts = _starts(one)
    params = {name for name, _ in one.named_parameters()}
    entries = [
        {
            "name": name,
            "shape": _shape(value, other[name]),
            "role": "param" if name in params else "buffer",
            "init": starts.get(name) or _start_of_buffer(name),
        }
        for name, value in one.state_dict().items()
        if value.is_floating_point()
    ]
    entries.sort(key=lambda entry: (entry["role"] != "param", str(entry["name"]).encode()))
    return entries


def _shape(value: torch.Tensor, other: torch.Tensor) -> list[int | str]:
    return [
        "classes" if size != wide else size
        for size, wide in zip(value.shape, other.shape, strict=True)
    ]


def _starts(network: nn.Module) -> dict[str, dict[str, Any]]:
    """Give every parameter its start: He for convolutions, 1/sqrt(fan in) for heads, ones, zeros.

    Normal initialisers are written as the uniform of equal variance (bound = sd * sqrt 3).
    """
    starts: dict[str, dict[str, Any]] = {}
    for prefix, module in network.named_modules():
        for name, value in module.named_parameters(recurse=False):
            starts[f"{prefix}.{name}".lstrip(".")] = _start(module, name, value)
    return starts


def _start(module: nn.Module, name: str, value: torch.Tensor) -> dict[str, Any]:
    if name == "bias":
        return {"kind": "const", "value": "0"}
    if isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d):
        return _uniform(math.sqrt(6 / (value[:, 0].numel())))
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        return _uniform(math.sqrt(6 / value[0].numel()))
    if isinstance(module, nn.Linear):
        return _uniform(1 / math.sqrt(value[0].numel()))
    return {"kind": "const", "value": "1"}


def _uniform(bound: float) -> dict[str, Any]:
    return {"kind": "uniform", "bound": f"{bound:.9f}".rstrip("0").rstrip(".")}


def _start_of_buffer(name: str) -> dict[str, Any]:
    return {"kind": "const", "value": "1" if name.endswith("running_var") else "0"}


def template_files() -> dict[Path, bytes]:
    """Return the layout template of every network, for every form in which it may be asked for."""
    return {
        folder("layouts") / layout_file(network, channels, dims): canonical.encode(
            template(network, channels, dims)
        )
        + b"\n"
        for network in NETWORKS
        for channels, dims in FAMILIES[network].layouts()
    }


def recipe_files() -> dict[Path, bytes]:
    """Return every shipped recipe in canonical form, with the layout hash its network has now."""
    files = {}
    for path in sorted(folder("recipes").glob("*.json")):
        document = json.loads(path.read_bytes())
        recipe = read_recipe(document)
        named = {**document, "layout_sha256": network_layout(recipe).sha256}
        files[path] = canonical.encode(named) + b"\n"
    return files


def main(arguments: list[str]) -> int:
    """Write or compare templates, then recipes; 1 when `--check` finds a stale file."""
    write, stale = "--write" in arguments, 0
    for files in (template_files, recipe_files):
        for path, data in files().items():
            if path.exists() and path.read_bytes() == data:
                continue
            stale += 1
            sys.stdout.write(f"{'written' if write else 'stale'}: {path.name}\n")
            if write:
                path.write_bytes(data)
    return 1 if stale and not write else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
