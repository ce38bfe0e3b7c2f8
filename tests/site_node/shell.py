"""A technician's shell: commands of a site typed against the hub of the tests, over real TLS."""

from __future__ import annotations

import io
import json
import warnings
from typing import Any

import pytest

from compliance.command import main
from site_node.wiring import open_site
from tests.site_node.gate.world import CONSORTIUM, STUDY, World

with warnings.catch_warnings():  # typer 0.20 imports names that click 8.5 calls old
    warnings.simplefilter("ignore", DeprecationWarning)
    import site_node.cli  # noqa: F401 - loaded once, here


class Site:
    """Types commands for one home and reads what they print."""

    def __init__(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        self.world, self._capsys = world, capsys
        self.said = ""

    def run(self, *words: str, group: str = "site") -> tuple[int, str]:
        """Run a command; returns its exit code and standard output."""
        self._capsys.readouterr()
        code = main([group, *words, "--home", str(self.world.home)])
        out, self.said = self._capsys.readouterr()
        assert "Traceback" not in out + self.said
        return code, out

    def ask(self, *words: str) -> Any:
        """Run a command with --json that must be done."""
        code, out = self.run(*words, "--json")
        assert code == 0, self.said
        return json.loads(out)


def proposed(member: Site, **changes: Any) -> None:
    """A charter that waits for this hospital."""
    with open_site(member.world.home) as rooms:
        member.world.hub.propose(member.world.charter(rooms, **changes))


def launched(member: Site) -> None:
    """A study that this hospital signed and its witness has seen."""
    proposed(member)
    member.ask("approve", STUDY, "--yes")
    member.world.launch()
    with open_site(member.world.home) as rooms:
        rooms.witness.step(CONSORTIUM)
        rooms.witness.step(STUDY)
        rooms.witness.follow_quorum(STUDY)


class Terminal(io.StringIO):
    """Somebody who types these lines."""

    def isatty(self) -> bool:
        """A person sits here."""
        return True
