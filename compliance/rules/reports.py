"""What hospitals measured, in the order of the log: kept small, read when somebody asks.

Read records take eight kilobytes each, and a study has one for each hospital and round; as packed
text they take less than one.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from compliance.records.rounds import MetricReported

Answer = TypeVar("Answer")
Report = tuple[int, str, MetricReported]


class Reports:
    """Every `metric.reported` of a study: place in the log, hospital, body."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, str, bytes]] = []

    def append(self, index: int, site: str, body: MetricReported) -> None:
        """Take the next one."""
        text = zlib.compress(body.model_dump_json(by_alias=True).encode())
        self._rows.append((index, sys.intern(site), text))

    def __eq__(self, other: object) -> bool:
        """Two readers of one log have read the same."""
        return isinstance(other, Reports) and self._rows == other._rows

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __len__(self) -> int:
        """How many there are."""
        return len(self._rows)

    def __getitem__(self, place: int) -> Report:
        """One of them."""
        index, site, text = self._rows[place]
        return index, site, _read(text)

    def __iter__(self) -> Iterator[Report]:
        """All of them, in order."""
        for index, site, text in self._rows:
            yield index, site, _read(text)

    def plain(self) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """All of them as JSON values, which is quicker."""
        for index, site, text in self._rows:
            yield index, site, json.loads(zlib.decompress(text))

    def newest(self, answer: Callable[[MetricReported], Answer | None]) -> dict[str, Answer]:
        """By hospital what its newest report answers that answers at all; few are read for it."""
        found: dict[str, Answer] = {}
        for _, site, text in reversed(self._rows):
            if site not in found and (told := answer(_read(text))) is not None:
                found[site] = told
        return found


def _read(text: bytes) -> MetricReported:
    return MetricReported.model_validate_json(zlib.decompress(text))
