"""A version of a table: which cases, which split, what may be said of it, and the hash of it all.

It depends on the rows and this site's secret, never on the order of the rows or the number of
imports. Cases are named and sorted by keyed hashes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compliance.canonical import digest_of
from compliance.errors import NotReady
from compliance.records.reasons import Quarantine
from site_node.imaging.croissant import TABLE as SCHEMA
from site_node.imaging.curate import Entry, Version, root_of, split_of
from site_node.imaging.curated import SPLITS
from site_node.imaging.facts import TABLE, UNKNOWN
from site_node.imaging.keys import SiteKeys
from site_node.imaging.quality import exact_counts, told
from site_node.imaging.tabular.columns import Columns
from site_node.imaging.tabular.reading import Case, Outcome

RULES_EDITION = 1
FILLED, TWICE = "value_filled", "duplicate_row"


@dataclass
class Rows:
    """A table sorted out: usable cases by pseudonym, and why the other rows stay out."""

    cases: dict[str, list[Case]] = field(default_factory=dict)
    out: list[tuple[int, str]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    seen: int = 0

    @property
    def reasons(self) -> dict[str, int]:
        """Rows that stay out, by reason."""
        return dict(sorted(Counter(reason for _, reason in self.out).items()))

    @property
    def held(self) -> int:
        """Rows that are in the dataset."""
        return sum(len(cases) for cases in self.cases.values())


def sort_out(outcomes: Iterable[Outcome], columns: Columns, keys: SiteKeys) -> Rows:
    """Give every row its one place: held, out with a reason, or skipped.

    The same row twice counts once. Two different rows under one patient number are two visits only
    where the description says `several_rows`; otherwise nobody knows whose they are, and all stay
    out.
    """
    rows, places = Rows(), dict[str, dict[Case, int]]()
    for outcome in outcomes:
        rows.seen += 1
        case = outcome.case
        if case is None:
            _leave_out(rows, outcome)
            continue
        mine = places.setdefault(keys.pseudonym(columns.issuer, case.patient), {})
        known = replace(case, patient="")
        if known in mine:
            rows.skipped[TWICE] += 1
        mine.setdefault(known, outcome.row)
    for pseudonym, mine in places.items():
        if len(mine) > 1 and not columns.several_rows:
            rows.out += [(row, Quarantine.PATIENT_TWICE.value) for row in mine.values()]
        else:
            rows.cases[pseudonym] = list(mine)
    return rows


def _leave_out(rows: Rows, outcome: Outcome) -> None:
    if outcome.reason is not None:
        rows.out.append((outcome.row, outcome.reason))
    else:
        rows.skipped[str(outcome.skipped)] += 1


def assemble(rows: Rows, columns: Columns, keys: SiteKeys) -> tuple[Version, NDArray[np.float64]]:
    """Make the entries of a version and the values of its cases, in the same order.

    Returns:
        The version without description, and float64 (n, columns.width); NaN is to be filled.

    Raises:
        NotReady: a patient stands in two splits.
    """
    given = _given(rows)
    found = [
        (_entry(case, patient, given, columns, keys), case.values)
        for patient, cases in rows.cases.items()
        for case in cases
    ]
    found.sort(key=lambda pair: pair[0])
    values = np.array([row for _, row in found], np.float64).reshape(len(found), columns.width)
    version = Version([entry for entry, _ in found], [], split="given" if given else "keyed")
    return version, values


def _entry(
    case: Case, patient: str, given: dict[str, int], columns: Columns, keys: SiteKeys
) -> Entry:
    content = keys.leaf(np.array(case.values, "<f8").tobytes()).hex()
    person = json.dumps(case.person).encode() if case.person else b""
    split = given.get(patient)
    return Entry(
        identity=keys.leaf(f"{patient}/{content}/{case.label}".encode()),
        row=0,
        split=split_of(keys, patient, columns.shares) if split is None else split,
        label=(case.label,),
        patient=patient,
        pixels=keys.leaf(content.encode() + person).hex() if person else content,
        facts={"modality": TABLE, "body_part": columns.body_part, **dict(case.person)},
    )


def _given(rows: Rows) -> dict[str, int]:
    splits = {patient: {case.split for case in cases} for patient, cases in rows.cases.items()}
    torn = sum(len(said) > 1 for said in splits.values())
    if torn:
        raise NotReady(
            f"{torn} patients stand in more than one split of the table.",
            "Give every row of a patient the same split, or leave the column out.",
        )
    said = {patient: next(iter(split)) for patient, split in splits.items()}
    return {patient: SPLITS.index(split) for patient, split in said.items() if split is not None}


def describe(
    version: Version,
    values: NDArray[np.float64],
    *,
    name: str,
    columns: Columns,
    rows: Rows,
    keys: SiteKeys,
    floor: int,
) -> None:
    """Fill in description (may leave) and quality (stays here) of a version.

    Args:
        version: assembled entries.
        values: of their cases.
        name: of the dataset.
        columns: what the columns mean; only hashes of it leave.
        rows: for the reasons of those that stayed out.
        keys: for the root and the blinding.
        floor: smallest count that may be told.
    """
    counts = exact_counts(version, columns.task)
    hidden = any(0 < n < floor for split in counts.values() for n in split.values())
    filled = int(np.isnan(values).any(axis=1).sum())
    findings = rows.reasons | {FILLED: filled} if filled else rows.reasons
    findings |= _unknown_persons(version)
    patients = len(rows.cases)
    description: dict[str, Any] = {
        "schema": SCHEMA,
        "name": name,
        "task": columns.task,
        "recipe": columns.sha256,
        "shape": [columns.width],
        "dtype": "f8",
        "intensity": columns.features_id,
        "modality": [TABLE],
        "body_part": [columns.body_part],
        "split": version.split,
        "patients": told(patients, floor, total_hidden=hidden),
        "samples": {
            split: {word: told(n, floor) for word, n in row.items()}
            for split, row in counts.items()
        },
        "profile": columns.sha256,
        "quality": {word: told(n, floor, total_hidden=hidden) for word, n in findings.items()},
        "root": root_of(version, keys),
    }
    version.description = description | {"version": digest_of(description)}
    version.quality = {
        "schema": "quality/1",
        "version": version.name,
        "patients": patients,
        "samples": counts,
        "findings": findings,
        "distributions": {},
        "blind": keys.blind(f"quality/{version.name}"),
    }


def _unknown_persons(version: Version) -> Counter[str]:
    """How many cases do not say their sex or age, where the description has a column for it."""
    return Counter(
        f"{name}_missing"
        for entry in version.entries
        for name in ("sex", "age")
        if entry.facts.get(name) == UNKNOWN
    )


def deidentification(version: Version, columns: Columns, keys: SiteKeys) -> dict[str, Any]:
    """By which rules persons were taken out, as the dataset's registration says it."""
    report = {
        "rows": len(version.entries),
        "blind": keys.blind(f"deid/{version.name}"),
        "columns": columns.sha256,
    }
    return {
        "profile": TABLE,
        "version": RULES_EDITION,
        "rules_sha256": columns.sha256,
        "report_sha256": digest_of(report),
    }
