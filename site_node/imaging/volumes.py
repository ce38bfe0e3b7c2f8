"""Volumes of a dataset, told from what is held: the same answer on every run and in any order.

Pure: rows in, volumes and reasons out. A volume is named by its slices and their pixels, so that
a series that grows becomes another volume.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from compliance.records.reasons import Quarantine
from site_node.imaging.contradictions import DUPLICATE
from site_node.imaging.grid import Axis, affine_of, axes_of
from site_node.imaging.keys import SiteKeys
from site_node.imaging.planes import FloatArray, Plane
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.series import Frame, Stack, sort_series
from site_node.store.objects import HELD, ObjectRow

Places: TypeAlias = Mapping[str, dict[str, Any]]


@dataclass(frozen=True)
class Volume:
    """One volume: its slices in order, the objects that hold them, its keyed name and content."""

    stack: Stack
    rows: tuple[ObjectRow, ...]
    key: str
    content: str

    @property
    def row(self) -> ObjectRow:
        """The object that speaks for the volume: the one of the first slice."""
        return self.rows[0]

    def axes(self, recipe: ImportRecipe) -> tuple[Axis, Axis, Axis]:
        """How its grid becomes the recipe's."""
        wanted = recipe.spacing or self.stack.spacing
        return axes_of(self.stack.shape, self.stack.spacing, recipe.size, wanted)

    def affine(self, recipe: ImportRecipe) -> FloatArray:
        """Where the sample lies: maps slice, row, column to LPS in mm."""
        return affine_of(self.stack.affine, self.axes(recipe))


@dataclass
class Volumes:
    """Volumes, and why other objects are in none, by content hash."""

    found: list[Volume] = field(default_factory=list)
    out: dict[str, str] = field(default_factory=dict)


def volumes_of(
    rows: Iterable[ObjectRow], places: Places, recipe: ImportRecipe, keys: SiteKeys
) -> Volumes:
    """Divide what is held into volumes.

    Args:
        rows: all objects of the dataset.
        places: where their frames lie, by content hash.
        recipe: says how many slices a volume has at least.
        keys: name volumes without telling what is in them.
    """
    told = Volumes()
    for series in _by_series(rows, places):
        held = {row.sha256: row for row in series}
        judged = sort_series(_frames(series, places), recipe.min_slices)
        for reason, frames in judged.out.items():
            told.out |= {frame.source: reason.value for frame in frames}
        for stack in judged.stacks:
            told.found.append(_volume(stack, held, keys))
    for volume in told.found:
        for row in volume.rows:
            told.out.pop(row.sha256, None)
    return _without_twins(told)


def _by_series(rows: Iterable[ObjectRow], places: Places) -> list[list[ObjectRow]]:
    found: dict[tuple[str | None, ...], list[ObjectRow]] = defaultdict(list)
    for row in rows:
        if row.outcome == HELD and places.get(row.sha256, {}).get("planes"):
            found[row.patient_key, row.study_key, row.series_key].append(row)
    return list(found.values())


def _frames(series: Sequence[ObjectRow], places: Places) -> list[Frame]:
    return [
        Frame(row.sha256, number, Plane.of(plane))
        for row in series
        for number, plane in enumerate(places[row.sha256]["planes"])
    ]


def _volume(stack: Stack, held: dict[str, ObjectRow], keys: SiteKeys) -> Volume:
    rows = tuple({frame.source: held[frame.source] for frame in stack.frames}.values())
    pixels = [[held[frame.source].pixels, frame.number] for frame in stack.frames]
    names = [held[frame.source].instance_key for frame in stack.frames]
    content = keys.leaf(json.dumps(pixels).encode()).hex()
    return Volume(stack, rows, keys.leaf(json.dumps([names, content]).encode()).hex(), content)


def _without_twins(told: Volumes) -> Volumes:
    """One volume twice is one; under two patients it is nobody's."""
    twins: dict[str, list[Volume]] = defaultdict(list)
    for volume in sorted(told.found, key=lambda volume: volume.key):
        twins[volume.content].append(volume)
    kept = []
    for same in twins.values():
        if len({volume.row.patient for volume in same}) > 1:
            _put_out(told, same, Quarantine.SAME_IMAGE_TWO_PATIENTS.value)
            continue
        kept.append(same[0])
        _put_out(told, same[1:], DUPLICATE)
    return Volumes(sorted(kept, key=lambda volume: volume.key), told.out)


def _put_out(told: Volumes, volumes: Sequence[Volume], reason: str) -> None:
    for volume in volumes:
        told.out |= {row.sha256: reason for row in volume.rows}
