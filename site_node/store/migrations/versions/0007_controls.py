"""Control variates of SCAFFOLD, by log and round.

Revision ID: 0007
"""

from alembic import op

from site_node.store.database import Base

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add their table, unless it stayed from an earlier visit."""
    Base.metadata.create_all(op.get_bind(), tables=[Base.metadata.tables["control"]])


def downgrade() -> None:
    """Nothing: an older release does not train with SCAFFOLD and does not look at it."""
