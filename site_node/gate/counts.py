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
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, StringConstraints

from site_node.gate.journal import Journal
from site_node.settings import Settings
from site_node.store import counts as table
from site_node.store.counts import CountRow
from site_node.store.journal import Sessions

Cell = tuple[str, ...]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Age = Literal[
    "0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80+", "unknown"
]  # fmt: skip


class Question(BaseModel):
    """A question of the consortium: closed words, no floor; what is left out may be anything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    modality: Word | None = None
    body_part: Word | None = None
    age: Age | None = None
    sex: Literal["female", "male", "other", "unknown"] | None = None
    label: Word | None = None

    def fits(self, cell: Cell) -> bool:
        """Whether a cell belongs to what is asked."""
        *facts, label = cell
        wanted = (self.modality, self.body_part, self.age, self.sex)
        same = all(word in (None, fact) for word, fact in zip(wanted, facts, strict=True))
        return same and (self.label is None or self.label in label.split("+"))


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
        journal: every answer is written down.
    """

    def __init__(
        self, *, settings: Settings, sessions: Sessions, catalogue: Cells, journal: Journal
    ) -> None:
        self._settings, self._sessions = settings, sessions
        self._catalogue, self._journal = catalogue, journal

    def answer(self, question: Question) -> list[dict[str, Any]]:
        """What would be answered: for each dataset a number of patients, or `<floor`."""
        rows = [self._count(row.name, question) for row in self._catalogue.datasets()]
        asked = question.model_dump(exclude_none=True)
        told = {row["dataset"]: row["patients"] for row in rows}
        self._journal.write("counted", asked=asked, told=told)
        return rows

    def grid(self, dataset: str) -> dict[Cell, int]:
        """Every cell that tells more than nothing; all answers are sums over these."""
        floor, exact = self._settings.min_cell, self._catalogue.cells(dataset)
        with self._sessions.begin() as session:
            known = {_cell(row.cell): row for row in table.counts_of(session, dataset)}
            rows = retold(dataset, known, exact, floor)
            table.keep_counts(session, rows.values())
            return {cell: row.told for cell, row in sorted(rows.items()) if row.told}

    def _count(self, dataset: str, question: Question) -> dict[str, Any]:
        floor = self._settings.min_cell
        found = sum(told for cell, told in self.grid(dataset).items() if question.fits(cell))
        patients = str(found) if found else f"<{floor}"
        return {"dataset": dataset, "patients": patients, "floor": floor}


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
