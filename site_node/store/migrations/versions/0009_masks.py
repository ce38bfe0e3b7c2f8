"""Mask keys, masked updates and the lists that were answered.

Revision ID: 0009
"""

from alembic import op

from site_node.store.database import Base

revision = "0009"
down_revision = "0008"

TABLES = ("mask_key", "masked_update", "unmasked")


def upgrade() -> None:
    """Add their tables, unless they stayed from an earlier visit."""
    tables = [Base.metadata.tables[name] for name in TABLES]
    Base.metadata.create_all(op.get_bind(), tables=tables)


def downgrade() -> None:
    """Nothing: an answer that was given stays known; an older release does not look at it."""
