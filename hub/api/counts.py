"""Questions how many: people ask and read, hospitals fetch and answer."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from compliance.errors import Malformed
from hub.api.access import RESEARCHER, SITES, Access, Caller
from hub.api.rooms import Hub

routes = APIRouter()
READERS = Access("researcher", "auditor", "admin")
Reader = Annotated[Caller, Depends(READERS)]
Asker = Annotated[Caller, Depends(RESEARCHER)]
Hospital = Annotated[Caller, Depends(SITES)]
LONGEST = 4096


class Asked(BaseModel):
    """A question in words; with `dry`, for its text only; or a text with its signature line."""

    model_config = ConfigDict(extra="forbid")
    words: dict[str, str | None] = Field(default_factory=dict, max_length=8)
    dry: bool = False
    text_base64: str | None = Field(None, max_length=LONGEST)
    line: str | None = Field(None, max_length=LONGEST)


@routes.get("/counts")
def counts(_: Reader, hub: Hub) -> list[dict[str, Any]]:
    """The newest questions, and what each hospital told."""
    return hub.counts.all()


@routes.get("/counts/words")
def words(_: Reader, hub: Hub) -> dict[str, list[str]]:
    """Words that a question can have: those of the data sets on offer."""
    return hub.counts.words()


@routes.get("/counts/open")
def waiting(caller: Hospital, hub: Hub) -> list[str]:
    """Questions that this hospital has not answered, as their askers signed them."""
    return hub.counts.open_for(caller.hospital)


@routes.post("/counts")
def ask(body: Asked, caller: Asker, hub: Hub) -> dict[str, Any]:
    """Ask every hospital; with `dry`, return the text that an own key signs first."""
    person = caller.known
    if body.text_base64 and body.line:
        return hub.counts.take(person.number, _bytes(body.text_base64), body.line)
    if body.dry:
        text = hub.counts.draft(body.words, hub.researcher_vkey(person), by=person.who)
        return {"text_base64": base64.b64encode(text).decode()}
    return hub.counts.ask(person.number, body.words, hub.accounts.own_key(person), person.who)


@routes.post("/counts/{question}/answers")
def answer(question: str, caller: Hospital, hub: Hub) -> dict[str, str]:
    """Take a hospital's signed answer."""
    hub.counts.answer(caller.hospital, question, caller.body)
    return {"state": "taken"}


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Malformed("text", "it is not base64") from None
