"""Ranks of the updates of the newest rounds: kept beside a study's models, shown to people.

They are the hub's own observation and no record: nothing follows from them.

Source: design/federation.md §5.2.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MOST_ROUNDS = 10
FILE = "scores.json"


class ScoreService:
    """Keeps one small file a study.

    Args:
        folder: of a study's files.
    """

    def __init__(self, folder: Callable[[str], Path]) -> None:
        self._folder = folder

    def keep(self, study: str, number: int, ranks: Mapping[str, list[int]]) -> None:
        """Keep the ranks of a round; older than ten rounds are dropped."""
        if not ranks:
            return
        rounds = {row["round"]: row for row in self._read(study)}
        rounds[number] = {"round": number, "ranks": dict(ranks)}
        kept = [rounds[one] for one in sorted(rounds)[-MOST_ROUNDS:]]
        path = self._folder(study) / FILE
        part = path.with_suffix(".part")
        part.write_text(json.dumps(kept), encoding="ascii")
        part.replace(path)

    def of(self, study: str) -> dict[str, Any]:
        """How conspicuous each hospital's updates were: 0 always the most ordinary, 1 never.

        Three measures a round: norm, distance to the median, Krum.
        """
        rounds = self._read(study)
        found: dict[str, list[float]] = {}
        for row in rounds:
            for site, places in row["ranks"].items():
                share = (math.fsum(places) / len(places) - 1) / (len(row["ranks"]) - 1)
                found.setdefault(site, []).append(share)
        means = {site: round(math.fsum(all_) / len(all_), 3) for site, all_ in found.items()}
        return {"rounds": [row["round"] for row in rounds], "sites": dict(sorted(means.items()))}

    def _read(self, study: str) -> list[dict[str, Any]]:
        path = self._folder(study) / FILE
        try:
            found: list[dict[str, Any]] = json.loads(path.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return []
        return found
