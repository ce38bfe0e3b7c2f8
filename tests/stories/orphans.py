"""Hospitals whose hub can die: homes of one honest history, served by real processes.

The history is made in one process (`tests/house.py`); from then on a story sees only what commands
print and what stands in files.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.demo.acts import side_by_side
from hub.demo.processes import Cast, free_port
from tests.house import House

SITES = ("north.example", "south.example", "west.example")
NAME = "hub.example"


class Silent:
    """Stands in for pytest's capture, which a fixture of a module cannot have."""

    def readouterr(self) -> None:
        """Nothing is captured here."""


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def plain(self) -> Any:
        """What was printed for machines."""
        return json.loads(self.out)


class Orphans:
    """Three hospitals with one study, and the processes that serve them.

    Args:
        folder: where all homes lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.old_hub = folder, folder / "hub"
        self.new_hub, self.port = folder / "successor", free_port()
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CONSILIUM_")}
        self._environment = kept | {"CONSILIUM_SITE_POLL_SECONDS": "1", "OMP_NUM_THREADS": "1"}
        self.cast = Cast(folder, self._environment)
        self.study = self._history()

    def _history(self) -> str:
        """One closed round that every hospital has witnessed."""
        address = f"https://127.0.0.1:{free_port()}"
        house = House(self.folder, Silent(), SITES, address=address, bundled=True)  # type: ignore[arg-type]
        house.launch()
        house.close_round()
        house.time.forward(seconds=6)
        house.look()
        for rooms in house.sites.values():
            rooms.__exit__()
        house.hub.database.engine.dispose()
        return house.study

    def do(self, *words: str) -> Said:
        """Run one command in a process of its own, as a person would type it."""
        done = subprocess.run(
            [sys.executable, "-m", "compliance.command", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=self._environment,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def home(self, site: str) -> Path:
        """The home of a hospital."""
        return self.folder / site

    def at_site(self, site: str, verb: str, *words: str) -> Said:
        """Run one command at a hospital."""
        return self.do("site", verb, *words, "--home", str(self.home(site)))

    def everywhere(self, verb: str, *words: str) -> list[Said]:
        """Run one command at every hospital, as many at a time as there are cores."""
        return side_by_side(lambda site: self.at_site(site, verb, *words), SITES)

    def mirrors(self, name: str) -> list[str]:
        """A new mirror of each hospital, as `--from DIR` words."""
        folders = [str(self.folder / name / site) for site in SITES]
        made = side_by_side(
            lambda site: self.at_site(site, "mirror", "--out", str(self.folder / name / site)),
            SITES,
        )
        assert [said.code for said in made] == [0] * len(SITES), made
        return [word for folder in folders for word in ("--from", folder)]

    def serve(self, home: Path) -> subprocess.Popen[bytes]:
        """Start a hub and wait until it is ready."""
        child = self.cast.serve(home.name, "hub", "serve", "--home", str(home))
        self.until(lambda: self.do("hub", "status", "--home", str(home)).code == 0, 240)
        return child

    def watch(self) -> None:
        """Start the agent of every hospital: it mirrors, judges and cosigns; nobody trains."""
        for site in SITES:
            words = (str(self.home(site)),)
            self.cast.serve(site, *words, module="tests.stories.onlooker")

    def kill(self, child: subprocess.Popen[bytes]) -> None:
        """Kill -9 a hub: only its own process, as a crash would."""
        self.cast.forget(child)
        child.send_signal(signal.SIGKILL)
        child.wait()

    def until(self, seen: Callable[[], bool], seconds: float = 120.0) -> None:
        """Look twice a second until something is so; fail with the logs' ends when it never is."""
        end = time.monotonic() + seconds
        while not seen():
            assert time.monotonic() < end, f"not seen in {seconds} s\n{self.logs()}"
            time.sleep(0.5)

    def logs(self) -> str:
        """The ends of every log."""
        paths = sorted((self.folder / "logs").glob("*.log"))
        return "\n".join(f"== {path.name}\n{path.read_text()[-1500:]}" for path in paths)
