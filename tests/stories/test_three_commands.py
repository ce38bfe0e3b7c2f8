"""Three commands and one code, as the guide prints them, make a serving node of a bare machine."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.demo import acts
from hub.demo.processes import free_port
from tests.stories.sockets import LOOPBACK, family, listening, spoken_to
from tests.stories.town import Town

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "hospital-it.md"
BLOCK = re.compile(r"^## Three commands\n+```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
PASSPHRASE = "a sentence that nobody guesses"
RECEIVER = "127.0.0.2"
AS_THE_KERNEL = "0200007F"


def commands_of_the_guide() -> list[str]:
    """The lines of the guide's block, as they are printed."""
    found = BLOCK.search(GUIDE.read_text())
    assert found, "the guide has no block of three commands"
    return found[1].splitlines()


class Machine:
    """A hospital's machine on which nothing was ever set up.

    Args:
        town: the hub that invites it.
        folder: stands for `/srv` of the guide.
    """

    def __init__(self, town: Town, folder: Path) -> None:
        self.town, self.folder = town, folder
        self.typed: list[str] = []
        made = town.cast.ask("hub", "invite", "north.example", "--home", town.play.hub)
        self.code = str(made["code"])

    @property
    def home(self) -> Path:
        """The folder that the guide calls /srv/consilium."""
        return self.folder / "consilium"

    def words(self, line: str) -> list[str]:
        """A line of the guide on this machine: its code, its folder, nothing else."""
        said = [word.replace("/srv/", f"{self.folder}/") for word in shlex.split(line)]
        self.typed.append(line)
        assert said[0] == "consilium"
        return [self.code if word == "CODE" else word for word in said[1:]]

    def type(self, line: str) -> None:
        """Run a command as a person at a terminal would; who is asked types the passphrase."""
        screen, keyboard = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "compliance.command", *self.words(line)],
            stdin=keyboard,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.town.cast._environment,
            start_new_session=True,
        ) as child:
            assert child.stderr is not None
            said = b""
            while part := os.read(child.stderr.fileno(), 4096):
                said += part
                if part.rstrip(b"\n").endswith((b"key: ", b"more: ")):
                    os.write(screen, PASSPHRASE.encode() + b"\n")
        os.close(screen)
        os.close(keyboard)
        assert child.returncode == 0, said.decode()

    def serve(self, line: str) -> subprocess.Popen[bytes]:
        """Start the last command and wait until its node is connected."""
        child = self.town.cast.serve("north", *self.words(line))
        self.town.until(self.connected)
        return child

    def connected(self) -> bool:
        """Whether the hub hears of this hospital that its Flower node is up."""
        told = self.town.cast.ask("hub", "status", "--home", self.town.play.hub)
        return '"supernode": "up"' in json.dumps(told)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A hub, and a machine with a folder of DICOM files; the three commands were typed on it."""
    town = Town(tmp_path_factory.mktemp("bare"), sites=1)
    try:
        acts.open_hub(town.play)
        folder = town.play.state / "srv"
        drawn = ("--out", str(folder / "drawn"), "--sites", "1", "--seed", "7", "--patients", "60")
        town.cast.run(*drawn, module="site_node.imaging.synthetic")
        next((folder / "drawn").iterdir()).rename(folder / "dicom")
        made = Machine(town, folder)
        join, take_in, serve = commands_of_the_guide()
        made.type(join)
        made.type(take_in)
        made.child = made.serve(serve)  # type: ignore[attr-defined]
        yield made
    finally:
        town.close()


def test_three_commands_and_one_code_make_a_serving_node(machine: Machine) -> None:
    """Exactly what the guide prints was typed, three lines of it, and the node is connected."""
    told: Any = machine.town.ask_site_at(machine.home, "datasets")

    assert machine.typed == commands_of_the_guide()
    assert len(machine.typed) == 3
    assert sum(line.split().count("CODE") for line in machine.typed) == 1
    assert "chest" in json.dumps(told)
    assert machine.connected()


def test_the_key_of_the_hospital_lies_under_what_was_typed(machine: Machine) -> None:
    """Whoever copies the folder cannot sign for the hospital."""
    document = json.loads((machine.home / "keys" / "institution.key").read_text())

    assert "sealed" in document
    assert "seed" not in document


def test_the_node_listens_on_loopback_only(machine: Machine) -> None:
    """The page of the network promises it; the kernel is asked."""
    sockets = listening(family(machine.child.pid))  # type: ignore[attr-defined]

    assert {address for address, _ in sockets} <= set(LOOPBACK), sockets


def test_the_one_connection_that_leaves_goes_to_the_hub(machine: Machine) -> None:
    """Agent and Flower node both speak to that one port."""
    pids = family(machine.child.pid)  # type: ignore[attr-defined]

    machine.town.until(lambda: spoken_to(pids) != set())

    assert spoken_to(pids) == {machine.town.play.hub_port}


def test_a_pacs_that_may_send_opens_one_port_and_no_other(machine: Machine) -> None:
    """`scp_allow` switches the receiver on, at the address and port that were set."""
    port = free_port()
    machine.town.cast.stop("north")
    with (machine.home / "site.toml").open("a") as file:
        file.write(f'scp_allow = "CT1@127.0.0.1"\nscp_bind = "{RECEIVER}"\nscp_port = {port}\n')

    child = machine.serve(commands_of_the_guide()[2])
    machine.town.until(lambda: (AS_THE_KERNEL, port) in listening(family(child.pid)))

    beyond = [row for row in listening(family(child.pid)) if row[0] not in LOOPBACK]
    assert beyond == [(AS_THE_KERNEL, port)]
