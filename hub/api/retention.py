"""How long records are kept, for administrators and auditors; ending it is an act."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from hub.api.access import Access, Caller
from hub.api.rooms import Hub

routes = APIRouter()
Keeper = Annotated[Caller, Depends(Access("admin", "auditor"))]


@routes.get("/retention")
def retention(_: Keeper, hub: Hub) -> list[dict[str, Any]]:
    """Each study: kept until when, held by what, destroyed when."""
    return hub.retention.all()
