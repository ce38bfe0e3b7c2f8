"""Alembic's entry: runs migrations on the connection that `hub.storage.schema` hands in."""

from __future__ import annotations

from alembic import context

from hub.storage import (
    accounts,
    counts,
    intents,
    ledger,
    members,
    motions,
    sealed,
    studies,
    tombstones,
)
from hub.storage.database import Base

TABLES = (
    *(accounts, counts, intents, ledger, members, motions),
    *(sealed, studies, tombstones),
)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
