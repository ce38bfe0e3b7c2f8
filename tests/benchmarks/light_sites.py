"""Light hospitals for the benchmark of many sites: threads that speak the real protocol.

Each has its own node key and its own connection by Flower's own fleet client, through the gateway.
Like a real one it looks at both logs when an order comes, proves that they only grew, cosigns, and
answers with a vector and with notes that its node key signed. What is light: nothing is trained,
nothing is stored, and one fold over the log serves all hospitals of a process.

Run by `bench_many_sites`: `python -m tests.benchmarks.light_sites FOLDER FIRST LAST TICK`.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents, pull_objects
from flwr.supernode import fleet_http_connection
from flwr.supernode.fleet_http_connection import http_request_response

from compliance.errors import ConsiliumError
from compliance.ledger.checkpoint import Checkpoint, parse_text
from compliance.ledger.cosign import OK, answer, cosign
from compliance.ledger.merkle import leaf_hash
from compliance.protocol import PROTOCOL
from compliance.records.envelope import write_event
from compliance.records.order import Order
from compliance.records.types import time_text
from compliance.records.wire import ARRAYS, NOTES, VECTOR, WORDS, vector_file, vector_values
from compliance.rules.logs import State
from compliance.signing.note import parse, seal
from site_node.federation.client_app import read_order
from site_node.gate.hub_client import HubClient, open_http
from site_node.gate.mirror import CONSORTIUM, fold
from site_node.gate.release import Answer, statements_of
from tests.benchmarks.wide_hub import widen
from tests.factories import DATASET, sha
from tests.hub.house import site_keys

PAUSE = 3.0
"""Seconds that a SuperNode sleeps after an empty pull (flwr 1.41)."""
BACK, APART = 10.0, 0.2
AGENTS = 4
CASES = 120
SPREAD = 1e-3


class Fold:
    """One fold over a log for all hospitals of this process: judged, not believed."""

    def __init__(self, log: str) -> None:
        self._log, self._lock = log, threading.Lock()
        self._state: State | None = None
        self._leaves: list[bytes] = []

    def holds(
        self, known: Checkpoint | None, note: bytes, new: list[bytes], proof: list[bytes]
    ) -> Checkpoint:
        """Fold what is new and check the checkpoint against it; returns what may be cosigned."""
        size = known.size if known else 0
        with self._lock:
            fresh = new[len(self._leaves) - size :]
            if fresh:
                now = time_text(_clock())
                self._state = fold(self._log, self._state, fresh, len(self._leaves), now)
                self._leaves += map(leaf_hash, fresh)
            state = self._state
            assert state is not None
            key = state.keys.current[state.origin]
            told = answer(known, size, proof, note, key)
            assert told.status == OK, told
            claimed = parse_text(parse(note).text)
            assert state.root(claimed.size) == claimed.root
            return claimed

    def witnesses(self) -> list[str]:
        """Hospitals whose cosignatures this log counts."""
        terms = getattr(self._state, "charter", None) or self._state.agreement  # type: ignore[union-attr]
        return list(terms.quorum.witnesses)

    def leaf(self, index: int) -> str:
        """The hash of an entry, as an order names it."""
        return "sha256:" + self._leaves[index].hex()

    @property
    def state(self) -> Any:
        """Where the log stands."""
        return self._state


class Silent:
    """Stands where journal and egress ledger would: light hospitals keep no books."""

    def write(self, *_: Any, **__: Any) -> None:
        """Keep nothing."""

    sending = write


class LightSite:
    """One hospital.

    Args:
        name: of the site.
        told: address, folder, study of each site, as the benchmark wrote them down.
        logs: the folds of this process, by log.
    """

    def __init__(self, name: str, told: dict[str, Any], logs: dict[str, Fold]) -> None:
        self.name, self._told, self._study = name, told, told["sites"][name]
        self._logs = {log: logs[log] for log in (CONSORTIUM, self._study)}
        self._keys = site_keys(name)
        self._known: dict[str, Checkpoint] = {}
        self._looking = threading.Lock()
        self.hand: dict[str, Any] | None = None
        self.answers = 0
        self.hub = HubClient(
            http=open_http(told["address"], Path(told["ca"])),
            site=name,
            key=lambda: self._keys["node"],
            journal=Silent(),  # type: ignore[arg-type]
            egress=Silent(),  # type: ignore[arg-type]
            clock=_clock,
            nonce=lambda: secrets.token_hex(16),
        )

    # ------------------------------------------------------------------ the agent's half

    def look(self, log: str) -> None:
        """Mirror and cosign a log once, as the witness of a hospital does."""
        with self._looking:
            known, note = self._known.get(log), self.hub.checkpoint(log)
            claimed = parse_text(parse(note).text)
            size = known.size if known else 0
            if claimed.size == size:
                return
            new = self.hub.entries(log, size, claimed.size)
            proof = self.hub.consistency(log, size, claimed.size) if known else []
            checked = self._logs[log].holds(known, note, new, proof)
            if self.name in self._logs[log].witnesses():
                line = cosign(checked.text(), self._keys["witness"], int(time.time()))
                self.hub.cosign(log, line)
            self._known[log] = checked

    def look_at_all(self) -> None:
        """The consortium's log first, then the study's."""
        for log in self._logs:
            self.look(log)

    def beat(self) -> None:
        """Give a sign of life with the order in hand."""
        states = {"supernode": "up", "alarms": 0, "waiting": 0, "order": self.hand}
        self.hub.heartbeat(states, {"protocol": PROTOCOL, "flwr": "1.41.0"})

    # ------------------------------------------------------------------ the SuperNode's half

    def keep(self) -> None:
        """Serve, and begin again as the supervisor of a SuperNode does."""
        while True:
            try:
                self.serve()
            except (RuntimeError, OSError, ConsiliumError) as error:
                sys.stderr.write(f"{self.name}: {error}\n")
            time.sleep(BACK)

    def serve(self) -> None:
        """Pull orders and answer them, until the connection is lost."""
        key = load_ssh_private_key(
            (Path(self._told["keys"]) / self.name / "flower.key").read_bytes(), None
        )
        with http_request_response(
            server_address=self._told["fleet"], insecure=False, root_certificates=self._told["ca"],
            authentication_keys=(key, key.public_key()),  # type: ignore[arg-type]
        ) as (_, receive, send, get_run, get_fab, pull_object, push_object, confirm):  # fmt: skip
            runs: set[int] = set()
            while True:
                found = receive()
                if found is None:
                    time.sleep(PAUSE)
                    continue
                message, tree = found
                run = message.metadata.run_id
                if run not in runs:
                    get_fab(get_run(run).fab_hash, run)
                    runs.add(run)
                names = list(dict.fromkeys(one.object_id for one in iterate_object_tree(tree)))
                parts = pull_objects(names, lambda name, run=run: pull_object(run, name))
                confirm(run, message.metadata.message_id)
                whole = inflate_object_from_contents(message.metadata.message_id, parts)
                whole.metadata.__dict__["_message_id"] = message.metadata.message_id
                self._reply(whole, send, push_object)

    def _reply(self, message: Any, send: Callable[..., Any], push: Callable[..., None]) -> None:
        content = self.answer(message.content, message.metadata.message_type)
        reply = Message(content, reply_to=message)
        reply.metadata.__dict__["_message_id"] = reply.object_id
        wanted, session = send(reply, get_object_tree(reply), 0.1)
        for name, part in get_all_nested_objects(reply).items():
            if name in wanted:
                push(message.metadata.run_id, session, name, part.deflate())
        self.hand = None
        self.answers += 1

    def answer(self, asked: RecordDict, kind: Any) -> RecordDict:
        """Check the order against the own fold, and say what a hospital would say."""
        order, array = read_order(asked, kind)
        self.hand = {"log": order.log, "round": order.round, "kind": kind, "share": 0.0}
        log = self._logs[self._study]
        self.look_at_all()
        assert log.leaf(order.entry) == order.leaf
        count = self._told["count"]
        vector_values(array, count)
        delta = None
        if order.kind == "train":
            seed = int(order.model_sha256[7:15], 16) + int(self.name[1:4])
            drawn = np.random.default_rng(seed).standard_normal(count, np.float32)
            delta = (drawn * np.float32(SPREAD)).astype("<f4").tobytes()
        words = ConfigRecord({NOTES: list(self._notes(order, delta, log.state))})
        if delta is None:
            return RecordDict({WORDS: words})
        vector = Array("float32", (count,), "numpy.ndarray", vector_file(delta))
        return RecordDict({ARRAYS: ArrayRecord({VECTOR: vector}), WORDS: words})

    def _notes(self, order: Order, delta: bytes | None, state: Any) -> list[bytes]:
        value = {"value": "0.87", "low": "0.82", "high": "0.91", "n": 200, "positives": 60}
        values = {name: value for name in state.charter.evaluation.metrics if "." not in name}
        claim = {"phase": "before_training", "split": "test", "values": values}
        permit = SimpleNamespace(
            charter=state.charter,
            dataset=SimpleNamespace(id=DATASET),
            dataset_version=sha(f"{self.name} version 1"),
        )
        said = statements_of(permit, order, Answer(delta, CASES, [claim]))  # type: ignore[arg-type]
        key = self._keys["node"]
        return [
            seal(write_event(kind, body, time=time_text(_clock()), actor=key.name, log=order.log,
                             nonce=secrets.token_hex(16)), key)
            for kind, body in said
        ]  # fmt: skip


def _refused(code: int, message: str = "") -> None:
    """What stands where Flower would end the whole process."""
    raise RuntimeError(f"{code} {message}")


def _clock() -> datetime:
    return datetime.now(UTC)


def _tend(sites: list[LightSite], tick: float, beat: float = 15.0) -> None:
    """What the agents of these hospitals do beside orders: look at logs, give a sign of life."""
    beaten = -beat
    while True:
        began = time.monotonic()
        beats = began - beaten >= beat
        beaten = began if beats else beaten
        for site in sites:
            try:
                if beats:
                    site.beat()
                site.look_at_all()
            except ConsiliumError as error:
                sys.stderr.write(f"{site.name}: {error}\n")
        time.sleep(max(0.1, tick - (time.monotonic() - began)))


def main(words: list[str]) -> int:
    """Serve these hospitals until ended."""
    folder, first, last, tick = Path(words[0]), int(words[1]), int(words[2]), float(words[3])
    logging.getLogger("flwr").setLevel(logging.WARNING)
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    widen()
    fleet_http_connection.flwr_exit = _refused
    told = json.loads((folder / "light.json").read_text())
    logs = {name: Fold(name) for name in (CONSORTIUM, *told["sites"].values())}
    sites = [LightSite(name, told, logs) for name in sorted(told["sites"])[first:last]]
    for site in sites:
        threading.Thread(target=site.keep, name=site.name, daemon=True).start()
        time.sleep(APART)
    for place in range(AGENTS):
        threading.Thread(target=_tend, args=(sites[place::AGENTS], tick), daemon=True).start()
    while True:
        time.sleep(10)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
