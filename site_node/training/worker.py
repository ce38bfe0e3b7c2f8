"""The warm worker: torch, MONAI and the network's program stay loaded between rounds.

Its process is made by `site_node.training.confined`. It does one job at a time, and ends itself
when a job does not: whoever hung up must not be waited for.

Source: design/federation.md §12.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from compliance.errors import ConsiliumError
from compliance.records.recipe import layout_of, read_recipe
from site_node.training.brought import admit
from site_node.training.frames import receive_frame, send_frame
from site_node.training.session import Job, handle
from site_node.training.sweeping import sweep
from site_node.training.work import Done, Noise, Progress, Work, header_of, raw_of, refusal_of

SPARE_SECONDS = 30.0
TELL_SECONDS = 1.0
_CREDENTIALS = struct.Struct("3i")


class HungUp(Exception):
    """The one who ordered the job is gone."""


def do(work: Work, vector: bytes | memoryview, progress: Progress | None) -> Done:
    """Do a job in this process.

    Raises:
        Refused, NotReady, Malformed: as the training says.
    """
    recipe = read_recipe(dict(work.recipe))
    admit(Path(work.home), recipe)
    values = np.frombuffer(vector, dtype="<f4").astype(np.float32)
    layout = layout_of(recipe)
    model, control = np.split(values, 2) if work.control else (values, None)
    model, layers = np.split(model, [layout.count]) if work.layers else (model, None)
    job = Job(
        op="train" if work.op == "train" else "evaluate",
        recipe=recipe,
        layout=layout,
        vector=model,
        dataset_dir=Path(work.dataset_dir),
        seed=work.seed,
        metrics=list(work.metrics),
        min_cell=work.min_cell,
        baseline_rounds=work.baseline_rounds,
        noise=None if work.noise is None else Noise(**work.noise),
        control=control,
        points=work.points,
        choose=work.choose,
        registered_dir=None if work.registered_dir is None else Path(work.registered_dir),
        layers=layers,
        finetune=work.finetune,
    )
    if work.sweep is not None:
        swept = sweep(job, **work.sweep, progress=progress)
        return Done(swept.deltas, swept.n, swept.steps, counts=[list(row) for row in swept.counts])
    result = handle(job, progress)
    return Done(
        result.delta,
        result.n,
        result.steps,
        list(result.metrics),
        dict(result.points),
        result.profiles,
        layers=result.layers,
    )


def serve_one(line: socket.socket) -> None:
    """Do the job of one connection and answer; nothing of it survives."""
    header, vector = receive_frame(line)
    work = Work(**header)
    timer = _last_resort(work.seconds + SPARE_SECONDS)
    try:
        done = do(work, vector, _teller(line))
        send_frame(line, header_of(done), raw_of(done))
    except HungUp:
        return
    except MemoryError as error:
        send_frame(line, refusal_of(error))
        os._exit(1)  # what a failed allocation left behind is not worth keeping
    except (ConsiliumError, ValueError, RuntimeError, OSError) as error:
        send_frame(line, refusal_of(error))
    finally:
        timer.cancel()


def _teller(line: socket.socket) -> Progress:
    """Tell how far it is once a second; end the job when nobody listens any more."""
    last = time.monotonic()

    def tell(words: str, share: float) -> None:
        nonlocal last
        readable, _, _ = select.select([line], [], [], 0)
        if readable:
            raise HungUp
        if time.monotonic() - last >= TELL_SECONDS:
            last = time.monotonic()
            send_frame(line, {"kind": "progress", "words": words, "share": share})

    return tell


def _last_resort(seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, os._exit, args=(1,))
    timer.daemon = True
    timer.start()
    return timer


def same_user(line: socket.socket) -> bool:
    """Whether the other end is run by this site's own user (SO_PEERCRED, Linux)."""
    raw = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user: Any = _CREDENTIALS.unpack(raw)[1]
    return bool(user == os.getuid())


def serve(door: socket.socket) -> int:
    """Serve jobs one after the other until ended."""
    while True:
        line, _ = door.accept()
        with line, contextlib.suppress(EOFError, OSError, ConsiliumError, TypeError):
            if same_user(line):
                serve_one(line)
