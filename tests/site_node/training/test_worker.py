"""The warm worker gives the same numbers as a fresh process, and is never waited for in vain."""

from __future__ import annotations

import contextlib
import json
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
from site_node.training.frames import MOST_HEADER, listen, receive_frame, send_frame
from site_node.training.order_of_work import ask_worker, carry_out
from site_node.training.vectors import start_vector
from site_node.training.work import SOCKET, Done, Work, done_of, header_of, raw_of
from site_node.training.worker import do
from tests.site_node.imaging.files import Site, folder_of

RECIPE = with_changes(
    shipped()["cnn2d-small"],
    {"local": {"steps": 3, "batch": 4}, "preprocessing": {"size": [8, 8]}, "baseline": False},
)
PROGRAM = "site_node.training.confined"
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
        [sys.executable, "-m", PROGRAM, str(path / SOCKET), "0", "1"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    for _ in range(12_000):  # torch takes minutes to load on a machine that is very busy
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


def test_the_worker_gives_the_numbers_of_a_fresh_process(folder: Path, dataset: Path) -> None:
    """Twice by the worker, once here: the same update, counts and measures, bit by bit."""
    results = [
        ask_worker(work(dataset), VECTOR, folder / SOCKET, calm),
        ask_worker(work(dataset), VECTOR, folder / SOCKET, calm),
        do(work(dataset), VECTOR, calm),
    ]

    first = results[0]
    assert first.delta is not None
    assert np.any(first.delta != 0)
    for other in results[1:]:
        assert np.array_equal(first.delta, other.delta)
        assert (first.n, first.steps, first.metrics) == (other.n, other.steps, other.metrics)


def swept(dataset: Path, *, measure: bool) -> Work:
    """A step of a sweep."""
    told = {"log": "sha256:" + "1" * 64, "site": "north.example", "measure": measure}
    return work(dataset, op="sweep", metrics=[], sweep=told)


def test_the_worker_carries_out_the_steps_of_a_sweep(folder: Path, dataset: Path) -> None:
    """Three stacked models over the socket, trained and measured: as here, bit by bit."""
    stack = VECTOR + start_vector(LAYOUT, 6).astype("<f4").tobytes() + VECTOR

    for measure in (False, True):
        asked = swept(dataset, measure=measure)
        there = ask_worker(asked, stack, folder / SOCKET, calm)
        here = do(asked, stack, calm)

        assert (there.n, there.steps, there.counts) == (here.n, here.steps, here.counts)
        assert (there.delta is None) == measure
        assert len(there.counts) == (3 if measure else 0)
        if there.delta is not None and here.delta is not None:
            assert there.delta.tobytes() == here.delta.tobytes()
            first, second, third = np.split(there.delta, 3)
            assert np.array_equal(first, third)
            assert not np.array_equal(first, second)
    assert all(split == "test" and 0 <= right <= n for split, n, right, _ in there.counts)


def test_counts_of_a_whole_sweep_are_no_part_of_a_header() -> None:
    """Eight hospitals and a hundred seeds are 25,600 rows; a header holds a fifteenth of them."""
    done = Done(None, 0, 0, counts=[["test", 104, place % 104, None] for place in range(25_600)])

    header = header_of(done)

    assert len(json.dumps(header)) < MOST_HEADER
    assert done_of(json.loads(json.dumps(header)), raw_of(done)) == done


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


def test_without_a_worker_nothing_is_trained(tmp_path: Path, dataset: Path) -> None:
    """Only the worker has walls: a process that speaks with the hub opens no data set."""
    with pytest.raises(Refused, match="nothing is trained without it") as error:
        carry_out(work(dataset), VECTOR, tmp_path, calm, again=1)

    assert error.value.rule == "site.failed"


@pytest.mark.parametrize("name", ["run", "a home with a path that no socket would have " * 4])
def test_a_job_waits_for_a_worker_that_comes_later(
    tmp_path: Path, dataset: Path, name: str
) -> None:
    """Started again after a crash, or the first of the day; however long the home's path is."""
    path = tmp_path / name / SOCKET

    def come_late() -> None:
        time.sleep(1)
        with listen(path) as door:
            while True:
                line, _ = door.accept()
                with line, contextlib.suppress(EOFError):
                    receive_frame(line)
                    send_frame(line, header_of(Done(None, 4, 3)))
                    return

    thread = threading.Thread(target=come_late, daemon=True)
    thread.start()
    told = carry_out(work(dataset), VECTOR, path.parent, calm, again=60)
    thread.join()

    assert told.steps == 3


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_worker_that_dies_in_a_job_is_tried_once_more(
    tmp_path: Path, dataset: Path, deaths: int
) -> None:
    """Killed by the kernel for its memory: the next worker tries, and that is all."""
    path = tmp_path / SOCKET
    jobs = []

    def die_and_serve() -> None:
        for turn in range(2):
            with socket.socket(socket.AF_UNIX) as door:
                door.bind(str(path))
                door.listen(2)
                while True:
                    line, _ = door.accept()
                    with line, contextlib.suppress(EOFError):
                        header, _ = receive_frame(line)
                        jobs.append(header)
                        if turn >= deaths:
                            send_frame(line, header_of(Done(None, 4, 3)))
                        break
            path.unlink()

    thread = threading.Thread(target=die_and_serve, daemon=True)
    thread.start()
    while not path.exists():
        time.sleep(0.01)
    if deaths == 1:
        assert carry_out(work(dataset), VECTOR, tmp_path, calm, again=60).steps == 3
    else:
        with pytest.raises(Refused, match="died twice") as error:
            carry_out(work(dataset), VECTOR, tmp_path, calm, again=60)
        assert error.value.rule == "site.failed"
    thread.join()
    assert len(jobs) == 2


def test_a_worker_has_no_network_however_the_kernel_allows_it(tmp_path: Path) -> None:
    """An own namespace, else a filter: no address of this machine or another can be reached."""
    asks = (
        "import socket, sys; from site_node.training import confined as c\n"
        "if sys.argv[1] == 'filtered': c._survives = lambda step: False\n"
        "print(c.leave_the_network())\n"
        "try:\n"
        "    socket.create_connection(('127.0.0.1', int(sys.argv[2])), 5); print('reached')\n"
        "except OSError: print('nothing')\n"
        "socket.socket(socket.AF_UNIX).close()\n"
    )
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(4)
        port = str(door.getsockname()[1])
        told = [
            subprocess.run(
                [sys.executable, "-c", asks, how, port], capture_output=True, text=True, check=True
            ).stdout.split()
            for how in ("any", "filtered")
        ]

    assert [answer for _, answer in told] == ["nothing", "nothing"]
    assert told[0][0] in {"none", "filtered"}
    assert told[1][0] == "filtered"


def test_workers_of_one_machine_keep_to_cores_of_their_own() -> None:
    """As many as the settings say, and not those where another one sits, whatever its home."""
    known = len(os.sched_getaffinity(0))
    asks = (
        "import os; from site_node.training.confined import keep_to\n"
        "keep_to(1, 5); print(*os.sched_getaffinity(0), flush=True); input()"
    )
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(known):
            child = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", asks],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            assert child.stdout is not None
            found.append(child.stdout.readline().split())

    assert [len(cores) for cores in found] == [1] * known
    assert len({core for cores in found for core in cores}) == known


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
        [sys.executable, "-m", PROGRAM, str(tmp_path / "run" / SOCKET), "0", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode != 0
    assert "open to others" in done.stderr
