"""Hospitals and what they offer: members, signs of life, data sets, recipes, invitations."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from compliance.errors import Malformed, Refused
from hub.api.access import ADMIN, MEMBERS, PEOPLE, RESEARCHER, SITES, WAITING_SITES, Caller
from hub.api.rooms import Hub

routes = APIRouter()
Someone = Annotated[Caller, Depends(PEOPLE)]
Hospital = Annotated[Caller, Depends(SITES)]
Member = Annotated[Caller, Depends(MEMBERS)]
Admin = Annotated[Caller, Depends(ADMIN)]
MAX_HEALTH = 16_384


class RecipeChange(BaseModel):
    """A recipe to start from, and what differs."""

    model_config = ConfigDict(extra="forbid")
    base: str = Field(max_length=80)
    changes: dict[str, Any]


class Invitation(BaseModel):
    """A hospital to invite."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=100)
    title: str = Field("", max_length=120)


class NewUser(BaseModel):
    """A person to give an account."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=64)
    role: str = Field(max_length=20)
    site: str = Field("", max_length=100)


class Following(BaseModel):
    """What a hospital tells a successor of its hub."""

    model_config = ConfigDict(extra="forbid")
    flower_public: str = Field(max_length=1000)


@routes.get("/sites")
def sites(_: Someone, hub: Hub) -> list[dict[str, Any]]:
    """Every hospital with its state."""
    return hub.members.members()


@routes.post("/sites/heartbeat")
def heartbeat(caller: Annotated[Caller, Depends(WAITING_SITES)], hub: Hub) -> dict[str, Any]:
    """Take a sign of life: codes and counts; tell what of this site's messages was carried."""
    if len(caller.body) > MAX_HEALTH:
        raise Malformed("heartbeat", "it is larger than 16 KiB")
    try:
        told = json.loads(caller.body)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise Malformed("heartbeat", "it is not a JSON object")
    time = hub.members.heartbeat(caller.hospital, told)
    return {"time": time, "carried": hub.transfers.of(caller.hospital)}


@routes.post("/sites/follow")
def follow(body: Following, caller: Hospital, hub: Hub) -> dict[str, Any]:
    """Welcome a member that lost its hub; it tells its Flower key."""
    return hub.members.follow(caller.hospital, body.flower_public)


@routes.get("/takeover")
def takeover(_: Hospital, hub: Hub) -> list[dict[str, str]]:
    """Keys of this hub that wait for the hospitals' signatures."""
    return hub.rebuilding.takeover()


@routes.get("/datasets")
def datasets(_: Someone, hub: Hub) -> list[dict[str, Any]]:
    """The newest version of every data set."""
    return hub.catalogue.datasets()


@routes.post("/datasets")
def register(caller: Hospital, hub: Hub) -> dict[str, str]:
    """Take a hospital's signed registration."""
    hub.catalogue.register(caller.hospital, caller.body)
    return {"state": "registered"}


@routes.put("/datasets/{site}/{dataset}/{version}/description")
def describe(site: str, dataset: str, version: str, caller: Hospital, hub: Hub) -> dict[str, str]:
    """Take the description whose hash was registered."""
    if site != caller.hospital:
        raise Refused("authority", caller.hospital, site)
    hub.catalogue.describe(site, dataset, version, caller.body)
    return {"state": "described"}


@routes.get("/recipes")
def recipes(_: Someone, hub: Hub) -> list[dict[str, Any]]:
    """Every recipe with its document."""
    return hub.catalogue.recipes()


@routes.post("/recipes")
def change(
    body: RecipeChange, _: Annotated[Caller, Depends(RESEARCHER)], hub: Hub
) -> dict[str, Any]:
    """Make a new version of a recipe."""
    made = hub.catalogue.change(body.base, body.changes)
    return {"sha256": made.sha256, "document": made.plain()}


@routes.post("/recipes/brought")
def bring(caller: Annotated[Caller, Depends(RESEARCHER)], hub: Hub) -> dict[str, Any]:
    """Take a whole recipe, the very bytes that were made with `consilium recipe`."""
    made = hub.catalogue.bring(caller.body)
    return {"sha256": made.sha256, "document": made.plain()}


@routes.get("/recipes/{sha256}")
def recipe(sha256: str, _: Member, hub: Hub) -> Response:
    """A recipe's document, the very bytes that its hash names."""
    return Response(hub.catalogue.recipe(sha256).encode(), media_type="application/json")


@routes.post("/admin/invitations")
def invite(body: Invitation, _: Admin, hub: Hub) -> dict[str, str]:
    """Invite a hospital."""
    code, expires = hub.members.invite(body.name, body.title)
    return {"code": code, "expires": expires}


@routes.post("/admin/users")
def add_user(body: NewUser, _: Admin, hub: Hub) -> dict[str, str]:
    """Give a person an account; the code is shown once."""
    code = hub.accounts.add(body.name, body.role, body.site)
    return {"code": code, "link": hub.enrol_link(code)}


@routes.get("/admin/users")
def users(_: Admin, hub: Hub) -> list[dict[str, object]]:
    """Every account with its roles."""
    return hub.accounts.everybody()
