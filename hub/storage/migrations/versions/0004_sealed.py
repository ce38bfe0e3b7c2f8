"""Sealed payloads, and what stays of a study whose records were destroyed.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add two tables."""
    op.create_table(
        "sealed_payload",
        sa.Column("commitment", sa.Text(), primary_key=True),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("salt", sa.LargeBinary()),
        sa.Column("payload", sa.LargeBinary()),
        sa.Column("erased_at", sa.Text()),
    )
    op.create_index("ix_sealed_payload_log", "sealed_payload", ["log"])
    op.create_table(
        "tombstone",
        sa.Column("study", sa.Text(), primary_key=True),
        sa.Column("charter_id", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("prepared_by", sa.Integer(), nullable=False),
        sa.Column("prepared_at", sa.Text(), nullable=False),
        sa.Column("confirmed_by", sa.Integer()),
        sa.Column("destroyed_at", sa.Text()),
        sa.Column("swept_at", sa.Text()),
    )


def downgrade() -> None:
    """Take the tables away; what was erased stays erased."""
    op.drop_table("tombstone")
    op.drop_table("sealed_payload")
