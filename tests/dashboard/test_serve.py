"""The process: Streamlit behind the gate, deaf to its surroundings, ended cleanly."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from compliance.command import main
from tests.dashboard.served import PASSWORD, free_port, served
from tests.house import House

HOSTILE = """
[server]
enableAgentApi = true
enableStaticServing = true
enableCORS = false
cookieSecret = "known"
[client]
showErrorDetails = "full"
disableDataExport = true
[browser]
gatherUsageStats = true
"""
ASK = """
import json, sys
from pathlib import Path
from dashboard.settings import load_settings, private_surroundings
settings = load_settings(Path(sys.argv[1]))
with private_surroundings():
    from dashboard import serve
    serve.create_app(settings)
    from streamlit import config
    names = [*serve.options(settings), "client.disableDataExport"]
    told = {name: config.get_option(name) for name in names}
    print(json.dumps([serve.options(settings), told]))
"""


def hostile(folder: Path) -> Path:
    """A folder whose owner wants other options, as home, working folder and project at once."""
    (folder / ".streamlit").mkdir(parents=True)
    (folder / ".streamlit" / "config.toml").write_text(HOSTILE)
    return folder


@contextmanager
def dashboard(folder: Path, port: int, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The real command in a hostile folder; ready when it has said so."""
    command = [sys.executable, "-W", "ignore", "-m", "compliance.command", "dashboard", "serve"]
    child = subprocess.Popen(
        [*command, "--home", str(folder / "home"), "--port", str(port), "--json", *words],
        cwd=hostile(folder / "hostile"),
        env={"HOME": str(folder / "hostile"), "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert child.stdout is not None
        assert json.loads(child.stdout.readline()) == {"address": f"http://127.0.0.1:{port}"}
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=15)
        child.stdout.close()


def test_a_planted_configuration_has_no_effect(tmp_path: Path) -> None:
    """Every option of ours holds, and one that we leave out keeps Streamlit's own default."""
    folder = hostile(tmp_path / "hostile")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK, str(tmp_path / "home")],
        cwd=folder,
        env={
            "HOME": str(folder),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "STREAMLIT_SERVER_ENABLE_AGENT_API": "true",
        },
        capture_output=True,
        text=True,
        check=True,
    )

    ours, told = json.loads(done.stdout.splitlines()[-1])

    assert {name: told[name] for name in ours} == ours
    assert told["client.disableDataExport"] is False


def test_a_signed_in_person_reaches_streamlit_and_nobody_else_does(tmp_path: Path) -> None:
    """Sign-in, page and live connection through the real process; it ends cleanly all the same."""
    quiet: Any = SimpleNamespace(readouterr=lambda: ("", ""))
    house = House(tmp_path / "house", quiet, names=(), founded=False)
    house.hub.accounts.enrol(house.hub.accounts.add("celine", "researcher"), PASSWORD)
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    stream = f"ws://127.0.0.1:{port}/_stcore/stream"
    with served(house) as hub:
        where = ("--hub-url", hub.address, "--ca-file", str(hub.ca))
        with dashboard(tmp_path, port, *where) as child, httpx.Client(base_url=origin) as browser:
            assert browser.get("/").headers["location"] == "/login"
            told = {"name": "celine", "password": PASSWORD}
            came = browser.post("/login", data=told, headers={"Origin": origin})
            assert came.status_code == 303
            page = browser.get("/")
            assert "<title>Streamlit</title>" in page.text
            assert page.headers["cache-control"] == "no-store"

            cookie = {
                "Cookie": f"consilium_demo_{port}={browser.cookies[f'consilium_demo_{port}']}"
            }
            with pytest.raises(InvalidStatus, match="403"):
                connect(stream, origin=origin, subprotocols=["streamlit"])
            with pytest.raises(InvalidStatus, match="403"):
                connect(stream, origin="https://evil.example", additional_headers=cookie)
            with connect(
                stream, origin=origin, additional_headers=cookie, subprotocols=["streamlit"]
            ):
                child.send_signal(signal.SIGTERM)
                assert child.wait(timeout=15) == 0


def test_an_occupied_port_is_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cause, the next step, and exit 2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        code = main(["dashboard", "serve", "--home", str(tmp_path / "home"), "--port", port])

    assert code == 2
    said = capsys.readouterr().err
    assert f"port {port} on 127.0.0.1 cannot be used" in said
    assert "--port" in said
    assert not (tmp_path / "home").exists()


def test_an_open_line_off_this_machine_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plain http for others' browsers is no setting."""
    words = ["--home", str(tmp_path), "--public-url", "http://consilium.example"]

    assert main(["dashboard", "serve", *words]) == 2
    assert "passwords would travel readable" in capsys.readouterr().err
