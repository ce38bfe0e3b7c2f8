"""From the updates that count to a finished model file with its account, before anything is said.

Everything lies in the spool until the round is closed; after a power cut it is made again, to the
same bytes.

Source: design/federation.md §3.1 step 5, §3.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from math import fsum
from pathlib import Path
from typing import TypeAlias

from hub.federation.aggregation.again import Files, Method
from hub.federation.aggregation.aggregator import Outcome
from hub.federation.aggregation.details import details_of
from hub.federation.aggregation.moments import state_sha256
from hub.federation.aggregation.rule import Plan, Votes
from hub.federation.aggregation.shares import capped_shares, decimals
from hub.federation.course import Counted
from hub.services.rounds import Made, RoundService

Model: TypeAlias = tuple[Made, dict[str, Decimal]]
"""A finished round, and how much each hospital counts in it."""

THE_SUM = "the.sum"
"""Stands for all hospitals together: their mean goes in as one update."""


def make_model(
    rounds: RoundService, study: str, spool: Path, counted: Mapping[str, Counted]
) -> Model:
    """The new model by the charter's rule, and how much each hospital counts in it.

    Args:
        rounds: knows the study.
        study: which one.
        spool: folder of its updates.
        counted: the updates, by hospital.

    Raises:
        Undecided: the rule has no answer to these updates.
        NotReady: the server step's state is missing.
    """
    updates = {site: (update.path, update.n) for site, update in counted.items()}
    kept = {update.sha256: update.path for update in counted.values()}
    return _made(rounds, study, spool, updates, lambda outcome: outcome, kept)


def masked_model(
    rounds: RoundService, study: str, spool: Path, mean: Path, examples: Mapping[str, int]
) -> Model:
    """The new model from the mean of masked updates; the server step is the same.

    Args:
        rounds: knows the study.
        study: which one.
        spool: folder of its files.
        mean: file of the mean delta, float32.
        examples: cases of each hospital that is in it.

    Raises:
        Undecided, NotReady: as `make_model`.
    """
    shares = decimals(capped_shares(examples, Fraction(1)))
    factors = tuple(float(n) for n in examples.values())
    votes = Votes(tuple(examples), tuple(examples.values()), ())
    plan = Plan(weights=shares, factors=factors, total=fsum(factors))
    told = Outcome(votes, plan, shares)
    return _made(rounds, study, spool, {THE_SUM: (mean, 1)}, lambda _: told, {})


def _made(
    rounds: RoundService,
    study: str,
    spool: Path,
    updates: Files,
    told: Callable[[Outcome], Outcome],
    kept: Mapping[str, Path],
) -> Model:
    state = rounds.state(study)
    method = Method.of(state.charter, rounds.layout(study))
    before = rounds.state_before(study)
    inputs = method.inputs(rounds.model_path(study), updates, before)
    model, after = spool / "model.part", spool / "state.part"
    outcome = told(method.write(inputs, model, after))
    remembers = bool(method.aggregator().moments)
    details = details_of(
        state.running.number,
        outcome,
        method.reference,
        state_sha256(before) if before is not None else None,
        state_sha256(after) if remembers else None,
    )
    made = Made(model=model, details=details, state=after if remembers else None, updates=kept)
    return made, dict(outcome.weights)
