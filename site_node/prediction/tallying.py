"""What a run came to, file by file: counts, words of the closed list, no path and no name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from site_node.imaging.results.reading import LeftOut

SHOWN = 12


@dataclass
class Tally:
    """What a run came to; every file is in one of the counts."""

    predicted: int = 0
    written: int = 0
    counted: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    left_out: list[LeftOut] = field(default_factory=list)

    def plain(self, skipped_before: Counter[str], files: int) -> dict[str, Any]:
        """For people and machines: counts, words of the closed list, first digits of hashes."""
        reasons = Counter(row.word for row in self.left_out if row.quarantined)
        skipped = Counter(row.word for row in self.left_out if not row.quarantined)
        skipped.update(skipped_before)
        return {
            "files": files,
            "predicted": self.predicted,
            "written": self.written,
            "counted": self.counted,
            "quarantined": reasons.total(),
            "skipped": skipped.total(),
            "reasons": dict(sorted(reasons.items())),
            "skipped_because": dict(sorted(skipped.items())),
            "left_out": [
                {"file": row.file.sha256[:SHOWN], "reason": row.word}
                for row in self.left_out
                if row.quarantined
            ],
            "classes": dict(sorted(self.classes.items())),
        }
