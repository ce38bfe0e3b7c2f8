"""How fast the ledger is, beside the bars of design/ledger.md §15; one table, no assertion.

Durable appends go through the hub's own service: judged, in one transaction, on disk. SQLite runs
with `synchronous=FULL`, PostgreSQL with `fsync` and `synchronous_commit` on.

Run: `.venv/bin/python -m tests.benchmarks.bench_ledger [--only audit]`.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from compliance import canonical
from compliance.ledger.checkpoint import Checkpoint, sign
from compliance.ledger.cosign import cosign
from compliance.ledger.merkle import Tree, check_inclusion, leaf_hash
from compliance.ledger.policy import Policy, policy_of_charter
from compliance.ledger.proof import check_proof, parse_proof, write_proof
from compliance.records.envelope import parse_event
from compliance.rules.fold import advance, judge, replay
from compliance.rules.state import StudyState
from compliance.signing.keys import COSIGNATURE
from compliance.signing.note import assemble, parse
from tests import factories as make
from tests import postgres
from tests.hub.house import House
from tests.simulator import Federation

MILLION = 10**6
ROUNDS = 1000
SINGLE = 400
SEVERAL = 100

Row = tuple[str, str, str, bool]


def per_second(work: Callable[[], object], times: int, *, repeats: int = 3) -> float:
    """How often a second, best of some repeats: other people share this machine."""
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        for _ in range(times):
            work()
        taken.append(time.perf_counter() - begun)
    return times / min(taken)


def seconds(work: Callable[[], object]) -> float:
    """How long something takes once."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


@functools.cache
def long_study() -> list[bytes]:
    """A study of 1,000 rounds of four hospitals: 6,001 entries."""
    rows = [make.dataset_row(name, epsilon="1000.0") for name in make.NAMES]
    privacy = {"unit": "patient", "epsilon": "1000.0", "delta": "0.00001", "accountant": "prv"}
    world = Federation(sites=make.NAMES, max_rounds=ROUNDS, dp=privacy, datasets=rows)
    for _ in range(ROUNDS):
        world.play_round()
    return world.entries


def appends(url: str | None, bar: int, name: str) -> Iterator[Row]:
    """Single durable appends to a hub's log, and a batch in one transaction."""
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder) / "home", database_url=url)
        study = house.launched()
        body = {"from": 0, "to": 1, "result": "nothing_found", "on_behalf": None}
        events = house.rooms.keys.events
        notes = [house.note("review.noted", body, make.EVENTS, by=events) for _ in range(SINGLE)]
        append = house.rooms.ledger.append
        taken = seconds(lambda: [append(study, note) for note in notes])
        house.close()
    rate = SINGLE / taken
    yield f"durable single appends, {name}", f"≥ {bar}/s", f"{rate:,.0f}/s", rate >= bar


def sqlite() -> Iterator[Row]:
    """The hub's own file."""
    yield from appends(None, 300, "SQLite")


def postgresql() -> Iterator[Row]:
    """A server of its own, durable."""
    with postgres.cluster(durable=True) as server:
        yield from appends(server.database(), 100, "PostgreSQL")


def audit() -> Iterator[Row]:
    """The whole fold over 6,001 entries, every signature checked."""
    entries = long_study()
    taken = min(seconds(lambda: replay(entries)) for _ in range(3))
    rate = len(entries) / taken
    yield f"audit of {len(entries):,} entries", "≥ 1,500/s", f"{rate:,.0f}/s", rate >= 1500


def growth() -> Iterator[Row]:
    """Judging must not grow with the log."""
    entries = long_study()
    state: StudyState | None = None
    taken: dict[int, list[float]] = {1: [], 6: []}
    for index, note in enumerate(entries):
        thousand = (index + 300) // 1000
        if thousand in taken and index % 6 == 2:
            taken[thousand].append(seconds(lambda: judge(state, note)))  # noqa: B023 - run at once
        state = advance(state, note, index)
    early, late = statistics.median(taken[1]), statistics.median(taken[6])
    told = f"{early * 1e6:,.0f} µs, {late * 1e6:,.0f} µs ({100 * late / early - 100:+.0f} %)"
    yield "judge, about the 1,000th and the 6,000th", "within 20 %", told, late <= 1.2 * early


