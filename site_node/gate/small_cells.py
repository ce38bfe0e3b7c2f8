"""Counts of groups and bins: nothing is told from which a small group could be worked out.

Parts of a whole give each other away: 200 patients, 197 of them women, and three men are known.
Where a part is hidden, the smallest parts beside it are hidden as well, until those that are hidden
have together no fewer than the floor: patients, positives and negatives. A part without anybody is
hidden like one with too few, and looks the same.

Source: design/federation.md §9; complementary suppression as in official statistics (Hundepool et
al. 2012, Statistical Disclosure Control, §4.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from compliance.records.measures import BINS, CALIBRATION, POINT, RATED, Part, part_of

Cells = Mapping[str, Mapping[str, Any]]
Sides = tuple[int | None, ...]
"""Positives and negatives, each where it is told."""

FIELDS = ("value", "low", "high", "n", "positives")
SCORED = (*RATED, "ece", "brier", "loss")
"""Values that rest on every patient of a split."""


@dataclass(frozen=True)
class Count:
    """How many patients, and how many of them positive where that is said."""

    n: int
    positives: int | None

    def less(self, others: list[Count]) -> list[int]:
        """What is left without others: patients, and positives and negatives if told."""
        left = [self.n - sum(row.n for row in others)]
        if self.positives is None or any(row.positives is None for row in others):
            return left
        positives = self.positives - sum(row.positives or 0 for row in others)
        return [*left, positives, left[0] - positives]


def hide_parts(cells: Cells, floor: int) -> dict[str, dict[str, Any]]:
    """Hide the groups and bins from which others could be worked out.

    Args:
        cells: values by name as they would be shown; a part with a small count is null already.
        floor: the smallest count that may be known.

    Returns:
        The same names; what is hidden is null in every field.
    """
    shown = {name: dict(cell) for name, cell in cells.items()}
    parts = {name: part for name in cells if (part := part_of(name)) is not None}
    for family in sorted({part.family for part in parts.values()}):
        mine = {name: part for name, part in parts.items() if part.family == family}
        gone = _given_away(shown, mine, floor)
        told = {name for name, part in mine.items() if part.word not in gone}
        if family == CALIBRATION and _point_splits(shown, told, floor):
            gone = {part.word for part in mine.values()}
        for name, part in mine.items():
            if part.word in gone:
                shown[name] = dict.fromkeys(FIELDS)
    return shown


def _point_splits(cells: Cells, told: Set[str], floor: int) -> bool:
    """Whether the operating point and the bins together tell of a few patients between them.

    Sensitivity and specificity say how many scores lie above the threshold, the bins how many lie
    above each tenth: the difference lies between the two. Nobody there looks like too few, unless
    the threshold is a tenth itself.
    """
    for prefix in sorted({name.partition(CALIBRATION)[0] for name in told}):
        whole = _scored(cells, prefix)
        if whole is None or _on_a_tenth(cells.get(prefix + POINT)):
            continue
        rows = [_count(cells[prefix + name]) if prefix + name in told else None for name in BINS]
        above = _above(cells, prefix, *whole)
        below = tuple(
            None if up is None else count - up for count, up in zip(whole, above, strict=True)
        )
        for known, side in ((rows[::-1], above), (rows, below)):
            if any(0 <= gap < floor for gap in _gaps(known, side)):
                return True
    return False


def _on_a_tenth(cell: Mapping[str, Any] | None) -> bool:
    """Whether the threshold is an end of a bin; a charter that lists none has one half."""
    value = None if cell is None else cell["value"]
    return cell is None or (value is not None and Decimal(value) * 10 % 1 == 0)


def _scored(cells: Cells, prefix: str) -> tuple[int, int] | None:
    """All positives and negatives whose scores are told of; None where nothing says how many."""
    for name in SCORED:
        cell = cells.get(prefix + name)
        if cell is not None and cell["n"] is not None and cell["positives"] is not None:
            return cell["positives"], cell["n"] - cell["positives"]
    return None


def _above(cells: Cells, prefix: str, positives: int, negatives: int) -> Sides:
    """How many positives and negatives lie above the threshold, as far as values tell."""

    def times(name: str, count: int) -> int | None:
        cell = cells.get(prefix + name)
        told = None if cell is None else cell["value"]
        return None if told is None else round(Decimal(told) * count)

    hits, spared = times("sensitivity", positives), times("specificity", negatives)
    right = times("accuracy", positives + negatives)
    if right is not None and hits is None and spared is not None:
        hits = right - spared
    if right is not None and spared is None and hits is not None:
        spared = right - hits
    return hits, None if spared is None else negatives - spared


def _gaps(rows: Sequence[Count | None], side: Sides) -> Iterator[int]:
    """Positives, and negatives, between the threshold and the end of each told bin.

    Args:
        rows: bins from one end of the scores on; what follows a hidden one cannot be added up.
        side: how many lie between that end and the threshold.
    """
    up = (0, 0)
    for row in rows:
        if row is None or row.positives is None:
            return
        up = up[0] + row.positives, up[1] + row.n - row.positives
        yield from (abs(total - sums) for total, sums in zip(side, up, strict=True)
                    if total is not None)  # fmt: skip


def _given_away(cells: Cells, parts: Mapping[str, Part], floor: int) -> set[str]:
    """The words of one family that are not told."""
    found: dict[str, Count | None] = {}
    for name, part in parts.items():
        found[part.word] = found.get(part.word) or _count(cells[name])
    hidden = {word for word, row in found.items() if row is None}
    told = {word: row for word, row in found.items() if row is not None}
    whole = _whole(cells, parts)
    while told and not _safe(told, whole, floor, hides=bool(hidden)):
        smallest = min(told, key=lambda word: (told[word].n, word))
        hidden.add(smallest)
        del told[smallest]
    return hidden


def _whole(cells: Cells, parts: Mapping[str, Part]) -> Count | None:
    """All patients of which these are parts, as another value of the same report tells them."""
    names = sorted({part.measure for part in parts.values()} - set(parts)) or list(SCORED)
    counts = [_count(cells[name]) for name in [*names, *SCORED] if name in cells]
    return next((row for row in counts if row is not None), None)


def _count(cell: Mapping[str, Any]) -> Count | None:
    return None if cell["n"] is None else Count(cell["n"], cell["positives"])


def _safe(told: Mapping[str, Count], whole: Count | None, floor: int, *, hides: bool) -> bool:
    """Whether what is not told is nothing at all, or as large as what may be known."""
    if whole is None:
        return not hides
    left = whole.less(list(told.values()))
    if left[0] == 0 and not hides:
        return True
    return min(left) >= floor
