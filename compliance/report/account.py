"""The account of contributions as everybody makes it from the log: bundle, dashboard, statements.

One function; whoever shows a share, a value or an interval takes it from here.

Source: design/federation.md §10; design/compliance.md §1.2 (`contribution.csv`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from compliance.canonical import encode, sha256_id
from compliance.errors import Malformed
from compliance.records.decisions import ContributionMeasured
from compliance.records.envelope import Event
from compliance.records.linear import LINEAR
from compliance.records.rounds import RoundClosed, UpdateSubmitted
from compliance.report.kinds import CONTRIBUTION
from compliance.rules.contribution import (
    FROM_THE_LOG,
    Valued,
    by_inputs,
    by_round,
    rounded,
    short,
    valued,
)
from compliance.rules.state import StudyState

Used = dict[int, dict[str, int]]

LABELS = {
    "equal": "agreed split: equal parts of every round",
    "cases": "agreed split: by training cases of every round",
    "shapley_exact": "exact Shapley value for this recipe and these seeds",
    "shapley_proxy": "exact Shapley value of a stated proxy",
    "shapley_sampled": "estimate of the Shapley value of a stated proxy, with interval",
}
NOT_PROOF = (
    (
        "A Shapley value is not proof against a hospital that takes part under two names: "
        "two halves of one hospital can get more than the whole."
    ),
    (
        "A hospital whose cases are like another's shares the value with it; that says nothing "
        "about what either of them would have given alone."
    ),
    (
        "The value is measured on the hospitals' own held-out cases, as each of them counted "
        "them. A hospital that counts wrongly on purpose is not found by the account."
    ),
    "An interval that reaches zero means: over these seeds it cannot be told from nothing.",
)
"""What a statement must say of itself."""


@dataclass(frozen=True)
class Line:
    """One hospital's part; a share is empty where a file is missing."""

    site: str
    rounds: int
    examples: int
    share: str
    value: Valued | None = None

    @property
    def interval(self) -> tuple[str, str]:
        """95 % interval over the seeds; empty without."""
        found = None if self.value is None else self.value.interval
        return ("", "") if found is None else (short(found[0]), short(found[1]))


@dataclass(frozen=True)
class Account:
    """One account: over which rounds, by which rule, from what.

    Args:
        span: first and last round.
        rule: of contribution.
        label: what its values may be called.
        lines: one a hospital, sorted.
        entry: of `contribution.measured`; None: it follows from the rounds alone.
        inputs_sha256: of what it was made from; empty where it follows from the rounds alone.
        seeds: how many studies of every coalition were played.
        missing: the file that is missing, if one is.
    """

    span: tuple[int, int]
    rule: str
    label: str
    lines: tuple[Line, ...]
    entry: int | None = None
    inputs_sha256: str = ""
    seeds: int = 0
    missing: str = ""

    def of(self, site: str) -> Line | None:
        """One hospital's line."""
        return next((line for line in self.lines if line.site == site), None)


def accounts_of(
    events: Sequence[Event], state: StudyState, attached: Mapping[str, bytes] | None = None
) -> list[Account]:
    """Every account of a study, in order; one over all rounds where the rule needs no measuring.

    Args:
        events: the statements of the log.
        state: its fold.
        attached: files by path; inputs that do not follow from the log are looked for here.
    """
    used, rule = _used(events), state.charter.contribution.rule
    measured = [(i, e.body) for i, e in enumerate(events) if e.type == "contribution.measured"]
    if not measured and used and rule in FROM_THE_LOG:
        span = (min(used), max(used))
        return [_account(state, used, span, shares=rounded(by_round(rule, [*used.values()])))]
    return [
        _measured(state, used, (index, body), attached or {})
        for index, body in measured
        if isinstance(body, ContributionMeasured)
    ]


def inputs_files(state: StudyState, events: Sequence[Event]) -> dict[str, bytes]:
    """The inputs of every account that follow from the log, as a bundle holds them."""
    found = {}
    for event in events:
        body = event.body
        if isinstance(body, ContributionMeasured) and body.inputs_sha256 in state.accounts:
            path = f"{CONTRIBUTION}{body.from_round}-{body.to_round}.json"
            found[path] = encode(state.accounts[body.inputs_sha256])
    return found


def _measured(
    state: StudyState,
    used: Used,
    said: tuple[int, ContributionMeasured],
    attached: Mapping[str, bytes],
) -> Account:
    index, body = said
    span, told = (body.from_round, body.to_round), dict[str, Any](entry=index)
    if body.rule in FROM_THE_LOG:
        rounds = [sites for number, sites in used.items() if span[0] <= number <= span[1]]
        return _account(state, used, span, shares=rounded(by_round(body.rule, rounds)), **told)
    told |= {"inputs_sha256": body.inputs_sha256}
    try:
        inputs = state.accounts.get(body.inputs_sha256) or _given(body, attached)
        if inputs is None:
            path = f"{CONTRIBUTION}{body.from_round}-{body.to_round}.json"
            return _account(state, used, span, missing=f"{path} ({body.inputs_sha256})", **told)
        floor = Fraction(state.charter.contribution.params.get("floor", "0"))
        values = valued(inputs)
        told |= {"shares": rounded(by_inputs(inputs, floor)), "seeds": len(inputs["seeds"])}
        return _account(state, used, span, values=values, **told)
    except (Malformed, ValueError, RecursionError):
        path = f"{CONTRIBUTION}{body.from_round}-{body.to_round}.json"
        return _account(state, used, span, missing=f"{path} is not in the agreed form", **told)


def _given(body: ContributionMeasured, attached: Mapping[str, bytes]) -> Any:
    data = attached.get(f"{CONTRIBUTION}{body.from_round}-{body.to_round}.json")
    if data is None or sha256_id(data) != body.inputs_sha256:
        return None
    return json.loads(data)


def _account(
    state: StudyState,
    used: Used,
    span: tuple[int, int],
    *,
    shares: Mapping[str, str] | None = None,
    values: Mapping[str, Valued] | None = None,
    **told: Any,
) -> Account:
    within = [sites for number, sites in used.items() if span[0] <= number <= span[1]]
    shares, values = shares or {}, values or {}
    rule = state.charter.contribution.rule
    return Account(
        span, rule, label_of(state), tuple(_lines(within, shares, values)), **told
    )  # fmt: skip


def _lines(
    within: Sequence[Mapping[str, int]],
    shares: Mapping[str, str],
    values: Mapping[str, Valued],
) -> Iterator[Line]:
    for site in sorted({name for sites in within for name in sites} | set(shares)):
        counts = [sites[site] for sites in within if site in sites]
        yield Line(site, len(counts), sum(counts), shares.get(site, ""), values.get(site))


def label_of(state: StudyState) -> str:
    """What the values of a study's account may be called."""
    rule = state.charter.contribution.rule
    label = LABELS.get(rule, rule)
    if rule not in ("shapley_proxy", "shapley_sampled"):
        return label
    proxy = "logistic" if state.charter.recipe.family in LINEAR else "cnn2d_small"
    return label.replace("a stated proxy", f"a stated proxy ({proxy})")


def _used(events: Sequence[Event]) -> Used:
    """Examples of every hospital whose update was used, by closed round."""
    told: dict[tuple[str, str], int] = {}
    found: Used = {}
    for event in events:
        body = event.body
        if isinstance(body, UpdateSubmitted):
            told[(event.actor or "").rpartition("/")[0], body.update_sha256] = body.n
        elif isinstance(body, RoundClosed):
            found[body.round] = {site: told[site, sha] for site, sha in sorted(body.used.items())}
    return found
