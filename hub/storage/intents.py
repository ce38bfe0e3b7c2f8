"""Tables of acts that wait for a yes: intents, and tickets for one download."""

from __future__ import annotations

from sqlalchemy import Text, or_, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from hub.storage.database import Base


class IntentRow(Base):
    """An act that a person prepared; it is done once, after the confirm page."""

    __tablename__ = "intent"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    account: Mapped[int]
    session: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    object: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    expires: Mapped[str] = mapped_column(Text)
    result: Mapped[str | None] = mapped_column(Text)


class TicketRow(Base):
    """A link that gives one file once."""

    __tablename__ = "ticket"
    id_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    path: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    expires: Mapped[str] = mapped_column(Text)
    used_at: Mapped[str | None] = mapped_column(Text)


def add(session: Session, row: IntentRow | TicketRow) -> None:
    """Keep an intent or a ticket."""
    session.add(row)
    session.flush()


def find_intent(session: Session, number: str) -> IntentRow | None:
    """An intent by its id."""
    return session.get(IntentRow, number)


def forget(session: Session, account: int, name: str) -> None:
    """Blank the acts that a person prepared, and those about this name; a number is left.

    They are not deleted: the act that erases is one of them, and still has to end.
    """
    about = or_(IntentRow.account == account, IntentRow.object == name)
    blanked = update(IntentRow).where(about).values(object=f"erased-{account}", body="{}")
    session.execute(blanked)


def find_ticket(session: Session, id_hash: str) -> TicketRow | None:
    """A ticket by the hash of its id."""
    return session.get(TicketRow, id_hash)


def blank(session: Session, subject: str, action: str, now: str) -> None:
    """Forget what was typed for acts that are done or have expired: their words are in here too."""
    over = or_(IntentRow.result.is_not(None), IntentRow.expires <= now)
    mine = update(IntentRow).where(IntentRow.object == subject, IntentRow.action == action)
    session.execute(mine.where(over).values(body="{}"))
