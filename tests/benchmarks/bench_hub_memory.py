"""Memory of the ServerApp's part of a round: a large model out, two updates in, one at a time.

The director's own exchange, judge, spool and registry, with a Grid that makes its messages in this
process: an order of P values is pushed, updates of P values are pulled, judged and spooled. What is
printed is the growth of this process's largest resident size, beside the size of the model.

Run: `.venv/bin/python -m tests.benchmarks.bench_hub_memory [--values 100000000] [--sites 2]`.
The bar: no more than 2.5 models at once (an order that is packed is two, a reply one), whatever the
number of sites.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

MODELS = 2.5
MEGA = 1 << 20


def main(words: list[str]) -> int:
    """Print one JSON object: megabytes of the model, growth while sending and while receiving."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=int, default=100_000_000)
    parser.add_argument("--sites", type=int, default=2)
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="consilium-memory-") as name:
        told = measure(Path(name), asked.values, asked.sites)
    told["bar_models"] = MODELS
    told["well"] = max(told["sending_models"], told["receiving_models"]) <= MODELS
    print(json.dumps(told))
    return 0 if told["well"] else 1


def measure(folder: Path, count: int, sites: int) -> dict[str, Any]:
    """Send an order and take the replies as a director does."""
    from flwr.supercore.task_identity import TaskIdentity

    from compliance.canonical import sha256_id
    from compliance.records.order import Order
    from hub.federation.exchange import FlowerExchange
    from hub.federation.replies import judge_update, norm_of
    from hub.federation.spool import Spool

    for field in ("_run_id", "_task_id", "_node_id"):
        setattr(TaskIdentity, field, 1)
    model = folder / "model.f32"
    np.zeros(count, dtype="<f4").tofile(model)
    size, names = 4 * count, {str(at + 1): f"s{at}.example" for at in range(sites)}
    sha = sha256_id(b"x")
    order = Order(
        kind="train", log=sha, entry=1, leaf=sha, round=1, layout_sha256=sha, model_sha256=sha,
        deadline="2026-12-01T00:00:00Z",
    )  # fmt: skip
    exchange = FlowerExchange(_Grid(count), lambda: names)  # type: ignore[arg-type]
    spool, seconds = Spool(folder), time.monotonic()
    with Peak() as sending:
        sent = exchange.send(order, model.read_bytes, names.values(), 60)
    with Peak() as receiving:
        replies = exchange.receive(sent)
        while (reply := next(replies, None)) is not None:
            _take(reply, count, judge_update, norm_of, spool)
            reply = None
    return {
        "model_mb": size // MEGA,
        "sites": sites,
        "sending_models": round(sending.grown / size, 2),
        "receiving_models": round(receiving.grown / size, 2),
        "seconds": round(time.monotonic() - seconds, 1),
        "largest_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def _take(reply: Any, count: int, judge: Any, norm_of: Any, spool: Any) -> None:
    from compliance.records.rounds import UpdateSubmitted
    from compliance.records.wire import vector_values
    from hub.federation.replies import Cases
    from tests import factories as make

    values = vector_values(reply.array, count)
    from compliance.canonical import sha256_id

    told = make.update(reply.site, update_sha256=sha256_id(values), bytes=4 * count, n=40)
    found = judge(reply.array, UpdateSubmitted.model_validate(told), count, Cases("<100", None))
    spool.keep(1, reply.site, found[0])


class _Grid:
    """Stands where Flower's Grid would: takes an order, makes one reply when it is asked."""

    def __init__(self, count: int) -> None:
        self._count = count

    def push_messages(self, messages: Iterable[Any]) -> list[str]:
        """Take the messages and keep none."""
        return [f"m{at}" for at, _ in enumerate(messages)]

    def pull_messages(self, _: list[str]) -> list[Any]:
        """One reply with an update of small values."""
        from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

        from compliance.records.wire import ARRAYS, NOTES, VECTOR, WORDS, vector_header

        data = b"".join((vector_header(self._count), bytes(4 * self._count)))
        array = Array("float32", (self._count,), "numpy.ndarray", data)
        content = RecordDict(
            {ARRAYS: ArrayRecord({VECTOR: array}), WORDS: ConfigRecord({NOTES: [b"note"]})}
        )
        return [Message(content, dst_node_id=1, message_type="train")]


class Peak:
    """The growth of this process's resident size within a block, looked at every 5 ms."""

    def __init__(self) -> None:
        self.grown = 0
        self._over = threading.Event()

    def __enter__(self) -> Peak:
        self._begin = resident()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.005):
            self.grown = max(self.grown, resident() - self._begin)


def resident() -> int:
    """Resident bytes of this process (Linux, /proc)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
