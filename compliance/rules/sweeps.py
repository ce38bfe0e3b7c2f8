"""The sweep of a study: which coalitions are trained with which seeds, by whom, in which order.

It follows from the log alone, so the hub proposes nothing: hub, hospital and auditor make the same
plan, and an order that does not fit it is refused.

Source: design/federation.md §10.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from compliance.canonical import digest_of
from compliance.errors import Refused
from compliance.records.coalitions import MOST_BYTES, MOST_STATEMENTS, MOST_VALUES
from compliance.records.proxy import proxy_of
from compliance.records.recipe import Recipe, layout_of
from compliance.rules.methods import LEAST_ORDERS, SAMPLED, SWEEPS
from compliance.rules.state import StudyState

FLOAT_BYTES = 4
Item: TypeAlias = tuple[int, int]
"""Seed and coalition."""


@dataclass(frozen=True)
class Plan:
    """A sweep.

    Args:
        name: another log, rule, list of hospitals or last model is another sweep.
        sites: hospitals, sorted; bit i of a coalition is the i-th.
        seeds: one study of each coalition is played with each of them.
        rounds: as many as the study had.
        coalitions: ascending, the empty one (the start model) first.
        orders: sampled orders in which hospitals join; empty where every coalition is trained.
    """

    name: str
    sites: tuple[str, ...]
    seeds: tuple[int, ...]
    rounds: int
    coalitions: tuple[int, ...]
    orders: tuple[tuple[int, ...], ...] = ()

    def batches(self, count: int) -> list[list[Item]]:
        """Who is trained together: models of `count` values that fit into one order and its reply.

        An order carries a bounded vector, a reply a bounded number of statements (`statements`).
        """
        room = max(1, MOST_BYTES // (FLOAT_BYTES * count))
        most = min(room, MOST_VALUES)
        found: list[list[Item]] = []
        told = 0
        for seed in self.seeds:
            for start in range(0, len(self.coalitions), most):
                piece = [(seed, one) for one in self.coalitions[start : start + most]]
                full = told == MOST_STATEMENTS or (bool(found) and len(found[-1] + piece) > room)
                if full or not found:
                    found.append([])
                    told = 0
                found[-1] += piece
                told += 1
        return found

    def members(self, coalition: int) -> list[str]:
        """The hospitals of a coalition."""
        return [site for place, site in enumerate(self.sites) if coalition >> place & 1]

    def places(self, items: list[Item], site: str) -> list[int]:
        """Places in a batch of the coalitions that a hospital trains."""
        bit = self.sites.index(site)
        return [place for place, (_, coalition) in enumerate(items) if coalition >> bit & 1]


def statements(items: list[Item]) -> list[tuple[int, list[int]]]:
    """What a hospital says of a batch: a seed and places in the batch for each statement."""
    found: list[tuple[int, list[int]]] = []
    for place, (seed, _) in enumerate(items):
        if not found or found[-1][0] != seed or len(found[-1][1]) == MOST_VALUES:
            found.append((seed, []))
        found[-1][1].append(place)
    return found


def plan_of(state: StudyState) -> Plan | None:
    """The sweep of a study whose rounds are all closed; None where nothing is swept (yet).

    Its hospitals are those that are active and had an update counted.
    """
    charter, closed = state.charter, state.rounds_closed
    rule, params = charter.contribution.rule, charter.contribution.params
    sites = tuple(site for site in state.active_sites() if state.participation.get(site))
    if rule not in SWEEPS or len(closed) < charter.max_rounds or not sites:
        return None
    identity = [
        state.charter_id, rule, dict(params), list(sites), charter.recipe.sha256, len(closed),
        state.model_sha256,
    ]  # fmt: skip
    digest = digest_of(identity).removeprefix("sha256:")
    orders: tuple[tuple[int, ...], ...] = ()
    coalitions = range(1 << len(sites)) if rule not in SAMPLED else ()
    if rule in SAMPLED:
        count = int(params.get("permutations", LEAST_ORDERS))
        orders = draw_orders(digest, len(sites), count)
    return Plan(
        name=f"sweep-{digest[:16]}",
        sites=sites,
        seeds=tuple(range(int(params.get("seeds", "0")))),
        rounds=len(closed),
        coalitions=tuple(coalitions) or tuple(sorted(_prefixes(orders))),
        orders=orders,
    )


def draw_orders(seed: str, sites: int, count: int) -> tuple[tuple[int, ...], ...]:
    """Draw orders of joining that nobody chose: shuffles by a stream of SHA-256 over a seed."""
    stream, found = _numbers(seed), []
    for _ in range(count):
        places = list(range(sites))
        for last in range(sites - 1, 0, -1):
            other = _below(stream, last + 1)
            places[last], places[other] = places[other], places[last]
        found.append(tuple(places))
    return tuple(found)


def _numbers(seed: str) -> Iterator[int]:
    counter = 0
    while True:
        yield from hashlib.sha256(f"consilium/orders/v1\n{seed}\n{counter}".encode()).digest()
        counter += 1


def _below(stream: Iterator[int], most: int) -> int:
    """An even draw from 0 to most - 1, most at most 256: what would favour the small is skipped."""
    limit = 256 - 256 % most
    return next(number for number in stream if number < limit) % most


def _prefixes(orders: tuple[tuple[int, ...], ...]) -> set[int]:
    found = {0}
    for order in orders:
        coalition = 0
        for place in order:
            coalition |= 1 << place
            found.add(coalition)
    return found


def start_seed(log: str, seed: int) -> bytes:
    """From what the start weights of one seed are drawn; the same for every coalition."""
    return f"{log}:sweep:{seed}".encode()


def swept_recipe(rule: str, recipe: Recipe) -> Recipe:
    """What a sweep trains: the study's recipe, or the small network that stands for it.

    Raises:
        Refused: there is none for this recipe (`charter.terms`).
    """
    return recipe if rule == "shapley_exact" else proxy_of(recipe)


def check_sweep(rule: str, sites: int, recipe: Recipe) -> None:
    """Refuse a sweep that cannot be carried out; other rules pass.

    Args:
        rule: of contribution.
        sites: hospitals of the charter.
        recipe: of the charter.

    Raises:
        Refused: `charter.terms`: with noise, too large, or site-side memory.
    """
    if rule not in SWEEPS:
        return
    if recipe.dp is not None:
        raise Refused(
            "charter.terms", f"{rule} with a privacy cap", "equal or cases",
            "A sweep trains on every case in half of all coalitions, with every seed, and this "
            "release does not charge that to a privacy budget.",
        )  # fmt: skip
    swept = swept_recipe(rule, recipe)
    if swept.local.scaffold:
        raise Refused(
            "charter.terms", f"{rule} with SCAFFOLD", "shapley_proxy, equal or cases",
            "SCAFFOLD remembers one control a hospital, a sweep needs one a coalition.",
        )  # fmt: skip
    if swept.personal is not None:
        raise Refused(
            "charter.terms", f"{rule} with layers that stay at a hospital",
            "shapley_proxy, equal or cases",
            "A sweep compares whole models, and no coalition has the layers of its members.",
        )  # fmt: skip
    layout = layout_of(swept)
    models = 1 if rule in SAMPLED else 1 << sites
    size = models * layout.count * FLOAT_BYTES
    if size > MOST_BYTES:
        raise Refused(
            "charter.terms", f"{models} models of {layout.count} values, {size >> 20} MiB",
            f"at most {MOST_BYTES >> 20} MiB",
            "A sweep sends the models of all coalitions in one vector, and this one is too large: "
            "choose shapley_proxy, which measures with a small network, or equal or cases.",
        )  # fmt: skip
