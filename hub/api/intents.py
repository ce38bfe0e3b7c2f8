"""Acts that wait for a yes, and tickets that hand out one file once."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from hub.api.access import PEOPLE, PUBLIC, Caller
from hub.api.rooms import Hub

routes = APIRouter()
Someone = Annotated[Caller, Depends(PEOPLE)]
Holder = Annotated[Caller, Depends(PUBLIC)]


class Intent(BaseModel):
    """What a person wants to do."""

    model_config = ConfigDict(extra="forbid")
    action: str = Field(max_length=40)
    object: str = Field(max_length=200)
    body: dict[str, Any] = Field(default_factory=dict)


class Yes(BaseModel):
    """The confirmation: password and typing where they are asked."""

    model_config = ConfigDict(extra="forbid")
    password: str | None = Field(None, max_length=1024)
    typed: str | None = Field(None, max_length=64)
    object_hash: str | None = Field(None, max_length=80)


@routes.post("/intents")
def prepare(body: Intent, caller: Someone, hub: Hub) -> dict[str, Any]:
    """Prepare an act."""
    return hub.intents.prepare(caller.known, body.action, body.object, body.body)


@routes.get("/intents/{number}")
def show(number: str, caller: Someone, hub: Hub) -> dict[str, Any]:
    """What the confirm page says."""
    return hub.intents.show(caller.known, number)


@routes.post("/intents/{number}/confirm")
def confirm(number: str, body: Yes, caller: Someone, hub: Hub) -> dict[str, Any]:
    """Do the act, once."""
    return hub.intents.confirm(caller.known, number, body.password, body.typed, body.object_hash)


@routes.get("/tickets/{number}")
def redeem(number: str, _: Holder, hub: Hub) -> FileResponse:
    """Hand out the file of a ticket, once; the ticket itself is the right."""
    path, name = hub.exports.redeem(number)
    return FileResponse(path, filename=name, media_type="application/octet-stream")
