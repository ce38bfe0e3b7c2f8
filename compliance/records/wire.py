"""How an order and its answer travel through Flower: record names, and one form for a vector.

A vector travels as a version 1 `.npy` file with exactly the header below. The reader makes that
header itself and compares, so nothing of a stranger's header is ever parsed or unpickled.

Source: design/federation.md §4.2; numpy.lib.format, version 1.0.
"""

from __future__ import annotations

import struct

from compliance.errors import Malformed

ARRAYS = "a"
"""Name of the ArrayRecord."""
VECTOR = "v"
"""Name of the one array in it."""
WORDS = "c"
"""Name of the ConfigRecord."""
ORDER = "order"
"""Key of an order's bytes."""
NOTES = "notes"
"""Key of an answer's signed notes."""
SHARES, COMMITMENTS, OPENED = "shares", "commitments", "opened"
"""Keys of what travels beside a masked update, and of an answer to `unmask`."""
FLOATS, WORDS_32 = "<f4", "<u4"
"""Types of a vector: of a model or an update, and of a masked update."""

_MAGIC = b"\x93NUMPY\x01\x00"
_ALIGNED = 64


def vector_header(count: int, kind: str = FLOATS) -> bytes:
    """The header of a 32-bit, little-endian vector with `count` values, as numpy writes it."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({count},), }}"
    size = len(_MAGIC) + 2
    padding = -(size + len(text) + 1) % _ALIGNED
    return (
        _MAGIC + struct.pack("<H", len(text) + padding + 1) + (text + " " * padding + "\n").encode()
    )


def vector_file(values: bytes, kind: str = FLOATS) -> bytes:
    """Write the bytes of 32-bit values as a `.npy` file."""
    return vector_header(len(values) // 4, kind) + values


def vector_values(file: bytes, count: int, kind: str = FLOATS) -> memoryview:
    """The bytes of exactly `count` values of a type in a `.npy` file.

    Raises:
        Malformed: another type, order, number of axes or values, or a length that does not fit.
    """
    header = vector_header(count, kind)
    view = memoryview(file)
    if view[: len(header)] != header or len(view) != len(header) + 4 * count:
        raise Malformed("vector", f"it is no {kind} vector of {count} values")
    return view[len(header) :]
