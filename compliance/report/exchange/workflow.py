"""The Flower bundle as a Workflow RO-Crate of its own, nested in the bundle's crate.

Source: design/compliance.md §9.6; Workflow RO-Crate 1.0.
"""

from __future__ import annotations

from typing import Any

from compliance.report.kinds import WORKFLOW as FOLDER
from compliance.report.log import Files, Log
from compliance.report.write import write_json

WORKFLOW = "workflow/"
PROFILE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
CRATE = "https://w3id.org/ro/crate/1.2"
PATH = f"{FOLDER}ro-crate-metadata.json"
Entity = dict[str, Any]


def workflow(log: Log, attached: Files) -> list[Entity]:
    """The workflow as the bundle's crate names it; its files are listed there."""
    charter = log.state.charter
    parts = [path.removeprefix("data/") for path in _program(attached)]
    parts += [f"{WORKFLOW}ro-crate-metadata.json"] if parts else []
    entity: Entity = {
        "@id": WORKFLOW,
        "@type": "Dataset",
        "name": charter.recipe.id,
        "conformsTo": {"@id": PROFILE},
        "identifier": charter.bundle_sha256,
    }
    return [entity | ({"hasPart": [{"@id": part} for part in parts]} if parts else {})]


def nested(log: Log, attached: Files) -> dict[str, bytes]:
    """The nested crate, if the Flower bundle lies in the bundle."""
    found = _program(attached)
    return {PATH: _crate(log, found[0].removeprefix(FOLDER))} if found else {}


def language() -> Entity:
    """In what the workflow is written."""
    return {
        "@id": "#flower",
        "@type": "ComputerLanguage",
        "name": "Flower app",
        "url": {"@id": "https://flower.ai/"},
    }


def _program(attached: Files) -> list[str]:
    return sorted(path for path in attached if path.startswith(FOLDER) and path.endswith(".fab"))


def _crate(log: Log, name: str) -> bytes:
    charter = log.state.charter
    graph: list[Entity] = [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": [{"@id": CRATE}, {"@id": PROFILE}],
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": charter.recipe.id,
            "description": "The Flower app of the study: settings only, no code travels.",
            "datePublished": log.as_of,
            "license": "Terms of the charter",
            "hasPart": [{"@id": name}],
            "mainEntity": {"@id": name},
        },
        {
            "@id": name,
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
            "name": f"{charter.recipe.id}, version {charter.recipe.version}",
            "identifier": charter.bundle_sha256,
            "encodingFormat": "application/zip",
            "programmingLanguage": {"@id": "#flower"},
        },
        language(),
    ]
    return write_json({"@context": f"{CRATE}/context", "@graph": graph})
