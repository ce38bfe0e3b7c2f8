"""The privacy account: datasets and patients in it, and every charge.

Revision ID: 0006
"""

from alembic import op

from site_node.store.database import Base

revision = "0006"
down_revision = "0005"

TABLES = ("privacy_account", "privacy_patient", "privacy_charge")


def upgrade() -> None:
    """Add the three tables, unless they stayed from an earlier visit."""
    Base.metadata.create_all(op.get_bind(), tables=[Base.metadata.tables[name] for name in TABLES])


def downgrade() -> None:
    """Nothing: what was spent stays spent; an older release does not look at it."""
