"""Keeps one child process: it lives no longer than whoever holds the other end of our input.

Run as `python -m site_node.federation.keeper PROGRAM WORDS…` in a session of its own. A site that
is killed closes the pipe, and nobody is left behind: Flower's children that went into a session of
their own are found by their parents.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

GRACE = 5
PR_SET_CHILD_SUBREAPER = 36
NICE = 5


def main(words: list[str]) -> int:
    """Run the program politely, to its end or until our input ends; return its exit code."""
    os.nice(NICE)
    _adopt()
    child = subprocess.Popen(words, stdin=subprocess.DEVNULL)  # noqa: S603 - list from our supervisor
    over = threading.Event()

    def told(_number: int, _frame: FrameType | None) -> None:
        over.set()

    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGINT, told)
    threading.Thread(target=_watch_input, args=(over,), daemon=True).start()
    threading.Thread(target=_watch_child, args=(child, over), daemon=True).start()
    over.wait()
    _end(child)
    return child.returncode


def _watch_input(over: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    over.set()


def _watch_child(child: subprocess.Popen[bytes], over: threading.Event) -> None:
    child.wait()
    over.set()


def _end(child: subprocess.Popen[bytes]) -> None:
    """TERM for the child and all that it started, a grace, then KILL for what is left."""
    _signal(descendants(os.getpid()), signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout=GRACE)
    child.kill()
    child.wait()
    with contextlib.suppress(ChildProcessError):
        while True:
            _signal(descendants(os.getpid()), signal.SIGKILL)
            os.waitpid(-1, 0)


def _adopt() -> None:
    """Become the parent of what our descendants leave behind (Linux, prctl(2)).

    Without it a process whose parent has ended belongs to the machine: nobody finds it, and it
    keeps our output open, so that whoever reads it never learns that the program has ended.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int) -> set[int]:
    """Every process that a process started, directly or not (Linux, /proc)."""
    children: dict[int, set[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = path.read_text(encoding="utf-8").rpartition(")")[2].split()[1]
            children.setdefault(int(parent), set()).add(int(path.parent.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        fresh = children.get(waiting.pop(), set()) - found
        found |= fresh
        waiting.extend(fresh)
    return found


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
