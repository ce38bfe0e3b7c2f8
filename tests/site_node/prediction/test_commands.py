"""`site predict`, `site predictions`, `site check-release` as they are typed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from compliance.command import main
from tests.site_node.gate.world import STUDY
from tests.site_node.prediction.released import CANARY, Hospital, radiographs
from tests.site_node.shell import Terminal


@pytest.fixture(scope="module")
def north(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    """A hospital with a released model, whose hub does not answer."""
    return Hospital(tmp_path_factory.mktemp("north"))


def typed(north: Hospital, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, output, what was said."""
    capsys.readouterr()
    code = main(["site", *words, "--home", str(north.world.home)])
    out, said = capsys.readouterr()
    assert "Traceback" not in out + said
    return code, out, said


def test_a_folder_is_predicted_and_told(
    north: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One JSON value for machines; lines for people; the book knows it; no name anywhere."""
    source = radiographs(tmp_path / "in", 2, first=800, PatientName=CANARY)
    words = ("predict", str(source), "--model", str(north.file), "--out", str(tmp_path / "out"))

    code, out, said = typed(north, capsys, *words, "--json")
    told = json.loads(out)
    again, text, more = typed(north, capsys, *words)
    _, book, _ = typed(north, capsys, "predictions", "--days", "3650", "--json")
    _, lines, _ = typed(north, capsys, "predictions", "--days", "3650")

    assert (code, again) == (0, 0)
    assert (told["predicted"], told["counted"], told["log_asked"]) == (2, 2, False)
    assert "not for clinical use" in text
    assert "none frozen here" in text
    assert "hub was not reached" in text
    assert json.loads(book)[0]["images"] == 2
    assert "2 images" in lines
    assert CANARY[:6] not in out + said + text + more + book + lines


def test_without_a_model_or_a_pacs_nothing_begins(
    north: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 and the next step."""
    words = ("predict", str(tmp_path), "--out", str(tmp_path / "out"))
    code, _, said = typed(north, capsys, *words)
    assert (code, "--study STUDY or --model FILE" in said) == (2, True)

    code, _, said = typed(north, capsys, *words, "--model", str(north.file), "--send", "--yes")
    assert (code, "name no PACS" in said) == (2, True)
    assert not (tmp_path / "out").exists()


def test_nothing_is_sent_before_a_typed_yes(
    north: Hospital,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where it would go is shown; another word, or nobody at the keys, does nothing."""
    monkeypatch.setenv("CONSILIUM_SITE_PACS_HOST", "127.0.0.1")
    monkeypatch.setenv("CONSILIUM_SITE_PACS_AET", "PACS")
    words = ("predict", str(tmp_path), "--out", str(tmp_path / "out"), "--send")
    words += ("--model", str(north.file))

    code, _, said = typed(north, capsys, *words)
    assert (code, "nobody can type" in said) == (2, True)
    monkeypatch.setattr(sys, "stdin", Terminal("yes\n"))
    code, _, said = typed(north, capsys, *words)

    assert code == 1
    assert "PACS@127.0.0.1:104" in said
    assert "nothing was done" in said
    assert not (tmp_path / "out").exists()


def test_a_release_is_checked_by_hand(north: Hospital, capsys: pytest.CaptureFixture[str]) -> None:
    """From a file, where the model did not come here; for people and for machines."""
    words = ("check-release", STUDY, "--file", str(north.file))
    code, out, _ = typed(north, capsys, *words, "--json")
    _, text, _ = typed(north, capsys, *words)

    assert code == 0
    assert json.loads(out)["datasets"][0]["outcome"] == "not_tested"
    assert "not tested: fewer than 100 patients" in text
