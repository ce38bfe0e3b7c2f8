"""The way to have a job done: by the warm worker, and nowhere else.

The permit was given before. Only the worker has walls: no network, limits of memory and cores. So a
job waits for it, and is given up rather than done in a process that speaks with the hub.

Source: design/federation.md §12.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import asdict
from pathlib import Path

from compliance.errors import Refused
from site_node.training.frames import receive_frame, send_frame, short
from site_node.training.work import SOCKET, Done, Progress, Work, done_of, error_of

AGAIN_SECONDS = 90.0
LOOK_SECONDS = 0.5
MOST_TRIES, MOST_DEATHS = 4, 2
DIED = (
    "The training program died twice in this job, usually for want of memory. Give this machine "
    "more memory, raise memory_mb, or take part with a smaller batch."
)
ABSENT = (
    "The training program did not listen, and nothing is trained without it. See "
    "flower/worker.log of the home; `consilium site serve` starts it again by itself."
)


class Nobody(OSError):
    """No worker listens."""


def carry_out(
    work: Work,
    vector: bytes | memoryview,
    folder: Path,
    progress: Progress,
    again: float = AGAIN_SECONDS,
) -> Done:
    """Have a job done.

    A worker that is not there yet is waited for. One that dies in a job has usually asked for more
    memory than there is: the job is tried once more by the next worker, and then given up.

    Args:
        work: the job.
        vector: the incoming model, float32 little-endian.
        folder: where the worker's socket lies, normally `<home>/run`.
        progress: called now and then with words and a share; it may raise to end the job.
        again: seconds to wait for the next worker.

    Raises:
        Refused: `site.failed`, the worker died twice or does not listen; else as the training says.
        NotReady, Malformed: as the training says.
    """
    deaths = 0
    for _ in range(MOST_TRIES):
        try:
            return ask_worker(work, vector, folder / SOCKET, progress)
        except Nobody:
            pass
        except (OSError, EOFError):
            deaths += 1
        if deaths == MOST_DEATHS or not _next_worker(folder / SOCKET, again):
            break
    raise Refused("site.failed", sentence=DIED if deaths else ABSENT)


def _next_worker(path: Path, seconds: float) -> bool:
    """Wait until another worker listens."""
    for _ in range(max(1, int(seconds / LOOK_SECONDS))):
        time.sleep(LOOK_SECONDS)  # first: the dying one may still hold its door
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
            _connect(line, path)
            return True
    return False


def ask_worker(work: Work, vector: bytes | memoryview, path: Path, progress: Progress) -> Done:
    """Let the warm worker do a job; hanging up ends it there.

    Raises:
        Nobody: no worker listens.
        OSError, EOFError: the worker died.
        Refused, NotReady: as the training says.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        _connect(line, path)
        send_frame(line, asdict(work), vector)
        while True:
            header, raw = receive_frame(line)
            kind = header.get("kind")
            if kind == "progress":
                progress(str(header["words"]), float(header["share"]))
            elif kind == "done":
                return done_of(header, raw)
            else:
                raise error_of(header)


def _connect(line: socket.socket, path: Path) -> None:
    try:
        with short(path) as name:
            line.connect(name)
    except OSError as error:
        raise Nobody from error
