"""Predictions of released models, what they are compared with, and membership tests.

Revision ID: 0008
"""

from alembic import op

from site_node.store.database import Base

revision = "0008"
down_revision = "0007"

TABLES = (
    *("prediction", "prediction_light", "prediction_done", "prediction_reference"),
    "leak_test",
)


def upgrade() -> None:
    """Add their tables, unless they stayed from an earlier visit."""
    tables = [Base.metadata.tables[name] for name in TABLES]
    Base.metadata.create_all(op.get_bind(), tables=tables)


def downgrade() -> None:
    """Nothing: counts stay; an older release does not look at them."""
