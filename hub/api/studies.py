"""Studies and charters: list, draft checks, proposals, signatures, launch, progress."""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from compliance.canonical import sha256_id
from compliance.errors import Malformed, NotReady, Refused
from compliance.report.narrative import narrative_of
from compliance.signing.keys import VerifierKey
from hub.api.access import AUDIT, MEMBERS, PEOPLE, RESEARCHER, SITES, Caller
from hub.api.rooms import Hub
from hub.services.registry import FLOAT_BYTES
from hub.services.statement_pdf import statement_of
from hub.services.studies import names_of

routes = APIRouter()
Someone = Annotated[Caller, Depends(PEOPLE)]
Researcher = Annotated[Caller, Depends(RESEARCHER)]
Hospital = Annotated[Caller, Depends(SITES)]
Reviewer = Annotated[Caller, Depends(AUDIT)]
Member = Annotated[Caller, Depends(MEMBERS)]
Place = Annotated[int, Query(ge=0)]


class Draft(BaseModel):
    """A draft to check or to complete; with text and signature, a proposal."""

    model_config = ConfigDict(extra="forbid")
    draft: dict[str, Any] = Field(default_factory=dict)
    dry: bool = False
    text_base64: str | None = None
    signature: str | None = None
    announcement_base64: str | None = None
    """`study.proposed` of this text, signed by the same key; else the hub says it on behalf."""


class Release(BaseModel):
    """Which model to release, the newest one if none is named, and what its makers say of it."""

    model_config = ConfigDict(extra="forbid")
    model: str | None = Field(None, max_length=71)
    narrative: dict[str, str | None] = Field(default_factory=dict, max_length=16)


@routes.get("/studies")
def studies(caller: Member, hub: Hub) -> list[dict[str, Any]]:
    """Every study, proposals included; a hospital and its steward see those that name it."""
    return hub.studies.all(caller.reach())


@routes.get("/studies/{study}")
def one(study: str, caller: Someone, hub: Hub) -> dict[str, Any]:
    """One study as in the list."""
    caller.must_reach(hub.studies.names(study))
    return hub.studies.one(study)


@routes.get("/studies/{study}/live")
def live(study: str, caller: Someone, hub: Hub) -> dict[str, Any]:
    """Who answered in the open round, who we wait for."""
    caller.must_reach(hub.studies.names(study))
    found = hub.studies.live(study) | {"run": {"id": hub.runs.run_id(study)}}
    for row in found["waiting"]:
        row["carried"] = hub.transfers.of(row["site"])
    size = FLOAT_BYTES * hub.registry.layout(study).count if hub.registry.models(study) else 0
    return found | {"scores": hub.scores.of(study), "bytes": size}


@routes.get("/studies/{study}/metrics")
def metrics(study: str, caller: Someone, hub: Hub) -> list[dict[str, Any]]:
    """What the hospitals reported, with counts."""
    caller.must_reach(hub.studies.names(study))
    return hub.studies.metrics(study)


@routes.post("/studies/{study}/release")
def release(study: str, body: Release, caller: Researcher, hub: Hub) -> dict[str, Any]:
    """Release a model to which enough hospitals have agreed."""
    narrative = narrative_of(body.narrative)
    return hub.releases.release(study, body.model, narrative, by=caller.known.who)


@routes.get("/studies/{study}/card")
def card(study: str, caller: Member, hub: Hub) -> Response:
    """The card of the released model; its hash stands in the log."""
    caller.must_reach(hub.studies.names(study))
    return Response(hub.releases.card(study), media_type="application/json")


@routes.get("/studies/{study}/statement")
@routes.get("/studies/{study}/statement/{site}")
def statement(study: str, caller: Member, hub: Hub, site: str | None = None) -> Response:
    """The statement of contributions as PDF, of one hospital or of all; made from the log."""
    caller.must_reach(hub.studies.names(study))
    return Response(statement_of(hub.ledger, study, site), media_type="application/pdf")


