"""One cell of a table: a number within its range, a word of a closed list, or out.

No text of a cell goes any further than these functions: what comes back is a number or a reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from compliance.records.reasons import Quarantine
from site_node.imaging.facts import UNKNOWN, decade_of
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.tabular.columns import LONGEST, NUMBER, Column, Columns, word_of

OLDEST = 130
MISSING = math.nan
"""A value that is not there and may be filled."""


def values_of(column: Column, text: str, columns: Columns) -> list[float]:
    """Turn a cell into the values of a case: a number, or an indicator per level but the first.

    Args:
        column: what the cell means.
        text: the cell, without blanks around it.
        columns: the whole description: words for "missing", decimal mark.

    Returns:
        `column.width` values; NaN where a missing one is to be filled.

    Raises:
        Quarantined: missing, no number, out of range, or a word that is not listed.
    """
    if text in columns.missing_words:
        if column.missing == "out":
            raise Quarantined(Quarantine.VALUE_MISSING)
        return [MISSING] * column.width
    if column.values is not None:
        place = place_of(text, column.places)
        return [float(place == number) for number in range(1, len(column.values))]
    value = number_of(text, columns.decimal)
    if not float(column.low or 0) <= value <= float(column.high or 0):
        raise Quarantined(Quarantine.VALUE_OUT_OF_RANGE)
    return [value]


def number_of(text: str, decimal: str) -> float:
    """Read a number as a spreadsheet writes it.

    Raises:
        Quarantined: it is no finite number in plain digits.
    """
    plain = text.replace(",", ".") if decimal == "," and "." not in text else text
    if len(text) > LONGEST or not NUMBER.fullmatch(plain) or math.isinf(float(plain)):
        raise Quarantined(Quarantine.NUMBER_NOT_USABLE)
    return float(plain)


def place_of(text: str, places: Mapping[str, int]) -> int:
    """Find the place of a word in a closed list.

    Raises:
        Quarantined: it is not in the list.
    """
    place = places.get(word_of(text))
    if place is None:
        raise Quarantined(Quarantine.VALUE_NOT_LISTED)
    return place


def person_of(cells: Mapping[str, str], columns: Columns) -> tuple[tuple[str, str], ...]:
    """Whom a row is about, as a header of an image would say it: `sex` and `age`, closed words.

    Args:
        cells: of the row, by the header of the file.
        columns: the whole description; without `groups` nothing is told.
    """
    said = columns.groups
    if said is None:
        return ()
    found = []
    if said.sex is not None:
        found.append(("sex", said.sex.places.get(word_of(cells[said.sex.column]), UNKNOWN)))
    if said.age is not None:
        found.append(("age", _decade(cells[said.age], columns.decimal)))
    return tuple(found)


def _decade(text: str, decimal: str) -> str:
    try:
        years = number_of(text, decimal)
    except Quarantined:
        return UNKNOWN
    return decade_of(int(years)) if 0 <= years <= OLDEST else UNKNOWN
