"""Layers that stay here (FedBN, a personal head): kept between rounds, never in a message.

They go on from round to round. Training on a model that they were trained on before begins where
it began then: a repeated order gives the same bytes, and an aborted round costs nothing.

What was fine-tuned on the model of the last round lies beside them under a name of its own: a study
that is asked again, or goes on after all, begins from the trained ones.

Source: design/federation.md §6.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from compliance.canonical import digest_of, sha256_id
from compliance.errors import NotReady
from compliance.records.layout import BYTES_PER_VALUE, Layout
from compliance.records.order import Order
from compliance.records.recipe import Recipe, local_layout
from compliance.rules.state import StudyState
from site_node.gate.controls import Beside
from site_node.gate.permits import Permit
from site_node.store import locals as table
from site_node.store.journal import Sessions, Transaction
from site_node.store.locals import LocalRow
from site_node.store.named import NamedFiles


@dataclass(frozen=True)
class Own:
    """This hospital's own layers that belong to one model of a study.

    Args:
        kind: which layers, `norm` or `head`.
        values: float32 little-endian, in the order of their layout.
        tuned: whether they were fine-tuned on this model.
    """

    kind: str
    values: bytes
    tuned: bool

    @property
    def sha256(self) -> str:
        """Their name."""
        return sha256_id(self.values)

    @property
    def words(self) -> str:
        """For people and results."""
        tuned = ", fine-tuned" if self.tuned else ""
        return f"{self.kind} layers of this hospital{tuned}, {self.sha256}"


def finetunes(permit: Permit, order: Order) -> bool:
    """Whether the own layers are fine-tuned before this measurement: after the last round only."""
    terms = permit.recipe.personal
    if order.kind != "evaluate" or terms is None or terms.finetune_steps is None:
        return False
    return len(permit.state.rounds_closed) >= permit.charter.max_rounds


class Locals:
    """Keeps the local layers of one hospital.

    Args:
        home: of this site; files lie below `models/<study>/local/`.
        sessions: the site's database.
    """

    def __init__(self, *, home: Path, sessions: Sessions) -> None:
        self._home, self._sessions = home, sessions

    def at(self, permit: Permit, order: Order) -> bytes | None:
        """The layers for an order, float32 little-endian; empty before the first training.

        None where the recipe keeps no layer here.
        """
        layout = local_layout(permit.recipe)
        if layout is None:
            return None
        with self._sessions() as session:
            row = table.find_local(session, order.log, layout.sha256)
        if row is None:
            return b""
        again = order.kind == "train" and row.base_sha256 == order.model_sha256
        name = row.before_sha256 if again else row.after_sha256
        return b"" if name is None else self._read(permit.study, name, layout)

    def beside(
        self, permit: Permit, order: Order, before: bytes | None, after: bytes | None
    ) -> Beside:
        """What must be kept in the transaction that lets the update out: the trained layers."""
        layout, tuned = local_layout(permit.recipe), finetunes(permit, order)
        if (
            layout is None
            or before is None
            or after is None
            or not (order.kind == "train" or tuned)
        ):
            return ()
        files = self._files(permit.study)
        row = LocalRow(
            log=order.log,
            layers_sha256=_tuned(permit.recipe, layout) if tuned else layout.sha256,
            study=permit.study,
            base_sha256=order.model_sha256,
            before_sha256=files.write(before) if before else None,
            after_sha256=files.write(after),
        )

        def keep(session: Transaction) -> None:
            table.keep_local(session, row)
            session.flush()
            files.keep(table.local_files(session, permit.study))

        return (keep,)

    def of_model(self, study: str, state: StudyState, recipe: Recipe, model: str) -> Own | None:
        """The own layers with which a model of a study was measured here; None if it is whole.

        Args:
            study: its id.
            state: by this hospital's own fold.
            recipe: of its charter.
            model: `model_sha256` of a closed round.

        Raises:
            NotReady: this hospital has none, they are damaged, or they belong to another model.
        """
        layout, terms = local_layout(recipe), recipe.personal
        if layout is None or terms is None:
            return None
        with self._sessions() as session:
            row = table.find_local(session, state.charter_id, layout.sha256)
            fine = table.find_local(session, state.charter_id, _tuned(recipe, layout))
        if fine is not None and fine.base_sha256 == model:
            return self._own(study, fine.after_sha256, layout, terms.layers, tuned=True)
        if row is None:
            raise _none(terms.layers)
        if row.base_sha256 == model:
            if row.before_sha256 is None:
                raise _none(terms.layers)
            return self._own(study, row.before_sha256, layout, terms.layers)
        if not state.rounds_closed or state.rounds_closed[-1].model_sha256 != model:
            raise NotReady(
                f"the {terms.layers} layers that are kept here have gone on to a newer model.",
                "Use the newest model of the study: its layers are those that are kept.",
            )
        return self._own(study, row.after_sha256, layout, terms.layers)

    def _own(self, study: str, name: str, layout: Layout, kind: str, *, tuned: bool = False) -> Own:
        values = self._read(study, name, layout)
        if not values:
            raise NotReady(
                f"the {kind} layers of this hospital are gone or damaged: the model is not whole.",
                "Ask another hospital that took part; a backup holds them only `--with-data`.",
            )
        return Own(kind, values, tuned)

    def _files(self, study: str) -> NamedFiles:
        return NamedFiles(self._home / "models" / study / "local")

    def _read(self, study: str, name: str, layout: Layout) -> bytes:
        """The numbers of a file; none when it is gone or damaged: the layers then begin anew."""
        data = self._files(study).read(name) or b""
        return data if len(data) == BYTES_PER_VALUE * layout.count else b""


def _tuned(recipe: Recipe, layout: Layout) -> str:
    """The name of fine-tuned layers in the table; other steps are other layers."""
    terms = recipe.personal
    return digest_of(["finetuned", layout.sha256, terms.finetune_steps if terms else None])


def _none(kind: str) -> NotReady:
    return NotReady(
        f"the model lacks its {kind} layers: they stay at each hospital of the study, and this one "
        "has none for it because it did not train in the study (or not yet).",
        "Ask a hospital that took part: only there the model is as it was measured. "
        "What was measured is in `consilium study metrics`.",
    )
