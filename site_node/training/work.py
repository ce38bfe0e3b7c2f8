"""A job and its result as plain values that travel in a frame; no torch here.

Source: design/federation.md §12.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compliance.errors import ConsiliumError, NotReady, Refused

SOCKET = "worker.sock"
Values = dict[str, dict[str, Decimal | int | None]]
Measured = tuple[str, str, Values]
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Work:
    """What the gate permitted, in words that fit into a header.

    Args:
        op: `train` evaluates and trains, `evaluate` only evaluates.
        recipe: the charter's recipe as a document.
        dataset_dir: folder of the curated dataset.
        seed: of this round and site.
        metrics: the names the charter allows.
        min_cell: smallest count that may leave.
        baseline_rounds: with `evaluate`: train a local-only model for that many rounds as well.
        seconds: how long it may take.
    """

    op: Literal["train", "evaluate"]
    recipe: dict[str, Any]
    dataset_dir: str
    seed: int
    metrics: Sequence[str]
    min_cell: int
    baseline_rounds: int | None
    seconds: float


@dataclass(frozen=True)
class Done:
    """What came out: the update's values or none, counts, and measured values."""

    delta: NDArray[np.float32] | None
    n: int
    steps: int
    metrics: list[Measured] = field(default_factory=list)


def header_of(done: Done) -> dict[str, Any]:
    """A result as a header; its values travel as raw bytes."""
    return {
        "kind": "done",
        "n": done.n,
        "steps": done.steps,
        "delta": done.delta is not None,
        "metrics": [
            [phase, split, {name: _plain(value) for name, value in values.items()}]
            for phase, split, values in done.metrics
        ],
    }


def done_of(header: dict[str, Any], raw: bytes) -> Done:
    """Read a result."""
    metrics: list[Measured] = [
        (str(phase), str(split), {name: _typed(value) for name, value in values.items()})
        for phase, split, values in header["metrics"]
    ]
    delta = np.frombuffer(raw, dtype="<f4") if header["delta"] else None
    return Done(delta, int(header["n"]), int(header["steps"]), metrics)


def refusal_of(error: Exception) -> dict[str, Any]:
    """An error as a header: it stays within the hospital, so it may carry its sentence."""
    rule = error.rule if isinstance(error, Refused) else None
    said = str(error) if isinstance(error, ConsiliumError) else f"{type(error).__name__}: {error}"
    return {"kind": "error", "rule": rule, "said": said}


def error_of(header: dict[str, Any]) -> ConsiliumError:
    """Make an error again from its header."""
    said = str(header.get("said") or "the worker gave no reason.")
    if header.get("rule"):
        return Refused(str(header["rule"]), sentence=said)
    return NotReady(said, "See the hospital's journal.")


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, Decimal) else v for k, v in value.items()}


def _typed(value: dict[str, Any]) -> dict[str, Decimal | int | None]:
    return {k: Decimal(v) if isinstance(v, str) else v for k, v in value.items()}
