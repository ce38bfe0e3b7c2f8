"""A sweep on disk: the stack that each step began with, and what it was made from, by hash.

A step is there when its small document is there; files that no document names are made again. What
the charter keeps of updates is kept here too, so that an auditor can play the sweep again.

Source: design/federation.md §3.3, §10.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compliance.canonical import sha256_id
from compliance.records.layout import Layout
from hub.federation.aggregation.rule import DoubleArray
from hub.federation.aggregation.vectors import FloatArray

Arrays = FloatArray | DoubleArray


@dataclass(frozen=True)
class Step:
    """Where a batch stands: the step that comes next, its models and moments."""

    number: int
    models: FloatArray
    moments: DoubleArray


class SweepFiles:
    """Files `<study>/sweep/<name>/` of one sweep.

    Args:
        folder: the study's folder at the hub.
        name: of the sweep.
        keep: whether updates and older stacks stay.
    """

    def __init__(self, folder: Path, name: str, *, keep: bool) -> None:
        self._folder, self._keep = folder / "sweep" / name, keep

    def name_layout(self, layout: Layout) -> None:
        """Write down what network is swept; an auditor needs it."""
        _whole(self._folder / "layout.json", json.dumps(layout.plain(), sort_keys=True).encode())

    def find(self, batch: int, models: tuple[int, int], moments: tuple[int, ...]) -> Step | None:
        """The newest step of a batch that is whole on disk; None before the first."""
        for path in sorted(self._folder.glob(f"{batch}-*.json"), reverse=True):
            told = json.loads(path.read_text())
            found = self._read(told["models"], "<f4"), self._read(told["moments"], "<f8")
            if found[0] is None or found[1] is None:
                continue
            values = found[0].astype(np.float32).reshape(models)
            remembered = found[1].astype(np.float64).reshape(moments)
            return Step(int(told["step"]), values, remembered)
        return None

    def put(self, batch: int, step: Step, sent: Mapping[str, str]) -> None:
        """Keep the begin of a step and what the step before was made from.

        Args:
            batch: number of the batch.
            step: comes next.
            sent: hash of each hospital's stacked updates in the step before.
        """
        told = {
            "v": 1,
            "step": step.number,
            "models": self.write(step.models.astype("<f4")),
            "moments": self.write(step.moments.astype("<f8")),
            "sent": dict(sent),
        }
        path = self._folder / f"{batch}-{step.number:04d}.json"
        _whole(path, json.dumps(told, sort_keys=True).encode())
        if not self._keep:
            self._sweep(told)

    def write(self, values: Arrays | bytes | memoryview) -> str:
        """Write values under their hash; a second time is no harm."""
        data = values.tobytes() if isinstance(values, np.ndarray) else bytes(values)
        name = sha256_id(data)
        if not self.path(name).is_file():
            _whole(self.path(name), data)
        return name

    def path(self, name: str) -> Path:
        """The file of a hash."""
        return self._folder / f"{name.removeprefix('sha256:')}.bin"

    def steps(self, batch: int) -> list[dict[str, object]]:
        """The documents of a batch, in order."""
        return [json.loads(p.read_text()) for p in sorted(self._folder.glob(f"{batch}-*.json"))]

    def _read(self, name: str, kind: str) -> Arrays | None:
        path = self.path(name)
        data = path.read_bytes() if path.is_file() else None
        if data is None or sha256_id(data) != name:
            return None
        return np.frombuffer(data, kind)

    def _sweep(self, told: Mapping[str, object]) -> None:
        """Delete what no later step needs."""
        named = {self.path(str(told[name])) for name in ("models", "moments")}
        for path in self._folder.glob("*.bin"):
            if path not in named:
                path.unlink(missing_ok=True)


def _whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
