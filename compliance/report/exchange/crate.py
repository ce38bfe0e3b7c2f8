"""The bundle as a Five Safes RO-Crate: who signed off, who ran what, who let which model out.

Source: design/compliance.md §9.6; RO-Crate 1.2; Five Safes RO-Crate profile 0.4.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Any

from compliance.records.releases import ReleaseApproved, ReleaseDenied
from compliance.report.exchange.released import Released, released_models, short
from compliance.report.exchange.workflow import WORKFLOW, language, workflow
from compliance.report.log import Files, Log
from compliance.report.write import write_json

PATH = "data/ro-crate-metadata.json"
PROFILE = "https://w3id.org/5s-crate/0.4"
CRATE = "https://w3id.org/ro/crate/1.2"
SHP = "https://w3id.org/shp#"
DONE, FAILED = "http://schema.org/CompletedActionStatus", "http://schema.org/FailedActionStatus"
ACTIVE = "http://schema.org/ActiveActionStatus"
FORMATS = {
    "json": "application/json", "jsonl": "application/jsonl", "ndjson": "application/fhir+ndjson",
    "csv": "text/csv", "html": "text/html", "md": "text/markdown", "xml": "application/xml",
    "txt": "text/plain", "pdf": "application/pdf", "note": "text/plain",
    "tlog-proof": "text/plain", "fab": "application/zip",
}  # fmt: skip
ROOT = {"@id": "./"}
Entity = dict[str, Any]


def crate(log: Log, attached: Files, paths: Iterable[str]) -> bytes:
    """Write the crate's metadata.

    Args:
        log: the study's log.
        attached: the attached files.
        paths: every payload file of the bundle, `data/…`; each becomes a file of the crate.
    """
    models = released_models(log, attached)
    parts = [_file(path) for path in sorted({*paths} - {PATH})]
    signoffs, disclosures = list(_signoffs(log)), list(_disclosures(log))
    actions = [_run(log, models), *signoffs, *disclosures, _check(log)]
    graph = [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "about": ROOT,
            "conformsTo": _ref(CRATE),
        },
        _root(log, parts, actions, models),
        *_context(log),
        *_organisations(log),
        *workflow(log, attached),
        *actions,
        *(_model(log, model) for model in models),
        *parts,
    ]
    return write_json({"@context": f"{CRATE}/context", "@graph": graph})


def _root(log: Log, parts: list[Entity], actions: list[Entity], models: list[Released]) -> Entity:
    origin, size = log.checkpoint.origin, log.checkpoint.size
    listed = [WORKFLOW, *(part["@id"] for part in parts), *(_model_id(model) for model in models)]
    return {
        "@id": "./",
        "@type": "Dataset",
        "conformsTo": _ref(PROFILE),
        "name": log.state.charter.title,
        "description": f"Evidence bundle of {origin} at size {size}. The workflow is a Flower app; "
        "the profile recommends CWL or Nextflow.",
        "identifier": base64.b64encode(log.checkpoint.root).decode(),
        "datePublished": log.as_of,
        "license": _ref("#terms"),
        "publisher": _ref("#hub"),
        "sourceOrganization": _ref("#project"),
        "mainEntity": _ref(WORKFLOW),
        "hasPart": [_ref(name) for name in listed],
        "mentions": [_ref(action["@id"]) for action in actions],
    }


def _context(log: Log) -> list[Entity]:
    charter = log.state.charter
    researcher = charter.researcher.split("+", 1)[0]
    return [
        {"@id": PROFILE, "@type": "Profile", "name": "Five Safes RO-Crate profile"},
        {"@id": "#terms", "@type": "CreativeWork", "name": "Terms of the charter"},
        {
            "@id": "#charter",
            "@type": "CreativeWork",
            "name": "Signed charter, entry 0",
            "identifier": log.state.charter_id,
        },
        {
            "@id": "#project",
            "@type": "Project",
            "name": charter.title,
            "identifier": log.state.charter_id,
            "member": [*(_ref(_site(name)) for name in charter.site_names()), _ref("#hub")],
        },
        {
            "@id": _person(log),
            "@type": "Person",
            "name": researcher,
            "affiliation": _ref("#hub"),
            "memberOf": [_ref("#project")],
        },
        {
            "@id": "#verifier",
            "@type": "SoftwareApplication",
            "name": "consilium audit",
            "provider": _ref("#hub"),
        },
        language(),
    ]


def _organisations(log: Log) -> list[Entity]:
    legal = log.state.charter.legal
    names = {row.site: row.controller for row in legal.sites}
    hospitals = [
        {"@id": _site(name), "@type": "Organization", "name": names.get(name, name)}
        for name in log.state.charter.site_names()
    ]
    return [{"@id": "#hub", "@type": "Organization", "name": log.hub}, *hospitals]


def _run(log: Log, models: list[Released]) -> Entity:
    """The training: it is done when a model came out of it, or when the study was closed."""
    state, closings = log.state, log.of_kind("study.closed")
    ended = closings[-1][1].time if closings else None
    made = bool(state.rounds_closed)
    told: Entity = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": "Federated training",
        "agent": _ref(_person(log)),
        "instrument": _ref(WORKFLOW),
        "startTime": log.events[0].time,
        "actionStatus": (DONE if made else FAILED) if ended else ACTIVE,
    }
    results = {"result": [_ref(_model_id(model)) for model in models]} if models else {}
    return told | results | ({"endTime": ended} if ended else {})


def _model(log: Log, model: Released) -> Entity:
    return {
        "@id": _model_id(model),
        "@type": "DigitalDocument",
        "name": f"Released model {model.short}",
        "identifier": model.model_sha256,
        "description": f"{log.state.released.get(model.model_sha256)}, entry {model.entry}",
    }


def _signoffs(log: Log) -> Iterable[Entity]:
    """Every hospital's signature under the charter: at the start, later, and under amendments."""
    for index, event in enumerate(log.events):
        if event.type not in ("charter", "charter.amended", "site.joined"):
            continue
        for name in sorted(log.signers(index)):
            site, _, role = name.rpartition("/")
            if role == "institution":
                told = f"Charter signed by {name}, entry {index}: approved"
                yield _assess("SignOff", f"#signoff-{index}-{site}", told, event.time, _site(site))


