"""The bill of materials of a model: what it was made from, by hash (CycloneDX 1.6 ML-BOM).

Source: design/compliance.md §9.4; CycloneDX 1.6, JSON.
"""

from __future__ import annotations

import base64
import uuid
from typing import Any

from compliance.records.charter import CharterBody, CharterDataset
from compliance.report.exchange.released import Number, Released, made_in
from compliance.report.log import Log
from compliance.report.narrative import MARKER
from compliance.report.write import write_json

STATEMENT = "Evidence drawn from a signed log. Not a legal determination."


def bom(log: Log, model: Released, missing: str = "") -> bytes:
    """Write the bill of one model: itself, its data, the program that trained it.

    `missing` says which layers the released file lacks; empty where it is whole.
    """
    charter = log.state.charter
    place = f"{log.checkpoint.origin}/{log.checkpoint.size}/{model.short}"
    return write_json(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, place)}",
            "version": 1,
            "metadata": {"timestamp": log.as_of, "properties": _about(log, model)},
            "components": [
                _model(log, model, missing),
                *(_data(log, charter, row) for row in charter.datasets),
                _program(charter),
            ],
            "dependencies": _dependencies(charter),
        }
    )


def _about(log: Log, model: Released) -> list[dict[str, str]]:
    told = {
        "consilium:log": log.state.charter_id,
        "consilium:size": str(log.checkpoint.size),
        "consilium:root": base64.b64encode(log.checkpoint.root).decode(),
        "consilium:released": f"entry {model.entry}",
        "consilium:statement": STATEMENT,
    }
    return [{"name": name, "value": value} for name, value in told.items()]


def _model(log: Log, model: Released, missing: str) -> dict[str, Any]:
    charter, number = log.state.charter, made_in(log, model.model_sha256)
    return {
        "bom-ref": "model",
        "type": "machine-learning-model",
        "name": charter.recipe.id,
        "version": f"round-{number}",
        "description": charter.title,
        "hashes": _hashes(model.model_sha256),
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": charter.task.kind,
                "architectureFamily": charter.recipe.family,
                "modelArchitecture": charter.recipe.id,
                "datasets": [{"ref": _ref(row)} for row in charter.datasets],
                "inputs": [{"format": "image"}],
                "outputs": [{"format": f"label: {label}"} for label in charter.task.labels],
            },
            "quantitativeAnalysis": {"performanceMetrics": _metrics(model)},
            "considerations": {
                "users": [model.narrative.say("users")],
                "useCases": [model.narrative.say("intended_use")],
                "technicalLimitations": [
                    model.narrative.say("out_of_scope"),
                    model.narrative.say("risks"),
                    *([missing] if missing else []),
                ],
                "ethicalConsiderations": [
                    {"name": model.narrative.say("biases"), "mitigationStrategy": MARKER}
                ],
            },
        },
        "properties": [
            {"name": "consilium:state", "value": log.state.released.get(model.model_sha256, "")},
            {"name": "consilium:recipe", "value": charter.recipe.sha256},
            {"name": "consilium:initial-model", "value": charter.initial_model_sha256},
            {"name": "consilium:initial-model-source", "value": _source(charter)},
        ],
    }


def _source(charter: CharterBody) -> str:
    """Whether the first weights were drawn, or given and by what."""
    given = charter.start_model
    return "drawn" if given is None else f"{given.source} {given.sha256}"


def _metrics(model: Released) -> list[dict[str, Any]]:
    rows = [*model.numbers, *model.earlier]
    return [_metric(row, row.about(model.model_sha256)) for row in rows]


def _metric(row: Number, about: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "type": row.metric,
        "slice": f"{about}; {row.where}; entry {row.entry}",
        "value": "not shown: too few cases" if row.value.value is None else row.value.value,
    }
    if row.value.low is not None and row.value.high is not None:
        bounds = {"lowerBound": row.value.low, "upperBound": row.value.high}
        told["confidenceInterval"] = bounds
    return told


def _data(log: Log, charter: CharterBody, row: CharterDataset) -> dict[str, Any]:
    legal = charter.legal.of(row.site)
    owner = {"organization": {"name": legal.controller if legal else row.site}}
    version = log.state.dataset_versions.get((row.site, row.id), row.version)
    terms = [("ga4gh:duo", term) for term in row.duo] + [("mondo", code) for code in row.disease]
    terms += [("consilium:description", row.description_sha256)]
    terms += [("consilium:newest-version", version)] if version != row.version else []
    return {
        "bom-ref": _ref(row),
        "type": "data",
        "name": f"{row.site} {row.id}",
        "version": row.version,
        "data": [
            {
                "type": "dataset",
                "name": row.id,
                "classification": "health data, not distributed",
                "sensitiveData": ["images, de-identified at the hospital; see its own report"],
                "governance": {"custodians": [owner]},
            }
        ],
        "properties": [{"name": name, "value": value} for name, value in terms],
    }


def _program(charter: CharterBody) -> dict[str, Any]:
    return {
        "bom-ref": "bundle",
        "type": "application",
        "name": "flower bundle",
        "version": "1",
        "hashes": _hashes(charter.bundle_sha256),
    }


def _dependencies(charter: CharterBody) -> list[dict[str, Any]]:
    parts = [*(_ref(row) for row in charter.datasets), "bundle"]
    leaves: list[dict[str, Any]] = [{"ref": name} for name in parts]
    return [{"ref": "model", "dependsOn": parts}, *leaves]


def _hashes(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]


def _ref(row: CharterDataset) -> str:
    return f"data-{row.site}-{row.id}"
