"""Hospitals of a masked study in memory: honest ones, with the real gate."""

from __future__ import annotations

from typing import Any

from compliance.errors import Refused
from compliance.records.masking import UnmaskOrder
from compliance.records.order import Order
from compliance.records.wire import OPENED, WORDS_32, vector_file
from hub.federation.exchange import Failure
from hub.federation.replies import Reply
from tests.house import House
from tests.hub.federation.post import Post, honest

MASKED = {"name": "fedavg", "params": {"n_ref": "100", "mask_range": "1"}, "masked": True}
FOUR = ("east.example", "north.example", "south.example", "west.example")
CASES = {"east.example": 40, "north.example": 30, "south.example": 35, "west.example": 25}


def agreeing(post: Post, site: str, order: Order) -> Reply | Failure | None:
    """Ask the own gate, answer under masks, open shares when that is asked."""
    if order.kind == "evaluate":
        return honest(post, site, order)
    rooms = post.house.sites[site]
    if order.kind == "unmask":
        post.house.time.forward(seconds=6)  # the mirror looks again after five
    rooms.witness.step(post.house.study)
    try:
        if isinstance(order, UnmaskOrder):
            study, state = rooms.permits.check_unmask(order)
            opened = rooms.masking.unmask(study, state, order)
            return Reply(site, None, [], {OPENED: opened})
        permit = rooms.permits.check(order, post.house.time.now)
        known = rooms.release.cached(permit, order)
        if known is None:
            delta = post.delta(site, order)
            rooms.release.admit(permit, order, delta=delta, n=CASES[site], steps=9, metrics=[])
            known = rooms.release.cached(permit, order)
    except Refused as error:
        return Reply(site, None, [rooms.release.refuse(order, error.rule)])
    assert known is not None
    assert known.delta is not None
    return Reply(site, vector_file(known.delta, WORDS_32), known.notes, known.papers)


def masked_post(house: House, **terms: Any) -> Post:
    """A launched masked study whose hospitals have published their keys."""
    house.launch(**{"max_rounds": 1, "round_seconds": 600, "min_sites": 3, "aggregator": MASKED}
                 | terms)  # fmt: skip
    publish(house)
    return Post(house, habits=dict.fromkeys(house.sites, agreeing))


def publish(house: House) -> int:
    """Every hospital's agent takes a turn: keys go into the log; returns how many."""
    house.look()
    found = sum(rooms.masking.publish_all() for rooms in house.sites.values())
    for rooms in house.sites.values():
        rooms.statements.deliver(rooms.hub)
    house.time.forward(seconds=6)
    house.look()
    return found
