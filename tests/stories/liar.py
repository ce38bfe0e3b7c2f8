"""A hub that lies: the real program, without its check at the start; and how it rewrites a log."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import delete, text

from compliance.ledger.checkpoint import Checkpoint, sign
from compliance.ledger.merkle import Tree, leaf_hash
from compliance.records.envelope import parse_event
from compliance.signing.note import parse
from hub.main import serve
from hub.settings import load_settings
from hub.storage import ledger as rows
from hub.wiring import Rooms, hub_rooms


def rewrite(home: Path, log: str, notes: Sequence[bytes]) -> bytes:
    """Put other entries in the place of a log and sign them with the log's own key.

    Returns:
        The new checkpoint.
    """
    rooms = hub_rooms(load_settings(home))
    with rooms.database.engine.begin() as session:
        for name in session.scalars(text("SELECT name FROM sqlite_master WHERE type='trigger'")):
            session.execute(text(f"DROP TRIGGER {name}"))
        for table in (rows.CosignatureRow, rows.CheckpointRow, rows.NodeRow, rows.EntryRow):
            session.execute(delete(table).where(table.study == log))
    return _write(rooms, log, notes)


def _write(rooms: Rooms, log: str, notes: Sequence[bytes]) -> bytes:
    tree = Tree()
    key = rooms.keys.log(log)
    with rooms.database.transaction(log) as session:
        for index, note in enumerate(notes):
            tree.append(leaf_hash(note))
            event = parse_event(parse(note).text)
            row = rows.EntryRow(
                study=log,
                idx=index,
                leaf=note,
                leaf_hash=leaf_hash(note),
                type=event.type,
                actor=event.actor or "",
                time=event.time,
            )
            rows.add_entry(session, row, tree.completed(index))
        signed = sign(Checkpoint(key.name, tree.size, tree.root()), key)
        row_ = rows.CheckpointRow(
            study=log, size=tree.size, note=signed, issued_at="2026-11-22T10:00:00Z", quorum=False
        )
        rows.add_checkpoint(session, row_)
    rooms.database.engine.dispose()
    return signed


if __name__ == "__main__":
    serve(hub_rooms(load_settings(Path(sys.argv[1]))), None)
