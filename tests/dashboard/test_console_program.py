"""`consilium site console` itself: the link, the one port, who answers, and how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from compliance.command import main
from dashboard.site_client import SiteClient
from site_node import console_cli
from site_node.console.door import LONGEST, socket_path
from tests.dashboard.consoled import Hospital, door_of, program, short_folder
from tests.dashboard.served import free_port

LISTENS = "0A"


@pytest.fixture
def hospital() -> Iterator[Hospital]:
    """A hospital that has joined; its hub is not in reach of another process."""
    with short_folder() as folder:
        yield Hospital(folder)


def family(pid: int) -> set[int]:
    """A process and its children."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = {int(child) for task in tasks for child in task.read_text().split()}
    return {pid}.union(*(family(child) for child in children))


def ports_of(pid: int) -> list[str]:
    """Where a process and its children listen, as `ss -ltn` reads it: address and port in hex."""
    held = set()
    for member in family(pid):
        for link in Path(f"/proc/{member}/fd").iterdir():
            if link.exists() or link.is_symlink():
                held.add(str(link.readlink()))
    rows = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == LISTENS and f"socket:[{cells[9]}]" in held:
                rows.append(cells[1])
    return sorted(rows)


def test_the_console_opens_one_port_of_this_machine_and_ends_when_closed(
    hospital: Hospital,
) -> None:
    """Without a node: it answers by itself. The link, a page, the way out; nothing is left."""
    home, port = hospital.world.home, free_port()
    with program("site", "console", "--home", str(home), "--port", str(port)) as (process, told):
        assert ports_of(process.pid) == [f"0100007F:{port:04X}"]
        assert socket_path(home).is_socket()
        with httpx.Client(base_url=told["address"], follow_redirects=True) as browser:
            page = browser.get(told["link"])
            assert (page.status_code, str(page.url)) == (200, f"{told['address']}/")
            assert "Streamlit" in page.text
            assert "Content-Security-Policy" in page.headers
            browser.post("/leave", headers={"Origin": told["address"]})
        assert process.wait(timeout=60) == 0

    assert not socket_path(home).exists()


def test_a_node_that_runs_answers_the_console(hospital: Hospital) -> None:
    """The door stays its own when the console ends; an end from outside ends the pages too."""
    home, port = hospital.world.home, free_port()
    words = ("site", "console", "--home", str(home), "--port", str(port))
    with door_of(hospital) as door:
        with program(*words) as (process, told):
            (child,) = family(process.pid) - {process.pid}
            with httpx.Client(base_url=told["address"], follow_redirects=True) as browser:
                browser.get(told["link"])
                page = browser.get("/sign", params={"charter": "00112233"})
                assert "Sign “Opacity”?" in page.text
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
            assert not Path(f"/proc/{child}").exists()
        assert door.open
        assert socket_path(home).is_socket()


def test_a_node_opens_the_door_and_closes_it_with_itself(hospital: Hospital) -> None:
    """`site serve` answers there from its start, and listens to nobody beyond this machine."""
    home = hospital.world.home
    words = ("site", "serve", "--home", str(home))
    command = [sys.executable, "-W", "ignore", "-m", "compliance.command", *words]
    node = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    path, pause = socket_path(home), Event()
    try:
        while not path.is_socket():
            assert node.poll() is None, "the node ended by itself"
            pause.wait(0.1)
        with SiteClient(home) as near:
            assert near.home()["site"] == "north.example"
            assert len(near.health()["checks"]) > 5
        assert all(row.startswith("0100007F:") for row in ports_of(node.pid))
    finally:
        node.send_signal(signal.SIGTERM)
        assert node.wait() == 0

    assert not path.exists()


def test_a_port_that_is_taken_is_one_sentence(hospital: Hospital, capfd: Any) -> None:
    """Another one can be named."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code = main(["site", "console", "--home", str(hospital.world.home), "--port", port])

    assert code == 2
    assert "name another with --port" in capfd.readouterr().err


def test_without_the_dashboard_the_console_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, and that the commands do the same."""
    absent = {"streamlit"}
    found = console_cli.find_spec
    monkeypatch.setattr(
        console_cli, "find_spec", lambda name: None if name in absent else found(name)
    )

    assert main(["site", "console", "--home", str(tmp_path)]) == 2

    said = capsys.readouterr().err
    assert "consilium-federation[site,dashboard]" in said
    assert "use the commands" in said


def test_a_home_with_a_long_path_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A socket's path has an end; nothing is started."""
    home = tmp_path / ("d" * LONGEST)

    assert main(["site", "console", "--home", str(home)]) == 2

    assert "longer than 100 characters" in capsys.readouterr().err
    assert not home.exists()
