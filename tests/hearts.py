"""Fed-Heart-Disease as four hospitals' own exports: one CSV each, with the given split.

The public files have no header and no patient number: both are put before them here. Which rows are
kept, and for which set, says `heart_split.csv`.
"""

from __future__ import annotations

import csv
from pathlib import Path

from tests.shared import ROOT, shared_data

HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")
COLUMNS = ROOT / "docs" / "examples" / "heart-columns.yaml"
HEADER = (
    *("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach"),
    *("exang", "oldpeak", "slope", "ca", "thal", "num"),
)


def split_of(hospital: str) -> dict[int, str]:
    """Line number of the public file to train or test."""
    with shared_data("flamby", "heart_split.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["site"] == hospital]
    return {int(row["line"]): row["set"] for row in rows}


def write_table(hospital: str, path: Path) -> Path:
    """Write one hospital's table; rows that the published split leaves out are not in it."""
    split = split_of(hospital)
    source = shared_data("tabular", "fed_heart_disease", f"processed.{hospital}.data")
    lines = [line.split(",") for line in source.read_text().split("\n") if line]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("patient", "split", *HEADER))
        for number, cells in enumerate(lines):
            if number in split:
                writer.writerow((f"{hospital}-{number:04d}", split[number], *cells))
    return path
