"""The way to have a job done: by the warm worker, or here.

The permit was given before. A worker that is not there, or dies, is no reason to fail: the job is
then done in this process, which takes longer to begin and gives the same numbers.

Source: design/federation.md §12.
"""

from __future__ import annotations

import socket
from dataclasses import asdict
from pathlib import Path

from site_node.training.frames import receive_frame, send_frame
from site_node.training.work import SOCKET, Done, Progress, Work, done_of, error_of


def carry_out(work: Work, vector: bytes | memoryview, folder: Path, progress: Progress) -> Done:
    """Have a job done.

    Args:
        work: the job.
        vector: the incoming model, float32 little-endian.
        folder: where the worker's socket lies, normally `<home>/run`.
        progress: called now and then with words and a share; it may raise to end the job.

    Raises:
        Refused, NotReady, Malformed: as the training says.
    """
    try:
        return ask_worker(work, vector, folder / SOCKET, progress)
    except (OSError, EOFError):
        from site_node.training.worker import do  # heavy: torch

        return do(work, vector, progress)


def ask_worker(work: Work, vector: bytes | memoryview, path: Path, progress: Progress) -> Done:
    """Let the warm worker do a job; hanging up ends it there.

    Raises:
        OSError, EOFError: nobody listens, or the worker died.
        Refused, NotReady: as the training says.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.connect(str(path))
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
