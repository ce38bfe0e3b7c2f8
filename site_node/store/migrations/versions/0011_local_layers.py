"""Layers that stay at the hospital, by log.

Revision ID: 0011
"""

from alembic import op

from site_node.store.database import Base

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add their table, unless it stayed from an earlier visit."""
    Base.metadata.create_all(op.get_bind(), tables=[Base.metadata.tables["local_layers"]])


def downgrade() -> None:
    """Nothing: an older release knows no such recipe and does not look at them."""
