"""Text that is drawn into pixels: where it stands, and the picture without it.

No tag of DICOM proves that a picture carries no name. A reader of text looks at every frame; what
it reads is blanked. It does not read everything: this is help, not proof.

Source: design/imaging.md §7; DICOM PS3.15 E.3.1 (Clean Pixel Data Option).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes: TypeAlias = NDArray[np.uint8]

LETTERS = 4
SURE = 0.5
MARGIN = 4
MOST_BLANKED = 0.2
CLEAR_SIDE, MOST_ENLARGED = 736, 3.0
MOST_AREA = 1920 * 1600
TILE, OVERLAP, LEAST = 1024, 128, 64
TOP = 255
OUTLIERS = (1.0, 99.0)
NARROW = 0.5
GREY_AXES = 2


@dataclass(frozen=True)
class Seen:
    """One line that the reader saw in a tile.

    Args:
        corners: four points (x, y) in pixels of the tile, shape (4, 2).
        text: what it reads.
        score: how sure it is, 0 to 1.
    """

    corners: NDArray[np.float32]
    text: str
    score: float


Read: TypeAlias = Callable[[Bytes], Sequence[Seen]]
"""Reads one tile: 8 bits, (H, W, 3), at most TILE pixels a side."""


@dataclass(frozen=True)
class Box:
    """A part of a frame in pixels; bottom and right are not in it."""

    top: int
    left: int
    bottom: int
    right: int

    def grown(self, margin: int) -> Box:
        """The same with a margin; it may reach over the edges."""
        return Box(self.top - margin, self.left - margin, self.bottom + margin, self.right + margin)

    def touches(self, other: Box) -> bool:
        """Whether both share a pixel."""
        return (
            self.top < other.bottom
            and other.top < self.bottom
            and self.left < other.right
            and other.left < self.right
        )

    @property
    def place(self) -> tuple[slice, slice]:
        """Where it lies in an array (H, W, …)."""
        return (
            slice(max(self.top, 0), max(self.bottom, 0)),
            slice(max(self.left, 0), max(self.right, 0)),
        )


def find_text(frame: NDArray[Any], read: Read) -> list[Box]:
    """Find text of 4 or more letters or digits, with what stands close to it.

    Shorter text stays: markers such as L, R and AP are part of the picture.

    Args:
        frame: brightness or colours of one frame, (H, W) or (H, W, 3), any whole numbers.
        read: the reader.

    Returns:
        Boxes without margin, in pixels of the frame.
    """
    lines = [line for view in views(frame) for line in _lines(view, read)]
    kept = [box for box, seen in lines if _speaks(seen)]
    return _with_neighbours(kept, [box for box, _ in lines])


def blank(frame: NDArray[Any], boxes: Sequence[Box], ink: Any, margin: int = 0) -> NDArray[Any]:
    """The frame with one value in every box.

    Args:
        frame: (H, W) or (H, W, 3); it is not changed.
        boxes: in pixels.
        ink: a number, or one per colour.
        margin: pixels around each box.
    """
    blanked = frame.copy()
    for box in boxes:
        blanked[box.grown(margin).place] = ink
    return blanked


def share_of(boxes: Sequence[Box], rows: int, columns: int) -> float:
    """The share of a frame that is blanked with these boxes, 0 to 1."""
    return float(blank(np.zeros((rows, columns), np.uint8), boxes, 1).mean())


def darkest(shown: NDArray[Any]) -> tuple[int, int]:
    """Where the darkest pixel is: its stored value is what text is replaced by."""
    grey = shown.sum(axis=-1, dtype=np.int64) if shown.ndim > GREY_AXES else shown
    row, column = divmod(int(np.argmin(grey)), grey.shape[1])
    return row, column


def views(frame: NDArray[Any]) -> Iterator[Bytes]:
    """The frame in 8 bits: its whole range, and its middle where that is much narrower.

    A single bright pixel would make everything else black, text too; a window that cuts both ends
    would hide text among what is cut. So such a frame is read twice.
    """
    low, high = float(frame.min()), float(frame.max())
    yield _spread(frame, low, high)
    inner, outer = (float(end) for end in np.percentile(frame[::2, ::2], OUTLIERS))
    if inner < outer and outer - inner < NARROW * (high - low):
        yield _spread(frame, inner, outer)


def tile_count(rows: int, columns: int) -> int:
    """How many tiles one view of a frame is read in."""
    scale = _scale(rows, columns)
    return len(_starts(round(rows * scale))) * len(_starts(round(columns * scale)))


def _spread(frame: NDArray[Any], low: float, high: float) -> Bytes:
    width = max(high - low, 1.0)
    return np.clip((frame.astype(np.float32) - low) * (TOP / width), 0, TOP).astype(np.uint8)


def _lines(view: Bytes, read: Read) -> Iterator[tuple[Box, Seen]]:
    scale = _scale(*view.shape[:2])
    for top, left, tile in _tiles(_sized(view, scale)):
        for seen in read(tile):
            yield _box(seen.corners, top, left, scale), seen


def _scale(rows: int, columns: int) -> float:
    """Small pictures are enlarged, because small text is read better so; large ones are reduced."""
    enlarged = min(max(CLEAR_SIDE / min(rows, columns), 1.0), MOST_ENLARGED)
    return min(enlarged, math.sqrt(MOST_AREA / (rows * columns)))


def _sized(view: Bytes, scale: float) -> Bytes:
    """A view at a scale, as three colours."""
    if view.ndim == GREY_AXES:
        view = np.repeat(view[..., None], 3, axis=2)
    if scale == 1:
        return view
    size = (max(round(view.shape[1] * scale), 1), max(round(view.shape[0] * scale), 1))
    return np.asarray(Image.fromarray(view).resize(size, Image.Resampling.BICUBIC))


def _tiles(picture: Bytes) -> Iterator[tuple[int, int, Bytes]]:
    """Parts that overlap by more than short text is long: memory does not grow with the picture."""
    rows, columns = picture.shape[:2]
    for top in _starts(rows):
        for left in _starts(columns):
            yield top, left, _padded(picture[top : top + TILE, left : left + TILE])


def _starts(length: int) -> list[int]:
    if length <= TILE:
        return [0]
    count = math.ceil((length - OVERLAP) / (TILE - OVERLAP))
    return [round(part) for part in np.linspace(0, length - TILE, count)]


def _padded(tile: Bytes) -> Bytes:
    missing = [(0, max(LEAST - side, 0)) for side in tile.shape[:2]]
    return np.ascontiguousarray(np.pad(tile, [*missing, (0, 0)], mode="edge"))


def _box(corners: NDArray[np.float32], top: int, left: int, scale: float) -> Box:
    (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
    return Box(
        math.floor((y0 + top) / scale),
        math.floor((x0 + left) / scale),
        math.ceil((y1 + top) / scale) + 1,
        math.ceil((x1 + left) / scale) + 1,
    )


def _speaks(seen: Seen) -> bool:
    return seen.score >= SURE and sum(mark.isalnum() for mark in seen.text) >= LETTERS


def _with_neighbours(kept: list[Box], others: Sequence[Box]) -> list[Box]:
    """Add what stands within one line's height of found text: the rest of a name."""
    found, waiting = list(dict.fromkeys(kept)), list(kept)
    while waiting:
        near = waiting.pop()
        reach = near.grown(near.bottom - near.top)
        for box in others:
            if box not in found and reach.touches(box):
                found.append(box)
                waiting.append(box)
    return found
