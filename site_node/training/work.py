"""A job and its result as plain values that travel in a frame; no torch here.

Source: design/federation.md §12.
"""

from __future__ import annotations

import json
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
Profile = dict[str, Any]
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Noise:
    """Training with noise as the privacy account has reserved it; numbers as they are stated.

    Args:
        sigma: noise multiplier.
        clip: largest norm of a patient's gradient.
        sample_rate: chance of each patient to be in a step.
        steps: as many and not one more.
    """

    sigma: str
    clip: str
    sample_rate: str
    steps: int


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
        noise: what the privacy account has reserved, as the fields of `Noise`; None without noise.
        control: whether SCAFFOLD's control variate follows the model's values.
        points: thresholds that are frozen already, by kind of model.
        choose: whether the incoming model was trained, so that its threshold may be chosen now.
        registered_dir: folder of the version that was registered first, where another is in force.
        sweep: with `sweep`: `log`, `site` and whether to `measure` the stacked models.
        layers: whether the layers that stay here follow the model's values.
        finetune: with `evaluate`: train these layers before measuring.
        home: of the site, where statements about packages of recipes lie.
    """

    op: Literal["train", "evaluate", "sweep"]
    recipe: dict[str, Any]
    dataset_dir: str
    seed: int
    metrics: Sequence[str]
    min_cell: int
    baseline_rounds: int | None
    seconds: float
    noise: dict[str, Any] | None = None
    control: bool = False
    points: dict[str, str | None] = field(default_factory=dict)
    choose: bool = False
    registered_dir: str | None = None
    sweep: dict[str, Any] | None = None
    home: str = ""
    layers: bool = False
    finetune: bool = False


@dataclass(frozen=True)
class Done:
    """What came out: the update's values or none, counts, and measured values.

    Of a sweep the updates one after the other, or a row of counts a model.

    `points` are thresholds that were chosen, to be frozen; `profiles` the registered version of
    the dataset and the one in force, as `reference.profile_of` tells them.
    `layers` are those that stay at the hospital; they go into its store and nowhere else.
    """

    delta: NDArray[np.float32] | None
    n: int
    steps: int
    metrics: list[Measured] = field(default_factory=list)
    points: dict[str, str | None] = field(default_factory=dict)
    profiles: tuple[Profile, Profile] | None = None
    counts: list[Any] = field(default_factory=list)
    layers: NDArray[np.float32] | None = None


def raw_of(done: Done) -> bytes:
    """A result's values behind its header: of the update, then of the layers that stay.

    Of a measured sweep its counts: a row a model is more than a header may hold.
    """
    if done.counts:
        return json.dumps(done.counts).encode()
    parts = [part for part in (done.delta, done.layers) if part is not None]
    return b"".join(part.astype("<f4", copy=False).tobytes() for part in parts)


def header_of(done: Done) -> dict[str, Any]:
    """A result as a header; its values travel as raw bytes."""
    return {
        "kind": "done",
        "n": done.n,
        "steps": done.steps,
        "delta": done.delta is not None,
        "counts": bool(done.counts),
        "layers": 0 if done.layers is None else len(done.layers),
        "metrics": [
            [phase, split, {name: _plain(value) for name, value in values.items()}]
            for phase, split, values in done.metrics
        ],
        "points": done.points,
        "profiles": done.profiles,
    }


def done_of(header: dict[str, Any], raw: bytes) -> Done:
    """Read a result."""
    metrics: list[Measured] = [
        (str(phase), str(split), {name: _typed(value) for name, value in values.items()})
        for phase, split, values in header["metrics"]
    ]
    counts = list(json.loads(raw)) if header["counts"] else []
    values, stay = np.frombuffer(b"" if counts else raw, dtype="<f4"), int(header["layers"])
    delta = values[: len(values) - stay] if header["delta"] else None
    layers = values[len(values) - stay :] if stay else None
    points, told = dict(header["points"]), header["profiles"]
    profiles = None if told is None else (dict(told[0]), dict(told[1]))
    n, steps = int(header["n"]), int(header["steps"])
    return Done(delta, n, steps, metrics, points, profiles, counts, layers)


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
