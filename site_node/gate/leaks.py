"""What a membership test said, as the steward's page and the check report show it.

Source: design/federation.md §8.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from compliance.canonical import decode
from compliance.rules.state import StudyState
from site_node.store import predictions as table
from site_node.store.journal import Transaction

NOT_TESTED, LEAKS, HOLDS = "not_tested", "leak_test", "no_leak_found"


@dataclass(frozen=True)
class Held:
    """A dataset of this hospital in the version that the log names."""

    name: str
    version: str


def held_datasets(state: StudyState, site: str) -> list[Held]:
    """This hospital's datasets of a study."""
    versions = state.dataset_versions
    return [
        Held(row.id, versions.get((site, row.id), row.version))
        for row in state.charter.datasets_of(site)
    ]


def kept_tests(
    session: Transaction, state: StudyState, site: str, model: str
) -> list[dict[str, Any]]:
    """The membership tests of a model that were done here, as they are kept."""
    found: Iterator[bytes | None] = (
        table.find_leak_test(session, model, held.version) for held in held_datasets(state, site)
    )
    return [dict(decode(data)) for data in found if data is not None]


def judged(tests: list[dict[str, Any]]) -> str:
    """One word over all tests: a leak anywhere counts."""
    if any(row["leaks"] for row in tests):
        return LEAKS
    if any(row["outcome"] != NOT_TESTED for row in tests):
        return HOLDS
    return NOT_TESTED


def leak_rows(checks: dict[str, Any]) -> list[tuple[str, str]]:
    """The lines of the steward's page."""
    tests = checks.get("leak_tests", [])
    if not tests:
        return [("Leak test", "not tested (consilium site check-release)")]
    rows = [("Leak test", _words(checks["membership_test"]))]
    return rows + [("", _class_words(row)) for test in tests for row in test["classes"]]


def _words(outcome: str) -> str:
    return {
        LEAKS: "THE MODEL GIVES AWAY WHO WAS TRAINED ON; the default is to object: leak_test",
        HOLDS: "no leak found",
    }.get(outcome, "not tested: fewer than 100 patients on one side of every class")


def _class_words(row: dict[str, Any]) -> str:
    sides = f"{row['class']}: {row['members']} trained on, {row['others']} not"
    if row["auc"] is None:
        return f"{sides}: not tested"
    auc, tpr = row["auc"], row["tpr"]
    return (
        f"{sides}: AUC {auc['value']} ({auc['low']} to {auc['high']}), found at 1 % false "
        f"{tpr['value']} ({tpr['low']} to {tpr['high']})"
    )
