"""ClientApps that are born warm: what Flower asks for is what they get, and nothing is shared."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path

import pytest
from flwr.supercore.constant import TaskType
from flwr.supercore.superexec import run_superexec
from flwr.supercore.superexec.executor import (
    ExecutionSpec,
    LaunchResultStatus,
    SubprocessExecutor,
)

from compliance.errors import NotReady
from site_node.federation import warm_clients
from site_node.federation.warm_clients import MAKER, WarmExecutor, be_client, words_of

SPEC = ExecutionSpec(
    task_type=TaskType.CLIENT_APP,
    runtime_api_address="127.0.0.1:9",
    token="a token",
    insecure=True,
    root_certificates_path=None,
    runtime_dependency_install=False,
    parent_pid=None,
    suppress_output=False,
    task_id=7,
)
PROBE = """
import os, sys
from multiprocessing import Pipe
from site_node.federation.warm_clients import IMPORTED, WarmExecutor

def look(line):
    found = [name for name in (*IMPORTED, "torch", "monai", "pydicom") if name in sys.modules]
    line.send((found, len(os.listdir("/proc/self/task")), os.getpid()))

if __name__ == "__main__":
    executor = WarmExecutor()
    for _ in range(2):
        ours, theirs = Pipe(duplex=False)
        child = executor._context.Process(target=look, args=(theirs,))
        child.start()
        theirs.close()
        found, threads, pid = ours.recv()
        child.join()
        print(found == IMPORTED, threads, pid)
"""
"""Two forks that tell what they find when they begin."""


@pytest.mark.parametrize("parent", [None, 4321])
def test_it_is_given_the_words_that_flower_gives(
    monkeypatch: pytest.MonkeyPatch, parent: int | None
) -> None:
    """Another version that adds a word is noticed here."""
    told: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda words: told.append(words))
    spec = dataclasses.replace(SPEC, parent_pid=parent)

    SubprocessExecutor().launch(spec)

    assert told == [words_of(spec)]


def test_what_is_no_client_is_started_as_flower_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ServerApp belongs to the hub; should Flower ask for one here, it is a program."""
    told: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda words, **_: told.append(words))
    monkeypatch.setattr(forkserver, "ensure_running", lambda: None)

    WarmExecutor().launch(dataclasses.replace(SPEC, task_type=TaskType.SERVER_APP))

    assert told[0][0] == "flwr-serverapp"


def test_a_fork_finds_its_code_imported_and_no_thread_beside_it(tmp_path: Path) -> None:
    """Nothing heavy either: the weights of torch belong to the worker."""
    program = tmp_path / "probe.py"
    program.write_text(PROBE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program)],
        env=os.environ | {"PYTHONPATH": str(Path(warm_clients.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    rows = [line.split() for line in done.stdout.splitlines()]

    assert [row[:2] for row in rows] == [["True", "1"]] * 2
    assert rows[0][2] != rows[1][2]


def test_a_client_that_cannot_be_forked_is_said_to_have_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Flower's own rule for work that never began applies, and the SuperExec goes on."""
    monkeypatch.setattr(forkserver, "ensure_running", lambda: None)
    executor = WarmExecutor()

    def full(*_: object) -> None:
        raise OSError("Cannot allocate memory")

    monkeypatch.setattr(forkserver, "connect_to_new_process", full)

    assert executor.launch(SPEC).status is LaunchResultStatus.FAILED


def in_a_child(deed: Callable[[], None]) -> tuple[int, str]:
    """Do it in a fork of this process; its exit code and the name that it bears at its end."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            deed()
        except SystemExit as over:
            code = int(over.code or 0)
        finally:
            os.write(write, Path("/proc/self/comm").read_bytes())
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as said:
        name = said.read().strip()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), name


def test_it_is_flowers_client_and_bears_its_name() -> None:
    """Whoever looks at the processes of a node finds it."""
    assert in_a_child(lambda: be_client(["flwr-clientapp", "--help"])) == (0, "flwr-clientapp")


def test_another_flower_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that chooses elsewhere would start cold ones, and nobody would notice."""
    monkeypatch.delattr(run_superexec, MAKER)

    with pytest.raises(NotReady, match="another place"):
        warm_clients.main(["--help"])
