"""Which frames of a series make a volume, in which order, and where it lies in the patient.

Order comes from Image Position alone, never from Instance Number or file name. A stack that is
not even is refused by name: the network would learn from a body that is bent, torn or doubled.

Source: design/imaging.md §6; DICOM PS3.3 C.7.6.2.1.1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from compliance.records.reasons import Quarantine
from site_node.imaging.planes import FloatArray, Plane

Array: TypeAlias = NDArray[Any]

LOCALIZER = "LOCALIZER"
EVEN_SHARE, EVEN_MM = 0.01, 0.05
MOST_TILT = 0.5
SAME_PLACE = 0.01
SLACK = 1e-6
X, Y, Z = 0, 1, 2


@dataclass(frozen=True)
class Frame:
    """One frame of one object and its place."""

    source: str
    number: int
    plane: Plane


@dataclass(frozen=True)
class Turn:
    """How a stored slice is turned: first exchange rows and columns, then mirror."""

    exchange: bool = False
    mirror_rows: bool = False
    mirror_columns: bool = False

    def apply(self, image: Array) -> Array:
        """Turn a slice (rows, columns)."""
        turned = image.T if self.exchange else image
        return turned[:: -1 if self.mirror_rows else 1, :: -1 if self.mirror_columns else 1]


@dataclass(frozen=True)
class Stack:
    """A volume: frames in order, and the turn of each.

    `affine` (4, 4) maps slice, row and column of the turned volume to LPS in mm.
    """

    frames: tuple[Frame, ...]
    turn: Turn
    affine: FloatArray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns after the turn."""
        plane = self.frames[0].plane
        sides = (plane.columns, plane.rows) if self.turn.exchange else (plane.rows, plane.columns)
        return (len(self.frames), *sides)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Mm from slice to slice, row to row, column to column."""
        steps = np.linalg.norm(self.affine[:3, :3], axis=0)
        return (float(steps[0]), float(steps[1]), float(steps[2]))


@dataclass
class Sorted:
    """What became of the frames of one series."""

    stacks: list[Stack] = field(default_factory=list)
    out: dict[Quarantine, list[Frame]] = field(default_factory=lambda: defaultdict(list))


def is_localizer(plane: Plane) -> bool:
    """Whether a frame is a scout, by the third value of Image Type."""
    return LOCALIZER in plane.words[:1]


def sort_series(frames: Iterable[Frame], min_slices: int) -> Sorted:
    """Divide the frames of one series into volumes, or say why they are none.

    Args:
        frames: of one series, localizers left out, in any order.
        min_slices: a volume has at least so many.

    Returns:
        Stacks, and the frames that stay out by reason; each frame is in exactly one of them.
    """
    found = Sorted()
    grids = _by_grid(sorted(frames, key=lambda frame: (frame.source, frame.number)))
    most = max((len(grid) for grid in grids), default=0)
    whole = sum(len(grid) for grid in grids)
    for grid in grids:
        if len(grids) > 1 and (len(grid) < min_slices or len(grid) < most or 2 * most <= whole):
            found.out[Quarantine.SERIES_MIXED_GEOMETRY] += grid
            continue
        for group in _by_kind(grid):
            _judge(group, min_slices, found)
    return found


def _by_grid(frames: Sequence[Frame]) -> list[list[Frame]]:
    grids: list[list[Frame]] = []
    for frame in frames:
        for grid in grids:
            if grid[0].plane.same_grid(frame.plane):
                grid.append(frame)
                break
        else:
            grids.append([frame])
    return grids


def _by_kind(grid: Sequence[Frame]) -> list[list[Frame]]:
    """Echoes, b-values, times and kinds of image are volumes of their own.

    Acquisitions are so only where they repeat a place: one long scan may have several, and some
    scanners count each slice.
    """
    kinds: dict[object, list[Frame]] = defaultdict(list)
    for frame in grid:
        kinds[frame.plane.words, frame.plane.numbers].append(frame)
    groups = []
    for kind in kinds.values():
        groups += _by_acquisition(kind) if _repeats(_places(kind)) else [kind]
    return groups


def _by_acquisition(kind: Sequence[Frame]) -> list[list[Frame]]:
    parts: dict[int | None, list[Frame]] = defaultdict(list)
    for frame in kind:
        parts[frame.plane.acquisition].append(frame)
    return list(parts.values())


def _places(frames: Sequence[Frame]) -> FloatArray:
    """Distance of each frame along the normal of the first, in mm."""
    positions = np.array([frame.plane.position for frame in frames])
    return np.asarray(positions @ frames[0].plane.normal, np.float64)


def _repeats(places: FloatArray) -> bool:
    return bool(np.any(np.diff(np.sort(places)) < SAME_PLACE))


def _judge(group: list[Frame], min_slices: int, found: Sorted) -> None:
    reason = None
    if len(group) < max(min_slices, 2):
        reason = Quarantine.SERIES_TOO_SHORT
    elif _repeats(_places(group)):
        reason = Quarantine.SERIES_DUPLICATE_POSITION
    else:
        group = _in_order(group)
        reason = _uneven(group)
    if reason is None:
        found.stacks.append(_stack(group))
    else:
        found.out[reason] += group


def _in_order(group: Sequence[Frame]) -> list[Frame]:
    """From inferior to superior where slices are axial, else along their own normal."""
    places = _places(group)
    if _axial(group[0].plane) and group[0].plane.normal[Z] < 0:
        places = -places
    return [group[int(number)] for number in np.argsort(places, kind="stable")]


def _uneven(group: Sequence[Frame]) -> Quarantine | None:
    """Whether a stack in order is bent or torn: the reason, or None.

    A tilted gantry moves every slice by the same step, but not across itself; a gap is a longer
    step; anything else off the straight line is uneven as well.
    """
    positions = np.array([frame.plane.position for frame in group])
    normal = group[0].plane.normal
    step = (positions[-1] - positions[0]) / (len(group) - 1)
    across = abs(float(step @ normal))
    tilt = np.degrees(np.arctan2(np.linalg.norm(np.cross(step, normal)), across))
    gaps = np.abs(np.diff(positions @ normal))
    usual = float(np.median(gaps))
    limit = max(EVEN_SHARE * usual, EVEN_MM) + SLACK
    line = positions[0] + np.arange(len(group))[:, None] * step
    if np.any(np.abs(gaps - usual) > limit):
        return Quarantine.SERIES_UNEVEN
    if tilt > MOST_TILT:
        return Quarantine.SERIES_TILTED
    if np.any(np.linalg.norm(positions - line, axis=1) > limit):
        return Quarantine.SERIES_UNEVEN
    return None


def _axial(plane: Plane) -> bool:
    return int(np.argmax(np.abs(plane.normal))) == Z


def turn_of(plane: Plane) -> Turn:
    """The turn after which rows of an axial slice grow to posterior, columns to patient left."""
    if not _axial(plane):
        return Turn()
    exchange = int(np.argmax(np.abs(plane.along))) == Y
    along, down = (plane.down, plane.along) if exchange else (plane.along, plane.down)
    return Turn(exchange, mirror_rows=bool(down[Y] < 0), mirror_columns=bool(along[X] < 0))


def _stack(group: Sequence[Frame]) -> Stack:
    """Put the affine together: one column a step of slice, row, column; then the first voxel."""
    plane, turn = group[0].plane, turn_of(group[0].plane)
    first, last = (np.array(frame.plane.position) for frame in (group[0], group[-1]))
    rows, columns = plane.down * plane.spacing[0], plane.along * plane.spacing[1]
    sides = plane.rows, plane.columns
    if turn.exchange:
        rows, columns, sides = columns, rows, (plane.columns, plane.rows)
    if turn.mirror_rows:
        first, rows = first + rows * (sides[0] - 1), -rows
    if turn.mirror_columns:
        first, columns = first + columns * (sides[1] - 1), -columns
    affine = np.eye(4)
    step = (last - np.array(group[0].plane.position)) / (len(group) - 1)
    affine[:3, :3], affine[:3, 3] = np.stack([step, rows, columns], axis=1), first
    return Stack(tuple(group), turn, affine)
