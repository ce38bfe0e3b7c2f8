"""What this hospital decided about each study, in its own memory: signed, refused, withdrawn."""

from __future__ import annotations

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base

SIGNED, REFUSED, WITHDRAWN = "signed", "refused", "withdrawn"


class StudyDecision(Base):
    """One charter and this hospital's answer to it; the text is the one that was signed."""

    __tablename__ = "study_decision"

    charter_id: Mapped[str] = mapped_column(primary_key=True)
    study: Mapped[str] = mapped_column(index=True)
    state: Mapped[str]
    text: Mapped[bytes]
    line: Mapped[str]
    at: Mapped[str]
    sent: Mapped[bool]
    reason: Mapped[str | None] = mapped_column(default=None)


class Document(Base):
    """A document that a charter names by hash, such as the recipe; stored under that hash."""

    __tablename__ = "document"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[bytes]


def find_decision(session: Session, charter_id: str) -> StudyDecision | None:
    """This hospital's answer to a charter, or None."""
    return session.get(StudyDecision, charter_id)


def all_decisions(session: Session) -> list[StudyDecision]:
    """Every answer, oldest first."""
    return list(session.scalars(select(StudyDecision).order_by(StudyDecision.at)).all())


def signed_in(session: Session, study: str) -> list[StudyDecision]:
    """Texts that were signed here for a study, or as agreements of the consortium."""
    query = select(StudyDecision).where(StudyDecision.study == study, StudyDecision.line != "")
    return list(session.scalars(query.order_by(StudyDecision.at)).all())


def decide(session: Session, decision: StudyDecision) -> None:
    """Keep the newest answer to a charter."""
    session.merge(decision)


def claim_telling(session: Session, decision: StudyDecision) -> bool:
    """Mark an answer as told; False when it was told already, or is another answer by now.

    The command and the node that serves are two processes: only one of them tells it.
    """
    query = update(StudyDecision).where(
        StudyDecision.charter_id == decision.charter_id,
        StudyDecision.state == decision.state,
        StudyDecision.sent.is_(False),
    )
    result = session.execute(query.values(sent=True))
    return isinstance(result, CursorResult) and result.rowcount == 1


def recalled(charter_id: str, study: str, text: bytes, line: str, at: str) -> StudyDecision:
    """A yes that only the log still holds: this hospital's own signature under entry 0."""
    return StudyDecision(
        charter_id=charter_id, study=study, state=SIGNED, text=text, line=line, at=at, sent=True
    )


def keep_document(session: Session, sha256: str, data: bytes) -> None:
    """Keep a document under its hash; a second time changes nothing."""
    if session.get(Document, sha256) is None:
        session.add(Document(sha256=sha256, data=data))


def find_document(session: Session, sha256: str) -> bytes | None:
    """The bytes with this hash, if they were kept."""
    row = session.get(Document, sha256)
    return row.data if row else None
