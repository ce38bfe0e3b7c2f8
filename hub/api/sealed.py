"""Sealed details over HTTP: who may hand one in, open it, and have it erased."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from compliance.errors import Refused
from compliance.records.sealed import seal_payload
from hub.api.access import MEMBERS, Access, Caller
from hub.api.rooms import Hub
from hub.services.logbook import CONSORTIUM
from hub.services.sealed import Committed

routes = APIRouter(prefix="/logs/{log}/sealed")
Member = Annotated[Caller, Depends(MEMBERS)]
Author = Annotated[Caller, Depends(Access("researcher", sites=True))]


class Detail(BaseModel):
    """Salt and payload of an entry that commits to them."""

    model_config = ConfigDict(extra="forbid")
    index: int = Field(ge=0)
    salt: str = Field(pattern=r"^[0-9a-f]{32}$")
    payload: dict[str, Any]


@routes.get("")
def sealed_details(log: str, caller: Member, hub: Hub) -> list[dict[str, Any]]:
    """Which entries commit to a sealed detail, and whether it is still here."""
    if log != CONSORTIUM:
        caller.must_reach(hub.ledger.state(log).charter.site_names())
    return [row.plain() for row in hub.sealed.all(log)]


@routes.post("")
def hand_in(log: str, body: Detail, caller: Author, hub: Hub) -> dict[str, Any]:
    """Hand in the detail that an own entry commits to."""
    _must_be_author(caller, hub, log, hub.sealed.find(log, body.index))
    hub.sealed.keep(log, body.index, seal_payload(body.payload, bytes.fromhex(body.salt)))
    return hub.sealed.find(log, body.index).plain()


@routes.get("/{index}")
def open_detail(log: str, index: int, caller: Member, hub: Hub) -> dict[str, Any]:
    """Open a sealed detail: for auditors, the study's researcher and the hospital that said it."""
    _must_be_concerned(caller, hub, log, hub.sealed.find(log, index))
    return hub.sealed.open(log, index)


@routes.delete("/{index}")
def erase_detail(log: str, index: int, caller: Author, hub: Hub) -> dict[str, Any]:
    """Erase the sealed detail of an own entry for ever; that it was done is an entry."""
    _must_be_author(caller, hub, log, hub.sealed.find(log, index))
    return hub.sealed.erase(log, index)


def _must_be_author(caller: Caller, hub: Hub, log: str, found: Committed) -> None:
    actor = found.event.actor or ""
    if caller.site:
        own = actor.startswith(f"{caller.site}/")
    else:
        own = str(hub.ledger.state_of(log).keys.current.get(actor)) == hub.researcher_vkey(
            caller.known
        )
    if not own:
        raise Refused("authority", caller.site or caller.known.name, actor)


def _must_be_concerned(caller: Caller, hub: Hub, log: str, found: Committed) -> None:
    speaker = (found.event.actor or "").rsplit("/", 1)[0]
    if caller.site:
        may = caller.site == speaker
    else:
        person = caller.known
        may = person.has("auditor") or speaker in person.sites() or _researches(caller, hub, log)
    if not may:
        raise Refused(
            "authority",
            caller.site or caller.known.name,
            "an auditor, the study's researcher, or the hospital that said it",
        )


def _researches(caller: Caller, hub: Hub, log: str) -> bool:
    if log == CONSORTIUM or not caller.known.has("researcher"):
        return False
    return hub.ledger.state(log).charter.researcher == hub.researcher_vkey(caller.known)