def _disclosures(log: Log) -> Iterable[Entity]:
    """Every yes and no to the release of a model."""
    for index, event in log.of_kind("release.approved", "release.refused"):
        body, actor = event.body, event.actor or ""
        if isinstance(body, ReleaseApproved | ReleaseDenied):
            yes = isinstance(body, ReleaseApproved)
            word = "approved" if yes else f"refused ({body.reason})"  # type: ignore[union-attr]  # a denial has one
            told = f"Release of {short(body.model_sha256)}: {word} by {actor}, entry {index}"
            name, site = f"#disclosure-{index}", _site(actor.rpartition("/")[0])
            yield _assess("DisclosureCheck", name, told, event.time, site, DONE if yes else FAILED)


def _check(log: Log) -> Entity:
    told = "Manifests and log verified by the exporter before handing out; verify it yourself"
    action = _assess("CheckValue", "#check", told, log.as_of, "#verifier")
    return action | {"instrument": _ref(PROFILE), "object": [ROOT]}


def _assess(kind: str, name: str, told: str, time: str, agent: str, status: str = DONE) -> Entity:
    return {
        "@id": name,
        "@type": "AssessAction",
        "additionalType": _ref(SHP + kind),
        "name": told,
        "endTime": time,
        "agent": _ref(agent),
        "instrument": _ref("#charter"),
        "object": [ROOT, _ref(WORKFLOW), _ref("#project")],
        "actionStatus": status,
    }


def _file(path: str) -> Entity:
    name = path.removeprefix("data/")
    ending = name.rpartition(".")[2]
    return {
        "@id": name,
        "@type": "File",
        "name": name,
        "encodingFormat": FORMATS.get(ending, "application/octet-stream"),
    }


def _model_id(model: Released) -> str:
    return f"#model-{model.short}"


def _person(log: Log) -> str:
    key = log.state.charter.researcher.split("+", 1)[0]
    return "#" + re.sub(r"[^A-Za-z0-9.-]", "-", key)


def _site(name: str) -> str:
    return f"https://{name}/"


def _ref(name: str) -> dict[str, str]:
    return {"@id": name}
