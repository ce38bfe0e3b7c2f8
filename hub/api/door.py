"""Open to everybody: the authority's certificate, health, and joining with an invitation."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from compliance.errors import ConsiliumError
from compliance.signing.certificate import GOOD, SOON
from hub.api.access import PUBLIC, Caller
from hub.api.rooms import Hub

routes = APIRouter()
Anybody = Annotated[Caller, Depends(PUBLIC)]


@routes.get("/ca.pem")
def authority(_: Anybody, hub: Hub) -> Response:
    """The hub's authority; a joining site compares it with its fingerprint."""
    return Response(hub.ca_path.read_bytes(), media_type="application/x-pem-file")


@routes.get("/healthz")
def alive(_: Anybody) -> dict[str, str]:
    """Whether the process answers."""
    return {"state": "up"}


@routes.get("/readyz")
def ready(_: Anybody, hub: Hub) -> dict[str, Any]:
    """Whether studies can run: database, SuperLink, the dates of the hub's own certificate."""
    try:
        hub.check_database()
        database = "ok"
    except ConsiliumError as error:
        database = type(error).__name__
    superlink = hub.superlink()
    certificate = hub.certificate()
    good = database == "ok" and superlink == "up" and certificate.code in (GOOD, SOON)
    told = {"ready": good, "database": database, "superlink": superlink}
    until = certificate.until and certificate.until.date().isoformat()
    return told | {"certificate": certificate.code, "certificate_until": until}


@routes.post("/join")
def join(body: dict[str, Any], _: Anybody, hub: Hub) -> dict[str, Any]:
    """Admit a hospital that holds an invitation and proves its keys."""
    return hub.members.join(body)
