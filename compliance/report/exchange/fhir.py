"""The log as FHIR R4: one AuditEvent an entry, one Provenance a released model, a line each.

No patient stands in it, because none stands in the log: these are base resources, like IHE BALP but
not of its PrivacyDisclosure profile, which demands a patient.

Source: design/compliance.md §9.7; HL7 FHIR R4 (AuditEvent, Provenance); DICOM PS3.16 CID 400.
"""

from __future__ import annotations

from typing import Any

from compliance.records.envelope import Event
from compliance.report.exchange.released import Released, made_in
from compliance.report.log import Log
from compliance.report.write import write_jsonl

DCM = "http://dicom.nema.org/resources/ontology/DCM"
ROLES = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
ACTIVITY = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
LOG = "urn:consilium:log"
HASH = "urn:consilium:sha256"
OTHER = ("110100", "Application Activity", "E")
TYPES = {
    "update.submitted": ("110106", "Export", "R"),
    "model.released": ("110107", "Import", "C"),
    "export.created": ("110101", "Audit Log Used", "R"),
    "decision.denied": ("110113", "Security Alert", "E"),
    "key.rotated": ("110113", "Security Alert", "U"),
}
"""What an entry is in the words of DICOM: code, name, and the action (create, read, update, do)."""


def audit_events(log: Log) -> bytes:
    """One AuditEvent an entry, in the order of the log."""
    return write_jsonl(_event(log, index, event) for index, event in enumerate(log.events))


def provenances(log: Log, models: list[Released]) -> bytes:
    """One Provenance a released model: who released it, who agreed, from which updates."""
    return write_jsonl(_provenance(log, model) for model in models)


def _event(log: Log, index: int, event: Event) -> dict[str, Any]:
    code, display, action = TYPES.get(event.type, OTHER)
    signers = sorted(log.signers(index))
    actor = event.actor or signers[0]
    return {
        "resourceType": "AuditEvent",
        "id": f"entry-{index}",
        "type": {"system": DCM, "code": code, "display": display},
        "subtype": [{"system": "urn:consilium:kind", "code": event.type}],
        "action": action,
        "recorded": event.time,
        "outcome": "4" if event.type == "decision.denied" else "0",
        "agent": [
            {"who": _who(name), "requestor": name == actor}
            for name in {actor: None} | dict.fromkeys(signers)
        ],
        "source": {"observer": _who(log.checkpoint.origin)},
        "entity": [
            {
                "what": {
                    "identifier": {"system": LOG, "value": f"{log.checkpoint.origin}#{index}"}
                },
                "detail": [
                    {"type": "log index", "valueString": str(index)},
                    {"type": "leaf sha256", "valueString": log.leaves[index].hex()},
                ],
            }
        ],
    }


def _provenance(log: Log, model: Released) -> dict[str, Any]:
    agreed = sorted(
        site
        for (name, form), sites in log.state.approvals.items()
        if (name, form) == (model.model_sha256, model.form)
        for site in sites
    )
    number = made_in(log, model.model_sha256)
    used = {row.number: row.used for row in log.state.rounds_closed}.get(number or 0, {})
    return {
        "resourceType": "Provenance",
        "id": f"model-{model.short}",
        "target": [_hash(model.model_sha256)],
        "recorded": model.time,
        "activity": {"coding": [{"system": ACTIVITY, "code": "CREATE", "display": "create"}]},
        "agent": [
            _agent("author", log.events[model.entry].actor or log.hub),
            *(_agent("attester", f"{site}/institution") for site in agreed),
        ],
        "entity": [
            {"role": "derivation", "what": _hash(digest)} for _, digest in sorted(used.items())
        ]
        or [{"role": "source", "what": _hash(log.state.charter.initial_model_sha256)}],
    }


def _agent(role: str, name: str) -> dict[str, Any]:
    return {"type": {"coding": [{"system": ROLES, "code": role}]}, "who": _who(name)}


def _who(name: str) -> dict[str, Any]:
    return {"identifier": {"system": "urn:consilium:key", "value": name}, "display": name}


def _hash(digest: str) -> dict[str, Any]:
    return {"identifier": {"system": HASH, "value": digest}}
