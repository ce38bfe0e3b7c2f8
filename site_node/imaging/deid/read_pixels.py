"""Reading one object for text: every frame, and what was found in one is blanked in all.

A name stands in the same corner of a whole film; frames in which it is hard to read are blanked
where another frame was easy. Volumes (CT, MR, PET, nuclear medicine) are not read, unless their
header says that something is written on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from compliance.records.reasons import Quarantine
from site_node.imaging.decode import GREY, PALETTE
from site_node.imaging.deid.burned_in import (
    MARGIN,
    MOST_BLANKED,
    Box,
    Read,
    blank,
    darkest,
    find_text,
    share_of,
    tile_count,
)
from site_node.imaging.facts import CLASSES
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.shape import PixelShape

VOLUMES = frozenset(("ct", "mr", "nm", "pt"))
MORE_PLANES = ("6.2", "7.1", "12.1.1", "12.2.1", "13.1.4", "13.1.5")
ROOT = "1.2.840.10008.5.1.4.1.1."
TILE_COST = 120 << 20
MOST_COST = 600 * TILE_COST
"""What reading may cost, in bytes of decoding that would take as long: 6 s a tile, at most an hour.
"""


@dataclass(frozen=True)
class Film:
    """The frames of one object, and how they look.

    Args:
        shape: size and type of the pixels.
        stored: the stored values of a frame by its number, (H, W) or (H, W, 3).
        header: for its palette.
    """

    shape: PixelShape
    stored: Callable[[int], NDArray[Any]]
    header: Dataset

    def shown(self, index: int) -> NDArray[Any]:
        """A frame as numbers that are larger where it is brighter."""
        return self.bright(self.stored(index))

    def bright(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Stored values as brightness or colours.

        Raises:
            Quarantined: the palette is damaged.
        """
        if self.shape.photometric == GREY[0]:
            return -stored.astype(np.int64)
        if self.shape.photometric != PALETTE:
            return stored
        try:
            return apply_color_lut(stored, self.header)
        except Exception:  # noqa: BLE001 - a damaged palette raises many things
            raise Quarantined(Quarantine.LUT_NOT_USABLE) from None

    def blanked(self, stored: NDArray[Any], boxes: tuple[Box, ...]) -> NDArray[Any]:
        """A frame whose boxes hold the value of its own darkest pixel."""
        return blank(stored, boxes, stored[darkest(self.bright(stored))]) if boxes else stored

    @property
    def cost(self) -> int:
        """What reading it may cost, in bytes of decoding; each frame may be read in two views."""
        tiles = 2 * tile_count(self.shape.rows, self.shape.columns) * self.shape.frames
        return min(tiles * TILE_COST, MOST_COST)


@dataclass(frozen=True)
class Sight:
    """How a child sees pictures.

    Args:
        read: the reader of text; None looks at no picture.
        allow: told what decoding and reading will cost, in bytes of decoding.
    """

    read: Read | None = None
    allow: Callable[[int], None] = lambda _: None

    def sees(self, sop_class: str, told: str) -> bool:
        """Whether the pixels of an object are read; see `is_read`."""
        return self.read is not None and is_read(sop_class, told)

    def boxes(self, film: Film) -> tuple[Box, ...]:
        """What is to be blanked; nothing when there is no reader.

        Raises:
            Quarantined: too much is written there.
        """
        if self.read is None:
            return ()
        self.allow(film.cost)
        return read_film(film, self.read)


BLIND = Sight()


def is_read(sop_class: str, told: str) -> bool:
    """Whether an object is read: a picture of a plane, or its header admits writing.

    Args:
        sop_class: UID of its class.
        told: Burned In Annotation.
    """
    kind = CLASSES.get(sop_class, "").split("-")[0]
    plane = bool(kind) and kind not in VOLUMES
    return plane or sop_class.removeprefix(ROOT) in MORE_PLANES or told.strip().upper() == "YES"


def read_film(film: Film, read: Read) -> tuple[Box, ...]:
    """Find text in every frame.

    Returns:
        Boxes of all frames together, with margin.

    Raises:
        Quarantined: so much is written there that too little picture would be left, or the pixels
            are single bits.
    """
    found: list[Box] = []
    for index in range(film.shape.frames):
        shown = film.shown(index)
        rest = blank(shown, found, shown[darkest(shown)], margin=0)
        found += [box.grown(MARGIN) for box in find_text(rest, read)]
        if share_of(found, film.shape.rows, film.shape.columns) > MOST_BLANKED:
            raise Quarantined(Quarantine.BURNED_IN_TEXT)
    if found and film.shape.allocated == 1:
        raise Quarantined(Quarantine.BURNED_IN_TEXT)
    return tuple(found)
