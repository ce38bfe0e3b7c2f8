"""Questions how many, and what hospitals answered.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add two tables."""
    op.create_table(
        "question",
        sa.Column("question", sa.Text(), primary_key=True),
        sa.Column("account", sa.Integer(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
    )
    op.create_index("ix_question_account", "question", ["account"])
    op.create_index("ix_question_asked", "question", ["asked"])
    op.create_table(
        "count_answer",
        sa.Column("question", sa.Text(), primary_key=True),
        sa.Column("site", sa.Text(), primary_key=True),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("time", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    """Take the tables away; what was told stays told."""
    op.drop_table("count_answer")
    op.drop_table("question")
