"""First schema: accounts, members, logs, studies, intents.

Revision ID: 0001
"""

from alembic import op

from hub.storage.database import Base

revision = "0001"
down_revision = None
FIRST = (
    "account", "account_grant", "enrolment", "web_session", "operation", "intent", "ticket", "log",
    "log_entry", "log_node", "log_checkpoint", "log_cosignature", "invitation", "member", "nonce",
    "charter_draft", "charter_signature", "charter_refusal", "dataset", "recipe", "model",
    "study_run",
)  # fmt: skip
"""The tables of this revision; later ones are made by later revisions."""


def upgrade() -> None:
    """Make these tables with their guards."""
    tables = [Base.metadata.tables[name] for name in FIRST]
    Base.metadata.create_all(op.get_bind(), tables=tables)


def downgrade() -> None:
    """Nothing: log entries are bytes and are never migrated back; restore a backup."""
    raise RuntimeError("There is no way back from the first revision; restore a backup.")
