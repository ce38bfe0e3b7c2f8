"""Frozen thresholds of studies.

Revision ID: 0010
"""

from alembic import op

from site_node.store.database import Base

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add their table, unless it stayed from an earlier visit."""
    Base.metadata.create_all(op.get_bind(), tables=[Base.metadata.tables["operating_point"]])


def downgrade() -> None:
    """Nothing: what was frozen stays frozen; an older release does not look at it."""
