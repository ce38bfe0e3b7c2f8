"""Both keepers: nobody that a kept program started outlives it, wherever it went."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KEEPERS = ("site_node.federation.keeper", "hub.federation.keeper")
ROOT = Path(__file__).resolve().parents[2]

LEAVES_ONE_BEHIND = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(os.getpid(), flush=True)
        time.sleep(600)
    os._exit(0)
os.wait()
time.sleep(float(sys.argv[1]))
sys.exit(7)
"""
"""Starts a process in a session of its own whose parent ends at once, and ends itself."""


@pytest.mark.parametrize("keeper", KEEPERS)
def test_what_a_program_leaves_behind_ends_with_it(keeper: str) -> None:
    """Else the output stays open for ever, and the supervisor never starts another one."""
    words = [sys.executable, "-m", keeper, sys.executable, "-c", LEAVES_ONE_BEHIND, "0.2"]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert process.wait(60) == 7

    assert not Path(f"/proc/{int(said)}").exists()


@pytest.mark.parametrize("keeper", KEEPERS)
def test_it_ends_also_when_our_end_of_the_pipe_closes(keeper: str) -> None:
    """A site that was killed leaves nobody."""
    words = [sys.executable, "-m", keeper, sys.executable, "-c", LEAVES_ONE_BEHIND, "600"]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        left = int(process.stdout.readline())
        process.stdin.close()
        process.wait(60)

    assert not Path(f"/proc/{left}").exists()
