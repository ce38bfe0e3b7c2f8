"""Orders out, replies in: Flower's message types end here.

One order is one RecordDict for all sites, so that its objects travel once. Replies are asked for
one by one: whoever is silent holds up nobody, and costs no question of its own (`answers`).

Source: design/federation.md §3.1, §4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from compliance.records.order import Order
from compliance.records.wire import (
    ARRAYS,
    COMMITMENTS,
    NOTES,
    OPENED,
    ORDER,
    SHARES,
    VECTOR,
    WORDS,
    vector_file,
)
from hub.federation.answers import answered
from hub.federation.replies import Reply

Model = Callable[[], bytes]
"""Reads the order's model: it is held while it is sent, and no longer."""


MESSAGES = {"unmask": "query", "sweep": "train.sweep"}
"""Flower's name for a message where it is not the order's kind."""

PAPERS = ({SHARES, COMMITMENTS}, {OPENED}, set[str]())
"""What may come beside the notes of a reply."""


class Exchange(Protocol):
    """What a round needs of whatever carries its messages."""

    def online(self) -> set[str]:
        """Sites that can be reached now."""

    def send(
        self, order: Order, vector: Model | None, sites: Iterable[str], ttl: float
    ) -> dict[str, str]:
        """Send one order to several sites; returns a message id by site that took it."""

    def receive(self, waiting: Mapping[str, str]) -> Iterator[Reply | Failure]:
        """What has come for these message ids (by site) since the last time."""


class Failure:
    """A site's program ended without an answer, or the site vanished with the order."""

    def __init__(self, site: str) -> None:
        self.site = site


class FlowerExchange:
    """Carries orders and replies over Flower's Grid.

    Args:
        grid: of the ServerApp.
        sites: returns site name by Flower node id.
        ring: tells the gateway that an order was pushed.
    """

    def __init__(
        self,
        grid: Grid,
        sites: Callable[[], Mapping[str, str]],
        ring: Callable[[], None] = lambda: None,
    ) -> None:
        self._grid, self._sites, self._ring = grid, sites, ring

    def online(self) -> set[str]:
        """Sites whose node has given a sign of life."""
        names = self._sites()
        return {names[str(node)] for node in self._grid.get_node_ids() if str(node) in names}

    def send(
        self, order: Order, vector: Model | None, sites: Iterable[str], ttl: float
    ) -> dict[str, str]:
        """Push one order; sending it again makes the very same objects again."""
        nodes = {site: int(node) for node, site in self._sites().items()}
        wanted = [site for site in sites if site in nodes]
        if not wanted:
            return {}
        content = _content(order, vector() if vector is not None else None)
        kind = MESSAGES.get(order.kind, order.kind)
        messages = [
            Message(content, nodes[site], kind, ttl=ttl, group_id=str(order.round))
            for site in wanted
        ]
        numbers = list(self._grid.push_messages(messages))
        self._ring()
        return {site: number for site, number in zip(wanted, numbers, strict=False) if number}

    def receive(self, waiting: Mapping[str, str]) -> Iterator[Reply | Failure]:
        """Ask which of them are answered; memory holds one answer at a time."""
        names = {number: site for site, number in waiting.items()}
        found = answered(self._grid, list(names))
        while (one := next(found, None)) is not None:
            reply, one = read_message(names[one.number], one.message), None
            yield reply
            del reply


def _content(order: Order, vector: bytes | None) -> RecordDict:
    words = ConfigRecord({ORDER: order.encode()})
    if vector is None:
        return RecordDict({WORDS: words})
    array = Array("float32", (len(vector) // 4,), "numpy.ndarray", vector_file(vector))
    return RecordDict({ARRAYS: ArrayRecord({VECTOR: array}), WORDS: words})


def read_message(site: str, message: Message | None) -> Reply | Failure:
    """Take the records out of a Flower message; anything unexpected is a failure."""
    if message is None or message.has_error() or not message.has_content():
        return Failure(site)
    content = message.content
    words = content.get(WORDS)
    notes = words.get(NOTES) if isinstance(words, ConfigRecord) else None
    if not isinstance(notes, list) or not all(isinstance(note, bytes) for note in notes):
        return Failure(site)
    papers = {name: data for name, data in (words or {}).items() if name != NOTES}
    if set(content) - {ARRAYS, WORDS} or set(papers) not in PAPERS:
        return Failure(site)
    if not all(isinstance(data, bytes) for data in papers.values()):
        return Failure(site)
    return Reply(
        site,
        _array_bytes(content.get(ARRAYS)),
        [bytes(note) for note in notes if isinstance(note, bytes)],
        {name: data for name, data in papers.items() if isinstance(data, bytes)},
    )


def _array_bytes(record: object) -> bytes | None:
    if not isinstance(record, ArrayRecord) or set(record) != {VECTOR}:
        return None
    return bytes(record[VECTOR].data)
