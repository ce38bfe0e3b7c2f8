"""Frames of series for tests: places only, no pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from site_node.imaging.planes import Plane
from site_node.imaging.series import Frame, Sorted, sort_series

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def plane(position: Sequence[float], orientation: Sequence[float] = AXIAL, **changes: Any) -> Plane:
    """One plane of 4 rows and 6 columns, 0.5 mm by 0.8 mm."""
    told = {"rows": 4, "columns": 6, "spacing": (0.5, 0.8), "words": ("AXIAL",)} | changes
    return Plane(tuple(position), tuple(orientation), **told)


def stack_of(
    heights: Sequence[float], orientation: Sequence[float] = AXIAL, **changes: Any
) -> list[Frame]:
    """Planes at heights along their normal, above (-10, -20, 30), in that order."""
    normal = np.cross(orientation[:3], orientation[3:])
    places = [np.array([-10, -20, 30]) + height * normal for height in heights]
    return [
        Frame(f"{number:02d}", 0, plane(place, orientation, **changes))
        for number, place in enumerate(places)
    ]


def judge(frames: Sequence[Frame], least: int = 4) -> Sorted:
    """Sort a series that needs four slices."""
    return sort_series(frames, least)


def reasons(frames: Sequence[Frame], least: int = 4) -> dict[str, int]:
    """How many frames stay out, by reason."""
    return {reason.value: len(out) for reason, out in judge(frames, least).out.items()}
