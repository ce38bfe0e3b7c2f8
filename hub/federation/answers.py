"""Which orders are answered: one question for all, and the answers one after the other.

With Flower's `Grid.pull_messages` it is either one question for each order, a hundred of them five
times a second, or every answer in memory at once; and whose order an answer belongs to then stands
only in what its sender wrote. Here Flower's own client is asked once, the SuperLink says which
order each answer belongs to, and values are fetched when it is their turn.

Source: design/federation.md §3.1 step 3; flwr 1.41 (`HttpGrid.pull_messages`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flwr.app import Message
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest
from flwr.proto.runtime_pb2 import PullAppMessagesRequest
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_protobuf_utils import make_pull_object_fn_protobuf
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    inflate_object_from_contents,
    pull_objects,
)

CLIENT = "_runtime_client"
"""Where Flower 1.41 keeps the client of a Grid that speaks to a SuperLink; a test looks for it."""


@dataclass(frozen=True)
class Answered:
    """The number of an order, and its answer; None when its values never came."""

    number: str
    message: Message | None


def answered(grid: Grid, numbers: Sequence[str]) -> Iterator[Answered]:
    """The answers that are there, one at a time.

    Args:
        grid: of the ServerApp; one without a client of Flower's (a test's) is asked one by one.
        numbers: of the orders.
    """
    client = getattr(grid, CLIENT, None)
    if client is None:
        for number in numbers:
            for message in grid.pull_messages([number]):
                yield Answered(number, message)
        return
    if not numbers:
        return
    told = client.PullMessages(PullAppMessagesRequest(message_ids=numbers))
    for message, tree in zip(told.messages_list, told.message_object_trees, strict=True):
        number = message.metadata.reply_to_message_id  # as the SuperLink keeps it
        if number in numbers:
            yield Answered(number, _whole(grid, client, message.metadata.message_id, tree))


def _whole(grid: Any, client: Any, name: str, tree: Any) -> Message | None:
    """Fetch what a message is made of, as Flower itself does, and let the SuperLink forget it."""
    run = grid.run.run_id
    pull = make_pull_object_fn_protobuf(client.PullObject, grid.node, run)
    try:
        parts = pull_objects([one.object_id for one in iterate_object_tree(tree)], pull)
    except ObjectPullError:
        return None
    client.ConfirmMessageReceived(
        ConfirmMessageReceivedRequest(node=grid.node, run_id=run, message_object_id=name)
    )
    whole = inflate_object_from_contents(name, parts)
    return whole if isinstance(whole, Message) else None
