"""Where frames lie in the patient, and masks beside images.

Revision ID: 0004
"""

from alembic import op

from site_node.store.database import Base

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the two tables, unless they stayed from an earlier visit."""
    tables = [Base.metadata.tables[name] for name in ("geometry", "masks")]
    Base.metadata.create_all(op.get_bind(), tables=tables)


def downgrade() -> None:
    """Nothing: an older release does not look at them."""
