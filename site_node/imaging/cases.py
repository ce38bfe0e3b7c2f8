"""The samples of a dataset, told from what is held: images or volumes, their labels, their masks.

Pure. A case without its pixels in the shards yet has no place and is in no version.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from site_node.imaging.keys import SiteKeys
from site_node.imaging.planes import FloatArray
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.volumes import Places, Volume, Volumes
from site_node.store.masks import MaskRow
from site_node.store.objects import HELD, SEGMENTATION, ObjectRow


@dataclass(frozen=True)
class Case:
    """One sample.

    Args:
        row: the object that speaks for it: patient, label, facts.
        members: every object that is part of it.
        identity: its keyed name.
        place: row of the shards; None when it is not there yet.
        pixels: keyed hash of its content.
        frame: which frame of the object it is; 0 for a volume.
        volume: the volume that it is, if it is one.
        label: class numbers; None when there is no label.
        mask: row of the mask shards, -1 when there is none.
        mask_key: keyed name of the mask; empty when there is none.
    """

    row: ObjectRow
    members: tuple[ObjectRow, ...]
    identity: str
    place: int | None
    pixels: str
    frame: int = 0
    volume: Volume | None = None
    label: tuple[int, ...] | None = None
    mask: int = -1
    mask_key: str = ""

    def affine(self, recipe: ImportRecipe) -> FloatArray | None:
        """Where the sample lies in the patient; None for an image."""
        return self.volume.affine(recipe) if self.volume else None


def image_cases(rows: Iterable[ObjectRow], places: Mapping[str, list[int]]) -> list[Case]:
    """Every frame that is held, with the label of its object."""
    return [
        Case(
            row=row,
            members=(row,),
            identity=f"{row.instance_key}/{frame}",
            place=place,
            pixels=str(row.pixels),
            frame=frame,
            label=None if row.label is None else tuple(row.label),
        )
        for row in rows
        if row.outcome == HELD
        for frame, place in enumerate(places.get(row.sha256, []))
    ]


def volume_cases(volumes: Volumes, places: Mapping[str, list[int]]) -> list[Case]:
    """Every volume, with the label of its series."""
    return [
        Case(
            row=volume.row,
            members=volume.rows,
            identity=volume.key,
            place=places[volume.key][0] if volume.key in places else None,
            pixels=volume.content,
            volume=volume,
            label=None if volume.row.label is None else tuple(volume.row.label),
        )
        for volume in volumes.found
    ]


@dataclass(frozen=True)
class Drawn:
    """A case and the segmentations that were drawn on it; `key` names both."""

    case: Case
    segmentations: tuple[ObjectRow, ...]
    key: str


def drawn_cases(
    cases: Iterable[Case], rows: Iterable[ObjectRow], places: Places, keys: SiteKeys
) -> list[Drawn]:
    """Find the segmentations of every case, in the order of their names.

    By reference to one of its images; without any reference, by patient and frame of reference.
    One that looked for none of the wanted classes says nothing.
    """
    by_image, by_space = _segmentations(rows, places)
    found = []
    for case in cases:
        there = {
            one.sha256: one
            for row in case.members
            for one in by_image.get((row.patient_key, row.instance_key), ())
        }
        space = places.get(case.row.sha256, {}).get("space") if case.volume else None
        near = by_space.get((case.row.patient_key, space), []) if space else []
        if case.volume:
            there = {sha: one for sha, one in there.items() if places[sha]["space"] == space}
        there |= {one.sha256: one for one in near}
        if there:
            ordered = sorted(there.values(), key=lambda one: str(one.instance_key))
            names = [[one.instance_key, one.pixels] for one in ordered]
            told = json.dumps([case.identity, case.pixels, names]).encode()
            found.append(Drawn(case, tuple(ordered), keys.leaf(told).hex()))
    return found


_Found = dict[tuple[str | None, str | None], list[ObjectRow]]


def _segmentations(rows: Iterable[ObjectRow], places: Places) -> tuple[_Found, _Found]:
    by_image: _Found = {}
    by_space: _Found = {}
    for row in rows:
        place = places.get(row.sha256, {})
        if row.outcome != SEGMENTATION or not place.get("classes"):
            continue
        for image in place["images"]:
            by_image.setdefault((row.patient_key, image), []).append(row)
        if not place["images"] and place["space"]:
            by_space.setdefault((row.patient_key, place["space"]), []).append(row)
    return by_image, by_space


def masked(
    cases: Sequence[Case], drawn: Iterable[Drawn], masks: Mapping[str, MaskRow]
) -> list[Case]:
    """Give each case its mask and, as its label, which classes are in it."""
    found = {one.case.identity: masks[one.key] for one in drawn if one.key in masks}
    told = []
    for case in cases:
        mask = found.get(case.identity)
        if mask is None or mask.row is None:
            told.append(replace(case, label=None))
        else:
            told.append(replace(case, label=tuple(mask.classes), mask=mask.row, mask_key=mask.key))
    return told
