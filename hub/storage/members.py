"""Tables of hospitals: invitations, members, their Flower nodes, and nonces that were seen."""

from __future__ import annotations

from sqlalchemy import Text, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from hub.storage.database import Base


class InvitationRow(Base):
    """An invitation; only the hash of its token is here."""

    __tablename__ = "invitation"
    token_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    site: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    expires: Mapped[str] = mapped_column(Text)
    used_at: Mapped[str | None] = mapped_column(Text)


class MemberRow(Base):
    """A hospital with its public keys; `slot` gives it one colour for ever."""

    __tablename__ = "member"
    site: Mapped[str] = mapped_column(Text, primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    slot: Mapped[int]
    institution: Mapped[str] = mapped_column(Text)
    node: Mapped[str] = mapped_column(Text)
    witness: Mapped[str] = mapped_column(Text)
    flower_public: Mapped[str] = mapped_column(Text)
    flower_node: Mapped[str | None] = mapped_column(Text)
    joined: Mapped[str] = mapped_column(Text)
    suspended: Mapped[bool] = mapped_column(default=False)
    seen: Mapped[str | None] = mapped_column(Text)
    health: Mapped[str] = mapped_column(Text, default="{}")
    country: Mapped[str | None] = mapped_column(Text)


class NonceRow(Base):
    """A signed request that was answered; the same one is not answered twice."""

    __tablename__ = "nonce"
    site: Mapped[str] = mapped_column(Text, primary_key=True)
    nonce: Mapped[str] = mapped_column(Text, primary_key=True)
    time: Mapped[str] = mapped_column(Text, index=True)


def add_invitation(session: Session, row: InvitationRow) -> None:
    """Keep the hash of an invitation's token."""
    session.add(row)
    session.flush()


def find_invitation(session: Session, token_hash: str) -> InvitationRow | None:
    """An invitation by the hash of its token."""
    return session.get(InvitationRow, token_hash)


def open_invitations(session: Session, now: str) -> list[InvitationRow]:
    """Invitations that may still be used."""
    query = select(InvitationRow).where(
        InvitationRow.used_at.is_(None), InvitationRow.expires > now
    )
    return list(session.scalars(query.order_by(InvitationRow.site)))


def find_member(session: Session, site: str) -> MemberRow | None:
    """A hospital by its name."""
    return session.get(MemberRow, site)


def all_members(session: Session) -> list[MemberRow]:
    """Every hospital, by name."""
    return list(session.scalars(select(MemberRow).order_by(MemberRow.site)))


def add_member(session: Session, row: MemberRow) -> None:
    """Admit a hospital; its slot is the next free one."""
    row.slot = int(session.scalar(select(func.count()).select_from(MemberRow)) or 0)
    session.add(row)
    session.flush()


def use_nonce(session: Session, site: str, nonce: str, time: str, forget_before: str) -> bool:
    """Take a nonce; False when it was taken before."""
    session.execute(delete(NonceRow).where(NonceRow.time < forget_before))
    if session.get(NonceRow, (site, nonce)) is not None:
        return False
    session.add(NonceRow(site=site, nonce=nonce, time=time))
    session.flush()
    return True
