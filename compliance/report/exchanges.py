"""A study in the formats of others, as files of a bundle.

Source: design/compliance.md §1.2, §9.
"""

from __future__ import annotations

from collections.abc import Iterable

from compliance.report.exchange import crate as crates
from compliance.report.exchange import workflow
from compliance.report.exchange.bom import bom
from compliance.report.exchange.chai import chai
from compliance.report.exchange.fhir import audit_events, provenances
from compliance.report.exchange.modelcard import modelcard
from compliance.report.exchange.prov import provenance
from compliance.report.exchange.released import released_models
from compliance.report.log import Files, Log


def files(log: Log, attached: Files) -> dict[str, bytes]:
    """Model cards and bills of each released model, provenance, audit events.

    The crate that lists every file is made last, by `catalogue`.
    """
    models = released_models(log, attached)
    found = {
        "data/provenance/prov.json": provenance(log),
        "data/fhir/AuditEvent.ndjson": audit_events(log),
        "data/fhir/Provenance.ndjson": provenances(log, models),
    }
    for model in models:
        found[f"{model.folder}/modelcard.md"] = modelcard(log, model)
        found[f"{model.folder}/modelcard.chai.xml"] = chai(log, model)
        found[f"{model.folder}/bom.cdx.json"] = bom(log, model)
    return found | workflow.nested(log, attached)


def catalogue(log: Log, attached: Files, derived: Iterable[str]) -> dict[str, bytes]:
    """`ro-crate-metadata.json`, which lists every file below `data/`.

    Args:
        log: the study's log.
        attached: the attached files.
        derived: paths of all other derived files.
    """
    paths = {*attached, *derived, "data/log/checkpoint"}
    return {crates.PATH: crates.crate(log, attached, paths)}
