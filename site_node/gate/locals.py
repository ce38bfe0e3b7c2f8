"""Layers that stay here (FedBN, a personal head): kept between rounds, never in a message.

They go on from round to round. Training on a model that they were trained on before begins where
it began then: a repeated order gives the same bytes, and an aborted round costs nothing.

Source: design/federation.md §6.5.
"""

from __future__ import annotations

from pathlib import Path

from compliance.records.layout import BYTES_PER_VALUE, Layout
from compliance.records.order import Order
from compliance.records.recipe import local_layout
from site_node.gate.controls import Beside
from site_node.gate.permits import Permit
from site_node.store import locals as table
from site_node.store.journal import Sessions, Transaction
from site_node.store.locals import LocalRow
from site_node.store.named import NamedFiles


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
        layout = local_layout(permit.recipe)
        if layout is None or before is None or after is None or order.kind != "train":
            return ()
        files = self._files(permit.study)
        row = LocalRow(
            log=order.log,
            layers_sha256=layout.sha256,
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

    def _files(self, study: str) -> NamedFiles:
        return NamedFiles(self._home / "models" / study / "local")

    def _read(self, study: str, name: str, layout: Layout) -> bytes:
        """The numbers of a file; none when it is gone or damaged: the layers then begin anew."""
        data = self._files(study).read(name) or b""
        return data if len(data) == BYTES_PER_VALUE * layout.count else b""
