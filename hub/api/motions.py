"""The consortium over HTTP: what it is, and the texts that wait for signatures."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from compliance.errors import Malformed
from hub.api.access import (
    RETURNING_MEMBERS,
    RETURNING_SPEAKERS,
    WAITING_MEMBERS,
    WAITING_SPEAKERS,
    Caller,
)
from hub.api.rooms import Hub
from hub.services.logbook import CONSORTIUM
from hub.services.standing import ACTIVE, SHUT

routes = APIRouter()
Reader = Annotated[Caller, Depends(WAITING_MEMBERS)]
Signer = Annotated[Caller, Depends(WAITING_SPEAKERS)]
LONGEST = 4096
ADMISSION = "member.admitted"


class Proposed(BaseModel):
    """A text with its first signature."""

    model_config = ConfigDict(extra="forbid")
    log: str = Field(max_length=20)
    text_base64: str = Field(max_length=100_000)
    line: str = Field(max_length=LONGEST)


def _asks_in(row: dict[str, Any], site: str) -> bool:
    return bool(row["kind"] == ADMISSION and row["body"]["site"] == site)


def _may_see(caller: Caller, hub: Hub, log: str) -> None:
    if log != CONSORTIUM:
        caller.must_reach(hub.studies.names(log))


@routes.get("/consortium")
def consortium(_: Reader, hub: Hub) -> dict[str, Any]:
    """Agreement, members, recipes and studies, as the consortium's own log tells them."""
    return hub.consortium.view()


@routes.get("/motions")
def motions(
    caller: Annotated[Caller, Depends(RETURNING_MEMBERS)], hub: Hub
) -> list[dict[str, Any]]:
    """Every text that waits for signatures, and the last fifty that were carried.

    A hospital that was suspended or has left sees its own admission only.
    """
    if caller.site and hub.members.standing_of(caller.site) in SHUT:
        return [row for row in hub.motions.all() if _asks_in(row, caller.site)]
    readable = {CONSORTIUM, *(row["study"] for row in hub.studies.all(caller.reach()))}
    return [row for row in hub.motions.all() if row["log"] in readable]


@routes.post("/motions")
def propose(
    body: Proposed, caller: Annotated[Caller, Depends(RETURNING_SPEAKERS)], hub: Hub
) -> dict[str, Any]:
    """Lay a text before the others, with the first signature."""
    _may_see(caller, hub, body.log)
    try:
        text = base64.b64decode(body.text_base64, validate=True)
    except ValueError:
        raise Malformed("text", "it is not base64") from None
    site = caller.site or ""
    outside = bool(site) and hub.members.standing_of(site) != ACTIVE
    newcomer = site if outside else ""
    return hub.motions.propose(body.log, text, body.line, newcomer=newcomer)


@routes.get("/motions/{motion}")
def motion(motion: str, caller: Reader, hub: Hub) -> dict[str, Any]:
    """One text with its signatures, and who could still sign."""
    _may_see(caller, hub, hub.motions.log_of(motion))
    return hub.motions.get(motion)


@routes.post("/motions/{motion}/signatures")
def sign(motion: str, caller: Signer, hub: Hub) -> dict[str, Any]:
    """Take one signature line; with enough of them the text becomes an entry."""
    _may_see(caller, hub, hub.motions.log_of(motion))
    try:
        line = caller.body.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("signature", "it is not UTF-8") from None
    if len(line) > LONGEST:
        raise Malformed("signature", "it is longer than a signature line")
    return hub.motions.sign(motion, line)
