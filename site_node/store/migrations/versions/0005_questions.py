"""Questions how many that the hub carried here, and what was answered.

Revision ID: 0005
"""

from alembic import op

from site_node.store.database import Base

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add their table, unless it stayed from an earlier visit."""
    Base.metadata.create_all(op.get_bind(), tables=[Base.metadata.tables["question"]])


def downgrade() -> None:
    """Nothing: what was told is on record; an older release does not look at it."""
