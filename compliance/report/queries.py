"""Questions to a log for evidence: each returns the indices of the entries that answer it.

One pure function for each question; what a question is for stands in `clauses.py`.

Source: design/compliance.md §4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from compliance.records.charter import CharterBody
from compliance.records.decisions import CharterAmended
from compliance.records.envelope import Event
from compliance.records.legal import LegalSite
from compliance.records.rounds import MetricReported, RoundClosed, UpdateSubmitted
from compliance.records.types import seconds_of
from compliance.report.log import Log

Ranges = list[list[int]]
Query = Callable[[Log], Iterable[int]]


def all_entries(log: Log) -> Iterable[int]:
    """Every entry."""
    return range(len(log.events))


def verification(log: Log) -> Iterable[int]:
    """Every entry that the witnesses' quorum covers; none where no witness cosigned."""
    return range(log.checkpoint.size) if log.times else ()


def legal_block(log: Log) -> Iterable[int]:
    """Each charter: its legal block names controllers, bases and references."""
    return (index for index, _ in _charters(log))


def permits(log: Log) -> Iterable[int]:
    """Charters in which at least one hospital names a data permit."""
    return _where_a_site(log, lambda site: site.permit is not None)


def objections(log: Log) -> Iterable[int]:
    """Charters in which a hospital says when it applied its objections last."""
    return _where_a_site(log, lambda site: site.objections_checked is not None)


def documents(log: Log) -> Iterable[int]:
    """Charters with documents by hash."""
    return (index for index, body in _charters(log) if body.documents)


def pccp(log: Log) -> Iterable[int]:
    """Charters with a predetermined change control plan."""
    return (
        index for index, body in _charters(log) if any(d.kind == "pccp" for d in body.documents)
    )


def retention(days: int) -> Query:
    """Charters that keep the record for so many days after they expire."""

    def ask(log: Log) -> Iterator[int]:
        for index, body in _charters(log):
            kept = seconds_of(body.retention_until) - seconds_of(body.expires)
            if kept >= timedelta(days=days):
                yield index

    return ask


def signatures(log: Log) -> Iterable[int]:
    """Charter, amendments, late signatures, release answers, resumptions."""
    return _of(log, "charter", "charter.amended", "site.joined", "release.approved",
               "release.refused", "study.resumed")  # fmt: skip


def amendments(log: Log) -> Iterable[int]:
    """Changes of the agreement."""
    return _of(log, "charter.amended")


def keys(log: Log) -> Iterable[int]:
    """Where keys came into force: charters and rotations."""
    return _of(log, "charter", "charter.amended", "key.rotated")


def joins_and_leaves(log: Log) -> Iterable[int]:
    """Hospitals that came or went."""
    return _of(log, "site.joined", "site.withdrawn")


def denials(log: Log) -> Iterable[int]:
    """Refusals on record."""
    return _of(log, "decision.denied")


def rounds(log: Log) -> Iterable[int]:
    """Rounds, opened and ended."""
    return _of(log, "round.opened", "round.closed", "round.aborted")


def updates(log: Log) -> Iterable[int]:
    """What left each hospital."""
    return _of(log, "update.submitted")


def updates_of(site: str) -> Query:
    """What left one hospital."""
    return lambda log: (
        index
        for index, event in log.of_kind("update.submitted")
        if (event.actor or "").partition("/")[0] == site
    )


def exclusions(log: Log) -> Iterator[int]:
    """Closed rounds in which somebody was left out or missing, with the reason."""
    for index, event in log.of_kind("round.closed"):
        body = event.body
        if isinstance(body, RoundClosed) and (body.excluded or body.missing):
            yield index


def metrics(log: Log) -> Iterable[int]:
    """Measured values, per hospital."""
    return _of(log, "metric.reported")


def metrics_after_release(log: Log) -> Iterator[int]:
    """Values measured after a model was released."""
    for index, event in log.of_kind("metric.reported"):
        body = event.body
        if isinstance(body, MetricReported) and body.phase == "post_market":
            yield index


def dp(log: Log) -> Iterator[int]:
    """Updates that state their privacy cost."""
    for index, event in log.of_kind("update.submitted"):
        if isinstance(event.body, UpdateSubmitted) and event.body.dp is not None:
            yield index


def deid(log: Log) -> Iterable[int]:
    """Charters that name each dataset's description, in which the de-identification stands."""
    return (index for index, body in _charters(log) if body.datasets)


def datasets(log: Log) -> Iterable[int]:
    """Charters and reductions: which version of which dataset was in force when."""
    return [*deid(log), *_of(log, "dataset.reduced", "dataset.withdrawn")]


def withdrawals(log: Log) -> Iterable[int]:
    """Hospitals or datasets that left, and versions that became smaller."""
    return _of(log, "site.withdrawn", "dataset.withdrawn", "dataset.reduced")


def erasures(log: Log) -> Iterable[int]:
    """Erasures that were done."""
    return _of(log, "erasure.done")


def stops(log: Log) -> Iterable[int]:
    """Stops and what lifted them."""
    return _of(log, "study.stopped", "study.resumed")


def releases(log: Log) -> Iterable[int]:
    """Answers about releases, and releases."""
    return _of(log, "release.approved", "release.refused", "model.released")


def recalls(log: Log) -> Iterable[int]:
    """Models that were called back."""
    return _of(log, "model.recalled")


def cards(log: Log) -> Iterable[int]:
    """Releases: each names its card by hash."""
    return _of(log, "model.released")


def exports(log: Log) -> Iterable[int]:
    """Evidence that was handed out."""
    return _of(log, "export.created")


def reviews(log: Log) -> Iterable[int]:
    """Reviews of the record."""
    return _of(log, "review.noted")


def ranges_of(indices: Iterable[int]) -> Ranges:
    """Indices as merged ranges [first, last], in order."""
    found: Ranges = []
    for index in sorted(set(indices)):
        if found and index == found[-1][1] + 1:
            found[-1][1] = index
        else:
            found.append([index, index])
    return found


def _of(log: Log, *kinds: str) -> Iterable[int]:
    return (index for index, _ in log.of_kind(*kinds))


def _charters(log: Log) -> Iterator[tuple[int, CharterBody]]:
    for index, event in log.of_kind("charter", "charter.amended"):
        body = _charter(event)
        if body is not None:
            yield index, body


def _charter(event: Event) -> CharterBody | None:
    body = event.body
    if isinstance(body, CharterAmended):
        return body.charter
    return body if isinstance(body, CharterBody) else None


def _where_a_site(log: Log, says: Callable[[LegalSite], bool]) -> Iterator[int]:
    for index, body in _charters(log):
        if any(says(site) for site in body.legal.sites):
            yield index
