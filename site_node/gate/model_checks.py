"""What this hospital can check by itself about a model before it leaves: facts, no opinion.

The report stays here under its hash; only the hash stands in the log. What was not tested is said
to be not tested. A part without counts is told with a yes, sealed (`told`).

Source: design/federation.md §8.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from compliance.records.checks import read_checks
from compliance.records.rounds import MetricReported
from compliance.rules.state import ClosedRound, StudyState
from site_node.gate.leaks import judged

VERSION = 2
KEPT_HERE = "kept_here"


def own_numbers(state: StudyState, model_sha256: str, site: str) -> list[dict[str, Any]]:
    """What this hospital reported about a model, with the entry of each statement."""
    return [
        {
            "entry": index,
            "phase": str(body.phase),
            "dataset": body.dataset,
            "split": str(body.split),
            "values": body.plain()["values"],
        }
        for index, body in _own(state, model_sha256, site)
    ]


def smallest_count(state: StudyState, model_sha256: str, site: str) -> int | None:
    """The smallest count that this hospital's numbers about a model show; None without any."""
    counts: list[int] = []
    for _, body in _own(state, model_sha256, site):
        for value in body.values.values():
            if value.n is not None:
                counts.append(value.n)
            if value.n is not None and value.positives is not None:
                counts += [value.positives, value.n - value.positives]
    return min(counts, default=None)


def report(
    state: StudyState,
    made: ClosedRound,
    site: str,
    *,
    floor: int,
    layout_sha256: str,
    leak_tests: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The check report of one model, ready for its canonical form.

    Args:
        state: this hospital's own fold.
        made: the round that made the model.
        site: this hospital.
        floor: the smallest count that may be shown, of the charter or of this hospital.
        layout_sha256: the layout of the network in the recipe that was signed.
        leak_tests: the membership tests that were done here.
    """
    charter = state.charter
    smallest = smallest_count(state, made.model_sha256, site)
    until = [row for row in state.rounds_closed if row.number <= made.number]
    return {
        "v": VERSION,
        "origin": charter.origin,
        "charter_id": state.charter_id,
        "size": state.size,
        "model_sha256": made.model_sha256,
        "round": made.number,
        "round_entry": made.index,
        "newest": made == state.rounds_closed[-1],
        "layout_sha256": layout_sha256,
        "label_map_sha256": charter.task.label_map_sha256,
        "preprocessing_sha256": charter.task.preprocessing_sha256,
        "rounds_with_own_update": [row.number for row in until if site in row.used],
        "own_entries": [index for index, _ in _own(state, made.model_sha256, site)],
        "smallest_count": smallest,
        "floor": floor,
        "floor_holds": smallest is None or smallest >= floor,
        "membership_test": judged(list(leak_tests)),
        "leak_tests": list(leak_tests),
    }


def told(checks: dict[str, Any], *, noise: bool) -> dict[str, Any]:
    """The part of a report that goes with a yes: no count; with noise nothing of training cases.

    Args:
        checks: the report.
        noise: whether the study trains with differential privacy.
    """
    rows = [row for test in checks["leak_tests"] for row in test["classes"] if row["auc"]]
    classes = [{"name": row["class"], "auc": row["auc"], "tpr": row["tpr"]} for row in rows]
    same = ("model_sha256", "layout_sha256", "label_map_sha256", "preprocessing_sha256")
    return read_checks(
        {
            "v": 1,
            "leak": KEPT_HERE if noise else checks["membership_test"],
            "classes": [] if noise else classes,
            **{name: checks[name] for name in (*same, "floor_holds")},
        }
    ).plain()


def _own(state: StudyState, model_sha256: str, site: str) -> Iterator[tuple[int, MetricReported]]:
    for index, who, body in state.metrics:
        if who == site and body.model_sha256 == model_sha256:
            yield index, body
