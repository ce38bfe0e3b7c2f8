"""Questions to a log for evidence: each returns the indices of the entries that answer it.

One pure function for each question; which clause asks it stands in `clauses.py`. A question is
answered by what was said, never by what the program could do: a charter alone records no activity,
and a dataset without its registration shows no de-identification.

Source: design/compliance.md §4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import NamedTuple

from compliance.errors import ConsiliumError
from compliance.records.decisions import StudyStopped
from compliance.records.legal import LegalSite
from compliance.records.reasons import Stopped
from compliance.records.rounds import MetricReported, RoundClosed, UpdateSubmitted
from compliance.records.types import seconds_of
from compliance.report.governance import role_of
from compliance.report.log import Files, Log
from compliance.report.registered import registered

Ranges = list[list[int]]
Query = Callable[[Log, Files], Iterable[int]]
DECIDED = ("charter", "charter.amended", "site.joined", "release.approved", "release.refused",
           "study.resumed")  # fmt: skip


def all_entries(log: Log, _: Files) -> Iterable[int]:
    """Every entry, where anything at all followed the charter."""
    return range(len(log.events)) if len(log.events) > 1 else ()


def verification(log: Log, _: Files) -> Iterable[int]:
    """Every entry below a checkpoint that a quorum cosigned; none before that."""
    return range(len(log.events)) if log.times and log.witnessed else ()


def legal_block(log: Log, _: Files) -> Iterable[int]:
    """Every version of the charter: its legal block names controllers, bases and references."""
    return (index for index, _ in log.charters())


def assessments(log: Log, _: Files) -> Iterable[int]:
    """Versions of the charter in which a hospital refers to its impact assessment."""
    return _where_a_site(log, lambda row: row.dpia.sha256 is not None)


def permits(log: Log, _: Files) -> Iterable[int]:
    """Versions of the charter in which a hospital names its data permit."""
    return _where_a_site(log, lambda row: row.permit is not None)


def objections(log: Log, _: Files) -> Iterable[int]:
    """Versions of the charter in which a hospital says when it applied objections last."""
    return _where_a_site(log, lambda row: row.objections_checked is not None)


def transfers(log: Log, _: Files) -> Iterable[int]:
    """Versions of the charter that name a transfer and its mechanism."""
    return (index for index, body in log.charters() if body.legal.transfers)


def documents(kind: str) -> Query:
    """Versions of the charter that carry the hash of such a document."""

    def ask(log: Log, _: Files) -> Iterator[int]:
        for index, body in log.charters():
            if any(row.kind == kind for row in body.documents):
                yield index

    return ask


def retention(days: int) -> Query:
    """The charter in force, if it keeps the record for so many days after it expires."""

    def ask(log: Log, _: Files) -> Iterator[int]:
        for index, body in log.charters()[-1:]:
            kept = seconds_of(body.retention_until) - seconds_of(body.expires)
            if kept >= timedelta(days=days):
                yield index

    return ask


def signatures(log: Log, _: Files) -> Iterator[int]:
    """What an institution signed: charter, amendments, joining, release answers, resumptions."""
    for index, _event in log.of_kind(*DECIDED):
        if any(role_of(name) == "institution" for name in log.signers(index)):
            yield index


def amendments(log: Log, _: Files) -> Iterable[int]:
    """Changes of the agreement."""
    return _of(log, "charter.amended")


def keys(log: Log, _: Files) -> Iterable[int]:
    """Where keys came into force: charters and rotations."""
    return _of(log, "charter", "charter.amended", "key.rotated")


def joins_and_leaves(log: Log, _: Files) -> Iterable[int]:
    """Hospitals that came or went."""
    return _of(log, "site.joined", "site.withdrawn")


def denials(log: Log, _: Files) -> Iterable[int]:
    """Refusals on record."""
    return _of(log, "decision.denied")


def rounds(log: Log, _: Files) -> Iterable[int]:
    """Rounds, opened and ended."""
    return _of(log, "round.opened", "round.closed", "round.aborted")


def updates(log: Log, _: Files) -> Iterable[int]:
    """What left the hospitals for training."""
    return _of(log, "update.submitted")


def updates_of(site: str) -> Query:
    """What left one hospital for training."""

    def ask(log: Log, _: Files) -> Iterator[int]:
        for index, event in log.of_kind("update.submitted"):
            if (event.actor or "").rpartition("/")[0] == site:
                yield index

    return ask


def exclusions(log: Log, _: Files) -> Iterator[int]:
    """Closed rounds in which somebody was left out or missing, with the reason."""
    for index, event in log.of_kind("round.closed"):
        body = event.body
        if isinstance(body, RoundClosed) and (body.excluded or body.missing):
            yield index


def metrics(log: Log, _: Files) -> Iterable[int]:
    """Measured values of a hospital."""
    return _of(log, "metric.reported")


def metrics_after_release(log: Log, _: Files) -> Iterator[int]:
    """Values that were measured in use, after a release."""
    for index, event in log.of_kind("metric.reported"):
        body = event.body
        if isinstance(body, MetricReported) and body.phase == "post_market":
            yield index


def dp(log: Log, _: Files) -> Iterator[int]:
    """Updates that state their privacy cost, and limits that a hospital lowered."""
    yield from _of(log, "site.limited")
    for index, event in log.of_kind("update.submitted"):
        if isinstance(event.body, UpdateSubmitted) and event.body.dp is not None:
            yield index


def deid(log: Log, attached: Files) -> Iterator[int]:
    """Charters of a dataset version whose registration names profile and rules.

    The registration stands in the consortium's log and is evidence only where it came along.
    """
    known = set(_deidentified(attached))
    for index, body in log.charters():
        if any((row.site, row.id, row.version) in known for row in body.datasets):
            yield index


def datasets(log: Log, _: Files) -> Iterable[int]:
    """Which version of which dataset was in force when."""
    return _of(log, "charter", "charter.amended", "dataset.reduced", "dataset.withdrawn")


def withdrawals(log: Log, _: Files) -> Iterable[int]:
    """Hospitals or datasets that left, and datasets that became smaller."""
    return _of(log, "site.withdrawn", "dataset.withdrawn", "dataset.reduced")


def erasures(log: Log, _: Files) -> Iterable[int]:
    """Erasures that were done."""
    return _of(log, "erasure.done")


def stops(log: Log, _: Files) -> Iterable[int]:
    """Stops and what lifted them."""
    return _of(log, "study.stopped", "study.resumed")


def stops_for(*reasons: Stopped) -> Query:
    """Stops for one of these reasons."""

    def ask(log: Log, _: Files) -> Iterator[int]:
        for index, event in log.of_kind("study.stopped"):
            if isinstance(event.body, StudyStopped) and event.body.reason in reasons:
                yield index

    return ask


def releases(log: Log, _: Files) -> Iterable[int]:
    """Answers to a release, and releases."""
    return _of(log, "release.approved", "release.refused", "model.released")


def recalls(log: Log, _: Files) -> Iterable[int]:
    """Models that were called back."""
    return _of(log, "model.recalled")


def cards(log: Log, _: Files) -> Iterable[int]:
    """Released models: each release names the model's card by hash."""
    return _of(log, "model.released")


