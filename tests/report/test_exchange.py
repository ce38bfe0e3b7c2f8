"""What the exchange files say: as much as the examples, each number with its entry, no attack."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from markdown_it import MarkdownIt

from compliance.report import exchanges
from compliance.report.exchange.modelcard import plain
from compliance.report.reading import read_log
from tests import factories as make
from tests.report.evidence import SITES, check, files_of, lied, witnessed
from tests.report.exchanged import EVIL, MODEL, evil, example, golden, of_model
from tests.shared import shared_data
from tests.simulator import Federation

MARKER = "to be completed by the developer"
XML = "{https://mc.chai.org/v0.2/schema.xsd}"


def graph(data: bytes) -> dict[str, dict[str, Any]]:
    """The entities of a crate by name."""
    return {row["@id"]: row for row in json.loads(data)["@graph"]}


def test_a_released_model_has_its_cards_and_its_bill() -> None:
    """The golden study released one model; every format of it is there."""
    files = golden()
    names = ("bom.cdx.json", "modelcard.chai.xml", "modelcard.md")

    assert {f"{MODEL}/{name}" for name in names} <= set(files)
    assert {"data/fhir/AuditEvent.ndjson", "data/fhir/Provenance.ndjson"} <= set(files)
    assert {"data/provenance/prov.json", "data/ro-crate-metadata.json"} <= set(files)


def test_a_study_that_released_nothing_has_no_card() -> None:
    """No model left, so nothing is said about one; the crate names no result."""
    files = files_of(Federation(sites=SITES).play_round())

    assert [path for path in files if path.startswith("data/model/")] == []
    assert files["data/fhir/Provenance.ndjson"] == b""
    run = graph(files["data/ro-crate-metadata.json"])["#run"]
    assert "result" not in run
    assert run["actionStatus"].endswith("ActiveActionStatus")


def test_the_bill_reaches_the_example() -> None:
    """The same kinds of components, data sets, terms, metrics with intervals, the same log."""
    mine, theirs = json.loads(golden()[f"{MODEL}/bom.cdx.json"]), example("bom.cdx.json")

    def kinds(bom: dict[str, Any]) -> Counter[str]:
        return Counter(row["type"] for row in bom["components"])

    def terms(bom: dict[str, Any]) -> Counter[tuple[str, str]]:
        rows = [row.get("properties", []) for row in bom["components"]]
        return Counter((row["name"], row["value"]) for told in rows for row in told)

    def intervals(bom: dict[str, Any]) -> list[Any]:
        card = bom["components"][0]["modelCard"]
        rows = card["quantitativeAnalysis"]["performanceMetrics"]
        return [row["confidenceInterval"] for row in rows if "confidenceInterval" in row]

    assert kinds(mine) == kinds(theirs)
    assert terms(mine) >= terms(theirs)
    assert intervals(mine) == intervals(theirs)
    told = {row["name"]: row["value"] for row in mine["metadata"]["properties"]}
    assert told.items() >= {r["name"]: r["value"] for r in theirs["metadata"]["properties"]}.items()
    assert mine["components"][0]["hashes"] == theirs["components"][0]["hashes"]


def test_the_provenance_reaches_the_example() -> None:
    """The same rounds, updates, models, keys and relations; and nothing without its entry."""
    mine, theirs = json.loads(golden()["data/provenance/prov.json"]), example("prov.json")

    assert set(mine["activity"]) == set(theirs["activity"])
    for part in ("entity", "agent"):
        assert set(mine[part]) >= set(theirs[part])
    for kind in ("used", "wasAttributedTo", "wasDerivedFrom", "wasGeneratedBy"):
        wanted = [tuple(sorted(row.items())) for row in theirs[kind].values()]
        found = [
            tuple(sorted((k, v) for k, v in row.items() if k != "c:entry"))
            for row in mine[kind].values()
        ]
        assert set(wanted) <= set(found), kind
        assert all("c:entry" in row for row in mine[kind].values())


def test_the_crate_reaches_the_example() -> None:
    """The same kinds of entities, sign-offs, disclosure checks and organisations, or more."""
    mine = graph(golden()["data/ro-crate-metadata.json"])
    theirs = {row["@id"]: row for row in example("ro-crate-metadata.json")["@graph"]}

    def kinds(rows: Mapping[str, dict[str, Any]]) -> Counter[str]:
        return Counter(f"{r['@type']} {r.get('additionalType', '')}" for r in rows.values())

    assert kinds(mine) >= kinds(theirs)
    assert mine["#run"]["endTime"] == theirs["#run"]["endTime"]
    assert set(mine["./"]) >= set(theirs["./"])


def test_the_crate_lists_every_file_of_the_bundle() -> None:
    """What an archive imports is the whole evidence: no file is missing, none is invented."""
    for files in (golden(), evil()[1]):
        rows = graph(files["data/ro-crate-metadata.json"])
        listed = {name for name, row in rows.items() if row["@type"] == "File"}
        payload = {path.removeprefix("data/") for path in files if path.startswith("data/")}
        assert listed == payload - {"ro-crate-metadata.json"}
        assert {part["@id"] for part in rows["./"]["hasPart"]} >= listed


def test_the_chai_card_reaches_the_example() -> None:
    """Every element of the example is there, and as many results."""
    root = Xml.fromstring(golden()[f"{MODEL}/modelcard.chai.xml"])  # noqa: S314 - our own file
    text = shared_data("schemas", "examples", "modelcard.chai.xml").read_text("utf-8")
    other = Xml.fromstring(text)  # noqa: S314 - a file of the shared folder

    assert Counter(e.tag for e in root.iter()) >= Counter(e.tag for e in other.iter())
    label = root.find(f".//{XML}MetricResult/{XML}Label")
    assert label is not None
    assert "auroc" in (label.text or "")


def test_the_model_card_has_every_heading_and_marks_every_empty_field() -> None:
    """A reader of model cards finds each section, in the order of the template."""
    wanted = json.loads(shared_data("schemas", "hf", "headings.json").read_text("utf-8"))
    text = golden()[f"{MODEL}/modelcard.md"].decode()
    lines = text.splitlines()
    heads = [(len(line.split(" ")[0]), line.split(" ", 1)[1]) for line in lines if line[:2] == "##"]

    assert heads == [(row["level"], row["heading"]) for row in wanted]
    for place, line in enumerate(lines):
        if line.startswith("##"):
            assert lines[place + 2].strip(), line
            assert not lines[place + 2].startswith("#"), line
    assert text.count(MARKER) > 10


@pytest.mark.parametrize("name", ["modelcard.md", "modelcard.chai.xml", "bom.cdx.json"])
def test_what_nobody_wrote_is_marked_and_what_was_written_is_there(name: str) -> None:
    """Without a card the narrative is marked as open; with one it is carried."""
    open_one, written = of_model(golden(), name).decode(), of_model(evil()[1], name).decode()

    assert MARKER in open_one
    assert "Radiologists" not in open_one
    assert "Radiologists" in written


def test_a_bundle_with_card_program_and_hostile_texts_is_verified() -> None:
    """The verifier makes every exchange file again, from the log and from the card."""
    world, files = evil()

    report = check(files, world)

    assert report.exit_code == 0, report.plain()


@pytest.mark.parametrize(
    "name",
    ["modelcard.md", "modelcard.chai.xml", "bom.cdx.json", "prov.json", "AuditEvent.ndjson",
     "Provenance.ndjson", "data/ro-crate-metadata.json", "workflow/ro-crate-metadata.json"],
)  # fmt: skip
def test_an_exchange_file_that_was_edited_and_signed_again_is_refuted(name: str) -> None:
    """Nobody can hand a regulator a prettier card in another format: the file is named."""
    world, files = evil()
    (path,) = [path for path in files if path.endswith(name)]
    old, new = (b"0.87", b"0.97") if b"0.87" in files[path] else (b"sha256", b"sha512")
    told = files[path].replace(old, new, 1)

    report = check(lied(files, {path: told}), world)

    assert told != files[path]
    assert report.exit_code == 1
    assert any(path in step.detail for step in report.steps if step.result == "fail")


def test_every_number_names_the_entry_in_which_it_stands() -> None:
    """A reader goes from any value in a card to the signed statement of the hospital."""
    world, files = evil()
    bom = json.loads(of_model(files, "bom.cdx.json"))
    rows = bom["components"][0]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    root = Xml.fromstring(of_model(files, "modelcard.chai.xml"))  # noqa: S314 - our own file

    assert len(rows) == len(SITES)
    for row in rows:
        entry = int(row["slice"].rpartition(" ")[2])
        assert f'"value":"{row["value"]}"'.encode() in world.entries[entry]
        assert row["slice"].startswith("this model")
    values = [e.text or "" for e in root.iter(f"{XML}ValueJson")]
    entries = [json.loads(text)["entry"] for text in values if text != "null"]
    assert all(b"metric.reported" in world.entries[index] for index in entries)
    assert len(entries) == len(SITES)


def test_a_hidden_number_is_not_replaced_by_one_of_another_model_unsaid() -> None:
    """Nothing visible was measured about the golden model: an earlier one is shown, and said so."""
    text = golden()[f"{MODEL}/modelcard.md"].decode()
    bom = json.loads(golden()[f"{MODEL}/bom.cdx.json"])
    rows = bom["components"][0]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]

    assert [row["slice"].split(";")[0] for row in rows] == [
        "this model", *["earlier model 3c2c0281c4093b06"] * 4,
    ]  # fmt: skip
    assert rows[0]["value"] == "not shown: too few cases"
    assert text.count("earlier model 3c2c0281c4093b06") == 4


def test_what_a_hospital_trained_further_is_not_told_as_the_released_model() -> None:
    """A number after local training is about that hospital's own variant, and each card says so."""
    world = Federation(sites=SITES).play_round().opened()
    name = world.state.running.model_sha256
    told = make.metric(SITES[0], round=2, model_sha256=name, phase="after_training")
    world.must("metric.reported", told, f"{SITES[0]}/node")
    world.must("round.aborted", {"round": 2, "reason": "operator", "on_behalf": None}, make.EVENTS)
    world.approve(*SITES)
    world.release()
    files = files_of(world)

    for card in ("bom.cdx.json", "modelcard.md", "modelcard.chai.xml"):
        assert b"local training from this model" in of_model(files, card), card


