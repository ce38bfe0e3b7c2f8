"""Which numbers and choices of a charter can be agreed at all (`charter.terms`, `charter.quorum`).

Source: design/ledger.md §4.1, design/federation.md §6.3 and §10.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal

from compliance.records.charter import CharterBody
from compliance.records.types import seconds_of
from compliance.rules.verdict import Denied

SITES = (2, 32)
ROUNDS = (1, 1000)
ROUND_SECONDS = (60, 604_800)
LONGEST = timedelta(days=1827)
RETENTION = timedelta(days=183)
NO_NAMES = frozenset({"none", "any", "all", "consortium"})


def check_terms(body: CharterBody) -> Iterator[Denied]:
    """Name every number or choice that cannot be agreed."""
    for problem in _problems(body):
        yield Denied("charter.terms", *problem)


def check_quorum(body: CharterBody) -> Iterator[Denied]:
    """Name what makes the quorum impossible: k, an unknown witness, a name twice."""
    names = [*body.quorum.witnesses, *(outside.name for outside in body.quorum.external)]
    known = set(body.site_names())
    strangers = [name for name in body.quorum.witnesses if name not in known]
    reserved = [name for name in names if name in NO_NAMES]
    if strangers or reserved:
        yield Denied("charter.quorum", (strangers + reserved)[0], "a hospital of the charter")
    elif len(set(names)) != len(names):
        yield Denied("charter.quorum", "a witness stands twice")
    if not 1 <= body.quorum.k <= len(names):
        yield Denied("charter.quorum", f"k = {body.quorum.k}", f"1 to {len(names)}")


Problem = tuple[str, str] | tuple[str, str, str]
"""What was found, what can be agreed, and whom it concerns where that is one hospital."""


def _problems(body: CharterBody) -> Iterator[Problem]:
    yield from _sites(body)
    yield from _numbers(body)
    yield from _datasets(body)
    yield from _privacy(body)
    yield from _choices(body)
    yield from _dates(body)


def _sites(body: CharterBody) -> Iterator[Problem]:
    names = body.site_names()
    if not SITES[0] <= len(names) <= SITES[1]:
        yield f"{len(names)} sites", f"{SITES[0]} to {SITES[1]}"
    if names != sorted(set(names)):
        yield "sites are not sorted, or one stands twice", "sorted by name"


def _numbers(body: CharterBody) -> Iterator[Problem]:
    sites = len(body.sites)
    bounds = {
        "signatures_required": (body.signatures_required, 2, sites),
        "min_sites": (body.min_sites, 2, sites),
        "min_examples": (body.min_examples, 1, None),
        "min_cell": (body.min_cell, 1, None),
        "max_rounds": (body.max_rounds, *ROUNDS),
        "round_seconds": (body.round_seconds, *ROUND_SECONDS),
        "release.k": (body.release.k, 1, sites),
    }
    for name, (value, low, high) in bounds.items():
        if value < low or (high is not None and value > high):
            yield f"{name} = {value}", f"{low} to {high}" if high is not None else f"≥ {low}"


def _datasets(body: CharterBody) -> Iterator[Problem]:
    names = set(body.site_names())
    pairs = [(row.site, row.id) for row in body.datasets]
    for site in sorted({site for site, _ in pairs} - names):
        yield f"a dataset of {site}", "datasets of hospitals of the charter only", site
    for site in sorted(names - {site for site, _ in pairs}):
        yield f"no dataset of {site}", "one or more per hospital", site
    if len(set(pairs)) != len(pairs):
        yield "a dataset stands twice", "once"


def _privacy(body: CharterBody) -> Iterator[Problem]:
    if body.dp is not None:
        if Decimal(body.dp.epsilon) <= 0:
            yield f"dp.epsilon = {body.dp.epsilon}", "above 0"
        if not 0 < Decimal(body.dp.delta) < 1:
            yield f"dp.delta = {body.dp.delta}", "between 0 and 1"
    for row in body.datasets:
        where = f"{row.site} {row.id}: epsilon = {row.epsilon}"
        if (row.epsilon is None) != (body.dp is None):
            yield where, "a number exactly when the study has a privacy cap", row.site
        elif body.dp and not 0 < Decimal(row.epsilon or 0) <= Decimal(body.dp.epsilon):
            yield where, f"above 0, at most {body.dp.epsilon}", row.site


def _choices(body: CharterBody) -> Iterator[Problem]:
    if body.purpose.use == "DS" and not body.purpose.disease:
        yield "purpose DS without a disease", "at least one code"
    if body.purpose.use not in ("DS", "MDS") and body.purpose.disease:
        yield f"purpose {body.purpose.use} with a disease", "only with DS or MDS"
    if body.evaluation.primary not in body.evaluation.metrics:
        yield f"primary metric {body.evaluation.primary}", "one of the metrics"
    lists: dict[str, Sequence[str]] = {
        "evaluation.metrics": body.evaluation.metrics,
        "evaluation.subgroups": body.evaluation.subgroups,
        "release.outputs": body.release.outputs,
        "task.labels": body.task.labels,
    }
    for name, values in lists.items():
        if len(set(values)) != len(values):
            yield f"{name} names something twice", "once"


def _dates(body: CharterBody) -> Iterator[Problem]:
    starts, expires = seconds_of(body.starts), seconds_of(body.expires)
    if not starts < expires <= starts + LONGEST:
        yield f"expires {body.expires}", f"after {body.starts}, at most {LONGEST.days} days later"
    if seconds_of(body.retention_until) < expires + RETENTION:
        yield f"retention_until {body.retention_until}", f"{RETENTION.days} days after the end"
