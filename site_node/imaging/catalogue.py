"""The catalogue: which curated datasets are here, in which version, and what each may say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compliance.errors import NotReady
from site_node.imaging.cells import Cell, from_lists, patients_by_cell
from site_node.store import objects, versions
from site_node.store.journal import Sessions
from site_node.store.versions import VersionRow

HEX_SHOWN = 12


@dataclass(frozen=True)
class DatasetSummary:
    """One version of a dataset; exact counts are for this hospital, `croissant` may leave."""

    name: str
    version: str
    n_by_split: dict[str, Any]
    patients: int
    positives: dict[str, Any]
    modality: list[str]
    body_part: list[str]
    description: dict[str, Any]
    croissant: dict[str, Any]
    description_sha256: str
    quality_sha256: str
    deid: dict[str, Any]
    dir: Path
    cells: list[list[Any]] | None = None


class Catalogue:
    """Reads what imports committed.

    Args:
        home: folder of the site.
        sessions: the site's database.
    """

    def __init__(self, home: Path, sessions: Sessions) -> None:
        self._home, self._sessions = home, sessions

    def datasets(self) -> list[DatasetSummary]:
        """Every dataset, newest version of each, by name."""
        with self._sessions() as session:
            names = versions.dataset_names(session)
            rows = [versions.newest(session, name) for name in names]
        return [self._summary(row) for row in rows if row is not None]

    def get(self, name: str, version: str | None = None) -> DatasetSummary:
        """One dataset: its newest version, or the one that is named.

        Raises:
            NotReady: it is not here.
        """
        with self._sessions() as session:
            if version is None:
                row = versions.newest(session, name)
            else:
                row = versions.find_version(session, name, version)
        if row is None:
            which = name if version is None else f"{name} in version {version[:19]}…"
            raise NotReady(
                f"no dataset {which} is here.",
                "List them with `consilium site datasets`, or import it.",
            )
        return self._summary(row)

    def cells(self, name: str) -> dict[Cell, int]:
        """Exact numbers of patients of a dataset by cell; they never leave.

        Raises:
            NotReady: it is not here.
        """
        told = self.get(name)
        if told.cells is not None:
            return from_lists(told.cells)
        with self._sessions() as session:
            return patients_by_cell(objects.alike(session, name), told.description["task"])

    def quarantine(self, dataset: str | None = None) -> list[dict[str, Any]]:
        """What stayed out, by reason: count and the first 12 digits of each content hash."""
        with self._sessions() as session:
            found = objects.quarantined(session, dataset)
        groups = Counter((name, reason) for name, reason, _ in found)
        return [
            {
                "dataset": name,
                "reason": reason,
                "count": count,
                "files": [sha[:HEX_SHOWN] for row_name, why, sha in found
                          if (row_name, why) == (name, reason)],
            }
            for (name, reason), count in sorted(groups.items())
        ]  # fmt: skip

    def _summary(self, row: VersionRow) -> DatasetSummary:
        told = row.summary
        return DatasetSummary(
            name=row.dataset,
            version=row.version,
            n_by_split=told["n_by_split"],
            patients=told["patients"],
            positives=told["positives"],
            modality=told["modality"],
            body_part=told["body_part"],
            description=told["description"],
            croissant=told.get("croissant", told["description"]),
            description_sha256=told["description_sha256"],
            quality_sha256=told["quality_sha256"],
            deid=told["deid"],
            dir=self._home / "datasets" / row.dataset / row.folder,
            cells=told.get("cells"),
        )