def test_markup_in_a_title_stays_text_in_the_markdown_card() -> None:
    """No tag, no link, no heading, no table of an attacker comes out of a Markdown reader."""
    text = of_model(evil()[1], "modelcard.md").decode()
    reader = MarkdownIt("commonmark").enable("table")
    tokens = [item for row in reader.parse(text) for item in (row, *(row.children or []))]

    assert not {row.type for row in tokens} & {"html_block", "html_inline", "link_open", "image"}
    heads = [row for row in tokens if row.type == "heading_open"]
    assert len(heads) == 1 + text.count("\n##")
    assert "<script" not in text
    assert "https://" not in text.replace("\\:", "%")
    shown = "".join(row.content for row in tokens if row.type == "text")
    assert "<script>alert(1)</script> [a](javascript:b) **b** | `c`" in shown


@pytest.mark.parametrize(
    "text",
    [
        "1. first", "12) second", "0.483", "3.", "# head", "- item", "+ item", "> quote",
        "    code", "~~gone~~",
        "--- line", "=== line", "![a](b)", "[a]: b", "<b>bold</b>", "a & b &amp; c", "`code`",
        "| a | b |", "*a* _b_ __c__", "\\ back", "<https://evil.example>",
    ],
)  # fmt: skip
def test_text_of_others_is_one_paragraph_of_text_in_markdown(text: str) -> None:
    """Whatever somebody writes at the start of a paragraph, it is read back as it was written."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(plain(text))

    assert [row.type for row in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    children = tokens[1].children or []
    assert {row.type for row in children} <= {"text", "text_special"}
    assert "".join(row.content for row in children) == text.strip()


def test_an_address_in_a_text_becomes_no_link() -> None:
    """Readers that link bare addresses find none: neither scheme, nor www, nor mail."""
    told = plain("https://evil.example www.evil.example a@evil.example")

    assert told == r"https\://evil.example www\.evil.example a\@evil.example"


def test_markup_in_a_title_stays_text_in_the_xml_card() -> None:
    """The title is read back as it was; a character that XML cannot hold is replaced."""
    root = Xml.fromstring(of_model(evil()[1], "modelcard.chai.xml"))  # noqa: S314 - our own file
    found = root.find(f".//{XML}ModelName")

    assert found is not None
    assert found.text == EVIL.replace("\ufffe", "\ufffd")
    assert list(root.iter("script")) == []


def test_attacks_in_titles_are_plain_text_in_every_json_file() -> None:
    """JSON readers get the very text that was signed."""
    files = evil()[1]

    assert json.loads(of_model(files, "bom.cdx.json"))["components"][0]["description"] == EVIL
    assert graph(files["data/ro-crate-metadata.json"])["#project"]["name"] == EVIL


def test_a_refused_release_is_told_as_refused_and_names_its_entry() -> None:
    """A hospital said no, then yes: the crate tells both, in this order."""
    rows = graph(evil()[1]["data/ro-crate-metadata.json"]).values()
    checks = [row for row in rows if "#DisclosureCheck" in str(row.get("additionalType"))]

    assert "refused (legal)" in checks[0]["name"]
    assert checks[0]["actionStatus"].endswith("FailedActionStatus")
    assert [row["actionStatus"].rpartition("/")[2] for row in checks[1:]] == [
        "CompletedActionStatus"
    ] * len(SITES)


def test_a_card_that_the_log_does_not_name_adds_no_word() -> None:
    """Words of a false card never reach the exchange files; elsewhere the card is refuted."""
    world, files = evil()
    log = read_log(world.entries, witnessed(world))
    (path,) = [name for name in files if name.endswith("/card.json")]
    false = files[path].replace(b"Radiologists", b"Surgeons")

    made = exchanges.files(log, {path: false})

    assert b"Surgeons" not in b"".join(made.values())
    assert b"Radiologists" not in b"".join(made.values())
    assert made[path.replace("card.json", "bom.cdx.json")] != of_model(files, "bom.cdx.json")


def test_bytes_that_are_no_card_on_record_add_no_word() -> None:
    """A hub may put any hash on record; the files are made all the same, without a narrative."""
    world = Federation(sites=SITES).play_round()
    world.approve(*SITES)
    world.release(card_sha256=make.sha("x"))
    log = read_log(world.entries, witnessed(world))
    path = f"data/model/{world.state.model_sha256.removeprefix('sha256:')[:16]}/card.json"

    made = exchanges.files(log, {path: b"x"})

    assert b"Card in this bundle:** none" in made[path.replace("card.json", "modelcard.md")]


def test_a_recalled_model_stays_visible_as_recalled() -> None:
    """Its card is made again and says so."""
    world = Federation(sites=SITES).play_round()
    world.approve(*SITES)
    world.release()
    body = {"model_sha256": world.state.model_sha256, "reason": "safety", "replaced_by": None}
    world.must("model.recalled", body, f"{SITES[0]}/institution")

    assert b"State:** recalled" in of_model(files_of(world), "modelcard.md")


def test_names_in_the_files_follow_from_the_log_alone() -> None:
    """A bill's serial number is a UUID made from origin, size and model; made twice, the same."""
    world, files = evil()
    bom = json.loads(of_model(files, "bom.cdx.json"))
    model = world.state.model_sha256.removeprefix("sha256:")[:16]

    wanted = uuid.uuid5(uuid.NAMESPACE_URL, f"{make.ORIGIN}/{len(world.entries)}/{model}")
    assert bom["serialNumber"] == f"urn:uuid:{wanted}"
    log = read_log(world.entries, witnessed(world))
    attached = {p: d for p, d in files.items() if p.endswith(("/card.json", ".fab"))}
    again = exchanges.files(log, attached)
    assert {path: files[path] for path in again} == again
