"""The import of a table: from a CSV file to a new version of a curated dataset.

A table is taken as a whole: a version holds exactly the rows of the file that was imported last
under its name. Everything is read and judged before anything is written; the version's folder comes
into being whole, and database and pointer follow. A killed import changes nothing that is seen, and
the same command then ends in the same version.

Source: design/imaging.md §10, §11; docs/decisions/0038.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compliance.canonical import encode, sha256_id
from compliance.errors import NotReady
from site_node.imaging.cells import as_lists, patients_by_cell
from site_node.imaging.croissant import TABLE, Holder, croissant
from site_node.imaging.curate import Version, label_arrays, point_to, write_folder
from site_node.imaging.groups import group_words
from site_node.imaging.importing import LISTING, check_name, free_bytes
from site_node.imaging.keys import SiteKeys, open_keys
from site_node.imaging.quality import exact_counts, images_by_split
from site_node.imaging.shards import check_room
from site_node.imaging.tabular.columns import Columns, read_columns
from site_node.imaging.tabular.opened import VALUES
from site_node.imaging.tabular.reading import read_table
from site_node.imaging.tabular.version import (
    Rows,
    assemble,
    deidentification,
    describe,
    sort_out,
)
from site_node.imaging.tally import only_one_import, write_list
from site_node.store import objects, versions
from site_node.store.journal import Sessions, Transaction
from site_node.store.objects import QUARANTINED, NewObject
from site_node.store.versions import VersionRow


@dataclass(frozen=True)
class TableImporter:
    """Imports tables into curated datasets.

    Args:
        home: folder of the site.
        sessions: the site's database.
        floor: smallest count that a description may show.
        random: that many bytes nobody can guess, for the site's secret.
        holder: whom the description names, and under which terms the dataset is held.
        free: free bytes on the disk of a folder.
    """

    home: Path
    sessions: Sessions
    floor: int
    random: Callable[[int], bytes]
    holder: Holder = field(default_factory=Holder)
    free: Callable[[Path], int] = free_bytes

    def run(
        self, table: Path, *, name: str, recipe: Path | None, list_rows: bool = False
    ) -> dict[str, Any]:
        """Import a table; running it again changes nothing.

        Args:
            table: a CSV file.
            name: of the dataset.
            recipe: the description of the columns.
            list_rows: write which row stayed out and why into `quarantine.csv`.

        Raises:
            NotReady: description or file is not usable, no row could be used, the disk is full.
        """
        check_name(name)
        columns = read_columns(recipe)
        with only_one_import(self.home):
            self._check_kind(name, columns)
            keys = open_keys(self.home, self.random)
            rows = sort_out(read_table(table, columns), columns, keys)
            if list_rows:
                listed = [(f"row {row}".encode(), reason) for row, reason in sorted(rows.out)]
                write_list(self.home / LISTING, listed)
            if not rows.held:
                raise _nothing(rows)
            return self._keep(name, columns, rows, keys)

    def _check_kind(self, name: str, columns: Columns) -> None:
        with self.sessions() as session:
            newest = versions.newest(session, name)
        if newest is None:
            return
        told = newest.summary["description"]
        if told["schema"] != TABLE or told["task"] != columns.task:
            held = "images" if told["schema"] != TABLE else "other classes"
            raise NotReady(f"dataset {name} holds {held}.", "Choose another name with --dataset.")

    def _keep(self, name: str, columns: Columns, rows: Rows, keys: SiteKeys) -> dict[str, Any]:
        version, values = assemble(rows, columns, keys)
        terms: dict[str, Any] = {"name": name, "columns": columns, "rows": rows, "keys": keys}
        describe(version, values, **terms, floor=self.floor)
        folder = self._folder(name)
        index = {
            "table": columns.features_id,
            "shape": [columns.width],
            "task": columns.task,
            "patients": [entry.patient for entry in version.entries],
        }
        if columns.groups is not None:
            index["groups"] = group_words([entry.facts for entry in version.entries])
        check_room(self.free(folder), 2 * values.nbytes + (1 << 20))
        with self.sessions.begin() as session:
            newest = versions.newest(session, name)
            is_new = newest is None or newest.version != version.name
            if is_new:
                arrays = label_arrays(version) | {VALUES: values.astype("<f8")}
                write_folder(folder, version, columns, index, arrays)
                versions.make_newest(session, self._row(name, version, columns, keys))
            _keep_reasons(session, name, columns, rows, keys)
        point_to(folder, version.name, version.folder)
        return _report(version, rows, is_new=is_new)

    def _folder(self, name: str) -> Path:
        folder = self.home / "datasets" / name
        for path in (folder.parent, folder):
            path.mkdir(mode=0o700, exist_ok=True)
        for left in folder.glob("*.partial"):
            shutil.rmtree(left, ignore_errors=True)
        return folder

    def _row(self, name: str, version: Version, columns: Columns, keys: SiteKeys) -> VersionRow:
        counts = exact_counts(version, columns.task)
        leaving = croissant(version.description, version.quality, self.holder, self.floor)
        cases = ((row.patient, row.facts, list(row.label), 1) for row in version.entries)
        sick = columns.task["classes"][1] if columns.task["kind"] == "binary" else None
        summary = {
            "n_by_split": counts,
            "patients": version.quality["patients"],
            "positives": {split: row[sick] for split, row in counts.items()} if sick else {},
            "modality": version.description["modality"],
            "body_part": version.description["body_part"],
            "description": version.description,
            "croissant": leaving,
            "description_sha256": sha256_id(encode(leaving)),
            "quality_sha256": sha256_id(encode(version.quality)),
            "deid": deidentification(version, columns, keys),
            "cells": as_lists(patients_by_cell(cases, columns.task)),
        }
        return VersionRow(
            dataset=name, version=version.name, folder=version.folder, summary=summary
        )


def _keep_reasons(
    session: Transaction, name: str, columns: Columns, rows: Rows, keys: SiteKeys
) -> None:
    """Keep why rows stayed out, for `site quarantine`; a keyed name, and nothing of the row."""
    objects.forget_dataset(session, name)
    objects.add_objects(
        session,
        (
            NewObject(
                dataset=name,
                recipe=columns.sha256,
                sha256=keys.leaf(f"{name}/row/{row}".encode()).hex(),
                outcome=QUARANTINED,
                reason=reason,
            )
            for row, reason in rows.out
        ),
    )


def _nothing(rows: Rows) -> NotReady:
    found = rows.reasons | dict(rows.skipped)
    why = ", ".join(f"{reason} {n}" for reason, n in sorted(found.items())) or "it has no row"
    return NotReady(
        f"none of {rows.seen} rows could be used ({why}).",
        "Compare the table with its description: names, ranges, words, decimal mark; "
        "--list-files writes which row stayed out and why.",
    )


def _report(version: Version, rows: Rows, *, is_new: bool) -> dict[str, Any]:
    return {
        "dataset": version.description["name"],
        "version": version.name,
        "new_version": is_new,
        "summary": "a new version" if is_new else "nothing new: the same version as before",
        "rows": rows.seen,
        "imported": rows.held,
        "quarantined": len(rows.out),
        "skipped": rows.skipped.total(),
        "reasons": rows.reasons,
        "skipped_because": dict(sorted(rows.skipped.items())),
        "patients": version.quality["patients"],
        "cases": images_by_split(version),
        "columns": version.description["intensity"],
        "quality": version.quality["findings"],
    }
