"""Shares of contribution, made again from the log and the measured inputs that it names.

Source: design/compliance.md §1.2 (`contribution.csv`), design/federation.md §10.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import Malformed
from compliance.records.decisions import ContributionMeasured
from compliance.records.rounds import RoundClosed, UpdateSubmitted
from compliance.report.kinds import CONTRIBUTION
from compliance.report.log import Files, Log
from compliance.report.write import write_csv
from compliance.rules.contribution import FROM_THE_LOG, by_inputs, by_round, rounded

HEAD = ["from_round", "to_round", "rule", "site", "rounds_used", "examples", "share", "entry",
        "missing_input"]  # fmt: skip
Used = dict[int, dict[str, int]]


def files(log: Log, attached: Files) -> dict[str, bytes]:
    """`contribution.csv`: one block for each `contribution.measured`, else one for all rounds."""
    return {"data/contribution.csv": write_csv(HEAD, rows(log, attached))}


def rows(log: Log, attached: Files) -> Iterator[list[Any]]:
    """Rows of the table; a share that cannot be made says which file is missing."""
    used = _used(log)
    measured = log.of_kind("contribution.measured")
    rule = log.state.charter.contribution.rule
    if not measured and used and rule in FROM_THE_LOG:
        yield from _block(
            log, (min(used), max(used)), "", rounded(by_round(rule, [*used.values()]))
        )
    for index, event in measured:
        body = event.body
        if isinstance(body, ContributionMeasured):
            span = (body.from_round, body.to_round)
            shares, missing = _shares(log, body, attached)
            yield from _block(log, span, index, shares, missing)


def _shares(log: Log, body: ContributionMeasured, attached: Files) -> tuple[dict[str, str], str]:
    rounds = [sites for number, sites in _used(log).items()
              if body.from_round <= number <= body.to_round]  # fmt: skip
    if body.rule in FROM_THE_LOG:
        return rounded(by_round(body.rule, rounds)), ""
    path = f"{CONTRIBUTION}{body.from_round}-{body.to_round}.json"
    data = attached.get(path)
    if data is None or sha256_id(data) != body.inputs_sha256:
        return {}, f"{path} ({body.inputs_sha256})"
    floor = Fraction(log.state.charter.contribution.params.get("floor", "0"))
    try:
        return rounded(by_inputs(json.loads(data), floor)), ""
    except (Malformed, ValueError, RecursionError):
        return {}, f"{path} is not in the agreed form"


def _block(
    log: Log, span: tuple[int, int], entry: int | str, shares: dict[str, str], missing: str = ""
) -> Iterator[list[Any]]:
    rule = log.state.charter.contribution.rule
    within = [sites for number, sites in _used(log).items() if span[0] <= number <= span[1]]
    for site in sorted({name for sites in within for name in sites} | set(shares)):
        counts = [sites[site] for sites in within if site in sites]
        yield [*span, rule, site, len(counts), sum(counts), shares.get(site, ""), entry, missing]


def _used(log: Log) -> Used:
    """Examples of every hospital whose update was used, by closed round."""
    told: dict[tuple[str, str], int] = {}
    found: Used = {}
    for event in log.events:
        body = event.body
        if isinstance(body, UpdateSubmitted):
            told[(event.actor or "").rpartition("/")[0], body.update_sha256] = body.n
        elif isinstance(body, RoundClosed):
            found[body.round] = {site: told[site, sha] for site, sha in sorted(body.used.items())}
    return found
