"""How the catalogue holds a million real series: rows in, counts out, memory.

Source are the series headers of the Imaging Data Commons (package idc-index-data, fetched with
`pip download` beside the environment, or given with --index). Each header becomes closed words and
keyed values as an import makes them, is judged against the rows before it, and is committed in the
order of hashes, as an import's are, with the store's own full sync, STEP rows a transaction (what
an import of files commits is bounded by its pixels, at most 256); labels are given as the CSV
would give them.

Run: `.venv/bin/python -m tests.benchmarks.bench_catalogue [--index FILE.parquet]`.
The bar (acceptance h of the hospital's node): rows in ≤ 60 s, counts ≤ 0.5 s, memory ≤ 1 GB.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from compliance.records.counts import CountsAsked
from site_node.gate.counts import Counts
from site_node.gate.journal import Journal
from site_node.imaging.catalogue import Catalogue
from site_node.imaging.cells import as_lists, patients_by_cell
from site_node.imaging.contradictions import Contradictions
from site_node.imaging.facts import facts_of
from site_node.imaging.keys import SiteKeys
from site_node.settings import Settings
from site_node.store import objects, versions
from site_node.store.journal import Sessions, close_store
from site_node.store.objects import HELD, NewObject
from site_node.store.schema import open_store
from site_node.store.versions import VersionRow

BARS = {"import_seconds": 60, "count_seconds": 0.5, "memory_mb": 1024}
COLUMNS = ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "BodyPartExamined",
           "PatientSex", "PatientAge", "StudyDate", "TransferSyntaxUID"]  # fmt: skip
STEP = 1 << 16
DATASET, RECIPE = "idc", "series"
TASK = {"kind": "binary", "classes": ["normal", "pneumonia"]}
SUMMARY = ("patients", "modality", "body_part", "description_sha256", "quality_sha256", "deid")


def main(words: list[str]) -> int:
    """Print one JSON object with every figure beside its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, help="idc_index.parquet, when it is at hand")
    parser.add_argument("--rows", type=int, help="only so many series")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="consilium-bench-") as folder:
        index = asked.index or fetched(Path(folder))
        told = measure(Path(folder) / "home", index, asked.rows)
    print(json.dumps(told | {"bars": BARS}))
    return 0 if all(told[name] <= bar for name, bar in BARS.items()) else 1


def fetched(folder: Path) -> Path:
    """The index out of the newest package, which is unpacked and not installed."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    subprocess.run([*command, "idc-index-data"], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        return Path(packed.extract("idc_index_data/idc_index.parquet", folder))


def measure(home: Path, index: Path, most: int | None) -> dict[str, Any]:
    """Fill a site's store, then ask it."""
    home.mkdir(mode=0o700)
    gc.set_threshold(2 * STEP)  # a bulk of rows has no circles to look for
    sessions = open_store(home / "site.sqlite")
    began, worked = time.monotonic(), time.process_time()
    count = fill(sessions, index, most)
    told: dict[str, Any] = {
        "rows": count,
        "import_seconds": round(time.monotonic() - began, 1),
        "import_cpu_seconds": round(time.process_time() - worked, 1),
    }
    told |= ask(home, sessions)
    close_store(sessions)
    told["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return told | {"database_mb": (home / "site.sqlite").stat().st_size >> 20}


def fill(sessions: Sessions, index: Path, most: int | None) -> int:
    """Every series as one object, in batches of the import; then its version."""
    keys, known, batch, count = SiteKeys(b"\7" * 32), Contradictions([]), [], 0
    for header in headers(index, most):
        row = row_of(header, keys)
        known.judge(row)
        batch.append(row)
        count += 1
        if len(batch) == STEP:
            commit(sessions, batch)
            batch = []
    commit(sessions, batch)
    with sessions.begin() as session:
        versions.make_newest(session, version_row(session))
    return count


def headers(index: Path, most: int | None) -> Iterator[dict[str, str]]:
    """What the index says of each series."""
    groups = pq.ParquetFile(index).iter_batches(batch_size=8192, columns=COLUMNS)
    rows = chain.from_iterable(zip(*columns(group), strict=True) for group in groups)
    for values in islice(rows, most):
        yield dict(zip(COLUMNS, values, strict=True))


def columns(group: Any) -> Iterator[list[str]]:
    """Values as a header has them: empty text where nothing is, dates without dashes."""
    for name, values in zip(COLUMNS, group.columns, strict=True):
        told = values.fill_null("")
        if name == "StudyDate":
            told = pc.replace_substring(told, "-", "")
        yield told.to_pylist()


def row_of(header: dict[str, str], keys: SiteKeys) -> NewObject:
    """An object as the import keeps it: closed words, keyed values, a label."""
    facts, findings = facts_of(header, "ct")
    series = header["SeriesInstanceUID"]
    pixels = keys.leaf(series.encode()).hex()
    return NewObject(
        dataset=DATASET, recipe=RECIPE, sha256=pixels, outcome=HELD, pixels=pixels,
        patient=keys.pseudonym("", header["PatientID"]), findings=findings,
        patient_key=keys.match("patient", header["PatientID"]),
        study_key=keys.match("study", header["StudyInstanceUID"]),
        series_key=keys.match("series", series),
        instance_key=keys.match("instance", series),
        facts=facts | {"decoder": "pydicom", "syntax": header["TransferSyntaxUID"]},
        label=[int(pixels[0], 16) % 2],
    )  # fmt: skip


def commit(sessions: Sessions, batch: list[NewObject]) -> None:
    """One transaction, synced, as after each batch of an import."""
    with sessions.begin() as session:
        objects.add_objects(session, sorted(batch, key=lambda row: row.sha256))


def ask(home: Path, sessions: Sessions) -> dict[str, Any]:
    """Seconds of a question for counts, cold and again, and of the lists that people look at."""
    catalogue = Catalogue(home, sessions)
    journal = Journal(sessions=sessions, clock=lambda: datetime.now(UTC))
    counts = Counts(
        settings=Settings(home=home), sessions=sessions, catalogue=catalogue, journal=journal
    )
    question = CountsAsked(modality="ct", body_part="chest", label="pneumonia")
    first, rows = timed(lambda: counts.answer(question))
    again = max(timed(lambda: counts.answer(question))[0] for _ in range(5))
    listed, _ = timed(catalogue.datasets)
    return {
        "first_count_seconds": round(first, 3),
        "count_seconds": round(max(first, again), 3),
        "list_seconds": round(listed, 3),
        "told": rows[0]["patients"],
    }


def timed(act: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and answer."""
    began = time.monotonic()
    answer = act()
    return time.monotonic() - began, answer


def version_row(session: Any) -> VersionRow:
    """The version of everything that is in, with its cells counted as an import counts them."""
    cells = as_lists(patients_by_cell(objects.alike(session, DATASET), TASK))
    summary: dict[str, Any] = dict.fromkeys(SUMMARY, "") | {"cells": cells}
    summary |= {"description": {"task": TASK}, "n_by_split": {}, "positives": {}}
    return VersionRow(dataset=DATASET, version="sha256:0", folder="0", summary=summary)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
