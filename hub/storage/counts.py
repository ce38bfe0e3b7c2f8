"""Tables of questions how many, and of what hospitals answered; rows are never changed."""

from __future__ import annotations

from sqlalchemy import LargeBinary, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from hub.storage.database import Base


class QuestionRow(Base):
    """A question as its asker signed it; `account` is the number of that person."""

    __tablename__ = "question"
    question: Mapped[str] = mapped_column(Text, primary_key=True)
    account: Mapped[int] = mapped_column(index=True)
    note: Mapped[bytes] = mapped_column(LargeBinary)
    asked: Mapped[str] = mapped_column(Text, index=True)


class AnswerRow(Base):
    """What one hospital answered, as its node signed it."""

    __tablename__ = "count_answer"
    question: Mapped[str] = mapped_column(Text, primary_key=True)
    site: Mapped[str] = mapped_column(Text, primary_key=True)
    note: Mapped[bytes] = mapped_column(LargeBinary)
    time: Mapped[str] = mapped_column(Text)


def find_question(session: Session, question: str) -> QuestionRow | None:
    """A question by its id."""
    return session.get(QuestionRow, question)


def add_question(session: Session, row: QuestionRow) -> None:
    """Keep a question."""
    session.add(row)
    session.flush()


def count_asked(session: Session, account: int, since: str) -> int:
    """How many questions a person has asked since a moment."""
    query = select(func.count()).select_from(QuestionRow)
    query = query.where(QuestionRow.account == account, QuestionRow.asked >= since)
    return int(session.scalar(query) or 0)


def newest_questions(session: Session, most: int) -> list[QuestionRow]:
    """The questions that were asked last, newest first."""
    query = select(QuestionRow).order_by(QuestionRow.asked.desc(), QuestionRow.question)
    return list(session.scalars(query.limit(most)))


def unanswered(session: Session, site: str, since: str, most: int) -> list[QuestionRow]:
    """Questions since a moment that a hospital has not answered, oldest first."""
    done = select(AnswerRow.question).where(AnswerRow.site == site)
    query = select(QuestionRow).where(QuestionRow.asked >= since)
    query = query.where(QuestionRow.question.not_in(done))
    return list(
        session.scalars(query.order_by(QuestionRow.asked, QuestionRow.question).limit(most))
    )


def find_answer(session: Session, question: str, site: str) -> AnswerRow | None:
    """What a hospital answered to a question."""
    return session.get(AnswerRow, (question, site))


def answers_of(session: Session, question: str) -> list[AnswerRow]:
    """Every answer to a question, by hospital."""
    query = select(AnswerRow).where(AnswerRow.question == question)
    return list(session.scalars(query.order_by(AnswerRow.site)))


def add_answer(session: Session, row: AnswerRow) -> None:
    """Keep an answer."""
    session.add(row)
    session.flush()
