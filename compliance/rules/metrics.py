"""Which measured values may be shown: agreed names, counts above the floor, possible phases.

Source: design/ledger.md §2.1 and §5.
"""

from __future__ import annotations

from decimal import Decimal

from compliance.records.measures import LOCAL, POINT
from compliance.records.rounds import MetricReported, MetricValue
from compliance.rules.datasets import check_dataset
from compliance.rules.releases import check_model
from compliance.rules.said import Said
from compliance.rules.state import StudyState
from compliance.rules.verdict import ALLOWED, Denied, Verdict

POINTS = (POINT, LOCAL + POINT)
IN_ROUND = ("before_training", "after_training")


def may_report(state: StudyState, said: Said) -> Verdict:
    """Say whether these values may be shown."""
    body = said.as_(MetricReported)
    return (
        _phase(state, body)
        or check_model(state, body.model_sha256, start_too=True)
        or check_dataset(state, said.site, body.dataset, body.dataset_version)
        or _names(state, body)
        or _floor(state, body)
        or _frozen(state, said.site, body)
        or ALLOWED
    )


def report(state: StudyState, said: Said) -> None:
    """Keep the values."""
    body = said.as_(MetricReported)
    state.metrics.append(said.index, said.site, body)
    for name, told in _points(body):
        state.points.setdefault((said.site, name), told)


def _phase(state: StudyState, body: MetricReported) -> Denied | None:
    if body.phase in IN_ROUND and body.round is None:
        return Denied("metric.phase", f"{body.phase} outside a round")
    if body.round is not None and not 1 <= body.round <= state.rounds_opened:
        return Denied("metric.phase", f"round {body.round}", f"1 to {state.rounds_opened}")
    if body.phase == "post_market" and body.model_sha256 not in state.released:
        return Denied("metric.phase", "post_market", "a released model")
    return None


def _names(state: StudyState, body: MetricReported) -> Denied | None:
    unknown = sorted(set(body.values) - set(state.charter.evaluation.metrics))
    if unknown:
        return Denied("metric.name", unknown[0], "the metrics of the charter")
    return None


def _floor(state: StudyState, body: MetricReported) -> Denied | None:
    floor = state.charter.min_cell
    for name, value in body.values.items():
        if not _above_floor(value, floor):
            return Denied("metric.floor", name, floor)
    return None


def _frozen(state: StudyState, site: str, body: MetricReported) -> Denied | None:
    """A threshold that moves with the results makes every sensitivity look good."""
    for name, told in _points(body):
        before = state.points.get((site, name), told)
        if Decimal(before) != Decimal(told):
            return Denied("metric.frozen", told, before)
    return None


def _points(body: MetricReported) -> list[tuple[str, str]]:
    """The thresholds that a report names; what is hidden names none."""
    told = [(name, body.values[name].value) for name in POINTS if name in body.values]
    return [(name, value) for name, value in told if value is not None]


def _above_floor(value: MetricValue, floor: int) -> bool:
    """A count below the floor is not told, nor is anything that rests on it."""
    if value.n is None:
        told = (value.value, value.low, value.high, value.positives)
        return all(part is None for part in told)
    if value.n < floor:
        return False
    return value.positives is None or min(value.positives, value.n - value.positives) >= floor
