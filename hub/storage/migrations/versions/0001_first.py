"""First schema: accounts, members, logs, studies, intents.

Revision ID: 0001
"""

from alembic import op

from hub.storage import accounts, intents, ledger, members, studies
from hub.storage.database import Base

revision = "0001"
down_revision = None
TABLES = (accounts, intents, ledger, members, studies)


def upgrade() -> None:
    """Make every table with its guards."""
    Base.metadata.create_all(op.get_bind())


def downgrade() -> None:
    """Nothing: log entries are bytes and are never migrated back; restore a backup."""
    raise RuntimeError("There is no way back from the first revision; restore a backup.")
