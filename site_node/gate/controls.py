"""SCAFFOLD's control variates: kept here between rounds, by this hospital's own copy of the log.

A round's control is fixed when its order is first permitted, from the round before: it moves by
(model made - own result) / (rate * steps) exactly when the log says that the own result was used
for the very model that now comes in. So a repeated order finds the same numbers, a hospital that
was left out stays where it was, and nothing but the ordinary update travels.

Source: design/federation.md §6.5; Karimireddy et al. 2020 (arXiv 1910.06378) with h = c_i - c, for
which h' = h + (x' - y_i) / (rate * steps) when everybody's mean is x'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from compliance.canonical import sha256_id
from compliance.records.order import Order
from compliance.rules.state import StudyState
from site_node.gate.permits import Permit
from site_node.store import controls as table
from site_node.store.controls import ControlRow
from site_node.store.journal import Sessions, Transaction
from site_node.store.named import NamedFiles

Doubles: TypeAlias = NDArray[np.float64]
Beside: TypeAlias = Sequence[Callable[[Transaction], None]]


def advance(control: Doubles, *, made: Doubles, own: Doubles, rate: float, steps: int) -> Doubles:
    """Return the control of the next round.

    Args:
        control: of the round that was closed, float64 (P,).
        made: the model that the round gave.
        own: this hospital's own result in it.
        rate: learning rate of its steps.
        steps: how many it took.
    """
    return control + (made - own) / (rate * steps)


class Controls:
    """Keeps the control variates of one hospital.

    Args:
        home: of this site; files lie below `models/<study>/controls/`.
        site: its name.
        sessions: the site's database.
    """

    def __init__(self, *, home: Path, site: str, sessions: Sessions) -> None:
        self._home, self._site, self._sessions = home, site, sessions

    def at(self, permit: Permit, order: Order, values: bytes | memoryview) -> bytes | None:
        """The control for a round's training, float32 little-endian; None without SCAFFOLD.

        Args:
            permit: recipe and study.
            order: what was permitted.
            values: the incoming model, float32 little-endian; its hash was checked.
        """
        if not permit.recipe.local.scaffold or order.kind != "train":
            return None
        with self._sessions() as session:
            row = table.find_control(session, order.log, order.round)
            before = table.control_before(session, order.log, order.round)
        control = None
        if row is not None and row.base_sha256 == order.model_sha256:
            control = self._read(permit, row.control_sha256)
        if control is None:
            control = self._next(permit, order, before, values)
            self._keep(permit, order, control)
        return control.astype("<f4").tobytes()

    def beside(
        self, permit: Permit, order: Order, values: bytes | memoryview, delta: bytes | None,
        steps: int,
    ) -> Beside:  # fmt: skip
        """What must be kept in the transaction that lets the update out: the own result."""
        if not permit.recipe.local.scaffold or delta is None:
            return ()
        own = _doubles(values) + _doubles(delta)
        own_sha256, update_sha256 = self._write(permit.study, own), sha256_id(delta)

        def keep(session: Transaction) -> None:
            row = table.find_control(session, order.log, order.round)
            if row is not None:
                row.own_sha256, row.update_sha256, row.steps = own_sha256, update_sha256, steps

        return (keep,)

    def _next(
        self, permit: Permit, order: Order, before: ControlRow | None, values: bytes | memoryview
    ) -> Doubles:
        control = self._read(permit, before.control_sha256) if before else None
        if before is None or control is None:
            return np.zeros(permit.layout.count)
        own = self._read(permit, before.own_sha256) if before.own_sha256 else None
        used_for = model_of(permit.state, self._site, before.update_sha256)
        if own is None or not before.steps or used_for != order.model_sha256:
            return control
        moved = advance(
            control,
            made=_doubles(values),
            own=own,
            rate=float(before.rate),
            steps=before.steps,
        )
        moved[_params(permit) :] = 0
        return moved

    def _keep(self, permit: Permit, order: Order, control: Doubles) -> None:
        row = ControlRow(
            log=order.log,
            round=order.round,
            study=permit.study,
            base_sha256=order.model_sha256,
            control_sha256=self._write(permit.study, control),
            rate=permit.recipe.optimiser.lr,
        )
        with self._sessions.begin() as session:
            table.keep_control(session, row)
            before = table.control_before(session, order.log, order.round)
            if before is not None:
                table.drop_controls(session, order.log, before.round)
        self._sweep(permit.study)

    def _files(self, study: str) -> NamedFiles:
        return NamedFiles(self._home / "models" / study / "controls", ".f64")

    def _write(self, study: str, values: Doubles) -> str:
        return self._files(study).write(values.astype("<f8").tobytes())

    def _read(self, permit: Permit, name: str) -> Doubles | None:
        """The numbers of a file; None when it is gone, damaged, or of another network."""
        data = self._files(permit.study).read(name)
        if data is None or len(data) != 8 * permit.layout.count:
            return None
        return np.frombuffer(data, "<f8").astype(np.float64)

    def _sweep(self, study: str) -> None:
        with self._sessions() as session:
            named = table.control_files(session, study)
        self._files(study).keep(named)


def model_of(state: StudyState, site: str, update_sha256: str | None) -> str | None:
    """The model of the closed round that used this update of a hospital; None when none did."""
    for closed in reversed(state.rounds_closed):
        if update_sha256 is not None and closed.used.get(site) == update_sha256:
            return closed.model_sha256
    return None


def _params(permit: Permit) -> int:
    """How many values of the layout are trained; buffers come after them."""
    return sum(entry.count for entry in permit.layout.entries if entry.role == "param")


def _doubles(values: bytes | memoryview) -> Doubles:
    return np.frombuffer(values, "<f4").astype(np.float64)
