"""Settings of the dashboard: what is misspelt or dangerous is refused at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from compliance.errors import NotReady
from dashboard import session
from dashboard.settings import FILE, Settings, load_settings, private_surroundings


def test_a_new_home_is_reached_on_this_machine_only(tmp_path: Path) -> None:
    """Loopback, and a cookie that no other demo on this machine shares."""
    settings = load_settings(tmp_path, port=8600)

    assert (settings.origin, settings.bind) == ("http://127.0.0.1:8600", "127.0.0.1")
    assert settings.cookie == "consilium_demo_8600"
    assert not settings.secure


def test_the_origin_is_written_as_browsers_write_it(tmp_path: Path) -> None:
    """Without the port that the scheme implies, in small letters, without a slash."""
    settings = load_settings(tmp_path, public_url="https://Consilium.Example:443/")

    assert settings.origin == "https://consilium.example"
    assert settings.cookie == "__Host-consilium_session"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"public_url": "http://consilium.example"}, "passwords would travel readable"),
        ({"public_url": "http://127.0.0.1:8501", "bind": "0.0.0.0"}, "passwords would travel"),  # noqa: S104 - refused
        ({"bind": "0.0.0.0"}, "passwords would travel"),  # noqa: S104 - refused
        ({"public_url": "ftp://consilium.example"}, "https://HOST"),
        ({"public_url": "https://consilium.example/path"}, "without a path"),
        ({"hub_url": "http://hub.example"}, "https://"),
        ({"port": 70000}, "port"),
    ],
)
def test_a_dangerous_value_is_refused_at_the_start(
    tmp_path: Path, given: dict[str, object], words: str
) -> None:
    """An open line, an address of another kind, an impossible port."""
    with pytest.raises(NotReady, match=words):
        load_settings(tmp_path, **given)


def test_a_misspelt_name_is_refused_with_a_suggestion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the file and in the environment."""
    (tmp_path / FILE).write_text('hub_ulr = "https://hub.example"\n')
    with pytest.raises(NotReady, match="Did you mean hub_url"):
        load_settings(tmp_path)
    (tmp_path / FILE).unlink()
    monkeypatch.setenv("CONSILIUM_DASHBOARD_PROT", "9000")
    with pytest.raises(NotReady, match="Did you mean port"):
        load_settings(tmp_path)


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Command line, environment, file, default."""
    (tmp_path / FILE).write_text('port = 9001\nbind = "127.0.0.2"\n')
    monkeypatch.setenv("CONSILIUM_DASHBOARD_PORT", "9002")

    assert load_settings(tmp_path).port == 9002
    assert load_settings(tmp_path, port=9003).port == 9003
    assert load_settings(tmp_path).bind == "127.0.0.2"


def test_every_setting_has_a_sentence() -> None:
    """The settings page of the guides is printed from them."""
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_pages_get_the_settings_as_they_were_given(tmp_path: Path) -> None:
    """What `serve` hands over reads back as the same settings."""
    given = load_settings(tmp_path, port=9004, ca_file=tmp_path / "ca.pem")

    plain = session.handed_over(given)[session.SECRET]

    assert Settings(**{key: value for key, value in plain.items() if value}) == given


def test_streamlit_finds_nothing_to_read_in_its_surroundings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted home, working folder and variable have no say; afterwards all is as before."""
    (tmp_path / ".streamlit").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("STREAMLIT_SERVER_ENABLE_AGENT_API", "true")

    with private_surroundings():
        assert list(Path.home().iterdir()) == []
        assert Path.cwd() == Path.home() != tmp_path

    assert Path.cwd() == Path.home() == tmp_path
