"""A town of real processes: one hub, its hospitals, the demo's own commands, all on loopback.

Nothing internal is called: what a story sees is what `consilium …` prints, plus the hub's API as an
auditor would read it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from compliance.records.envelope import parse_event
from compliance.records.types import seconds_of
from compliance.signing.note import parse
from hub.demo import acts, images
from hub.demo.processes import Cast, CommandFailed
from hub.settings import load_settings
from hub.wiring import hub_rooms

PATIENCE = 600.0
"""Seconds; a busy machine of two cores needs some, a quiet one none of them."""


class Town:
    """Hub, hospitals and a researcher who is signed in.

    Args:
        folder: where everything lies.
        sites: names of the hospitals.
        rounds: of the study.
        patients: drawn for all hospitals together.
    """

    def __init__(
        self, folder: Path, *, sites: int = 3, rounds: int = 3, patients: int = 240
    ) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CONSILIUM_")}
        self.cast = Cast(folder, kept | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"})
        folder.mkdir(parents=True, exist_ok=True)
        self.play = acts.Play(folder, self.cast, list(acts.HOSPITALS[:sites]), rounds)
        self.play.patience = PATIENCE
        self.patients = patients
        self.sites: dict[str, subprocess.Popen[bytes]] = {}

    def open(self) -> None:
        """Start the hub, let every hospital join and import, sign the researcher in."""
        acts.open_hub(self.play)
        acts.join_hospitals(self.play)
        acts.found(self.play)
        acts.enrol_researcher(self.play)
        self.play.patients = self.patients
        folders, recipe, _ = images.lay_out(self.play, None)
        acts.import_images(self.play, folders, recipe)

    def serve(self, *sites: str) -> None:
        """Start the nodes of these hospitals (all, if none is named)."""
        for site in sites or self.play.sites:
            words = ("site", "serve", "--home", self.play.home(site))
            self.sites[site] = self.cast.serve(site, *words)

    def propose(self, **terms: Any) -> str:
        """Propose the demo's charter with other terms; returns the study."""
        changes = terms.pop("recipe_changes", {"baseline": False, "local": {"epochs": 1}})
        draft = acts.charter_of(self.play, changes) | terms
        acts.propose(self.play, draft)
        return self.play.study

    def sign(self, *sites: str) -> None:
        """Let the stewards of these hospitals sign (all, if none is named)."""
        for site in sites or self.play.sites:
            self.ask_site(site, "approve", self.play.study, "--yes")

    def launch(self) -> None:
        """Launch the study."""
        self.cast.ask("study", "launch", self.play.study, "--home", self.play.researcher)

    def kill(self, site: str) -> None:
        """Kill -9 a hospital's node: only its own process, as a crash would."""
        self.cast.forget(self.sites[site])
        self.sites[site].send_signal(signal.SIGKILL)
        self.sites.pop(site).wait()

    def ask_site(self, site: str, *words: str) -> Any:
        """Run a command at a hospital."""
        return self.ask_site_at(Path(self.play.home(site)), *words)

    def ask_site_at(self, home: Path, *words: str) -> Any:
        """Run a command at the hospital that lives in a folder."""
        verb, *rest = words
        return self.cast.ask("site", verb, *rest, "--home", str(home))

    def ask_study(self, *words: str) -> Any:
        """Run a command as the researcher."""
        verb, *rest = words
        return self.cast.ask("study", verb, *rest, "--home", self.play.researcher)

    def told(self) -> Mapping[str, Any]:
        """The study as its watcher is told now."""
        rows = self.cast.lines(
            "study", "watch", self.play.study, "--json", "--home", self.play.researcher
        )
        first: dict[str, Any] = json.loads(next(rows))
        rows.close()  # type: ignore[attr-defined]
        return first

    def wait(
        self, sight: Callable[[Mapping[str, Any]], bool], seconds: float = PATIENCE
    ) -> Mapping[str, Any]:
        """Watch the study until something is seen; fail with the logs' ends when it never is."""
        last: dict[str, Any] = {}
        words = ("study", "watch", self.play.study, "--json", "--home", self.play.researcher)
        rows = self.cast.lines(*words, seconds=seconds)
        try:
            for line in rows:
                last = json.loads(line)
                if sight(last):
                    return last
        except CommandFailed:
            pass  # ended by the clock, or by itself without the sight
        finally:
            rows.close()  # type: ignore[attr-defined]
        raise AssertionError(f"not seen in {seconds} s: {str(last)[:600]}\n{self.logs()}")

    def until(self, seen: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Look every second until something is so; fail with the logs' ends when it never is."""
        end = time.monotonic() + seconds
        while not seen():
            assert time.monotonic() < end, f"not seen in {seconds} s\n{self.logs()}"
            time.sleep(1)

    def entries(self) -> list[dict[str, Any]]:
        """The study's log as the hub's own store holds it, decoded."""
        rooms = hub_rooms(load_settings(Path(self.play.hub)))
        notes = rooms.ledger.entries(self.play.study, 0)
        events = [parse_event(parse(note).text) for note in notes]
        return [
            {"type": event.type, "actor": event.actor, "body": event.body.plain()}
            for event in events
        ]

    def times(self) -> list[tuple[str, datetime]]:
        """Kind and second of every entry of the study's log."""
        rooms = hub_rooms(load_settings(Path(self.play.hub)))
        events = [
            parse_event(parse(note).text) for note in rooms.ledger.entries(self.play.study, 0)
        ]
        return [(event.type, seconds_of(event.time)) for event in events]

    def logs(self) -> str:
        """The ends of every log."""
        parts = []
        paths = [*self.play.state.glob("logs/*.log"), *self.play.state.glob("*/flower/*.log")]
        for path in sorted(paths):
            parts.append(f"== {path.name}\n{path.read_text(errors='replace')[-1500:]}")
        return "\n".join(parts)

    def close(self) -> None:
        """End every process."""
        self.cast.end()
