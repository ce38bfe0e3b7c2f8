"""The grammar of values that stay: dates that move, times, ages, numbers, and nothing else.

What does not fit its grammar is no number and no date, whatever its type letters say, and is
emptied: a name in a number's place would leave otherwise.

Source: DICOM PS3.5 §6.2.
"""

from __future__ import annotations

import datetime as dt
import re

DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})", re.ASCII)
DATETIME = re.compile(
    r"(\d{4})(\d{2})?(\d{2})?((?:\d{2}){0,3}(?:\.\d{1,6})?)([+-]\d{4})?", re.ASCII
)
TIME = re.compile(r"\d{2}(:?\d{2}(:?\d{2}(\.\d{1,6})?)?)?", re.ASCII)
AGE = re.compile(r"(\d{3})([DWMY])", re.ASCII)
DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
WHOLE = re.compile(r"[+-]?\d{1,12}", re.ASCII)
MOST_DECIMAL = 16
ELDEST, ELDEST_WORD = 90, "090Y"
DAYS = {"D": 1, "W": 7, "M": 30, "Y": 365}
INFANT_YEARS = 2


def moved_date(text: str, days: int) -> str:
    """The date so many days earlier as YYYYMMDD; empty when it is no date."""
    found = DATE.fullmatch(text)
    day = _day(found[1], found[2], found[3]) if found else None
    return _back(day, days)


def moved_datetime(text: str, days: int) -> str:
    """The moment so many days earlier, as precise as it was; empty when it is none."""
    found = DATETIME.fullmatch(text)
    if found is None:
        return ""
    year, month, day, clock, zone = found.groups()
    moved = _back(_day(year, month or "07", day or ("15" if month else "01")), days)
    if not moved:
        return ""
    kept = 8 if day else 6 if month else 4
    return moved[:kept] + (clock if day else "") + (zone or "")


def time_or_nothing(text: str) -> str:
    """A time of day as it is; empty when it is none."""
    return text if TIME.fullmatch(text) else ""


def age_or_nothing(text: str) -> str:
    """An age as it is, from 90 on `090Y`; empty when it is none."""
    found = AGE.fullmatch(text)
    if found is None:
        return ""
    return ELDEST_WORD if int(found[1]) * DAYS[found[2]] >= ELDEST * DAYS["Y"] else text


def age_between(born: str, seen: str) -> str:
    """The age on a day, in years, for infants in months; empty when a date is none."""
    dates = [DATE.fullmatch(text) for text in (born, seen)]
    days = [_day(date[1], date[2], date[3]) if date else None for date in dates]
    if days[0] is None or days[1] is None or days[1] < days[0]:
        return ""
    first, last = days[0], days[1]
    months = (last.year - first.year) * 12 + last.month - first.month - (last.day < first.day)
    if months < INFANT_YEARS * 12:
        return f"{months:03}M"
    return age_or_nothing(f"{min(months // 12, 999):03}Y")


def decimal_or_nothing(text: str) -> str:
    """A decimal number as text; empty when it is none."""
    return text if len(text) <= MOST_DECIMAL and DECIMAL.fullmatch(text) else ""


def whole_or_nothing(text: str) -> str:
    """A whole number as text; empty when it is none."""
    return text if WHOLE.fullmatch(text) else ""


def _day(year: str, month: str, day: str) -> dt.date | None:
    try:
        return dt.date(int(year), int(month), int(day))
    except ValueError:
        return None


def _back(day: dt.date | None, days: int) -> str:
    if day is None or day.toordinal() <= days:
        return ""
    earlier = day - dt.timedelta(days=days)
    return f"{earlier:%Y%m%d}".rjust(8, "0")
