"""Layers that stay at a hospital: which entries of a layout they are, told by the layout alone.

`norm`: normalisation layers with their statistics (FedBN, Li et al. 2021, arXiv 2102.07623).
`head`: the layers whose shape follows the number of outputs (Arivazhagan et al. 2019,
arXiv 1912.00818). Both are read off the document: a normalisation starts with a scale of ones.

Source: design/federation.md §6.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from compliance.errors import Malformed
from compliance.records.layout import Constant, Layout, LayoutEntry
from compliance.records.types import Count, Record

Layers = Literal["norm", "head"]
KINDS: dict[str, str] = {
    "norm": "scale, shift and statistics of its normalisations",
    "head": "the last ones, which answer by class",
}


class Personal(Record):
    """Which layers stay at each hospital, in its own store, and never travel.

    `finetune_steps`: steps by which each hospital trains these layers, and no others, on the model
    of the last round before it measures it. A recipe without it does not have the field.
    """

    layers: Layers
    finetune_steps: Annotated[Count, Field(ge=1, le=10_000)] | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_not_asked(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out steps that nobody takes: recipes of before keep their hash."""
        told: dict[str, Any] = plain(self)
        return {name: value for name, value in told.items() if value is not None}

    @property
    def missing(self) -> str:
        """What a released file lacks, in a sentence for whoever gets it."""
        tuned = f", fine-tuned by {self.finetune_steps} steps" if self.finetune_steps else ""
        return (
            f"The file lacks the {self.layers} layers ({KINDS[self.layers]}): each hospital keeps "
            f"its own{tuned}, and they never left it. The numbers are of each hospital's own whole "
            "model: only a hospital that took part can use the model as it was measured. For "
            "anybody else no number of these papers holds."
        )


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
