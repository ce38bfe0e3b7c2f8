"""One entry with the subtrees that it completes, put into the tables of its log."""

from __future__ import annotations

from compliance.ledger.merkle import leaf_hash
from compliance.records.envelope import parse_event
from compliance.rules.logs import State, family_of
from compliance.signing.note import parse
from hub.storage import ledger as rows
from hub.storage.database import Transaction


def put_entry(session: Transaction, log: str, note: bytes, state: State) -> str:
    """Write the newest entry of a state that has taken it already; returns its type."""
    event = parse_event(parse(note).text, kinds=family_of(log).kinds)
    index = state.size - 1
    row = rows.EntryRow(
        study=log,
        idx=index,
        leaf=note,
        leaf_hash=leaf_hash(note),
        type=event.type,
        actor=event.actor or "",
        time=event.time,
    )
    rows.add_entry(session, row, state.tree.completed(index))
    return event.type
