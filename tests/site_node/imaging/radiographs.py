"""Real radiographs with names drawn into them, and a reader for tests that only knows white."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from site_node.imaging.deid.burned_in import Box, Bytes, Seen
from tests.shared import shared_data

SIZES = (9, 12, 16, 24)
WHITE = 255
WRITTEN_ON = ("436a6348", "61bc50d1", "865336ed", "a38e1877", "bfefde5d")
"""Radiographs that say `Bettaufnahme` or `liegend`: seen by eye, and true finds of the reader."""

SURNAMES = (
    "SCHNEIDER", "HOFFMANN", "KOWALSKI", "LINDQVIST", "OKONKWO", "FERREIRA", "NAKAMURA",
    "VANDERBERG", "PETROVIC", "MCALLISTER", "HERNANDEZ", "DUBOIS", "ROSSI", "YILDIRIM",
    "ANDERSSON", "KELLER",
)  # fmt: skip
FONT = "DejaVuSans.ttf"


@cache
def unwritten() -> tuple[np.ndarray, ...]:
    """All radiographs without a word on them, 8 bits, (H, 640); markers such as L stay."""
    files = sorted(shared_data("imaging", "hannover_cxr", "png").glob("*.png"))
    kept = [path for path in files if path.stem not in WRITTEN_ON]
    return tuple(np.asarray(Image.open(path).convert("L")) for path in kept)


def sixteen() -> tuple[np.ndarray, ...]:
    """Every second of them, 16."""
    return unwritten()[::2][:16]


def written_on() -> list[np.ndarray]:
    """Radiographs on which a hospital has written something."""
    folder = shared_data("imaging", "hannover_cxr", "png")
    return [np.asarray(Image.open(folder / f"{name}.png").convert("L")) for name in WRITTEN_ON]


def font(size: int) -> Any:
    """A font of so many pixels; Pillow's own where DejaVu is not installed."""
    try:
        return ImageFont.truetype(FONT, size)
    except OSError:
        return ImageFont.load_default(size)


def with_name(
    picture: np.ndarray, number: int, size: int, ink: int = WHITE
) -> tuple[np.ndarray, Box]:
    """Draw a name and a birth date at a place that depends on number and size.

    Returns:
        The picture, and the box of the surname.
    """
    surname = SURNAMES[number % len(SURNAMES)]
    text = f"{surname}^ANNA 19{50 + number % 40}0{1 + number % 9}1{number % 10}"
    drawn = Image.fromarray(picture)
    pen, letters = ImageDraw.Draw(drawn), font(size)
    wide, high = (round(side) for side in pen.textbbox((0, 0), text, font=letters)[2:])
    chance = np.random.default_rng((number, size))
    left = int(chance.integers(2, max(3, drawn.width - wide - 2)))
    top = int(chance.integers(2, max(3, drawn.height - high - 2)))
    pen.text((left, top), text, font=letters, fill=ink)
    x0, y0, x1, y1 = (round(end) for end in pen.textbbox((left, top), surname, font=letters))
    return np.asarray(drawn), Box(y0, x0, y1, x1)


def sees_white(tile: Bytes) -> list[Seen]:
    """A reader for tests: all solid white of a tile is one line with a name."""
    solid = np.asarray(Image.fromarray(tile[..., 1]).filter(ImageFilter.MinFilter(9))) > 240
    return sees(solid, 4)


def sees_light(tile: Bytes) -> list[Seen]:
    """The same for everything that is not black."""
    return sees(tile[..., 1] > 0)


def sees(light: np.ndarray, around: int = 0) -> list[Seen]:
    """One line with a name over all that is light."""
    rows, columns = np.nonzero(light)
    if not len(rows):
        return []
    x0, x1 = columns.min() - around, columns.max() + around
    y0, y1 = rows.min() - around, rows.max() + around
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float32)
    return [Seen(corners, "SCHNEIDER", 0.9)]
