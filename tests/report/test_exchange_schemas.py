"""Foreign validators accept every exchange file, in a process that can reach no network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import xmlschema
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from prov.model import ProvDocument
from rocrate.rocrate import ROCrate

from tests.report.exchanged import evil, golden, of_model, offline
from tests.shared import shared_data

STUDIES = {"golden": golden, "evil": lambda: evil()[1]}
WORKFLOW = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
SIGNATURES = "http://www.w3.org/TR/xmldsig-core/xmldsig-core-schema.xsd"
OWN_COPY = Path(xmlschema.__file__).parent / "schemas" / "DSIG" / "xmldsig-core-schema.xsd"
STATUS = {"Potential", "Active", "Completed", "Failed"}
AGENTS = {"Organization", "Person", "SoftwareApplication"}


@pytest.fixture(params=STUDIES)
def files(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, bytes]:
    """The bundle of a study; from here on the network is gone."""
    made = STUDIES[request.param]()
    offline(monkeypatch)
    return made


def graph(data: bytes) -> dict[str, dict[str, Any]]:
    """The entities of a crate by name."""
    return {row["@id"]: row for row in json.loads(data)["@graph"]}


def referred(value: Any) -> list[str]:
    """Every `@id` that is pointed at, at any depth."""
    if isinstance(value, list):
        return [name for item in value for name in referred(item)]
    if isinstance(value, dict):
        own = [value["@id"]] if set(value) == {"@id"} else []
        return own + [name for item in value.values() for name in referred(item)]
    return []


def test_the_bill_of_materials_is_valid_cyclonedx(files: Mapping[str, bytes]) -> None:
    """CycloneDX 1.6, strict: no unknown field."""
    data = of_model(files, "bom.cdx.json").decode()
    validator = JsonStrictValidator(SchemaVersion.V1_6)

    assert validator.validate_str(data) is None
    assert validator.validate_str(data.replace('"bomFormat"', '"bomShape"')) is not None


def test_the_applied_model_card_is_valid_by_its_schema(files: Mapping[str, bytes]) -> None:
    """CHAI v0.2: every required element, in its order."""
    path = shared_data("schemas", "chai", "schema-v0.2.xsd")
    schema = xmlschema.XMLSchema(str(path), uri_mapper={SIGNATURES: str(OWN_COPY)})
    text = of_model(files, "modelcard.chai.xml").decode()

    schema.validate(text)
    assert not schema.is_valid(text.replace("HowToUse", "HowNotToUse"))


def test_provenance_is_read_back_equal(files: Mapping[str, bytes]) -> None:
    """PROV-JSON, read and written again by the library of others."""
    data = files["data/provenance/prov.json"].decode()

    document = ProvDocument.deserialize(content=data, format="json")

    assert json.loads(document.serialize(format="json")) == json.loads(data)
    assert ProvDocument.deserialize(content=document.serialize(format="json")) == document


def test_the_crate_is_read_by_the_library_of_others(
    files: Mapping[str, bytes], tmp_path: Path
) -> None:
    """Unpacked, it opens; every file that it names lies there."""
    for path, data in files.items():
        if path.startswith("data/"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(data)

    crate = ROCrate(tmp_path / "data")

    assert crate.mainEntity.id == "workflow/"
    named = {row.id for row in crate.get_entities() if row.type == "File"}
    assert named
    assert all((tmp_path / "data" / name).is_file() for name in named)


def test_the_crate_keeps_the_musts_of_five_safes(files: Mapping[str, bytes]) -> None:
    """Five Safes RO-Crate 0.4: each MUST of the profile that a finished crate can keep."""
    rows = graph(files["data/ro-crate-metadata.json"])
    root, head = rows["./"], rows["ro-crate-metadata.json"]

    assert head["conformsTo"]["@id"] == "https://w3id.org/ro/crate/1.2"
    assert head["about"] == {"@id": "./"}
    assert root["conformsTo"]["@id"] == "https://w3id.org/5s-crate/0.4"
    assert rows[root["conformsTo"]["@id"]]["@type"] == "Profile"
    flow = rows[root["mainEntity"]["@id"]]
    assert (flow["@type"], flow["conformsTo"]["@id"]) == ("Dataset", WORKFLOW)
    assert rows[root["sourceOrganization"]["@id"]]["@type"] == "Project"
    mentioned = [rows[ref["@id"]] for ref in root["mentions"]]
    (run,) = [row for row in mentioned if row["@type"] == "CreateAction"]
    assert run["instrument"] == root["mainEntity"]
    person = rows[run["agent"]["@id"]]
    assert person["@type"] == "Person"
    assert person["memberOf"] == [root["sourceOrganization"]]
    assert person["affiliation"] in rows[root["sourceOrganization"]["@id"]]["member"]
    parts = {part["@id"] for part in root["hasPart"]}
    assert {result["@id"] for result in run["result"]} <= parts
    assert {"publisher", "license", "datePublished"} <= set(root)


def test_every_assessment_of_the_crate_is_complete(files: Mapping[str, bytes]) -> None:
    """Each has a name, a time, a state, somebody who did it, and the crate as its object."""
    rows = graph(files["data/ro-crate-metadata.json"])
    mentions = {ref["@id"] for ref in rows["./"]["mentions"]}
    assessments = [row for row in rows.values() if row["@type"] == "AssessAction"]
    kinds = {row["additionalType"]["@id"].rpartition("#")[2] for row in assessments}

    assert kinds == {"SignOff", "DisclosureCheck", "CheckValue"}
    for row in assessments:
        assert row["@id"] in mentions
        assert row["name"]
        assert row["endTime"].endswith("Z")
        assert {"@id": "./"} in row["object"]
        assert row["actionStatus"].rpartition("/")[2].removesuffix("ActionStatus") in STATUS
        agent = rows[row["agent"]["@id"]]
        assert agent["@type"] in AGENTS
        if agent["@type"] == "SoftwareApplication":
            assert rows[agent["provider"]["@id"]]["@type"] == "Organization"


def test_no_name_in_the_crate_points_nowhere(files: Mapping[str, bytes]) -> None:
    """Every internal reference has its entity, and no path climbs out of the crate."""
    for path in (name for name in files if name.endswith("ro-crate-metadata.json")):
        rows = graph(files[path])
        for name in referred(list(rows.values())):
            assert name in rows or name.startswith("https://"), (path, name)
            assert ".." not in name
            assert not name.startswith("/")
        for name, row in rows.items():
            if row["@type"] == "AssessAction":
                assert {ref["@id"] for ref in row["object"]} <= set(rows), name


def test_the_nested_crate_names_the_program_by_its_hash() -> None:
    """With the Flower bundle in the evidence, its folder is a Workflow RO-Crate of its own."""
    made = evil()[1]
    rows = graph(made["data/workflow/ro-crate-metadata.json"])
    main = rows[rows["./"]["mainEntity"]["@id"]]

    assert set(main["@type"]) == {"File", "SoftwareSourceCode", "ComputationalWorkflow"}
    assert f"data/workflow/{main['@id']}" in made
    assert rows[main["programmingLanguage"]["@id"]]["@type"] == "ComputerLanguage"
    assert {"@id": WORKFLOW} in rows["ro-crate-metadata.json"]["conformsTo"]
    assert "data/workflow/ro-crate-metadata.json" not in golden()


def test_every_entry_is_one_audit_event_of_fhir(files: Mapping[str, bytes]) -> None:
    """FHIR R4: the required fields of AuditEvent, its closed codes, and the index of the entry."""
    events = [json.loads(line) for line in files["data/fhir/AuditEvent.ndjson"].splitlines()]
    told = [json.loads(line) for line in files["data/events.jsonl"].splitlines()]

    assert len(events) == len(told)
    for event, row in zip(events, told, strict=True):
        assert event["resourceType"] == "AuditEvent"
        assert event["action"] in "CRUDE"
        assert event["outcome"] in ("0", "4", "8", "12")
        assert (event["recorded"], event["subtype"][0]["code"]) == (row["time"], row["type"])
        assert sum(agent["requestor"] for agent in event["agent"]) == 1
        assert {agent["who"]["display"] for agent in event["agent"]} >= set(row["signers"])
        assert event["source"]["observer"]["display"]
        details = {d["type"]: d["valueString"] for d in event["entity"][0]["detail"]}
        assert details == {"log index": str(row["index"]), "leaf sha256": row["leaf_sha256"]}
    codes = {row["type"]: event["type"]["code"] for event, row in zip(events, told, strict=True)}
    assert (codes["update.submitted"], codes["model.released"]) == ("110106", "110107")


def test_every_released_model_is_one_provenance_of_fhir(files: Mapping[str, bytes]) -> None:
    """FHIR R4: target, moment, who released it, who agreed, from which updates."""
    (row,) = [json.loads(line) for line in files["data/fhir/Provenance.ndjson"].splitlines()]
    roles = [agent["type"]["coding"][0]["code"] for agent in row["agent"]]

    assert row["resourceType"] == "Provenance"
    assert row["target"][0]["identifier"]["value"].startswith("sha256:")
    assert roles[0] == "author"
    assert roles.count("attester") >= 2
    assert {entity["role"] for entity in row["entity"]} == {"derivation"}
    assert row["recorded"].endswith("Z")


def test_no_patient_stands_in_the_audit_events(files: Mapping[str, bytes]) -> None:
    """There is none in the log, so none can be in what is made from it."""
    assert b"Patient" not in files["data/fhir/AuditEvent.ndjson"]
    assert b"Patient" not in files["data/fhir/Provenance.ndjson"]
