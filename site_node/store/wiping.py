"""What the database knows of single objects and answers, forgotten in one transaction.

The journal and the mirrored logs are records and stay; they hold no pseudonym.
"""

from __future__ import annotations

from sqlalchemy import Engine, delete, func, select
from sqlalchemy.orm import Session, sessionmaker

from site_node.store.cleaned import ActionsRow, CleanedRow
from site_node.store.controls import ControlRow
from site_node.store.counts import CountRow
from site_node.store.geometry import GeometryRow
from site_node.store.locals import LocalRow
from site_node.store.masks import MaskRow
from site_node.store.objects import ObjectRow
from site_node.store.predictions import PredictionDoneRow
from site_node.store.replies import ReplyRow
from site_node.store.samples import SampleRow
from site_node.store.shards import ShardRow
from site_node.store.versions import VersionRow

TABLES = (
    *(ActionsRow, CleanedRow, ControlRow, CountRow, GeometryRow, LocalRow, MaskRow, ObjectRow),
    *(SampleRow, ShardRow, VersionRow, ReplyRow, PredictionDoneRow),
)


def forget(sessions: sessionmaker[Session]) -> int:
    """Delete every such row and what the write-ahead log still holds of it; returns the objects.

    Freed pages are overwritten (`secure_delete`).
    """
    with sessions.begin() as session:
        count = session.scalar(select(func.count()).select_from(ObjectRow)) or 0
        for table in TABLES:
            session.execute(delete(table))
    bind = sessions.kw["bind"]
    if isinstance(bind, Engine):
        with bind.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return count
