"""The Applied Model Card of the Coalition for Health AI, v0.2: elements in the order of its schema.

A required text that nobody wrote carries the marker; a metric carries value, interval and counts.

Source: design/compliance.md §9.3; schema-v0.2.xsd, which calls itself a draft.
"""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree as Xml

from compliance.report.exchange.released import Number, Released
from compliance.report.log import Log
from compliance.report.narrative import MARKER

NAMESPACE = "https://mc.chai.org/v0.2/schema.xsd"
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold (§2.2)."""
Tree = dict[str, Any]


def chai(log: Log, model: Released) -> bytes:
    """Write the card of one model as XML."""
    root = Xml.Element("AppliedModelCard", {"xmlns": NAMESPACE})
    for name, value in _card(log, model).items():
        _put(root, name, value)
    Xml.indent(root, " ")
    head = b'<?xml version="1.0" encoding="UTF-8"?>\n'
    text: str = Xml.tostring(root, encoding="unicode")
    return head + text.encode() + b"\n"


def _put(parent: Xml.Element, name: str, value: Any) -> None:
    """A text becomes an element, a mapping its children, a list elements of the same name."""
    for item in value if isinstance(value, list) else [value]:
        element = Xml.SubElement(parent, name)
        if isinstance(item, dict):
            for inner, content in item.items():
                _put(element, inner, content)
        else:
            element.text = NO_XML.sub("\ufffd", item)


def _card(log: Log, model: Released) -> Tree:
    charter, say = log.state.charter, model.narrative.say
    return {
        "BasicInfo": {
            "ModelName": charter.title,
            "ModelDeveloper": charter.researcher.split("+", 1)[0],
            "DeveloperContact": MARKER,
        },
        "ReleaseInfo": {
            "ReleaseStage": "research",
            "ReleaseDate": model.time[:10],
            "ReleaseVersion": model.short,
            "GlobalAvailability": MARKER,
        },
        "ModelSummary": {
            "Summary": charter.summary or MARKER,
            "Keywords": {"Keyword": ["federated", charter.task.kind]},
        },
        "UsesAndDirections": {
            "IntendedUseAndWorkflow": say("intended_use"),
            "PrimaryIntendedUsers": say("users"),
            "HowToUse": MARKER,
            "TargetedPatientPopulation": say("population"),
            "CautionedOutOfScopeSettings": say("out_of_scope"),
        },
        "Warnings": {
            "KnownRisksAndLimitations": say("risks"),
            "KnownBiasesOrEthicalConsiderations": say("biases"),
            "ClinicalRiskLevel": MARKER,
        },
        "TrustIngredients": _trust(log, model),
        "KeyMetrics": _key_metrics(model),
        "Resources": {"PeerReviewedPublications": "none", "PatientConsentOrDisclosure": MARKER},
        "Bibliography": "",
    }


def _trust(log: Log, model: Released) -> Tree:
    charter, say = log.state.charter, model.narrative.say
    dp = charter.dp
    security = f"differential privacy per {dp.unit}, epsilon at most {dp.epsilon}" if dp else "none"
    return {
        "AISystemFacts": {
            "OutcomesAndOutputs": ", ".join(charter.task.labels),
            "ModelType": charter.recipe.family,
            "InputDataSource": ", ".join(charter.site_names()),
            "OutputAndInputDataTypes": charter.task.kind,
            "DevelopmentDataCharacterization": "see data/data/*.croissant.json",
            "BiasMitigationApproaches": MARKER,
            "OngoingMaintenance": say("maintenance"),
            "Security": f"images stay at the hospital; noise agreed: {security}",
            "Transparency": f"signed log {log.checkpoint.origin}, released in entry {model.entry}",
        },
        "TransparencyInformation": {
            "FundingSource": say("funding"),
            "StakeholdersConsulted": say("stakeholders"),
        },
    }


def _key_metrics(model: Released) -> Tree:
    nothing = [{"Label": "not reported", "ValueJson": "null"}]
    rows = [*model.numbers, *model.earlier]
    found = [_result(row, row.about(model.model_sha256)) for row in rows]
    return {
        "UsefulnessUsabilityEfficacy": _metric(
            found or nothing, "validation or test split of each site"
        ),
        "FairnessEquity": _metric(nothing, MARKER),
        "SafetyReliability": _metric(nothing, MARKER),
    }


def _metric(results: list[Tree], testing: str) -> Tree:
    return {
        "MetricGoal": MARKER,
        "Results": {"MetricResult": results},
        "Interpretation": MARKER,
        "TestType": "internal validation, per site",
        "TestingDataDescription": testing,
        "ValidationProcessAndJustification": "recorded as metric.reported in the study log",
    }


def _result(row: Number, about: str) -> Tree:
    value = json.dumps(row.value.plain() | {"entry": row.entry}, sort_keys=True)
    return {"Label": f"{row.metric} {row.where}: {about}", "ValueJson": value}
