"""`consilium recipe …` and `consilium site recipes`, as people type them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from compliance.command import main
from compliance.records.recipe import layout_of, parse_recipe
from tests.packages import NAME, lay_down
from tests.site_node.training.test_monai_bundle import METADATA, TRAIN, laid


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command; returns its exit code and what it printed."""

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(list(words))
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


def test_from_a_package_to_a_recipe(
    said: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sign, lay down, list, draft; one changed byte, and the list says so."""
    root, home = lay_down(tmp_path / "lib"), tmp_path / "home"
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    (home / "recipes").mkdir(parents=True, mode=0o700)
    note, out = home / "recipes" / "north.note", tmp_path / "recipe.json"

    code, told = said("site", "recipes", "--home", str(home))
    assert (code, "no trusted signer" in told) == (1, True)
    words = ("--key", str(tmp_path / "s.key"), "--out", str(note), "--json")
    code, told = said("recipe", "sign", NAME, *words)
    signed = json.loads(told)
    assert (code, signed["families"]["north_cnn"]["noise"]) == (0, True)
    assert not signed["families"]["north_batched"]["noise"]
    (home / "recipes" / "signers").write_text(signed["signer"] + "\n")
    (home / "recipes" / "signers").chmod(0o600)
    code, told = said("site", "recipes", "--home", str(home))
    assert (code, "unaltered" in told) == (0, True)

    words = ("--statement", str(note), "--id", "north-chest", "--out", str(out))
    code, told = said("recipe", "draft", "north_cnn", *words)
    assert (code, "--classes" in told) == (2, True)
    words = (*words, "--classes", "normal,pneumonia", "--size", "32,32")
    code, told = said("recipe", "draft", "north_cnn", *words)
    made = parse_recipe(out.read_bytes())
    assert (code, made.id, made.classes) == (0, "north-chest", ["normal", "pneumonia"])
    assert layout_of(made).sha256 == made.layout_sha256
    assert said("recipe", "draft", "north_cnn", *words)[0] == 2, "no file is overwritten"

    (root / "north_recipes" / "net.py").write_text("changed = 1\n")
    code, told = said("site", "recipes", "--home", str(home))
    assert (code, "north_recipes/net.py" in told) == (1, True)


def test_from_a_bundle_to_a_recipe(said: Any, tmp_path: Path) -> None:
    """What was left out is printed; an expression in the definition ends with a sentence."""
    path = laid(tmp_path, train__json=TRAIN, metadata__json=METADATA)
    words = ("--id", "spots", "--size", "16,16", "--out", str(tmp_path / "recipe.json"))

    code, told = said("recipe", "import-bundle", str(path), *words)

    assert code == 0
    assert "left out: weights (models/)" in told
    assert parse_recipe((tmp_path / "recipe.json").read_bytes()).network.name == "unet_gn"
    evil = {"network_def": {**TRAIN["network_def"], "in_channels": "$1+1"}}
    laid(tmp_path, train__json=evil)
    code, told = said("recipe", "import-bundle", str(path), *words)
    assert (code, "in_channels is an expression" in told) == (2, True)
