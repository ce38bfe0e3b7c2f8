"""What the database knows of a dataset under a recipe, and the samples that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from site_node.imaging.cases import Case, image_cases, volume_cases
from site_node.imaging.keys import SiteKeys
from site_node.imaging.reading import Place
from site_node.imaging.volumes import Places, volumes_of
from site_node.store import geometry, masks, objects, samples
from site_node.store.journal import Transaction
from site_node.store.masks import MaskRow
from site_node.store.objects import ObjectRow


@dataclass(frozen=True)
class Held:
    """What the database knows of a dataset under a recipe."""

    rows: Sequence[ObjectRow]
    places: Places
    samples: dict[str, list[int]]
    masks: dict[str, MaskRow]


def held(session: Transaction, place: Place) -> Held:
    """Read all of it."""
    here = place.dataset, place.examined_as
    return Held(
        rows=objects.rows_of(session, *here),
        places=geometry.geometry_of(session, *here),
        samples=samples.rows_by_object(session, *here),
        masks=masks.masks_by_key(session, *here),
    )


def cases_of(there: Held, place: Place, keys: SiteKeys) -> list[Case]:
    """The samples of a dataset."""
    if place.recipe.solid:
        volumes = volumes_of(there.rows, there.places, place.recipe, keys)
        return volume_cases(volumes, there.samples)
    return image_cases(there.rows, there.samples)
