"""The mask of one case on the recipe's grid, from the drawings that belong to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from site_node.imaging.cases import Case
from site_node.imaging.masks import (
    Drawing,
    Mask,
    Unmatched,
    merge,
    pieces_of_image,
    volume_mask,
)
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.resize import fit_mask


def mask_of(
    case: Case, drawings: Sequence[Drawing], place: Mapping[str, Any], recipe: ImportRecipe
) -> Mask:
    """The class of every voxel or pixel, uint8, 0 is none.

    Args:
        case: a volume or an image.
        drawings: the segmentations that were found for it.
        place: what is known of the image's size.
        recipe: size, spacing, fit.

    Raises:
        Overlap: two segments claim a voxel.
        Unmatched: a drawing does not lie on the case.
    """
    if case.volume is not None:
        planes = volume_mask(case.volume.stack, drawings, case.volume.axes(recipe))
        return np.stack(list(planes))
    shape = place["rows"], place["columns"]
    frame = int(place["frames"][case.frame]) + 1
    drawn = []
    for drawing in drawings:
        chosen = pieces_of_image(drawing.pieces, {str(case.row.instance_key)}, frame)
        if drawing.pieces and not chosen:
            raise Unmatched
        drawn.append(drawing.on(chosen, None, shape))
    pixel = place["pixel"] or (1.0, 1.0)
    return fit_mask(merge(drawn), recipe.plane, recipe.fit, (pixel[0], pixel[1]))
