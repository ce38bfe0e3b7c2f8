"""An exchange in memory: hospitals answer through their real gate, or as a bad habit has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from compliance.errors import Refused
from compliance.records.order import Order
from compliance.records.wire import vector_file
from hub.federation.director import Director, Stage
from hub.federation.exchange import Failure, Model
from hub.federation.replies import Reply
from site_node.gate.measures import MetricClaim
from tests.house import House
from tests.site_node.gate.world import LAYOUT

Habit = Callable[["Post", str, Order], "Reply | Failure | None"]
SCORES = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 40, "positives": 12}


class PowerCut(Exception):
    """The director's process ends here."""


def honest(post: Post, site: str, order: Order) -> Reply | Failure | None:
    """Ask the own gate, answer as it says."""
    rooms = post.house.sites[site]
    rooms.witness.step(post.house.study)
    try:
        permit = rooms.permits.check(order, post.house.time.now)
        known = rooms.release.cached(permit, order)
        if known is not None:
            delta, notes = known.delta, known.notes
        else:
            delta = post.delta(site, order) if order.kind == "train" else None
            claim = MetricClaim("before_training", "test", {"auroc": SCORES})
            notes = rooms.release.admit(permit, order, delta=delta, n=40, steps=9, metrics=[claim])
    except Refused as error:
        return Reply(site, None, [rooms.release.refuse(order, error.rule)])
    return Reply(site, None if delta is None else vector_file(delta), notes)


def silent(post: Post, site: str, order: Order) -> None:
    """Take the order and never answer."""


def crashing(post: Post, site: str, order: Order) -> Failure:
    """The hospital's program ends without an answer."""
    return Failure(site)


@dataclass
class Post:
    """Carries orders and replies between the hub's director and the hospitals of a house."""

    house: House
    habits: dict[str, Habit] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    sendings: list[tuple[str, str, int]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    working: dict[str, int] = field(default_factory=dict)
    cut_after: int | None = None
    orders: dict[str, tuple[str, Order]] = field(default_factory=dict)
    vectors: dict[str, bytes] = field(default_factory=dict)

    def online(self) -> set[str]:
        """Hospitals that can be reached."""
        return set(self.house.sites) - self.away

    def send(
        self, order: Order, vector: Model | None, sites: Iterable[str], ttl: float
    ) -> dict[str, str]:
        """Hand an order to hospitals that are there; with `unmask` goes no model."""
        found = {}
        if vector is not None:
            self.vectors[order.model_sha256] = vector()
        for site in sites:
            self.sendings.append((site, order.kind, order.round))
            number = f"m{len(self.sendings)}"
            self.orders[number] = site, order
            found[site] = number
        return found

    def receive(self, waiting: Mapping[str, str]) -> Iterator[Reply | Failure]:
        """Let each hospital answer as its habit is."""
        for site, number in waiting.items():
            if number not in self.orders or site in self.away:
                continue
            _, order = self.orders.pop(number)
            reply = self.habits.get(site, honest)(self, site, order)
            if reply is not None:
                yield reply
                self._maybe_cut()

    def _maybe_cut(self) -> None:
        if self.cut_after is not None:
            self.cut_after -= 1
            if self.cut_after == 0:
                self.cut_after = None
                raise PowerCut

    def delta(self, site: str, order: Order) -> bytes:
        """A small update that depends on hospital and model, always the same."""
        seed = int(order.model_sha256[7:15], 16) + list(self.house.sites).index(site)
        return np.random.default_rng(seed).normal(0, 1e-3, LAYOUT.count).astype("<f4").tobytes()

    def direct(self) -> None:
        """Let a director work until the study ends or its process does."""
        rooms = self.house.hub
        lease = rooms.rounds.begin(self.house.study)
        Director(lease, self.stage()).run()

    def stage(self) -> Stage:
        """What a director works with: the real hub, this post, the test's clock."""
        rooms = self.house.hub
        return Stage(
            rounds=rooms.rounds,
            exchange=self,
            sizes=lambda site, name, version: rooms.catalogue.dataset(site, name, version).examples,
            wait=lambda seconds: self.house.time.forward(seconds=seconds),
            say=self.said.append,
            working=lambda: self.working,
            scores=rooms.scores.keep,
        )
