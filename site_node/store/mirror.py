"""The site's own copy of each log, with what this witness knows and what alarmed it.

The column `study` names the log: a study's id, or `consortium`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base
from site_node.store.journal import never_changed


class MirrorLog(Base):
    """A study whose log is mirrored here, and how far it is witnessed."""

    __tablename__ = "mirror_log"

    study: Mapped[str] = mapped_column(primary_key=True)
    charter_id: Mapped[str]
    origin: Mapped[str]
    size: Mapped[int] = mapped_column(default=0)
    root: Mapped[bytes]
    note: Mapped[bytes]
    cosigned_at: Mapped[int] = mapped_column(default=0)
    cosignature: Mapped[str] = mapped_column(default="")
    sent: Mapped[bool] = mapped_column(default=False)


class MirrorEntry(Base):
    """One entry as received, with its signatures."""

    __tablename__ = "mirror_entry"

    study: Mapped[str] = mapped_column(primary_key=True)
    idx: Mapped[int] = mapped_column(primary_key=True)
    leaf_hash: Mapped[bytes]
    note: Mapped[bytes]


class MirrorQuorum(Base):
    """The newest checkpoint that a quorum cosigned, checked against our own mirror."""

    __tablename__ = "mirror_quorum"

    study: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int]
    note: Mapped[bytes]


class MirrorAlarm(Base):
    """Why this site trusts a log no more; the evidence is kept whole."""

    __tablename__ = "mirror_alarm"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    study: Mapped[str]
    at: Mapped[str]
    rule: Mapped[str]
    finding: Mapped[str]
    evidence: Mapped[bytes]


class MirrorEvidence(Base):
    """One piece of evidence of an alarm, such as the checkpoint that was shown; kept whole."""

    __tablename__ = "mirror_evidence"

    alarm: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[bytes]


never_changed(MirrorEntry.__table__)
never_changed(MirrorAlarm.__table__)
never_changed(MirrorEvidence.__table__)


def find_log(session: Session, study: str) -> MirrorLog | None:
    """The mirrored log of a study, or None before its first entry was accepted."""
    return session.get(MirrorLog, study)


def all_logs(session: Session) -> list[MirrorLog]:
    """Every mirrored log, by name."""
    return list(session.scalars(select(MirrorLog).order_by(MirrorLog.study)).all())


def read_entries(session: Session, study: str, start: int, stop: int) -> list[MirrorEntry]:
    """Entries of a range, in order."""
    query = select(MirrorEntry).where(MirrorEntry.study == study)
    query = query.where(MirrorEntry.idx >= start, MirrorEntry.idx < stop)
    return list(session.scalars(query.order_by(MirrorEntry.idx)).all())


def open_log(session: Session, *, study: str, charter_id: str, origin: str) -> None:
    """Begin a mirror at size 0; a second call changes nothing."""
    row = {
        "study": study,
        "charter_id": charter_id,
        "origin": origin,
        "size": 0,
        "root": b"",
        "note": b"",
        "cosigned_at": 0,
        "cosignature": "",
        "sent": False,
    }
    session.execute(insert(MirrorLog).values(row).on_conflict_do_nothing())


@dataclass(frozen=True)
class Head:
    """A checkpoint this site accepted: root, log-signed note, time and line of its cosignature."""

    root: bytes
    note: bytes
    time: int
    cosignature: str


def extend_log(
    session: Session,
    *,
    study: str,
    old_size: int,
    entries: Sequence[tuple[bytes, bytes]],
    head: Head,
) -> bool:
    """Add (leaf hash, note) pairs and move the checkpoint, if nobody moved it meanwhile.

    Returns:
        False when another process was faster: nothing was written, the caller starts again.
    """
    moved = session.execute(
        update(MirrorLog)
        .where(MirrorLog.study == study, MirrorLog.size == old_size)
        .values(
            size=old_size + len(entries),
            root=head.root,
            note=head.note,
            cosigned_at=head.time,
            cosignature=head.cosignature,
            sent=False,
        )
    )
    if moved.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE answers with a cursor
        return False
    for offset, (leaf_hash, leaf) in enumerate(entries):
        row = MirrorEntry(study=study, idx=old_size + offset, leaf_hash=leaf_hash, note=leaf)
        session.add(row)
    return True


def mark_sent(session: Session, study: str, note: bytes) -> None:
    """Remember that the hub has the cosignature of this very checkpoint."""
    session.execute(
        update(MirrorLog).where(MirrorLog.study == study, MirrorLog.note == note).values(sent=True)
    )


def cosign_again(session: Session, study: str, note: bytes, line: str, time: int) -> None:
    """Give the mirrored checkpoint another cosignature, and the note as it is shown now."""
    session.execute(
        update(MirrorLog)
        .where(MirrorLog.study == study)
        .values(note=note, cosignature=line, cosigned_at=time, sent=False)
    )


def keep_quorum(session: Session, *, study: str, size: int, note: bytes) -> None:
    """Keep a checkpoint that a quorum cosigned."""
    session.merge(MirrorQuorum(study=study, size=size, note=note))


def find_quorum(session: Session, study: str) -> MirrorQuorum | None:
    """The newest checkpoint with a quorum, or None."""
    return session.get(MirrorQuorum, study)


def add_alarm(
    session: Session,
    *,
    study: str,
    at: str,
    rule: str,
    finding: str,
    evidence: bytes,
    parts: Mapping[str, bytes],
) -> None:
    """Keep an alarm with its evidence, in one piece and in its parts by name."""
    alarm = MirrorAlarm(study=study, at=at, rule=rule, finding=finding, evidence=evidence)
    session.add(alarm)
    session.flush()
    for name, data in parts.items():
        session.add(MirrorEvidence(alarm=alarm.id, name=name, data=data))


def read_evidence(session: Session, alarm: int) -> dict[str, bytes]:
    """The parts of an alarm's evidence, by name."""
    query = select(MirrorEvidence).where(MirrorEvidence.alarm == alarm)
    return {row.name: row.data for row in session.scalars(query.order_by(MirrorEvidence.name))}


def read_alarms(session: Session, study: str | None = None) -> list[MirrorAlarm]:
    """Alarms of one study, or of all."""
    query = select(MirrorAlarm).order_by(MirrorAlarm.id)
    if study is not None:
        query = query.where(MirrorAlarm.study == study)
    return list(session.scalars(query).all())
