"""A hospital says which order it has in hand, and says it no more when its program ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from compliance.canonical import sha256_id
from compliance.records.order import Order
from site_node.gate.at_work import AtWork

ORDER = Order(
    kind="train",
    log=sha256_id(b"log"),
    entry=3,
    leaf=sha256_id(b"leaf"),
    round=7,
    layout_sha256=sha256_id(b"layout"),
    model_sha256=sha256_id(b"model"),
    deadline="2026-11-30T10:00:00Z",
)


def test_the_order_in_hand_is_seen_while_it_is_carried_out(tmp_path: Path) -> None:
    """Its round, its kind and the tenths that are done; nothing afterwards."""
    here, there = AtWork(tmp_path), AtWork(tmp_path)
    assert there.look() is None

    with here.hold(ORDER):
        here.tell(0.47)
        seen = there.look()
        there.carried({"down": 28_000_000, "up": 0, "secret": "x"})
        progress = there.progress()

    assert seen is not None
    assert seen.plain() == {"log": ORDER.log, "round": 7, "kind": "train", "share": 0.4}
    assert progress == seen.plain() | {"down": 28_000_000, "up": 0}
    assert there.look() is None
    assert there.progress() is None


def test_a_program_that_is_killed_lets_go_of_its_order(tmp_path: Path) -> None:
    """The lock ends with the process, whatever stands in the file."""
    holds = (
        "import os, signal, sys; from pathlib import Path\n"
        "from compliance.records.order import Order; from site_node.gate.at_work import AtWork\n"
        "with AtWork(Path(sys.argv[1])).hold(Order.parse(sys.argv[2].encode())):\n"
        "    print(AtWork(Path(sys.argv[1])).look().round)\n"
        "    sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", holds, str(tmp_path), ORDER.encode().decode()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stdout.strip() == "7", done.stderr
    assert AtWork(tmp_path).look() is None


def test_a_second_program_goes_on_without_the_lock(tmp_path: Path) -> None:
    """One that hangs keeps its word; the other one is not held up."""
    first, second = AtWork(tmp_path), AtWork(tmp_path)
    with first.hold(ORDER), second.hold(ORDER.model_copy(update={"round": 8})):
        second.tell(0.9)
        seen = first.look()

    assert seen is not None
    assert seen.round == 7
