"""Who was invited to each round, whose update was used, and who was left out for which reason.

Source: design/compliance.md §1.2 (`participation.csv`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compliance.records.rounds import RoundAborted, RoundClosed, RoundOpened, UpdateSubmitted
from compliance.report.log import Files, Log
from compliance.report.write import write_csv

HEAD = ["round", "site", "outcome", "reason", "weight", "update_sha256", "opened_entry",
        "submitted_entry", "closed_entry"]  # fmt: skip


def files(log: Log, _: Files) -> dict[str, bytes]:
    """`participation.csv`: one row for each hospital that was invited to each round."""
    return {"data/participation.csv": write_csv(HEAD, rows(log))}


def rows(log: Log) -> Iterator[list[Any]]:
    """Rows of the table; a round that was aborted or is open says so."""
    opened: tuple[int, RoundOpened] | None = None
    sent: dict[str, tuple[int, str]] = {}
    for index, event in enumerate(log.events):
        body = event.body
        if isinstance(body, RoundOpened):
            opened, sent = (index, body), {}
        elif isinstance(body, UpdateSubmitted):
            sent[(event.actor or "").rpartition("/")[0]] = (index, body.update_sha256)
        elif opened and (isinstance(body, RoundClosed | RoundAborted) or _stops(event.type)):
            yield from _round(opened, sent, index, body)
            opened = None
    if opened:
        yield from _round(opened, sent, None, None)


def _stops(kind: str) -> bool:
    return kind == "study.stopped"


def _round(
    opened: tuple[int, RoundOpened], sent: dict[str, tuple[int, str]], end: int | None, body: Any
) -> Iterator[list[Any]]:
    index, terms = opened
    for site in terms.sites:
        place, digest = sent.get(site, ("", ""))
        outcome, reason, weight = _outcome(site, body)
        closed = "" if end is None else end
        yield [terms.round, site, outcome, reason, weight, digest, index, place, closed]


def _outcome(site: str, body: Any) -> tuple[str, str, str]:
    if body is None:
        return "open", "", ""
    if not isinstance(body, RoundClosed):
        return "aborted", str(body.reason), ""
    if site in body.used:
        return "used", "", str(body.weights.get(site, ""))
    if site in body.excluded:
        return "excluded", str(body.excluded[site]), ""
    return "missing", str(body.missing.get(site, "")), ""
