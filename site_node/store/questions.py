"""The table of questions how many: who asked what, when, and what was answered."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base


class QuestionRow(Base):
    """A question that the hub carried here; kept once, however often it comes.

    `asker` is the asker's key, empty where nobody of the consortium asked; `rule` says why it got
    no answer. `told` holds the numbers by dataset as JSON, null where this hospital declined.
    `tried` is when the answer was last sent, `taken` when the hub first took it.
    """

    __tablename__ = "question"

    question: Mapped[str] = mapped_column(primary_key=True)
    asker: Mapped[str]
    asked: Mapped[str | None]
    seen: Mapped[str] = mapped_column(index=True)
    words: Mapped[str | None]
    rule: Mapped[str | None]
    told: Mapped[str | None]
    answer: Mapped[bytes | None]
    tried: Mapped[str | None]
    taken: Mapped[str | None]

    def plain(self) -> dict[str, Any]:
        """For people and machines."""
        return {
            "question": self.question,
            "asker": self.asker,
            "asked": self.asked,
            "seen": self.seen,
            "words": json.loads(self.words) if self.words else None,
            "answered": self.answer is not None,
            "told": json.loads(self.told) if self.told else None,
            "rule": self.rule,
            "taken": self.taken,
        }


def find_question(session: Session, question: str) -> QuestionRow | None:
    """A question by its id."""
    return session.get(QuestionRow, question)


def keep_question(session: Session, row: QuestionRow) -> None:
    """Keep a question, or what has changed of it; the caller's transaction carries it."""
    session.merge(row)


def count_seen(session: Session, since: str, asker: str | None = None) -> int:
    """How many questions came since a moment, of one asker or of all."""
    query = select(func.count()).select_from(QuestionRow).where(QuestionRow.seen >= since)
    if asker is not None:
        query = query.where(QuestionRow.asker == asker)
    return int(session.scalar(query) or 0)


def newest_questions(session: Session, most: int) -> list[QuestionRow]:
    """The questions that came last, newest first."""
    query = select(QuestionRow).order_by(QuestionRow.seen.desc(), QuestionRow.question)
    return list(session.scalars(query.limit(most)))
