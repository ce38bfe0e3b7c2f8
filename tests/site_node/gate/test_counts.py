"""Counts only: whatever is asked, subtracted, repeated or awaited, nobody is told apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from compliance.records.counts import CountsAsked
from site_node.gate.counts import Cell, Counts, fits, retold
from site_node.store.counts import CountRow
from site_node.wiring import Rooms
from tests.guards import Guard, take_away
from tests.site_node.gate.world import World

FLOOR = 5
PLACES: list[Cell] = [
    ("cr", "chest", age, sex, label)
    for age, sex, label in itertools.product(
        ("60-69", "70-79"), ("female", "male"), ("normal", "pneumonia")
    )
]
WORDS: dict[str, list[str | None]] = {
    "modality": [None, "cr", "ct"],
    "age": [None, "60-69", "70-79"],
    "sex": [None, "female", "male"],
    "label": [None, "normal", "pneumonia"],
}
QUESTIONS = [
    CountsAsked.model_validate(dict(zip(WORDS, words, strict=True)))
    for words in itertools.product(*WORDS.values())
]
HOSPITAL = st.dictionaries(st.sampled_from(PLACES), st.integers(0, 40))
Grid = dict[Cell, CountRow]


def looked(before: Grid, exact: Mapping[Cell, int], floor: int = FLOOR) -> Grid:
    """The grid after a look."""
    return retold("chest", before, exact, floor)


def told(grid: Grid) -> dict[Cell, int]:
    """What may be asked for."""
    return {cell: row.told for cell, row in grid.items() if row.told}


def answers(grid: Grid) -> list[int]:
    """The answers to every question there is."""
    return [
        sum(value for cell, value in told(grid).items() if fits(question, cell))
        for question in QUESTIONS
    ]


def copied(grid: Grid) -> Grid:
    """The rows as a new look reads them from the database."""
    names = ("dataset", "cell", "floor", "told", "there", "seen")
    return {
        cell: CountRow(**{name: getattr(row, name) for name in names}) for cell, row in grid.items()
    }


@given(HOSPITAL)
def test_no_and_too_few_patients_look_the_same(exact: dict[Cell, int]) -> None:
    """A hospital with 1 to 4 patients in some cells answers as one that has none there."""
    none = {cell: n for cell, n in exact.items() if n >= FLOOR}

    assert answers(looked({}, exact)) == answers(looked({}, none))


@given(HOSPITAL)
def test_every_difference_of_two_answers_is_a_multiple_of_the_floor(
    exact: dict[Cell, int],
) -> None:
    """Subtract any answer from any other: less than a floor's worth never remains."""
    found = answers(looked({}, exact))

    assert {abs(one - other) % FLOOR for one in found for other in found} == {0}


@given(HOSPITAL)
def test_what_is_told_follows_from_what_is_rounded(exact: dict[Cell, int]) -> None:
    """Two hospitals that differ below the floor in each cell cannot be told apart at all."""
    rounded = {cell: n // FLOOR * FLOOR for cell, n in exact.items()}
    enough = sum(exact.values()) >= FLOOR <= sum(rounded.values())

    assert not enough or answers(looked({}, exact)) == answers(looked({}, rounded))


@given(HOSPITAL, st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from((-1, 1))), max_size=4))
def test_fewer_changes_than_the_floor_change_no_answer(
    exact: dict[Cell, int], changes: list[tuple[Cell, int]]
) -> None:
    """Asked before and after one patient came or left: the answers are the same."""
    grid = looked({}, exact)
    before = answers(grid)
    settled = {cell: row.seen for cell, row in grid.items()}
    for cell, step in changes:
        settled[cell] = max(0, settled.get(cell, 0) + step)

    assert answers(looked(copied(grid), settled)) == before


@given(HOSPITAL, HOSPITAL)
def test_a_cell_moves_only_when_a_floors_worth_has_changed_in_it(
    first: dict[Cell, int], second: dict[Cell, int]
) -> None:
    """What is new of a cell is about a group, never about the last who came."""
    grid = looked({}, first)
    there = {cell: row.there for cell, row in grid.items()}
    again = looked(copied(grid), second)

    moved = [cell for cell in again if told(again).get(cell) != told(grid).get(cell)]
    assert all(abs(second.get(cell, 0) - there.get(cell, 0)) >= FLOOR for cell in moved)


