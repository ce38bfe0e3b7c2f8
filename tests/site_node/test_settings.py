"""Settings: read once, in a fixed order, and what is misspelt or dangerous is refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from compliance.errors import NotReady
from site_node.settings import FILE, Settings, default_home, load_settings, write_settings


def test_a_new_home_has_safe_defaults(tmp_path: Path) -> None:
    """Nothing is set: not joined, own floors are the smallest, all at this home."""
    settings = load_settings(tmp_path)

    assert not settings.joined
    assert (settings.min_examples, settings.min_cell) == (1, 5)
    assert settings.ca_path == tmp_path / "ca.pem"
    assert settings.keys == tmp_path / "keys"


def test_the_environment_wins_over_the_file_and_the_call_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Command line, environment, file, default."""
    write_settings(tmp_path / FILE, {"min_examples": 30, "min_cell": 7, "title": "North"})
    monkeypatch.setenv("CONSILIUM_SITE_MIN_CELL", "9")

    settings = load_settings(tmp_path, min_examples=40)

    assert (settings.min_examples, settings.min_cell, settings.title) == (40, 9, "North")


def test_a_list_is_written_with_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the environment as in the file."""
    monkeypatch.setenv("CONSILIUM_SITE_FAMILIES", "cnn2d_small, densenet121_gn")

    assert load_settings(tmp_path).families == ("cnn2d_small", "densenet121_gn")
    write_settings(tmp_path / FILE, {"duo": ["HMB", "IRB"]})
    assert load_settings(tmp_path).duo == ("HMB", "IRB")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"min_exampels": 50}, "Did you mean min_examples"),
        ({"min_examples": 0}, "min_examples"),
        ({"min_cell": "many"}, "min_cell"),
        ({"fleet_port": 70000}, "fleet_port"),
        ({"hub_address": "http://hub.example"}, "https"),
    ],
)
def test_a_wrong_value_in_the_file_is_refused_and_named(
    tmp_path: Path, values: dict[str, object], words: str
) -> None:
    """Misspelt, out of range, of another kind, or an open connection."""
    write_settings(tmp_path / FILE, values)

    with pytest.raises(NotReady, match=words):
        load_settings(tmp_path)


def test_a_stranger_in_the_environment_is_refused_with_a_suggestion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown variable is never silently ignored."""
    monkeypatch.setenv("CONSILIUM_SITE_HUB_ADRESS", "https://hub.example")

    with pytest.raises(NotReady, match="Did you mean hub_address"):
        load_settings(tmp_path)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    """Half a file is no settings."""
    (tmp_path / FILE).write_text("site = ")

    with pytest.raises(NotReady, match=FILE):
        load_settings(tmp_path)


def test_the_home_comes_from_the_environment_or_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--home`, `$CONSILIUM_HOME`, else the per-user data folder."""
    monkeypatch.setenv("CONSILIUM_HOME", str(tmp_path / "named"))
    assert default_home() == tmp_path / "named"

    monkeypatch.delenv("CONSILIUM_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_home() == tmp_path / "consilium"


def test_settings_are_frozen_and_each_has_a_sentence(tmp_path: Path) -> None:
    """The settings page of the guides is printed from them."""
    settings = load_settings(tmp_path)

    with pytest.raises(ValidationError):
        settings.min_cell = 1  # type: ignore[misc]
    for name, field in Settings.model_fields.items():
        assert (field.description or "").endswith("."), name


def test_the_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """Written whole, mode 0600."""
    path = tmp_path / FILE
    write_settings(path, {"title": 'North "Hospital" \\ Ñ'})

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_settings(tmp_path).title == 'North "Hospital" \\ Ñ'
    assert list(tmp_path.glob("*.partial")) == []
