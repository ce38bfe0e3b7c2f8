"""The pool of child processes: each holds one file at a time, and is replaced when that kills it.

A child that ran out of memory is replaced too: what it still holds would fail the next file.

Source: design/imaging.md §4. Processor time is limited by the child itself (the same on a busy
machine), wall time by the parent, for a child that waits for ever.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compliance.errors import NotReady
from compliance.records.reasons import Quarantine
from site_node.imaging.recipe import ImportRecipe
from site_node.settings import process_environment

RETIRE_AFTER = 2_000
WALL_SECONDS = 40.0
BYTES_PER_SECOND = 4 << 20
START_SECONDS = 120.0


@dataclass(frozen=True)
class Job:
    """One file to read."""

    number: int
    path: bytes
    size: int
    sha256: str


@dataclass(frozen=True)
class Answer:
    """What a child said of a job; `images` are raw little-endian u16 values.

    `scratch` is the child's file; it may be moved away before the next answer is asked for.
    """

    job: Job
    told: dict[str, Any]
    images: bytes
    scratch: Path


@dataclass(frozen=True)
class Crew:
    """What children are: their module, its word, and a first line that no process list shows.

    `more_seconds` is how much longer than others they may take for one file.
    """

    module: str
    word: str
    secret: bytes = field(default=b"", repr=False)
    more_seconds: float = 0.0


def examiners(recipe: ImportRecipe, order: bytes, more_seconds: float = 0.0) -> Crew:
    """Children that read images for an import; `order` is the line of their profile and keys."""
    return Crew("site_node.imaging.child", recipe.model_dump_json(), order, more_seconds)


def framers(recipe: ImportRecipe) -> Crew:
    """Children that lay the frames of volumes and masks into their scratch file."""
    return Crew("site_node.imaging.frames", recipe.model_dump_json())


class _Child:
    def __init__(self, work: Path, slot: int, crew: Crew) -> None:
        self.scratch = work / f"child-{slot}.u16"
        variables = process_environment() | {
            "TMPDIR": str(work),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "ORT_DISABLE_TELEMETRY": "1",
        }
        words = ["-m", crew.module, str(self.scratch), crew.word]
        self._process = subprocess.Popen(  # noqa: S603 - our own module, argument list, no shell
            [sys.executable, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=variables,
        )
        self.job: Job | None = None
        self.done, self.deadline, self._rest = 0, 0.0, b""
        self._wall_seconds = WALL_SECONDS + crew.more_seconds
        self._begin(crew.secret)

    def _begin(self, secret: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - opened above
        try:
            self._process.stdin.write(secret)
            self._process.stdin.flush()
        except BrokenPipeError:
            return

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def output(self) -> int:
        """The descriptor on which it answers."""
        assert self._process.stdout is not None  # noqa: S101 - opened above
        return self._process.stdout.fileno()

    def give(self, job: Job, now: float) -> bool:
        """Hand over a file; False when the child is gone."""
        self.job, self.deadline = job, now + self._wall_seconds + job.size / BYTES_PER_SECOND
        assert self._process.stdin is not None  # noqa: S101 - opened above
        try:
            told = {"path": os.fsdecode(job.path), "sha256": job.sha256}
            self._process.stdin.write(json.dumps(told).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return False
        return True

    def read(self) -> dict[str, Any] | None:
        """A whole answer, `{}` when more is to come, None when the child is gone."""
        piece = os.read(self.output, 1 << 16)
        if not piece:
            return None
        self._rest += piece
        if not self._rest.endswith(b"\n"):
            return {}
        line, self._rest = self._rest, b""
        told: dict[str, Any] = json.loads(line)
        return told

    def death(self) -> Quarantine:
        """Why it is gone, for the file that it held."""
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            return Quarantine.PARSE_TIMEOUT
        return Quarantine.PARSER_CRASHED

    def end(self) -> None:
        """End it with everything it started, and wait."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        self.scratch.unlink(missing_ok=True)


