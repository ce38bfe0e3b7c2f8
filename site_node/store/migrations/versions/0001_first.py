"""Every table of the first release; those that are there already stay as they are.

Revision ID: 0001
"""

from alembic import op

from site_node.store.database import Base

revision = "0001"
down_revision = None
FIRST = (
    "destroyed_study", "document", "journal", "mirror_alarm", "mirror_entry", "mirror_evidence",
    "mirror_log", "mirror_quorum", "objects", "outbox", "reply", "samples", "shards",
    "study_decision", "versions",
)  # fmt: skip
"""The tables of this revision; later ones are made by later revisions."""


def upgrade() -> None:
    """Make these tables with their guards."""
    tables = [Base.metadata.tables[name] for name in FIRST]
    Base.metadata.create_all(op.get_bind(), tables=tables)


def downgrade() -> None:
    """Nothing: a release from before the first revision opens the same tables."""
