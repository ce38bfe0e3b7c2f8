"""Lookup tables and windows: stored values become display values, as PS3.3 writes it.

Source: DICOM PS3.3 C.11.1 (Modality LUT), C.11.2 (VOI LUT), C.11.2.1.2 (LINEAR), C.11.2.1.3.1
(SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from compliance.records.reasons import Quarantine
from site_node.imaging.outcomes import Quarantined

FloatArray: TypeAlias = NDArray[np.float64]

DESCRIPTOR = 3
BYTE_BITS = 8
MOST_BITS = 16
WHOLE_TABLE = 65536


@dataclass(frozen=True)
class Table:
    """A lookup table: entries, the stored value of the first, and the largest value it can hold."""

    entries: NDArray[np.uint16]
    first: int
    top: int

    def apply(self, values: FloatArray) -> FloatArray:
        """Look values up; what lies outside takes the first or the last entry."""
        places = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1)
        return self.entries[places.astype(np.int64)].astype(np.float64)


def read_table(item: Any, *, signed: bool, little: bool) -> Table:
    """Read a Modality or VOI LUT item.

    Args:
        item: pydicom data set with LUT Descriptor and LUT Data.
        signed: whether the first mapped value is signed (Pixel Representation).
        little: byte order of the file.

    Raises:
        Quarantined: descriptor and data do not agree.
    """
    shape = _words(item.get("LUTDescriptor"), little=little)
    data = item.get("LUTData")
    if shape is None or data is None or len(shape) != DESCRIPTOR:
        raise Quarantined(Quarantine.LUT_NOT_USABLE)
    count, first, bits = int(shape[0]) or WHOLE_TABLE, int(shape[1]), int(shape[2])
    if signed and first >= WHOLE_TABLE // 2:
        first -= WHOLE_TABLE
    entries = _entries(data, count, little=little)
    if not BYTE_BITS <= bits <= MOST_BITS or entries is None:
        raise Quarantined(Quarantine.LUT_NOT_USABLE)
    return Table(entries, first, 2**bits - 1)


def _entries(data: Any, count: int, *, little: bool) -> NDArray[np.uint16] | None:
    """Exactly `count` entries, whether a writer packed them as bytes or as words."""
    if isinstance(data, bytes) and len(data) in (count, count + count % 2) and count > 1:
        return np.frombuffer(data[:count], np.uint8).astype(np.uint16)
    words = _words(data, little=little)
    return words if words is not None and len(words) == count else None


def _words(value: Any, *, little: bool) -> NDArray[np.uint16] | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        usable = value[: len(value) // 2 * 2]
        return np.frombuffer(usable, "<u2" if little else ">u2").astype(np.uint16)
    numbers = [value] if isinstance(value, int) else list(value)
    try:
        return np.array([int(number) & 0xFFFF for number in numbers], np.uint16)
    except (TypeError, ValueError):
        return None


def rescale(values: FloatArray, slope: Any, intercept: Any) -> FloatArray:
    """Apply Rescale Slope and Intercept; a missing one is 1 or 0.

    Raises:
        Quarantined: a number is not finite, or the slope is zero: every tissue would look alike.
    """
    a, b = number(slope, 1.0), number(intercept, 0.0)
    if a == 0:
        raise Quarantined(Quarantine.NUMBER_NOT_USABLE)
    return values * a + b


def number(value: Any, missing: float) -> float:
    """A finite number from a DICOM value.

    Raises:
        Quarantined: it is no number, several, or not finite.
    """
    if value is None or value == "":
        return missing
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise Quarantined(Quarantine.NUMBER_NOT_USABLE) from None
    if not math.isfinite(found):
        raise Quarantined(Quarantine.NUMBER_NOT_USABLE)
    return found


def window(values: FloatArray, center: float, width: float, function: str) -> FloatArray:
    """Map values through a window to [0, 1].

    Args:
        values: after the Modality LUT, in its unit (HU for CT).
        center: middle of the window, same unit.
        width: of the window, same unit, above 0 (LINEAR: at least 1).
        function: LINEAR, LINEAR_EXACT or SIGMOID; anything else counts as LINEAR, the default.
    """
    if function == "SIGMOID":
        exponent = np.clip(-4 * (values - center) / width, -700, 700)
        return np.asarray(1 / (1 + np.exp(exponent)), np.float64)
    if function == "LINEAR_EXACT":
        return np.asarray(np.clip((values - center) / width + 0.5, 0, 1), np.float64)
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    scaled = (values - (center - 0.5)) / (width - 1) + 0.5
    return np.asarray(np.clip(scaled, 0, 1), np.float64)
