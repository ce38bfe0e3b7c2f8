"""Layers that stay at a hospital: which entries of a layout they are, told by the layout alone.

`norm`: normalisation layers with their statistics (FedBN, Li et al. 2021, arXiv 2102.07623).
`head`: the layers whose shape follows the number of outputs (Arivazhagan et al. 2019,
arXiv 1912.00818). Both are read off the document: a normalisation starts with a scale of ones.

Source: design/federation.md §6.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from compliance.errors import Malformed
from compliance.records.layout import Constant, Layout, LayoutEntry
from compliance.records.types import Record

Layers = Literal["norm", "head"]


class Personal(Record):
    """Which layers stay at each hospital, in its own store, and never travel."""

    layers: Layers


def parted(
    layout_at: Callable[[int], Layout], outputs: int, layers: Layers
) -> tuple[Layout, Layout]:
    """Split a layout into what travels and what stays.

    Args:
        layout_at: the whole layout for a number of outputs.
        outputs: of the recipe.
        layers: which stay.

    Raises:
        Malformed: the network has no such layers, or no others.
    """
    whole = layout_at(outputs)
    stays = _norms(whole) if layers == "norm" else _heads(whole, layout_at(outputs + 1))
    here = [entry for entry in whole.entries if _module(entry) in stays]
    away = [entry for entry in whole.entries if _module(entry) not in stays]
    if not here or not any(entry.role == "param" for entry in away):
        raise Malformed("recipe", f"its network has no {layers} layers beside others: personal")
    return _layout(away), _layout(here)


def _norms(whole: Layout) -> set[str]:
    return {
        _module(entry)
        for entry in whole.entries
        if entry.name.endswith("weight")
        and len(entry.shape) == 1
        and isinstance(entry.init, Constant)
        and entry.init.value == "1"
    }


def _heads(whole: Layout, wider: Layout) -> set[str]:
    other = {entry.name: entry.shape for entry in wider.entries}
    return {_module(entry) for entry in whole.entries if other[entry.name] != entry.shape}


def _module(entry: LayoutEntry) -> str:
    return entry.name.rpartition(".")[0]


def _layout(entries: list[LayoutEntry]) -> Layout:
    return Layout.of(
        {"name": e.name, "shape": e.shape, "role": e.role, "init": e.init.plain()} for e in entries
    )
