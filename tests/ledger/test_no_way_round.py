"""No sequence of statements leads round the signatures, the budget or a withdrawal.

That this test can fail is a test as well: each rule behind the three promises is taken out of the
program (where two stand behind one another, both), and the same machine must then break the promise
that the rule keeps, in the words of the second reader (`accounts.py`). Two guards stand behind one
another in two places: an update after the charter ran out comes after the deadline of its round
too, and an amendment that raises a cap without its hospital would still leave the lower cap.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.guards import Guard, take_away
from tests.hub.house import NAMES, House
from tests.ledger.attempts import Attempts

RULES = "compliance.rules."


@dataclass(frozen=True)
class Break:
    """How a promise breaks.

    Args:
        words: what the second reader says.
        acts: rules of the machine that come there soonest.
        guards: without which it happens; where two stand behind one another, both.
    """

    words: str
    acts: tuple[str, ...]
    guards: tuple[Guard, ...]


def broken(words: str, acts: str, *guards: tuple[str, ...]) -> Break:
    """One row; a guard is `module:function` of the rules, its words, and what stands instead."""
    wheres = ((where if "." in where else RULES + where, *rest) for where, *rest in guards)
    return Break(words, tuple(acts.split()), tuple(Guard(*parts) for parts in wheres))


BUT_STOPPED = """
if said.kind in MOVING and (state.phase, said.kind) not in STEPS:
    if state.phase is not Phase.STOPPED:
        return Denied(WRONG[state.phase], said.kind, state.phase.value)
"""

SIGNATURES = {
    "a charter that too few signed": broken(
        "too few signed",
        "open_honestly",
        ("charter:check_signed", "if signed < body.signatures_required"),
    ),
    "a charter that its researcher did not sign": broken(
        "not proposed",
        "open_honestly",
        ("charter:check_signed", "if researcher not in signers"),
    ),
    "an amendment that too few signed": broken(
        "an amendment by too few",
        "amend",
        ("amendments:may_amend", "check_signed("),
    ),
    "a round opened with a key that is not in force": broken(
        "not in force|a forged line",
        "rotate open",
        ("arrival:check_signatures", "for line in note.lines"),
    ),
    "a round opened by a hospital": broken(
        "only the hub opens rounds",
        "open",
        ("authority:check_authority", "if not said.role or"),
    ),
    "a round with a hospital that did not sign, or left": broken(
        "a hospital without its signature",
        "leave join open",
        ("rounds:may_open", "check_sites("),
    ),
    "a round before its time or after the charter ran out": broken(
        "before the charter starts|after the charter expired",
        "open_honestly outlive",
        ("rounds:may_open", "check_term("),
    ),
    "an update after the charter ran out": broken(
        "after the charter expired",
        "outlive",
        ("updates:may_submit", "wrong = ", "wrong = check_open(state, body.round)"),
        ("updates:_turn", "if said.moment > seconds_of(running.deadline)"),
    ),
    "a round although the study was stopped": broken(
        "although it was stopped",
        "stop open_honestly",
        ("authority:_check_phase", "if said.kind in MOVING", BUT_STOPPED),
    ),
    "a stop that not all hospitals lifted": broken(
        "not all resumed it",
        "stop resume",
        ("decisions:may_resume", "if said.signers != needed"),
    ),
    "a round with a hospital that the others suspended": broken(
        "a suspended hospital is asked",
        "open_by_the_program",
        ("hub.services.rounds:RoundService._allowed", "away =", "away = resting(state).keys()"),
    ),
}
"""What would happen without the signatures, and the guards without which it happens."""

BUDGET = {
    "more than the signed cap, or a negative cost": broken(
        "more than was signed|a negative cost",
        "play submit_in_turn",
        ("updates:_privacy", "if epsilon < 0 or"),
    ),
    "more than the hospital's own lower limit": broken(
        "another limit than the hospital's own",
        "limit take_back",
        ("datasets:limit", "state.epsilon_cap["),
    ),
    "a limit that its hospital raises again": broken(
        "a limit was raised",
        "limit",
        ("datasets:may_limit", "if cap is None or"),
    ),
    "a cap that is raised without the hospital": broken(
        "another limit than the hospital's own",
        "amend",
        ("amendments:may_amend", "_caps("),
        ("amendments:amend", "caps[pair] =", "caps[pair] = cap"),
    ),
}
"""The same for the privacy budget."""

WITHDRAWN = {
    "an update of a hospital that left during the round": broken(
        "not asked, or it left",
        "take_back",
        ("authority:check_authority", "if said.site in state.withdrawn"),
    ),
    "an update used after its hospital left": broken(
        "an update of one who left is used",
        "take_back",
        ("rounds:_may_count", "check_sites("),
    ),
    "an update of data that were withdrawn": broken(
        "sent of withdrawn data",
        "take_back",
        ("datasets:check_known", "return check_not_withdrawn("),
    ),
    "an update used after its data were withdrawn": broken(
        "withdrawn data is used",
        "take_back",
        ("rounds:_may_count", "_still_there("),
    ),
}
"""The same for hospitals and data that were withdrawn."""

PROMISES = SIGNATURES | BUDGET | WITHDRAWN
ACTS = {
    name: act
    for name, act in inspect.getmembers(Attempts)
    if hasattr(act, "hypothesis_stateful_rule")
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One hub with its members; every life is another study of it."""
    made = House(tmp_path_factory.mktemp("lives") / "hub")
    made.join(*NAMES)
    yield made
    made.close()


def live(house: House, acts: tuple[str, ...] = (), **how: Any) -> None:
    """Let hypothesis live so many lives, of all acts or of these."""
    left_out = {name: plainly(act) for name, act in ACTS.items() if acts and name not in acts}
    machine = type("LifeHere", (Attempts,), {"house": house, **left_out})
    told = settings(deadline=None, suppress_health_check=list(HealthCheck), **how)
    run_state_machine_as_test(machine, settings=told)


def plainly(act: Callable[..., None]) -> Callable[..., None]:
    """The same act for other acts to call, but not one that is drawn."""
    return lambda self, *words, **more: act(self, *words, **more)


def test_no_sequence_of_statements_leads_round_signatures_budget_or_withdrawal(
    house: House,
) -> None:
    """No round without the signatures, no ε above the signed cap, no update of one who left."""
    live(house, max_examples=40, stateful_step_count=35)


@pytest.mark.long
def test_no_long_life_leads_round_them_either(house: House) -> None:
    """The same at night, with many longer lives."""
    live(house, max_examples=400, stateful_step_count=80)


@pytest.mark.parametrize("what", PROMISES)
def test_without_its_guard_a_promise_is_broken_and_noticed(
    house: House, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The lives come to every situation: take the guard away, and the second reader says so."""
    promise = PROMISES[what]
    take_away(monkeypatch, *promise.guards)

    with pytest.raises(AssertionError, match=promise.words):
        live(house, promise.acts, max_examples=100, stateful_step_count=20, derandomize=True,
             database=None, phases=[Phase.generate])  # fmt: skip
