"""The directory of persons: random ids stand in the logs, names beside them can be erased.

Every account gets an id. Ids that an earlier release wrote into the logs were drawn from a key and
led to no name; they stay what they are.

Revision ID: 0003
"""

import base64
import secrets

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
INSERT = sa.text("INSERT INTO directory (dir, account, display) VALUES (:dir, :account, :display)")


def upgrade() -> None:
    """Add the table and a person for each account."""
    op.create_table(
        "directory",
        sa.Column("dir", sa.Text(), primary_key=True),
        sa.Column("account", sa.Integer(), sa.ForeignKey("account.id"), unique=True),
        sa.Column("display", sa.Text()),
        sa.Column("contact", sa.Text()),
    )
    bind = op.get_bind()
    for number, name in bind.execute(sa.text("SELECT id, name FROM account")).all():
        drawn = base64.b32encode(secrets.token_bytes(17)).decode().lower()[:26]
        row = {"dir": drawn, "account": number, "display": name}
        bind.execute(INSERT, row)


def downgrade() -> None:
    """Take the table away: no id in a log leads to a name any more."""
    op.drop_table("directory")
