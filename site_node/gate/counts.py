"""Counts only: how many patients of a kind are here, so that nobody can be told apart by asking.

Each dataset has one fixed grid of cells. A cell tells its patients rounded down to a multiple of
this hospital's own floor, so none and too few look the same. Every answer is a sum over cells as
they are told: two questions, subtracted, give a sum of told cells again and nothing besides. Asking
twice brings no more: a grid is looked at anew only after a floor's worth of patients has changed,
and a cell moves only when a floor's worth has changed in it. A new floor rounds what was told, not
what is there. The asker names no floor.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from compliance.records.counts import CountsAsked
from site_node.gate.journal import Journal
from site_node.settings import Settings
from site_node.store import counts as table
from site_node.store.counts import CountRow
from site_node.store.journal import Sessions

Cell = tuple[str, ...]
Told = dict[str, int | None]
"""Patients by dataset; None where they are fewer than the floor, or none."""


def fits(question: CountsAsked, cell: Cell) -> bool:
    """Whether a cell belongs to what is asked."""
    *facts, label = cell
    wanted = (question.modality, question.body_part, question.age, question.sex)
    same = all(word in (None, fact) for word, fact in zip(wanted, facts, strict=True))
    return same and (question.label is None or question.label in label.split("+"))


class Cells(Protocol):
    """What the gate needs to know of the catalogue."""

    def datasets(self) -> list[Any]:
        """Summaries of all datasets."""

    def cells(self, name: str) -> dict[Cell, int]:
        """Exact numbers of patients by cell."""


class Counts:
    """Answers questions by counts that are told, never by what is there.

    Args:
        settings: the own floor (`min_cell`), tightened by the policy.
        sessions: the site's database, where told cells are kept.
        catalogue: exact cells.
        journal: every look of the steward is written down.
        least: the smallest floor of the consortium's agreement, 0 where there is none.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        sessions: Sessions,
        catalogue: Cells,
        journal: Journal,
        least: Callable[[], int] = lambda: 0,
    ) -> None:
        self._settings, self._sessions = settings, sessions
        self._catalogue, self._journal, self._least = catalogue, journal, least

    @property
    def floor(self) -> int:
        """This hospital's own floor, never below the one that all have agreed."""
        return max(self._settings.min_cell, self._least())

    def told(self, question: CountsAsked) -> Told:
        """What is told of each dataset: sums over told cells."""
        names = [row.name for row in self._catalogue.datasets()]
        return {name: self._sum(name, question) for name in names}

    def answer(self, question: CountsAsked) -> list[dict[str, Any]]:
        """What would be answered: for each dataset a number of patients, or `<floor`."""
        floor = self.floor
        told = words_of(self.told(question), floor)
        asked = question.model_dump(exclude_none=True)
        self._journal.write("counted", asked=asked, told=told)
        return [{"dataset": name, "patients": n, "floor": floor} for name, n in told.items()]

    def grid(self, dataset: str) -> dict[Cell, int]:
        """Every cell that tells more than nothing; all answers are sums over these."""
        floor, exact = self.floor, self._catalogue.cells(dataset)
        with self._sessions.begin() as session:
            known = {_cell(row.cell): row for row in table.counts_of(session, dataset)}
            rows = retold(dataset, known, exact, floor)
            table.keep_counts(session, rows.values())
            return {cell: row.told for cell, row in sorted(rows.items()) if row.told}

    def _sum(self, dataset: str, question: CountsAsked) -> int | None:
        cells = self.grid(dataset).items()
        return sum(told for cell, told in cells if fits(question, cell)) or None


def words_of(told: Told, floor: int) -> dict[str, str]:
    """Numbers as people read them: what is below the floor says so."""
    return {name: f"<{floor}" if n is None else str(n) for name, n in told.items()}


def retold(
    dataset: str, known: Mapping[Cell, CountRow], exact: Mapping[Cell, int], floor: int
) -> dict[Cell, CountRow]:
    """The grid as it is told from now on.

    Args:
        dataset: name of the dataset.
        known: cells as they were told before.
        exact: patients by cell now.
        floor: this hospital's own floor.
    """
    cells = sorted({*known, *exact})
    before = {cell: _rounded(known.get(cell), dataset, cell, floor) for cell in cells}
    changed = sum(abs(exact.get(cell, 0) - before[cell].seen) for cell in cells)
    if changed < floor:
        return before
    return {cell: _moved(before[cell], exact.get(cell, 0)) for cell in cells}


def _rounded(row: CountRow | None, dataset: str, cell: Cell, floor: int) -> CountRow:
    """A cell under the floor of today: what was told is rounded, what is there is not asked."""
    told, there, seen = (row.told, row.there, row.seen) if row else (0, 0, 0)
    return CountRow(
        dataset=dataset, cell=json.dumps(cell), floor=floor,
        told=told // floor * floor, there=there, seen=seen,
    )  # fmt: skip


def _moved(row: CountRow, exact: int) -> CountRow:
    row.seen = exact
    if abs(exact - row.there) >= row.floor:
        row.told, row.there = exact // row.floor * row.floor, exact
    return row


def _cell(text: str) -> Cell:
    return tuple(json.loads(text))


def grid_lines(cells: Iterable[tuple[Cell, int]]) -> list[str]:
    """A told grid for people."""
    return [f"  {told:>8}  {' '.join(cell)}" for cell, told in cells]
