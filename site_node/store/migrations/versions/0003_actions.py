"""What de-identification did to each object that is held; objects of before have none.

Revision ID: 0003
"""

from alembic import op

from site_node.store.database import Base

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the two tables, unless they stayed from an earlier visit."""
    tables = [Base.metadata.tables[name] for name in ("actions", "cleaned")]
    Base.metadata.create_all(op.get_bind(), tables=tables)


def downgrade() -> None:
    """Nothing: an older release does not look at them."""
