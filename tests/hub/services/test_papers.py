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
from compliance.report.exchange.terms import RESEARCH
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
