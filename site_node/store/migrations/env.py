"""Alembic's entry: runs migrations on the connection that `site_node.store.schema` hands in."""

from __future__ import annotations

from alembic import context

from site_node.store.database import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