class Pool:
    """Long-lived children; use as a context, then ask `run`.

    Args:
        work: folder for scratch files.
        crew: what kind of children.
        jobs: how many children.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        *,
        work: Path,
        crew: Crew,
        jobs: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work, self._count, self._clock = work, jobs, clock
        self._crew = crew
        self._children: dict[int, _Child] = {}
        self._second_try: set[int] = set()

    def pids(self) -> list[int]:
        """Process ids of the children that are running."""
        return [child.pid for child in self._children.values()]

    def __enter__(self) -> Pool:
        """Start nothing yet: an import that finds nothing new needs no child."""
        return self

    def __exit__(self, *_: object) -> None:
        """End every child, whatever happened."""
        for child in self._children.values():
            child.end()
        self._children.clear()

    def run(self, jobs: Iterable[Job]) -> Iterator[Answer]:
        """Read files, answers in the order in which they are ready.

        Raises:
            NotReady: no child starts on this machine.
        """
        waiting = iter(jobs)
        with selectors.DefaultSelector() as selector:
            busy = {slot for slot in range(self._count) if self._next(slot, waiting, selector)}
            while busy:
                for key, _ in selector.select(timeout=1.0):
                    answer = self._hear(int(key.data), selector)
                    if answer is not None:
                        yield answer
                        if not self._next(int(key.data), waiting, selector):
                            busy.discard(int(key.data))
                for slot in sorted(busy):
                    late = self._overdue(slot, selector)
                    if late is not None:
                        yield late
                        if not self._next(slot, waiting, selector):
                            busy.discard(slot)

    def _next(self, slot: int, waiting: Iterator[Job], selector: selectors.BaseSelector) -> bool:
        job = next(waiting, None)
        if job is None:
            return False
        child = self._children.get(slot)
        if child is None or child.done >= RETIRE_AFTER:
            child = self._replace(slot)
        if not child.give(job, self._clock()):
            child = self._replace(slot)
            child.give(job, self._clock())
        selector.register(child.output, selectors.EVENT_READ, slot)
        return True

    def _replace(self, slot: int) -> _Child:
        old = self._children.pop(slot, None)
        if old is not None:
            old.end()
        child = self._children[slot] = _Child(self._work, slot, self._crew)
        with selectors.DefaultSelector() as selector:
            selector.register(child.output, selectors.EVENT_READ)
            ready = selector.select(timeout=START_SECONDS) and child.read()
        if not ready:
            raise NotReady(
                "the process that reads images does not start.",
                "Check free memory and that the site extra is installed, then try again.",
            )
        return child

    def _hear(self, slot: int, selector: selectors.BaseSelector) -> Answer | None:
        child = self._children[slot]
        told = child.read()
        if told == {}:
            return None
        selector.unregister(child.output)
        if told is None:
            return self._died(slot, child.death(), selector)
        self._second_try.discard(slot)
        spent = told.get("reason") == Quarantine.PARSE_MEMORY.value
        child.done = RETIRE_AFTER if spent else child.done + 1
        images = child.scratch.read_bytes() if told.get("images") else b""
        return Answer(_held(child), told, images, child.scratch)

    def _died(
        self, slot: int, reason: Quarantine, selector: selectors.BaseSelector
    ) -> Answer | None:
        """Try the file once more in a fresh child: the first may have died of something else."""
        job = _held(self._children[slot])
        if reason is Quarantine.PARSER_CRASHED and slot not in self._second_try:
            self._second_try.add(slot)
            child = self._replace(slot)
            child.give(job, self._clock())
            selector.register(child.output, selectors.EVENT_READ, slot)
            return None
        self._second_try.discard(slot)
        return self._lost(slot, reason)

    def _overdue(self, slot: int, selector: selectors.BaseSelector) -> Answer | None:
        child = self._children[slot]
        if self._clock() < child.deadline:
            return None
        selector.unregister(child.output)
        return self._lost(slot, Quarantine.PARSE_TIMEOUT)

    def _lost(self, slot: int, reason: Quarantine) -> Answer:
        child = self._children.pop(slot)
        child.end()
        return Answer(_held(child), {"reason": reason.value}, b"", child.scratch)


def _held(child: _Child) -> Job:
    assert child.job is not None  # noqa: S101 - a child that answers holds a job
    return child.job