@given(HOSPITAL, st.integers(1, 40), st.data())
def test_another_floor_tells_nothing_that_was_not_told(
    exact: dict[Cell, int], floor: int, data: st.DataObject
) -> None:
    """Two hospitals with the same answers have the same answers under a new floor as well."""
    other = {cell: n // FLOOR * FLOOR + data.draw(st.integers(0, 4)) for cell, n in exact.items()}
    one, two = looked({}, exact), looked({}, other)
    if answers(one) != answers(two):
        return

    settled = [{cell: row.seen for cell, row in grid.items()} for grid in (one, two)]
    under = [looked(copied(g), s, floor) for g, s in zip((one, two), settled, strict=True)]
    assert answers(under[0]) == answers(under[1])
    assert all(value % floor == 0 for value in answers(under[0]))


@given(HOSPITAL)
def test_nobody_is_counted_who_is_not_there(exact: dict[Cell, int]) -> None:
    """The first answers never say more patients than there are."""
    grid = told(looked({}, exact))

    assert all(value <= exact[cell] for cell, value in grid.items())
    assert (
        all(n < FLOOR or grid.get(cell) for cell, n in exact.items()) or sum(exact.values()) < FLOOR
    )


def _few() -> None:
    exact = dict.fromkeys(PLACES, 8)
    grid = looked({}, exact)
    assert {abs(a - b) % FLOOR for a in answers(grid) for b in answers(grid)} == {0}


def _one_more() -> None:
    grid = looked({}, {PLACES[0]: 4, PLACES[1]: 20})
    before = answers(grid)
    assert answers(looked(copied(grid), {PLACES[0]: 5, PLACES[1]: 20})) == before


def _one_of_a_batch() -> None:
    grid = looked({}, {PLACES[0]: 9, PLACES[1]: 20})
    again = looked(copied(grid), {PLACES[0]: 10, PLACES[1]: 28})
    assert told(again)[PLACES[0]] == told(grid)[PLACES[0]]


def _new_floor() -> None:
    one, two = looked({}, {PLACES[0]: 17}), looked({}, {PLACES[0]: 19})
    assert answers(one) == answers(two)
    again = [looked(copied(one), {PLACES[0]: 17}, 6), looked(copied(two), {PLACES[0]: 19}, 6)]
    assert answers(again[0]) == answers(again[1])


COUNTS = "site_node.gate.counts"
ROUNDED = "row.told = exact // row.floor * row.floor"


@pytest.mark.parametrize(
    ("attack", "guards"),
    [
        (_few, [Guard(f"{COUNTS}:_moved", "if abs(", "row.told = row.there = exact")]),
        (_one_more, [Guard(f"{COUNTS}:retold", "if changed")]),
        (_one_of_a_batch, [Guard(f"{COUNTS}:_moved", "if abs(", ROUNDED)]),
        (
            _new_floor,
            [
                Guard(f"{COUNTS}:retold", "if changed"),
                Guard(f"{COUNTS}:_moved", "if abs(", ROUNDED),
            ],
        ),
    ],
)
def test_an_attack_is_heard_without_its_guard(
    monkeypatch: pytest.MonkeyPatch, attack: Callable[[], None], guards: list[Guard]
) -> None:
    """With the guard the attack learns nothing; without it the very same attack does."""
    attack()
    take_away(monkeypatch, *guards)

    with pytest.raises(AssertionError):
        attack()


class Held:
    """A catalogue with one dataset whose cells a test chooses."""

    def __init__(self, **cells: int) -> None:
        self.exact = {("cr", "chest", "60-69", sex, "normal"): n for sex, n in cells.items()}

    def datasets(self) -> list[Any]:
        """One dataset."""
        return [SimpleNamespace(name="chest")]

    def cells(self, _: str) -> dict[Cell, int]:
        """Its exact cells."""
        return self.exact


def counts_of(rooms: Rooms, held: Held) -> Counts:
    """The gate's counts over that catalogue."""
    return Counts(
        settings=rooms.settings, sessions=rooms.store, catalogue=held, journal=rooms.journal
    )


def test_answers_are_kept_from_one_process_to_the_next(world: World) -> None:
    """What was told is in the database: a restart is no second chance to ask."""
    held = Held(female=9, male=30)
    first = counts_of(world.joined(founded=False), held).answer(CountsAsked(sex="female"))
    held.exact[("cr", "chest", "60-69", "female", "normal")] = 10

    again = counts_of(world.rooms(), held).answer(CountsAsked(sex="female"))

    assert first == again == [{"dataset": "chest", "patients": "5", "floor": 5}]


def test_the_hospitals_own_floor_counts_and_nobody_asks_for_another(world: World) -> None:
    """A stricter setting rounds more; a question has no word for a floor."""
    world.joined(founded=False)
    held = Held(female=9, male=30)

    told = counts_of(world.rooms(min_cell=20), held).answer(CountsAsked())
    assert told == [{"dataset": "chest", "patients": "20", "floor": 20}]
    few = counts_of(world.rooms(min_cell=20), held).answer(CountsAsked(sex="female"))
    assert few[0]["patients"] == "<20"
    with pytest.raises(ValidationError):
        CountsAsked.model_validate({"min_cell": 1})


@pytest.mark.parametrize(
    "words", [{"age": "67"}, {"sex": "F"}, {"label": "Müller"}, {"modality": "cr or ct"}]
)
def test_only_closed_words_can_be_asked(words: dict[str, str]) -> None:
    """No year of age, no free text, no pattern."""
    with pytest.raises(ValidationError):
        CountsAsked.model_validate(words)


def test_every_answer_is_in_the_journal(world: World) -> None:
    """What was asked and what was told; the exact number is not needed there."""
    rooms = world.joined(founded=False)
    counts_of(rooms, Held(female=9)).answer(CountsAsked(sex="female"))

    line = rooms.journal.lines()[-1]
    assert (line["kind"], line["data"]) == (
        "counted", {"asked": {"sex": "female"}, "told": {"chest": "5"}}
    )  # fmt: skip
