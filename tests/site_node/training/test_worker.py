"""The warm worker gives the same numbers as a fresh process, and is never waited for in vain."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from compliance.errors import Malformed, NotReady, Refused
from compliance.records.recipe import layout_of, shipped, with_changes
from site_node.training.frames import receive_frame, send_frame
from site_node.training.order_of_work import ask_worker, carry_out
from site_node.training.vectors import start_vector
from site_node.training.work import SOCKET, Work
from tests.site_node.imaging.files import Site, folder_of

RECIPE = with_changes(
    shipped()["cnn2d-small"],
    {"local": {"steps": 3, "batch": 4}, "preprocessing": {"size": [8, 8]}, "baseline": False},
)
LAYOUT = layout_of(RECIPE)
VECTOR = start_vector(LAYOUT, 5).astype("<f4").tobytes()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A curated dataset of 60 small images."""
    root = tmp_path_factory.mktemp("data")
    site = Site(root / "home")
    site.take(folder_of(root / "source", 60))
    return site.dataset


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder of a running worker's socket."""
    path = tmp_path / "run"
    child = subprocess.Popen(
        [sys.executable, "-m", "site_node.training.worker", str(path / SOCKET), "0"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    for _ in range(600):
        if (path / SOCKET).exists() or child.poll() is not None:
            break
        time.sleep(0.05)
    yield path
    child.kill()
    child.wait()


def work(dataset: Path, **changes: object) -> Work:
    """A training job of three steps."""
    told = {
        "op": "train",
        "recipe": RECIPE.plain(),
        "dataset_dir": str(dataset),
        "seed": 11,
        "metrics": ["auroc", "accuracy"],
        "min_cell": 1,
        "baseline_rounds": None,
        "seconds": 60.0,
    }
    return Work(**(told | changes))  # type: ignore[arg-type]


def calm(_: str, __: float) -> None:
    """Look on."""


def test_the_worker_gives_the_numbers_of_a_fresh_process(
    folder: Path, dataset: Path, tmp_path: Path
) -> None:
    """Twice by the worker, once here: the same update, counts and measures, bit by bit."""
    results = [
        ask_worker(work(dataset), VECTOR, folder / SOCKET, calm),
        ask_worker(work(dataset), VECTOR, folder / SOCKET, calm),
        carry_out(work(dataset), VECTOR, tmp_path / "nobody", calm),
    ]

    first = results[0]
    assert first.delta is not None
    assert np.any(first.delta != 0)
    for other in results[1:]:
        assert np.array_equal(first.delta, other.delta)
        assert (first.n, first.steps, first.metrics) == (other.n, other.steps, other.metrics)


def test_a_refusal_comes_back_with_its_rule(folder: Path, dataset: Path) -> None:
    """The recipe asks for what this release lacks."""
    recipe = RECIPE.plain() | {"classes": ["normal", "fracture"]}

    with pytest.raises(Refused) as error:
        ask_worker(work(dataset, recipe=recipe), VECTOR, folder / SOCKET, calm)

    assert error.value.rule == "dataset.task"


def test_a_missing_dataset_is_said_and_the_worker_lives_on(folder: Path, dataset: Path) -> None:
    """One bad job is no reason to start torch again."""
    with pytest.raises(NotReady):
        ask_worker(work(dataset / "gone"), VECTOR, folder / SOCKET, calm)

    assert ask_worker(work(dataset), VECTOR, folder / SOCKET, calm).steps == 3


def test_whoever_hangs_up_ends_the_job(folder: Path, dataset: Path) -> None:
    """The deadline came: the ClientApp leaves, and the worker is free for the next job."""
    recipe = with_changes(RECIPE, {"local": {"steps": 100_000, "batch": 4}}).plain()

    def impatient(_: str, __: float) -> None:
        raise Refused("round.deadline")

    with pytest.raises(Refused, match="deadline"):
        ask_worker(work(dataset, recipe=recipe), VECTOR, folder / SOCKET, impatient)

    assert ask_worker(work(dataset), VECTOR, folder / SOCKET, calm).steps == 3


def test_a_worker_that_dies_in_a_job_costs_time_and_not_the_round(
    tmp_path: Path, dataset: Path
) -> None:
    """Killed by the kernel for its memory: the job is done in the ClientApp's own process."""
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(tmp_path / SOCKET))
    door.listen(1)

    def die() -> None:
        line, _ = door.accept()
        receive_frame(line)
        line.close()

    thread = threading.Thread(target=die, daemon=True)
    thread.start()
    done = carry_out(work(dataset), VECTOR, tmp_path, calm)
    thread.join()
    door.close()

    assert done.steps == 3


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x02[]",
        b"\x00\x00\x00\x02{}",
        b'\x00\x00\x00\x0d{"bytes": -1}',
        b'\x00\x00\x00\x0e{"bytes": "1"}',
        b"\x00\x00\x00\x05{oops",
    ],
)
def test_strange_frames_are_malformed(sent: bytes) -> None:
    """Whatever comes, the reader says so and allocates nothing for it."""
    left, right = socket.socketpair()
    with left, right:
        left.sendall(sent)
        left.shutdown(socket.SHUT_WR)
        with pytest.raises((Malformed, EOFError)):
            receive_frame(right)


def test_a_frame_comes_back_as_it_went() -> None:
    """Header and raw bytes."""
    left, right = socket.socketpair()
    with left, right:
        send_frame(left, {"kind": "x", "n": 3}, b"\x00raw\xff")
        assert receive_frame(right) == ({"kind": "x", "n": 3}, b"\x00raw\xff")


def test_strangers_bytes_do_not_end_the_worker(folder: Path, dataset: Path) -> None:
    """Rubbish, half a frame, nothing at all: the next job is done."""
    for rubbish in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x10{"):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(folder / SOCKET))
            line.sendall(rubbish)

    assert ask_worker(work(dataset), VECTOR, folder / SOCKET, calm).steps == 3


def test_an_open_folder_is_refused(tmp_path: Path) -> None:
    """Others could speak to the worker: it does not begin."""
    (tmp_path / "run").mkdir(mode=0o755)
    (tmp_path / "run").chmod(0o755)

    done = subprocess.run(
        [sys.executable, "-m", "site_node.training.worker", str(tmp_path / "run" / SOCKET), "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode != 0
    assert "open to others" in done.stderr
