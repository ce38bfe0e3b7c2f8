"""The way to have a job done: by the warm worker, or here.

The permit was given before. A worker that is not there is no reason to fail: the job is then done
in this process, which takes longer to begin and gives the same numbers.

Source: design/federation.md §12.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import asdict
from pathlib import Path

from compliance.errors import Refused
from site_node.training.frames import receive_frame, send_frame
from site_node.training.work import SOCKET, Done, Progress, Work, done_of, error_of

AGAIN_SECONDS = 90.0
LOOK_SECONDS = 0.5
DIED = (
    "The training program died twice in this job, usually for want of memory. Give this machine "
    "more memory, raise memory_mb, or take part with a smaller batch."
)
ONLY_THERE = (
    "A consortium's own network runs only in the training program, which has no network; it did "
    "not listen. See worker.log."
)


class Nobody(OSError):
    """No worker listens; a home's path that is too long for a socket has none either."""


def carry_out(
    work: Work,
    vector: bytes | memoryview,
    folder: Path,
    progress: Progress,
    again: float = AGAIN_SECONDS,
) -> Done:
    """Have a job done.

    A worker that dies in a job has usually asked for more memory than there is: the job is tried
    once more by the next worker, and then given up.

    Args:
        work: the job.
        vector: the incoming model, float32 little-endian.
        folder: where the worker's socket lies, normally `<home>/run`.
        progress: called now and then with words and a share; it may raise to end the job.
        again: seconds to wait for the next worker.

    The network of a package is code of others: it is never run in this process.

    Raises:
        Refused: `site.failed`, the worker died twice; `recipe.package`, none listens and the
            recipe has a package; else as the training says.
        NotReady, Malformed: as the training says.
    """
    for last in (False, True):
        try:
            return ask_worker(work, vector, folder / SOCKET, progress)
        except (OSError, EOFError) as error:
            alone = isinstance(error, Nobody)
            if alone and not last and not work.recipe.get("package"):
                break
            if alone and not _next_worker(folder / SOCKET, again):
                raise Refused("recipe.package", sentence=ONLY_THERE) from None
            if last or (not alone and not _next_worker(folder / SOCKET, again)):
                raise Refused("site.failed", sentence=DIED) from None
    from site_node.training.worker import do  # heavy: torch

    return do(work, vector, progress)


def _next_worker(path: Path, seconds: float) -> bool:
    """Wait until another worker listens."""
    for _ in range(max(1, int(seconds / LOOK_SECONDS))):
        time.sleep(LOOK_SECONDS)  # first: the dying one may still hold its door
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
            line.connect(str(path))
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
        line.connect(str(path))
    except OSError as error:
        raise Nobody from error