def exports(log: Log, _: Files) -> Iterable[int]:
    """Evidence that was handed out."""
    return _of(log, "export.created")


def reviews(log: Log, _: Files) -> Iterable[int]:
    """Reviews of the record."""
    return _of(log, "review.noted")


class Question(NamedTuple):
    """A question, and in words what it looks for, to say that it is not there."""

    ask: Query
    words: str


SIX_MONTHS, SIX_YEARS, TEN_YEARS = 183, 2_190, 3_653
QUESTIONS: dict[str, Question] = {
    "all_entries": Question(all_entries, "anything after the charter"),
    "verification": Question(verification, "cosignatures of a quorum"),
    "legal_block": Question(legal_block, "a legal block"),
    "assessments": Question(assessments, "an impact assessment"),
    "permits": Question(permits, "a data permit"),
    "objections": Question(objections, "a time at which objections were applied"),
    "transfers": Question(transfers, "a transfer to another country"),
    "documents(risk)": Question(documents("risk"), "a risk document"),
    "documents(pccp)": Question(documents("pccp"), "a predetermined change control plan"),
    "retention(183)": Question(retention(SIX_MONTHS), "keeping for 183 days after expiry"),
    "retention(2190)": Question(retention(SIX_YEARS), "keeping for 2,190 days after expiry"),
    "retention(3653)": Question(retention(TEN_YEARS), "keeping for 3,653 days after expiry"),
    "signatures": Question(signatures, "a signature of an institution"),
    "amendments": Question(amendments, "an amendment"),
    "keys": Question(keys, "a key that came into force"),
    "joins_and_leaves": Question(joins_and_leaves, "a hospital that came or went"),
    "denials": Question(denials, "a refusal"),
    "rounds": Question(rounds, "a round"),
    "updates": Question(updates, "an update"),
    "exclusions": Question(exclusions, "a hospital that was left out of a round"),
    "metrics": Question(metrics, "a measured value"),
    "metrics_after_release": Question(metrics_after_release, "a value measured in use"),
    "dp": Question(dp, "a stated privacy cost"),
    "deid": Question(deid, "a registration with its de-identification profile"),
    "datasets": Question(datasets, "a dataset version"),
    "withdrawals": Question(withdrawals, "a reduced or withdrawn dataset or hospital"),
    "erasures": Question(erasures, "an erasure"),
    "stops": Question(stops, "a stop"),
    "stops(privacy, integrity)": Question(
        stops_for(Stopped.PRIVACY, Stopped.INTEGRITY), "a stop for privacy or integrity"
    ),
    "releases": Question(releases, "an answer to a release"),
    "recalls": Question(recalls, "a model that was called back"),
    "cards": Question(cards, "a released model with its card"),
    "exports": Question(exports, "an export"),
    "reviews": Question(reviews, "a review"),
}
"""Every question by the name under which controls.json prints it."""


def ranges_of(indices: Iterable[int]) -> Ranges:
    """Indices as merged ranges [first, last], in order."""
    found: Ranges = []
    for index in sorted(set(indices)):
        if found and index == found[-1][1] + 1:
            found[-1][1] = index
        else:
            found.append([index, index])
    return found


def _of(log: Log, *kinds: str) -> Iterator[int]:
    return (index for index, _ in log.of_kind(*kinds))


def _where_a_site(log: Log, says: Callable[[LegalSite], bool]) -> Iterator[int]:
    for index, body in log.charters():
        if any(says(row) for row in body.legal.sites):
            yield index


def _deidentified(attached: Files) -> Iterator[tuple[str, str, str]]:
    """Hospital, dataset and version of every registration that names a profile."""
    try:
        for entry in registered(attached):
            told = entry.body.get("deid")
            if entry.kind == "dataset.registered" and isinstance(told, dict):
                yield entry.site, str(entry.body.get("dataset")), str(entry.body.get("version"))
    except ConsiliumError:
        return
