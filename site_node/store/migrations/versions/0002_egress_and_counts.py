"""The egress ledger, every body that left; and the counts that this hospital would tell.

Revision ID: 0002
"""

from alembic import op

from site_node.store.database import Base

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add their tables with their guards, unless they stayed from an earlier visit."""
    tables = [Base.metadata.tables[name] for name in ("counts", "egress")]
    Base.metadata.create_all(op.get_bind(), tables=tables)


def downgrade() -> None:
    """Nothing: what left and was told is on record; an older release does not look at it."""
