"""Whoever gets a model gets its papers: they follow from the log, and others can read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from compliance.canonical import sha256_id
from compliance.command import main
from compliance.errors import NotReady, Refused
from compliance.records.recipe import shipped, with_changes
from compliance.report.exchange.terms import RESEARCH
from hub.services.papers import BOM, CARD, MODELCARD, TERMS, ModelPapers
from tests.dashboard.stage import Stage
from tests.hub.house import NAMES

EAST, NORTH, _ = NAMES


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Three hospitals, one closed round, everything witnessed."""
    made = Stage(tmp_path / "hub")
    made.run(1)
    yield made
    made.close()


def released(stage: Stage) -> str:
    """Two hospitals agree, a researcher releases, the hospitals witness it."""
    stage.agree(EAST, NORTH)
    return str(stage.rooms.releases.release(stage.study)["model_sha256"])


def test_a_model_is_handed_out_with_card_bill_and_terms(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Card by the hash of the log, a valid ML-BOM, the terms of charter and data."""
    model = released(stage)
    stage.settle()
    out = tmp_path / "m.safetensors"
    words = ["hub", "model", stage.study, "--out", str(out), "--home", str(stage.home), "--json"]

    assert main(words) == 0

    told = json.loads(capsys.readouterr().out)
    names = ["m.card.json", "m.modelcard.md", "m.bom.cdx.json", "m.terms.md"]
    assert [Path(path).name for path in told["papers"]] == names
    card, _, bill, terms = (Path(path).read_bytes() for path in told["papers"])
    body = stage.rooms.ledger.events(stage.study, "model.released")[-1].body
    assert sha256_id(card) == body.plain()["card_sha256"]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.decode()) is None
    parts = {row["bom-ref"]: row for row in json.loads(bill)["components"]}
    assert parts["model"]["hashes"][0]["content"] == model.removeprefix("sha256:")
    assert parts["model"]["type"] == "machine-learning-model"
    text = terms.decode()
    for word in (model, RESEARCH, "not for profit", *(f"{site}, " for site in NAMES)):
        assert word in text


def test_papers_follow_when_the_release_is_witnessed(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before that the model comes alone, and it is said; before the release nothing comes."""
    with pytest.raises(Refused):
        stage.rooms.papers.of(stage.study)
    released(stage)
    with pytest.raises(NotReady, match="not witnessed"):
        stage.rooms.papers.of(stage.study)

    out = tmp_path / "m.safetensors"
    assert main(["hub", "model", stage.study, "--out", str(out), "--home", str(stage.home)]) == 0

    assert "papers follow" in capsys.readouterr().out
    assert [path.name for path in tmp_path.glob("m.*")] == ["m.safetensors"]


@pytest.mark.parametrize("layers", ["norm", "head"])
def test_the_papers_of_a_model_that_lacks_layers_say_so(stage: Stage, layers: str) -> None:
    """Which layers, who can use it as measured, and how often they were trained at the end."""
    released(stage)
    stage.settle()
    terms = {"personal": {"layers": layers, "finetune_steps": 25}}
    recipe = with_changes(shipped()["cnn2d-small"], terms)
    rooms = stage.rooms
    papers = ModelPapers(ledger=rooms.ledger, releases=rooms.releases, recipe=lambda _: recipe)

    found, whole = papers.of(stage.study), rooms.papers.of(stage.study)

    for name in (MODELCARD, BOM, TERMS):
        text = found[name].decode()
        assert f"The file lacks the {layers} layers" in text, name
        assert "only a hospital that took part can use the model as it was measured" in text, name
        assert "fine-tuned by 25 steps" in text, name
        assert "lacks the" not in whole[name].decode(), name
    assert found[CARD] == whole[CARD]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(found[BOM].decode()) is None
