"""The logs over HTTP: append, checkpoints, entries, proofs, cosignatures, state, exports."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from compliance.errors import Malformed
from compliance.rules import questions as rules
from hub.api.access import AUDIT, MEMBERS, SITES, Access, Caller
from hub.api.rooms import Hub
from hub.services.logbook import CONSORTIUM, hashes_text

routes = APIRouter(prefix="/logs/{log}")
Member = Annotated[Caller, Depends(MEMBERS)]
Hospital = Annotated[Caller, Depends(SITES)]
Speaker = Annotated[Caller, Depends(Access("researcher", sites=True))]
Auditing = Annotated[Caller, Depends(AUDIT)]
Index = Annotated[int, Query(ge=0)]
TEXT, BYTES = "text/plain; charset=utf-8", "application/octet-stream"
FOR_EVER = "private, max-age=31536000, immutable"


class Export(BaseModel):
    """What an export is for, and what is in it."""

    model_config = ConfigDict(extra="forbid")
    purpose: str = Field("audit", max_length=20)
    names: bool = True
    profiles: list[str] = Field(default_factory=list, max_length=20)


class Question(BaseModel):
    """A statement that nobody has made yet; what it leaves out is what one would say now."""

    model_config = ConfigDict(extra="forbid")
    type: str = Field(max_length=64)
    body: dict[str, Any] = Field(default_factory=dict)
    actor: str | None = Field(None, max_length=120)
    site: str | None = Field(None, max_length=100)


def _may_read(caller: Caller, hub: Hub, log: str) -> None:
    """Everybody who belongs reads the consortium's own log, a study's those whom it names."""
    if log == CONSORTIUM:
        hub.ledger.consortium()
    else:
        caller.must_reach(hub.ledger.state(log).charter.site_names())


@routes.post("/entries")
def append(log: str, caller: Speaker, hub: Hub) -> dict[str, Any]:
    """Take a signed note into a log."""
    receipt = hub.ledger.submit(log, caller.body)
    return {"index": receipt.index, "leaf_hash": receipt.leaf_hash.hex()}


@routes.get("/checkpoint")
def checkpoint(log: str, caller: Member, hub: Hub, latest: int = 0) -> Response:
    """The newest checkpoint with quorum; with `latest`, the newest that the log signed."""
    _may_read(caller, hub, log)
    return Response(hub.ledger.checkpoint(log, latest=bool(latest)), media_type=TEXT)


@routes.get("/entries")
def entries(
    log: str, caller: Member, hub: Hub, start: Annotated[int, Query(alias="from", ge=0)],
    stop: Annotated[int, Query(alias="to", ge=0)],
) -> Response:  # fmt: skip
    """Entries as an entry bundle, at most 256."""
    _may_read(caller, hub, log)
    data = hub.ledger.bundle(log, start, stop)
    return Response(data, media_type=BYTES)


@routes.get("/proof/{index}")
def proof(log: str, index: int, caller: Member, hub: Hub) -> Response:
    """A tlog-proof of one entry under the newest checkpoint with quorum."""
    _may_read(caller, hub, log)
    if index < 0:
        raise Malformed("index", "it is below zero")
    return Response(hub.ledger.proof(log, index), media_type=TEXT)


@routes.get("/consistency")
def consistency(
    log: str, caller: Member, hub: Hub, old: Annotated[int, Query(alias="from", ge=0)],
    new: Annotated[int, Query(alias="to", ge=0)],
) -> dict[str, list[str]]:  # fmt: skip
    """Hashes that prove that the log only grew."""
    _may_read(caller, hub, log)
    return {"hashes": hashes_text(hub.ledger.consistency(log, old, new))}


@routes.post("/cosignatures", status_code=204)
def cosign(log: str, caller: Hospital, hub: Hub) -> Response:
    """Take a witness's cosignature."""
    try:
        line = caller.body.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("cosignature", "it is not UTF-8") from None
    hub.ledger.cosign(log, caller.hospital, line)
    return Response(status_code=204)


@routes.get("/cosignatures")
def cosignatures(log: str, caller: Member, hub: Hub) -> list[dict[str, object]]:
    """The newest cosignature of each witness; whoever has the entries can verify it."""
    _may_read(caller, hub, log)
    return hub.ledger.cosignatures(log)


@routes.get("/state")
def state(log: str, caller: Member, hub: Hub) -> dict[str, Any]:
    """The fold result with the size and root it belongs to."""
    _may_read(caller, hub, log)
    return hub.studies.state(log)


@routes.get("/policy")
def policy(log: str, caller: Member, hub: Hub) -> Response:
    """The policy that follows from the charter; a copy, never trust."""
    _may_read(caller, hub, log)
    return Response(hub.ledger.policy(log), media_type=TEXT)


@routes.post("/may")
def may(log: str, body: Question, caller: Member, hub: Hub) -> dict[str, Any]:
    """Answer "would this be allowed?" by the log's own rules; nothing is stored."""
    _may_read(caller, hub, log)
    site = body.site or caller.site or ""
    actor = body.actor or ""
    if log == CONSORTIUM and not actor:
        actor = f"{site}/node" if site else hub.keys.events.name
    asked = rules.Question(body.type, body.body, actor, site)
    return hub.ledger.may(log, asked).plain()


@routes.get("/tile/{path:path}")
def tile(log: str, path: str, caller: Member, hub: Hub) -> Response:
    """A static tile (C2SP tlog-tiles): hashes or entries, the same bytes for ever."""
    _may_read(caller, hub, log)
    data = hub.tiles.tile(log, path)
    if data is None:
        raise HTTPException(404)
    return Response(data, media_type=BYTES, headers={"Cache-Control": FOR_EVER})


@routes.get("/attachments")
def attachments(log: str, caller: Auditing, hub: Hub) -> dict[str, Any]:
    """What a bundle would hold besides what is made from the log, and who is named in it."""
    _may_read(caller, hub, log)
    return hub.exports.material(log)


@routes.post("/exports")
def export(log: str, body: Export, caller: Auditing, hub: Hub) -> dict[str, Any]:
    """Build, verify and record an evidence bundle; returns a one-time ticket."""
    act = hub.acts["export.create"]
    return act.do(caller.known, log, body.model_dump())
