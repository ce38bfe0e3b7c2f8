"""Sign-in, enrolment, sessions, and who I am."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from compliance.errors import Malformed
from compliance.signing.keys import VerifierKey
from hub.api.access import PEOPLE, PUBLIC, RESEARCHER, Caller
from hub.api.rooms import Hub
from hub.services.accounts import Person
from hub.services.clock import text_of

routes = APIRouter()
Anybody = Annotated[Caller, Depends(PUBLIC)]
Someone = Annotated[Caller, Depends(PEOPLE)]


class SignIn(BaseModel):
    """Name and password."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=64)
    password: str = Field(max_length=1024)


class Enrolment(BaseModel):
    """One-time code and the password chosen with it."""

    model_config = ConfigDict(extra="forbid")
    code: str = Field(max_length=128)
    password: str = Field(max_length=1024)


class OwnKey(BaseModel):
    """The researcher's own public key."""

    model_config = ConfigDict(extra="forbid")
    vkey: str = Field(max_length=300)


@routes.post("/auth/session")
def sign_in(body: SignIn, _: Anybody, hub: Hub) -> dict[str, Any]:
    """Begin a session."""
    token, person = hub.accounts.sign_in(body.name, body.password)
    expires = text_of(hub.clock, timedelta(hours=hub.settings.session_hours))
    return {"token": token, "expires": expires, "user": plain(person)}


@routes.delete("/auth/session")
def sign_out(caller: Someone, hub: Hub) -> dict[str, str]:
    """End this session."""
    hub.accounts.sign_out(caller.known.session)
    return {"state": "ended"}


@routes.get("/auth/enrol/{code}")
def enrolment(code: str, _: Anybody, hub: Hub) -> dict[str, Any]:
    """Whose one-time code this is."""
    return dict(hub.accounts.enrolment(code))


@routes.post("/auth/enrol")
def enrol(body: Enrolment, _: Anybody, hub: Hub) -> dict[str, str]:
    """Choose a password with a one-time code."""
    return {"name": hub.accounts.enrol(body.code, body.password)}


@routes.get("/me")
def me(caller: Someone, hub: Hub) -> dict[str, Any]:
    """Who I am and what I may."""
    return plain(caller.known) | {"consortium": hub.settings.title, "hub": hub.settings.name}


@routes.get("/me/sessions")
def my_sessions(caller: Someone, hub: Hub) -> list[dict[str, str]]:
    """My open sessions."""
    return hub.accounts.sessions(caller.known)


@routes.delete("/me/sessions/{short}")
def end_session(short: str, caller: Someone, hub: Hub) -> dict[str, str]:
    """End one of my sessions."""
    hub.accounts.end_session(caller.known, short)
    return {"state": "ended"}


@routes.get("/me/key")
def my_key(caller: Annotated[Caller, Depends(RESEARCHER)], hub: Hub) -> dict[str, str | None]:
    """My own public key, and the name that a key of mine must have."""
    name = hub.keys.researcher(caller.known.number).name
    return {"vkey": hub.accounts.own_key(caller.known), "name": name}


@routes.put("/me/key")
def set_key(
    body: OwnKey, caller: Annotated[Caller, Depends(RESEARCHER)], hub: Hub
) -> dict[str, str]:
    """Register my own public key; from now on my charters are self-signed."""
    key = VerifierKey.parse(body.vkey)
    wanted = hub.keys.researcher(caller.known.number).name
    if key.name != wanted:
        raise Malformed("key", f"its name must be {wanted}")
    hub.accounts.set_key(caller.known, str(key))
    return {"vkey": str(key)}


def plain(person: Person) -> dict[str, Any]:
    """A person as the dashboard sees one."""
    sites = person.sites()
    return {
        "id": person.number,
        "name": person.name,
        "roles": [{"role": role, "site": site or None} for role, site in person.roles],
        "site": sites[0] if sites else None,
    }
