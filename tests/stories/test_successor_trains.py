"""The hub dies in the middle of a study, and the study is trained to its end at a successor.

Real processes, real training: the newest model comes back from what the hospitals kept.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from compliance.records.types import time_text
from hub.demo import acts
from hub.demo.processes import free_port
from site_node.settings import load_settings
from site_node.wiring import Rooms
from tests.stories.town import Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """Two hospitals that train; the hub is there, and nothing has happened."""
    town = Town(tmp_path / "town", sites=2, rounds=3, patients=120)
    try:
        town.open()
        town.serve()
        yield town
    finally:
        town.close()


@pytest.mark.long
def test_a_study_is_trained_to_its_end_at_a_successor(town: Town) -> None:
    """Killed after the first round; the same log closes the others, and the study is completed.

    What only the hub knew when it died is gone: what every hospital had seen is not.
    """
    town.propose(max_rounds=3, round_seconds=240, min_examples=5, min_cell=5)
    town.sign()
    town.launch()
    town.until(lambda: all(mirrored(town, site)[1] for site in town.play.sites))
    hub = next(child for name, child in town.cast.servers() if name == "hub")
    town.cast.forget(hub)
    hub.send_signal(signal.SIGKILL)
    hub.wait()
    lost = time_text(datetime.now(UTC))
    before = town.entries()
    seen = min(mirrored(town, site)[0] for site in town.play.sites)
    Path(town.play.hub).rename(town.play.state / "lost")

    town.play.hub_port = free_port()
    successor(town, lost)
    town.until(lambda: town.entries()[-1]["type"] == "study.closed")

    after = town.entries()
    told = [row["type"] for row in after]
    assert after[:seen] == before[:seen]
    assert "round.closed" in told[:seen]
    assert told.count("round.closed") == 3
    assert told.count("key.rotated") == 2
    assert after[-1]["body"]["reason"] == "completed"


def successor(town: Town, lost: str) -> None:
    """What the guide says, word for word."""
    play, cast, home = town.play, town.cast, ("--home", town.play.hub)
    folders = [str(play.state / "mirrors" / site) for site in play.sites]
    for site, folder in zip(play.sites, folders, strict=True):
        town.ask_site(site, "mirror", "--out", folder, "--weights")
    cast.ask("hub", "init", "--name", "hub.example", "--address", play.address, *home)
    cast.ask("hub", "sign-bundle", *home)
    source = [word for folder in folders for word in ("--from", folder)]
    told: Any = cast.ask("hub", "rebuild", *source, "--lost", lost, *home)
    assert told["without_model"] == [], told
    acts.serve_hub(play)
    code = cast.ask("hub", "successor", *home)["code"]
    for site in play.sites:
        town.ask_site(site, "follow", code, "--yes")
    for site in play.sites:
        town.ask_site(site, "takeover", "--yes")
        cast.stop(site)
    town.serve()


def mirrored(town: Town, site: str) -> tuple[int, int]:
    """How many entries of the study a hospital has seen, and how many closed rounds."""
    with Rooms(load_settings(Path(town.play.home(site)))) as rooms:
        if rooms.mirror.head(town.play.study) is None:
            return 0, 0
        state = rooms.mirror.state(town.play.study)
    return state.size, len(state.rounds_closed)
