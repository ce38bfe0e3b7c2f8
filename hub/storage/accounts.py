"""Tables of people: accounts, grants, enrolments, sessions, and the record of what they did."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Text, delete, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from hub.storage.database import Base


class AccountRow(Base):
    """One person; the password is a hash of argon2id, or absent until enrolled."""

    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    password: Mapped[str | None] = mapped_column(Text)
    vkey: Mapped[str | None] = mapped_column(Text)
    created: Mapped[str] = mapped_column(Text)
    failures: Mapped[int] = mapped_column(default=0)
    failed_at: Mapped[str | None] = mapped_column(Text)


class GrantRow(Base):
    """A role of a person, for one site or for all."""

    __tablename__ = "account_grant"
    account: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True)
    role: Mapped[str] = mapped_column(Text, primary_key=True)
    site: Mapped[str] = mapped_column(Text, primary_key=True, default="")


class EnrolmentRow(Base):
    """A one-time code for choosing a password; only its hash is here."""

    __tablename__ = "enrolment"
    code_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    account: Mapped[int] = mapped_column(ForeignKey("account.id"))
    expires: Mapped[str] = mapped_column(Text)
    used_at: Mapped[str | None] = mapped_column(Text)


class SessionRow(Base):
    """One signed-in browser or script; only the hash of its token is here."""

    __tablename__ = "web_session"
    token_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    account: Mapped[int] = mapped_column(ForeignKey("account.id"))
    created: Mapped[str] = mapped_column(Text)
    seen: Mapped[str] = mapped_column(Text)
    ended: Mapped[str | None] = mapped_column(Text)


class OperationRow(Base):
    """The record of what people did at the hub: sign-ins, grants, invitations."""

    __tablename__ = "operation"
    id: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[str] = mapped_column(Text)
    who: Mapped[str] = mapped_column(Text)
    what: Mapped[str] = mapped_column(Text)
    about: Mapped[str] = mapped_column(Text)


def account_named(session: Session, name: str) -> AccountRow | None:
    """An account by its name."""
    return session.scalar(select(AccountRow).where(AccountRow.name == name))


def account(session: Session, number: int) -> AccountRow | None:
    """An account by its number."""
    return session.get(AccountRow, number)


def all_accounts(session: Session) -> list[AccountRow]:
    """Every account, by name."""
    return list(session.scalars(select(AccountRow).order_by(AccountRow.name)))


def count_accounts(session: Session) -> int:
    """How many accounts there are."""
    return int(session.scalar(select(func.count()).select_from(AccountRow)) or 0)


def highest_number(session: Session) -> int:
    """The highest number that an account has; 0 before the first."""
    return int(session.scalar(select(func.max(AccountRow.id))) or 0)


def add_account(session: Session, row: AccountRow) -> AccountRow:
    """Add a person."""
    session.add(row)
    session.flush()
    return row


def grants_of(session: Session, number: int) -> list[GrantRow]:
    """The roles of a person."""
    query = select(GrantRow).where(GrantRow.account == number)
    return list(session.scalars(query.order_by(GrantRow.role, GrantRow.site)))


def add_grant(session: Session, row: GrantRow) -> None:
    """Give a role; a role that is there already stays."""
    session.merge(row)
    session.flush()


def drop_grants(session: Session, number: int) -> None:
    """Take every role of a person."""
    session.execute(delete(GrantRow).where(GrantRow.account == number))


def add_enrolment(session: Session, row: EnrolmentRow) -> None:
    """Keep the hash of a one-time code."""
    session.add(row)
    session.flush()


def find_enrolment(session: Session, code_hash: str) -> EnrolmentRow | None:
    """A one-time code by its hash."""
    return session.get(EnrolmentRow, code_hash)


def add_session(session: Session, row: SessionRow) -> None:
    """Keep the hash of a session token."""
    session.add(row)
    session.flush()


def find_session(session: Session, token_hash: str) -> SessionRow | None:
    """A session by the hash of its token."""
    return session.get(SessionRow, token_hash)


def sessions_of(session: Session, number: int) -> list[SessionRow]:
    """The sessions of a person that have not ended."""
    query = select(SessionRow).where(SessionRow.account == number, SessionRow.ended.is_(None))
    return list(session.scalars(query.order_by(SessionRow.created)))


def end_everything(session: Session, number: int, now: str) -> None:
    """End every session of a person and use up every one-time code."""
    open_sessions = update(SessionRow).where(SessionRow.account == number)
    session.execute(open_sessions.where(SessionRow.ended.is_(None)).values(ended=now))
    open_codes = update(EnrolmentRow).where(EnrolmentRow.account == number)
    session.execute(open_codes.where(EnrolmentRow.used_at.is_(None)).values(used_at=now))


def operations(session: Session) -> list[OperationRow]:
    """Everything that was recorded, in order."""
    return list(session.scalars(select(OperationRow).order_by(OperationRow.id)))


def add_operation(session: Session, *, time: str, who: str, what: str, about: str) -> None:
    """Record what somebody did."""
    session.add(OperationRow(time=time, who=who, what=what, about=about))
    session.flush()
