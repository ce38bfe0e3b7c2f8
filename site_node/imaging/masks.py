"""Pieces of segmentations laid onto images: the class of every voxel, or a contradiction.

A piece finds its slice by geometry (same directions, nearest place), its radiograph by reference.
What is drawn twice with different classes, or by two segmentations, cannot be known: refused.

Source: design/imaging.md §8; DICOM PS3.3 C.8.20.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from site_node.imaging.grid import Axis, slice_nearest
from site_node.imaging.planes import Plane
from site_node.imaging.segmentation import Piece
from site_node.imaging.series import Stack

Mask: TypeAlias = NDArray[np.uint8]

PARALLEL = 1e-3
CLOSE = 1e-3


class Overlap(Exception):
    """Two segments claim the same voxel."""


class Unmatched(Exception):
    """A segmentation does not lie on the image."""


@dataclass(frozen=True)
class Drawing:
    """One segmentation object: its pieces, and their pixels (pieces, rows, columns), 0 or 1."""

    pieces: Sequence[Piece]
    pixels: NDArray[np.uint8]

    def on(self, chosen: Sequence[int], image: Plane | None, shape: tuple[int, ...]) -> Mask:
        """The classes that the chosen pieces draw on one image (rows, columns).

        Raises:
            Overlap: two classes on one pixel.
            Unmatched: without planes, sizes differ.
        """
        mask = np.zeros(shape, np.uint8)
        for number in chosen:
            piece, drawn = self.pieces[number], self.pixels[number]
            if image is not None and piece.plane is not None:
                drawn = lay(drawn, piece.plane, image)
            if drawn.shape != mask.shape:
                raise Unmatched
            _add(mask, drawn, piece.kind)
        return mask


def merge(masks: Sequence[Mask]) -> Mask:
    """Masks of several segmentations on one image.

    Raises:
        Overlap: two of them claim a pixel; which is right nobody here can know.
    """
    whole = masks[0].copy()
    for mask in masks[1:]:
        if np.any((whole != 0) & (mask != 0)):
            raise Overlap
        whole |= mask
    return whole


def _add(mask: Mask, drawn: Mask, kind: int) -> None:
    inside = drawn != 0
    taken = mask[inside]
    if np.any((taken != 0) & (taken != kind)):
        raise Overlap
    mask[inside] = kind


def lay(drawn: Mask, piece: Plane, image: Plane) -> Mask:
    """Pixels of a piece on the grid of a parallel image, nearest neighbour; 0 outside."""
    away = np.array(image.position) - np.array(piece.position)
    rows = _indices(float(away @ piece.down), image.spacing[0], image.rows, piece.spacing[0])
    columns = _indices(float(away @ piece.along), image.spacing[1], image.columns, piece.spacing[1])
    down, across = (_inside(rows, drawn.shape[0]), _inside(columns, drawn.shape[1]))
    result = np.zeros((image.rows, image.columns), np.uint8)
    result[np.ix_(down, across)] = drawn[np.ix_(rows[down], columns[across])]
    return result


def _indices(away: float, step: float, count: int, spacing: float) -> NDArray[np.intp]:
    return np.floor((away + np.arange(count) * step) / spacing + 0.5).astype(np.intp)


def _inside(indices: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    return np.flatnonzero((indices >= 0) & (indices < size))


def pieces_by_slice(stack: Stack, pieces: Sequence[Piece]) -> list[list[int]]:
    """Which pieces lie on each slice of a stack; of every class those that are nearest.

    Raises:
        Unmatched: a piece has no plane or is not parallel, or all of them lie elsewhere.
    """
    first, spacing = stack.frames[0].plane, stack.spacing[0]
    if not all(piece.plane and _parallel(piece.plane, first) for piece in pieces):
        raise Unmatched
    normal = first.normal
    places = np.array([np.array(piece.plane.position) @ normal for piece in pieces if piece.plane])
    reach = np.array([max(spacing, piece.step or 0.0) / 2 + CLOSE for piece in pieces])
    kinds = np.array([piece.kind for piece in pieces])
    found = [
        _nearest(places, reach, kinds, float(np.array(frame.plane.position) @ normal))
        for frame in stack.frames
    ]
    if pieces and not any(found):
        raise Unmatched
    return found


def _nearest(
    places: NDArray[Any], reach: NDArray[Any], kinds: NDArray[Any], place: float
) -> list[int]:
    away = np.abs(places - place)
    chosen: list[int] = []
    for kind in np.unique(kinds):
        near = (kinds == kind) & (away <= reach)
        if near.any():
            chosen += np.flatnonzero(near & (away <= away[near].min() + CLOSE)).tolist()
    return sorted(chosen)


def _parallel(one: Plane, other: Plane) -> bool:
    return bool(np.allclose(one.orientation, other.orientation, rtol=0, atol=PARALLEL))


def pieces_of_image(pieces: Sequence[Piece], images: set[str], frame: int) -> list[int]:
    """Which pieces were drawn on an image, by reference.

    Args:
        pieces: of a segmentation; their references are in the same words as `images`.
        images: the names of this image.
        frame: number of the frame in the image, from 1.
    """
    return [
        number
        for number, piece in enumerate(pieces)
        if images & set(piece.images) and (not piece.frames or frame in piece.frames)
    ]


def volume_mask(
    stack: Stack, drawings: Sequence[Drawing], axes: tuple[Axis, Axis, Axis]
) -> Iterator[Mask]:
    """The mask of a volume on the recipe's grid, slice by slice, (rows, columns) each.

    Raises:
        Overlap: two segments claim a voxel.
        Unmatched: a segmentation lies elsewhere.
    """
    slices, rows, columns = axes
    placed = [pieces_by_slice(stack, drawing.pieces) for drawing in drawings]
    nearest, cache = slices.nearest(), (-1, np.zeros((rows.size, columns.size), np.uint8))
    for number in range(slices.size):
        place = number - slices.inside.start
        if not 0 <= place < len(nearest):
            yield np.zeros((rows.size, columns.size), np.uint8)
            continue
        source = int(nearest[place])
        if cache[0] != source:
            cache = source, slice_nearest(_slice(stack, drawings, placed, source), rows, columns)
        yield cache[1]


def _slice(
    stack: Stack, drawings: Sequence[Drawing], placed: Sequence[list[list[int]]], number: int
) -> Mask:
    plane = stack.frames[number].plane
    drawn = [
        drawing.on(pieces[number], plane, (plane.rows, plane.columns))
        for drawing, pieces in zip(drawings, placed, strict=True)
    ]
    return np.ascontiguousarray(stack.turn.apply(merge(drawn)), np.uint8)
