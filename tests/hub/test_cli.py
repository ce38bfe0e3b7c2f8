"""The hub's commands: one sentence for every bad input, and everything stays as it was."""

from __future__ import annotations

import json
import socket
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path

import pytest

from compliance.command import main
from hub.services.presence import Presence
from hub.settings import load_settings
from hub.wiring import Rooms
from tests.hub.house import House, behind_the_hubs_back

with warnings.catch_warnings():  # typer 0.20 imports names that click 8.5 calls old
    warnings.simplefilter("ignore", DeprecationWarning)
    import hub.cli  # noqa: F401 - loaded once, here

COMMANDS = ("init", "sign-bundle", "serve", "invite", "status", "upgrade", "model",
            "user add", "user list", "user show", "user erase", "found",
            "suspend", "motions", "retention", "seal show", "seal erase")  # fmt: skip


def print_of(folder: Path) -> dict[str, object]:
    """Every file below a folder with its bytes; a database counts by what it holds."""
    return {
        str(path.relative_to(folder)): content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def content(path: Path) -> bytes | list[str]:
    """The bytes of a file, the statements of a database."""
    if not path.read_bytes().startswith(b"SQLite"):
        return path.read_bytes()
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())


def told(capsys) -> dict[str, object]:
    """The JSON that a command printed last."""
    return dict(json.loads(capsys.readouterr().out.strip().splitlines()[-1]))


def sentence(capsys) -> str:
    """What a command said to the person; never a trace."""
    said = capsys.readouterr().err.strip()
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1
    return said


@pytest.fixture
def home(tmp_path: Path, capsys) -> Path:
    """A hub that was just made."""
    folder = tmp_path / "hub"
    assert main(["hub", "init", "--home", str(folder), "--json"]) == 0
    capsys.readouterr()
    return folder


def test_a_new_hub_has_keys_an_authority_and_a_link_for_its_admin(tmp_path, capsys):
    """Secrets are readable by their owner only; no password exists before the link is used."""
    folder = tmp_path / "hub"

    assert main(["hub", "init", "--home", str(folder), "--json"]) == 0

    link = str(told(capsys)["link"])
    code = link.rsplit("=", 1)[-1]
    rooms = Rooms(load_settings(folder))
    assert rooms.accounts.enrolment(code) == {"name": "admin", "roles": ["admin"]}
    for secret in ("keys/events.key", "tls/ca.key", "tls/server.key", "hub.toml"):
        assert (folder / secret).stat().st_mode & 0o077 == 0, secret
    assert folder.stat().st_mode & 0o777 == 0o700
    rooms.ready()


def test_a_home_that_is_taken_is_not_made_again(home, capsys):
    """Keys are never overwritten; the sentence names the way out."""
    before = print_of(home)

    assert main(["hub", "init", "--home", str(home)]) == 2

    assert "home of a hub already" in sentence(capsys)
    assert print_of(home) == before


@pytest.mark.parametrize("occupied", ["keys", "tls", "hub.sqlite"])
def test_somebody_elses_files_are_not_touched(tmp_path, capsys, occupied):
    """A folder with keys of another program: nothing is written, nothing is taken away."""
    place = tmp_path / occupied
    if "." in occupied:
        place.write_text("precious")
    else:
        place.mkdir()
        (place / "precious").write_text("precious")
    before = print_of(tmp_path)

    assert main(["hub", "init", "--home", str(tmp_path)]) == 2

    assert "is there already" in sentence(capsys)
    assert print_of(tmp_path) == before


@pytest.mark.parametrize(
    "words",
    [
        ["--name", "Bad Name"],
        ["--address", "http://hub.example"],
        ["--address", "https://"],
        ["--address", "https://hub.example:99999"],
        ["--admin", "no name"],
    ],
)
def test_a_hub_with_impossible_settings_is_not_made(tmp_path, capsys, words):
    """The sentence names the setting; no folder is left behind."""
    folder = tmp_path / "hub"

    assert main(["hub", "init", "--home", str(folder), *words]) == 2

    assert sentence(capsys)
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_is_told_so(tmp_path, capsys):
    """A file stands in the way."""
    (tmp_path / "file").write_text("x")

    assert main(["hub", "init", "--home", str(tmp_path / "file" / "hub")]) == 2

    assert sentence(capsys)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["invite", "north"], "no site name"),
        (["invite", "North Hospital"], "no site name"),
        (["user", "add", "celine", "--role", "root"], "no role"),
        (["user", "add", "celine", "--role", "steward"], "belongs to a site"),
        (["user", "add", "ce line", "--role", "admin"], "no name"),
        (["model", "0011223344556677", "--out", "model.safetensors"], "no log"),
    ],
)
def test_a_wrong_word_is_answered_in_one_sentence(home, capsys, words, says):
    """Cause and next step; and the database holds what it held."""
    before = print_of(home)

    assert main(["hub", *words, "--home", str(home)]) == 2

    assert says in sentence(capsys)
    assert print_of(home) == before


@pytest.mark.parametrize("words", [["status"], ["invite", "north.example"], ["serve"], ["upgrade"]])
def test_a_folder_without_a_hub_is_told_so(tmp_path, capsys, words):
    """Nothing is made by accident in the wrong folder."""
    assert main(["hub", *words, "--home", str(tmp_path / "none")]) == 2

    assert "is not the home of a hub" in sentence(capsys)
    assert not (tmp_path / "none").exists()


