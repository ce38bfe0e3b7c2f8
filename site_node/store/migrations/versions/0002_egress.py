"""The egress ledger: every body that left.

Revision ID: 0002
"""

from alembic import op

from site_node.store.database import Base

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add its table with its guards, unless it stayed from an earlier visit."""
    Base.metadata.create_all(op.get_bind(), tables=[Base.metadata.tables["egress"]])


def downgrade() -> None:
    """Nothing: what left is on record; an older release does not look at it."""
