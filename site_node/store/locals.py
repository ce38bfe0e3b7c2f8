"""What a hospital keeps of layers that do not travel: by log and layout of these layers.

The numbers lie in files named after their hash; they are made of training cases and never leave.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base


class LocalRow(Base):
    """The layers of one study: before and after the training on the model that is named."""

    __tablename__ = "local_layers"

    log: Mapped[str] = mapped_column(primary_key=True)
    layers_sha256: Mapped[str] = mapped_column(primary_key=True)
    study: Mapped[str] = mapped_column(index=True)
    base_sha256: Mapped[str]
    before_sha256: Mapped[str | None]
    after_sha256: Mapped[str]


def find_local(session: Session, log: str, layers_sha256: str) -> LocalRow | None:
    """The row of these layers in this log."""
    return session.get(LocalRow, (log, layers_sha256))


def keep_local(session: Session, row: LocalRow) -> None:
    """Keep a row; one per log and layers."""
    session.merge(row)


def local_files(session: Session, study: str) -> set[str]:
    """Hashes of every file that a row of this study names."""
    rows = session.scalars(select(LocalRow).where(LocalRow.study == study)).all()
    return {name for row in rows for name in (row.before_sha256, row.after_sha256) if name}