def batch() -> Iterator[Row]:
    """A hundred entries folded and put into the tree, the state known."""
    entries = long_study()
    state = replay(entries[:5401])

    def work() -> None:
        for note in entries[state.size : state.size + SEVERAL]:
            judge(state, note)
            advance(state, note, state.size)

    taken = min(seconds(work) for _ in range(5))
    yield "witness step over 100 new entries", "≤ 1 s", f"{taken:.3f} s", taken <= 1


def million() -> Iterator[Row]:
    """A tree of a million entries: root, proof, its size and its check."""
    tree = Tree()
    for number in range(MILLION):
        tree.append(leaf_hash(number.to_bytes(4, "big")))
    root = 1 / per_second(tree.root, 200)
    yield "root at 10⁶", "≤ 10 ms", f"{root * 1e3:.3f} ms", root <= 0.01
    path = tree.inclusion(777_777)
    made = 1 / per_second(lambda: tree.inclusion(777_777), 200)
    yield "make a proof at 10⁶", "≤ 10 ms", f"{made * 1e3:.3f} ms", made <= 0.01
    entry, top = (777_777).to_bytes(4, "big"), tree.root()
    checked = 1 / per_second(
        lambda: check_inclusion(leaf_hash(entry), 777_777, MILLION, path, top), 500
    )
    yield "check an inclusion proof", "≤ 1 ms", f"{checked * 1e6:.0f} µs", checked <= 0.001
    yield from _proof_file(tree, entry, path)


def _proof_file(tree: Tree, entry: bytes, path: list[bytes]) -> Iterator[Row]:
    names = (*make.NAMES, "mid.example")
    state = Federation(sites=tuple(sorted(names)), quorum={
        "k": 5, "witnesses": sorted(names), "external": []}).state  # fmt: skip
    policy = Policy.parse(policy_of_charter(state.charter))
    checkpoint = Checkpoint(make.ORIGIN, MILLION, tree.root())
    note = parse(sign(checkpoint, make.key(make.ORIGIN)))
    lines = [
        cosign(note.text, make.key(f"{name}/witness", COSIGNATURE), 1_800_000_000) for name in names
    ]
    file = write_proof(777_777, path, assemble(note.text, [*note.lines, *lines]))
    yield "proof file with 5 cosignatures", "≤ 2,048 B", f"{len(file):,} B", len(file) <= 2048
    taken = 1 / per_second(lambda: check_proof(parse_proof(file), entry, policy), 200)
    yield "check a proof file with 5 cosignatures", "≤ 1 ms", f"{taken * 1e3:.2f} ms", taken <= 1e-3


def primitives() -> Iterator[Row]:
    """Signing, verifying, reading: for orientation, no bar."""
    note = parse(long_study()[3])
    key = make.key(make.EVENTS)
    verifier, signature = key.verifier, key.sign(note.text)
    value = canonical.decode(note.text.split(b"\n")[1])
    for name, work in {
        "sign": lambda: key.sign(note.text),
        "verify": lambda: verifier.verifies(note.text, signature),
        "canonicalise": lambda: canonical.encode(value),
        "read a statement": lambda: parse_event(note.text),
        "read a note": lambda: parse(note.encode()),
    }.items():
        yield name, "none", f"{1e6 / per_second(work, 500):.0f} µs", True


BENCHES: dict[str, Callable[[], Iterator[Row]]] = {
    "sqlite": sqlite,
    "postgresql": postgresql,
    "audit": audit,
    "growth": growth,
    "witness": batch,
    "million": million,
    "primitives": primitives,
}


def main(words: list[str]) -> int:
    """Print the table; the exit code says whether every bar was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[*BENCHES, ""], default="")
    only = parser.parse_args(words).only
    fine = True
    for name, bench in BENCHES.items():
        if only in ("", name):
            for what, bar, figure, reached in bench():
                fine &= reached
                print(f"{what:45} {bar:>12} {figure:>26}  {'ok' if reached else 'SHORT'}",
                      flush=True)  # fmt: skip
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
