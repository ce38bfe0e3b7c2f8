"""Motions: texts that wait for signatures; the country that a hospital tells.

What is there stays: studies that run go on. The consortium has no log yet, so new charters wait
until it is founded: `consilium hub found`.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add two tables and a column."""
    columns = sa.inspect(op.get_bind()).get_columns("member")
    if "country" not in {column["name"] for column in columns}:
        op.add_column("member", sa.Column("country", sa.Text()))
    op.create_table(
        "motion",
        sa.Column("motion", sa.Text(), primary_key=True),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text()),
        sa.Column("idx", sa.Integer()),
    )
    op.create_index("ix_motion_log", "motion", ["log"])
    op.create_table(
        "motion_signature",
        sa.Column("motion", sa.Text(), primary_key=True),
        sa.Column("key_name", sa.Text(), primary_key=True),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("time", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    """Take the tables away; what was carried stands in the logs."""
    op.drop_table("motion_signature")
    op.drop_table("motion")
    op.drop_column("member", "country")