def test_an_error_for_machines_is_json_too(home, capsys):
    """With --json the refusal is one object on standard output."""
    assert main(["hub", "invite", "north", "--home", str(home), "--json"]) == 2

    assert dict(told(capsys)["error"])["code"] == "NotReady"


def test_a_member_is_not_invited_again(tmp_path, capsys):
    """The command says whose name is taken."""
    house = House(tmp_path / "hub")
    house.join("north.example")
    house.close()

    assert main(["hub", "invite", "north.example", "--home", str(house.home)]) == 2

    assert "member already" in sentence(capsys)


def test_an_invitation_and_a_link_are_printed_once(home, capsys):
    """What a person hands on: the code, the link, and until when they are good."""
    assert main(["hub", "invite", "north.example", "--home", str(home), "--json"]) == 0
    assert str(told(capsys)["code"]).startswith("consilium1-")
    words = ["hub", "user", "add", "celine", "--role", "researcher", "--home", str(home)]
    assert main(words) == 0

    assert "/enrol?code=" in capsys.readouterr().out


def test_status_says_that_the_hub_is_not_running(home, capsys):
    """The database answers, the process does not: both are told, and the command ends with 2."""
    assert main(["hub", "status", "--home", str(home), "--json"]) == 2
    plain = told(capsys)
    assert (plain["ready"], plain["state"]) == (False, "not running")

    assert main(["hub", "status", "--home", str(home)]) == 2
    assert "not running" in capsys.readouterr().out


def test_status_of_a_hub_that_is_up_ends_with_zero(home, capsys):
    """What a health check relies on: 0 means that hospitals can be served now."""
    presence = Presence(home)
    with presence.hold():
        presence.tell("starting")
        assert main(["hub", "status", "--home", str(home), "--json"]) == 2
        presence.tell("up")
        capsys.readouterr()

        assert main(["hub", "status", "--home", str(home), "--json"]) == 0

    assert told(capsys)["ready"] is True


def test_an_occupied_port_is_told_before_anything_starts(home, capsys, monkeypatch):
    """One sentence with the port, exit 2; no lock, no SuperLink, nothing changed."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setenv("CONSILIUM_HUB_PORT", str(port))
        before = print_of(home)

        assert main(["hub", "serve", "--home", str(home)]) == 2

    assert f"port {port}" in sentence(capsys)
    assert print_of(home) == before


def test_a_home_that_is_served_is_not_served_twice(home, capsys):
    """The second process is told so and disturbs nothing."""
    with Presence(home).hold():
        assert main(["hub", "serve", "--home", str(home)]) == 2

    assert "served by another process" in sentence(capsys)


def test_a_hub_whose_log_was_changed_does_not_start(tmp_path, capsys):
    """The sentence names the study and the way back; the port is never opened."""
    house = House(tmp_path / "hub")
    study = house.launched()
    gone = "DELETE FROM log_entry WHERE study != 'consortium'"
    for act in ("DROP TRIGGER log_entry_no_delete", gone):
        behind_the_hubs_back(house.rooms.database, act)
    house.close()

    assert main(["hub", "serve", "--home", str(house.home)]) == 2

    said = sentence(capsys)
    assert study in said
    assert "Restore" in said


def test_an_old_database_names_the_command_and_the_command_helps(home, capsys):
    """`hub upgrade` is what the sentence says, and afterwards status answers."""
    rooms = Rooms(load_settings(home))
    behind_the_hubs_back(rooms.database, "UPDATE alembic_version SET version_num = '0000'")
    rooms.database.engine.dispose()

    for command in ("status", "serve"):
        assert main(["hub", command, "--home", str(home)]) == 2
        assert "consilium hub upgrade" in sentence(capsys)


def test_an_export_on_the_hubs_host_is_recorded_in_the_log(tmp_path, capsys):
    """`audit export` there leaves the same entry as the dashboard's button."""
    house = House(tmp_path / "hub")
    study = house.launched()
    house.witness("north.example", "south.example")
    house.close()
    words = ["audit", "export", study, "--out", str(tmp_path / "out"), "--home", str(house.home)]
    words += ["--wait", "0"]  # nobody cosigns here

    assert main([*words, "--json"]) == 0

    made = told(capsys)
    assert Path(str(made["bundle"])).is_file()
    assert house.again().ledger.events(study, "export.created")[0].body.size == made["size"]


def test_a_strange_setting_in_the_environment_is_named(home, capsys, monkeypatch):
    """A typing mistake in a variable must not silently mean the default."""
    monkeypatch.setenv("CONSILIUM_HUB_ADRESS", "https://hub.example")

    assert main(["hub", "status", "--home", str(home)]) == 2

    assert "Did you mean address?" in sentence(capsys)


def test_a_database_url_is_not_printed_with_its_password(home, capsys, monkeypatch):
    """A server that is away is told so; the secret in its address is not."""
    secret = "postgresql+psycopg://hub:geheim@127.0.0.1:1/hub"
    monkeypatch.setenv("CONSILIUM_HUB_DATABASE_URL", secret)

    assert main(["hub", "status", "--home", str(home)]) == 2

    said = sentence(capsys)
    assert "does not answer" in said
    assert "geheim" not in said


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(capsys, command):
    """--help, --home and --json everywhere, and one line to copy."""
    assert main(["hub", *command.split(), "--help"]) == 0

    text = capsys.readouterr().out
    for word in ("Example: consilium hub", "--home", "--json"):
        assert word in text