@routes.get("/studies/{study}/papers")
def papers(study: str, caller: Reviewer, hub: Hub) -> list[dict[str, Any]]:
    """The papers of the released model with their SHA-256; no weights are among them."""
    caller.must_reach(hub.studies.names(study))
    return [
        {"name": name, "text": data.decode(), "sha256": sha256_id(data)}
        for name, data in hub.papers.of(study).items()
    ]


@routes.get("/studies/{study}/papers/{paper}")
def paper(study: str, paper: str, caller: Reviewer, hub: Hub) -> Response:
    """One paper of the released model."""
    caller.must_reach(hub.studies.names(study))
    found = hub.papers.of(study)
    if paper not in found:
        raise NotReady(f"a model has no paper {paper[:40]!r}.", f"Papers: {', '.join(found)}.")
    return Response(found[paper], media_type="application/octet-stream")


@routes.get("/models")
def models(caller: Someone, hub: Hub) -> list[dict[str, object]]:
    """Every model in the registry, of the studies that the caller may read."""
    readable = [row["study"] for row in hub.studies.all(caller.reach())]
    return [row for study in sorted(readable) for row in hub.registry.models(study)]


@routes.post("/charters/check")
def check(body: Draft, caller: Researcher, hub: Hub) -> list[dict[str, Any]]:
    """What every rule says to a draft; nothing is stored."""
    vkey = hub.researcher_vkey(caller.known)
    return [finding.plain() for finding in hub.charters.check(body.draft, vkey)]


@routes.post("/charters")
def propose(body: Draft, caller: Researcher, hub: Hub) -> dict[str, Any]:
    """Propose a charter; with `dry`, return the texts that an own key signs first.

    The second one, `study.proposed`, comes back as a signed note.
    """
    person, vkey = caller.known, hub.researcher_vkey(caller.known)
    if body.text_base64 and body.signature:
        text, told = _bytes(body.text_base64), body.announcement_base64
        note = _bytes(told) if told else None
        return hub.charters.propose(text, body.signature, person.number, vkey, note)
    if not body.dry and hub.accounts.own_key(person) is not None:
        raise Refused("charter.signatures", sentence="Sign the text with your own key first.")
    text = hub.charters.prepare(body.draft, vkey, by=person.who)
    if body.dry:
        name = VerifierKey.parse(vkey).name
        announcement = hub.proposals.announcement(sha256_id(text), name)
        return {"text_base64": _base64(text), "announcement_base64": _base64(announcement)}
    line = hub.keys.researcher(person.number).line(text)
    return hub.charters.propose(text, line, person.number, vkey)


@routes.post("/starts/{sha256}")
def start(sha256: str, at: Place, of: Place, caller: Researcher, hub: Hub) -> dict[str, Any]:
    """Take a piece of a file with start weights; a charter's draft names the file by its hash."""
    return hub.starts.take(caller.known.number, sha256, at, of, caller.body)


@routes.get("/charters/{charter_id}")
def charter(charter_id: str, caller: Member, hub: Hub) -> dict[str, Any]:
    """A charter with its text, signatures and refusals."""
    found = hub.charters.get(charter_id)
    caller.must_reach(names_of(found))
    return found


@routes.post("/charters/{charter_id}/signatures")
def sign(charter_id: str, caller: Hospital, hub: Hub) -> dict[str, str]:
    """Take a hospital's signature line."""
    try:
        line = str(json.loads(caller.body)["line"])
    except (ValueError, KeyError, TypeError):
        raise Malformed("signature", "the body holds no line") from None
    hub.charters.sign(caller.hospital, charter_id, line)
    return {"state": "signed"}


@routes.post("/charters/{charter_id}/refusals")
def refuse(charter_id: str, caller: Hospital, hub: Hub) -> dict[str, str]:
    """Take a hospital's signed refusal."""
    hub.charters.refuse(caller.hospital, charter_id, caller.body)
    return {"state": "refused"}


@routes.post("/charters/{charter_id}/launch")
def launch(charter_id: str, caller: Researcher, hub: Hub) -> dict[str, Any]:
    """Write entry 0 and let the study run."""
    return hub.charters.launch(charter_id, by=caller.known.who)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Malformed("text", "it is not base64") from None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
