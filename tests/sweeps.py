"""Statements of a sweep at the level of the fold: honest hospitals, with whatever is changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compliance.canonical import digest_of
from compliance.records.coalitions import coalition_text
from compliance.rules.coalitions import inputs_of
from compliance.rules.sweeps import Plan, plan_of
from tests import factories as make
from tests.simulator import HUB, Federation

CASES = 50
Worth = Callable[[int, int, str], int]
"""Correct cases by seed, coalition and hospital."""


def rule(name: str = "shapley_exact", **params: str) -> dict[str, Any]:
    """The terms of a sweep."""
    return {"rule": name, "params": {"seeds": "5", **params}}


def plan(world: Federation) -> Plan:
    """The sweep that is due."""
    found = plan_of(world.state)
    assert found is not None
    return found


def by_size(_seed: int, coalition: int, _site: str) -> int:
    """The more hospitals, the better."""
    return 20 + 4 * coalition.bit_count()


def said(
    world: Federation, site: str, seed: int = 0, worth: Worth = by_size, **changes: Any
) -> dict[str, Any]:
    """What an honest hospital would say of one seed."""
    due = plan(world)
    values = {
        coalition_text(one): {"n": CASES, "correct": worth(seed, one, site), "value": None}
        for one in due.coalitions
    }
    body = {
        "sweep": due.name,
        "seed": seed,
        "models_sha256": make.sha("stack"),
        "course_sha256": make.sha(f"course of {site}"),
        "dataset": make.DATASET,
        "dataset_version": world.state.dataset_versions[site, make.DATASET],
        "split": "test",
        "values": values,
    }
    return body | changes


def measured(world: Federation, worth: Worth = by_size) -> Federation:
    """Every hospital measures every seed."""
    for site in plan(world).sites:
        for seed in plan(world).seeds:
            world.must("coalition.measured", said(world, site, seed, worth), f"{site}/node")
    return world


def account(world: Federation, **changes: Any) -> dict[str, Any]:
    """What an honest hub would lay down."""
    inputs = inputs_of(world.state, plan(world))
    closed = sorted(world.state.closed_numbers)
    return {
        "from_round": closed[0],
        "to_round": closed[-1],
        "rule": world.state.charter.contribution.rule,
        "inputs_sha256": digest_of(inputs) if inputs else make.sha("nothing"),
    } | changes


def accounted(world: Federation, worth: Worth = by_size) -> Federation:
    """Measured by all and laid down by the hub."""
    measured(world, worth).must("contribution.measured", account(world), HUB)
    return world
