"""The time as services take it: a function, bound in wiring, so that tests may turn it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from compliance.records.types import time_text

Clock = Callable[[], datetime]
Random = Callable[[int], bytes]


def text_of(clock: Clock, ahead: timedelta = timedelta()) -> str:
    """The time now (plus `ahead`) as `YYYY-MM-DDTHH:MM:SSZ`."""
    return time_text(clock() + ahead)
