"""Chunks shared between two threads: each value is worked on by one of them, from begin to end.

Nothing that reaches a byte depends on who was first: steps are elementwise, and partial sums are
added by `math.fsum`, which is exact in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar

Span: TypeAlias = tuple[int, int]
Done = TypeVar("Done")

WORKERS = 2
"""More would wait for memory, and a hub has other things to do."""


def shared(work: Callable[[Sequence[Span]], Done], spans: Sequence[Span]) -> list[Done]:
    """Let each thread work on every second chunk; an error of one is raised here.

    Args:
        work: takes its chunks; it must bring its own scratch.
        spans: from and to of each chunk.
    """
    if len(spans) < WORKERS:
        return [work(spans)]
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="aggregation") as pool:
        under_way = [pool.submit(work, spans[place::WORKERS]) for place in range(WORKERS)]
        return [one.result() for one in under_way]
