"""Masks between real processes: `unmask` orders over Flower, and a hub that never holds an update.

Four hospitals over TLS on loopback; three of them must open their shares. One is killed after its
update was accepted, so its own shares never come; in the next round it is gone altogether.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compliance.rules.state import ClosedRound, StudyState
from hub.demo import acts
from hub.federation.masked_sum import divisor_of
from hub.settings import load_settings as hub_settings
from hub.wiring import hub_rooms
from site_node.gate.masked_update import Scale, words_of
from site_node.settings import load_settings
from site_node.wiring import Rooms
from tests.stories.sockets import family
from tests.stories.town import Town
from tests.stories.unmasked import Disk, bare, floats_of, kept

FOUR = ("east.example", "north.example", "south.example", "west.example")
DEAD, SLOW = "south", "west"
THREE = frozenset(FOUR) - {f"{DEAD}.example"}
N_REF, RANGE = 150, 1.0
MASKED = {"name": "fedavg", "params": {"n_ref": str(N_REF), "mask_range": "1"}, "masked": True}
SECONDS = 1800.0
"""So long is waited at most for what comes in a minute on a quiet machine."""
UP = '"supernode": "up"'
TERMS: dict[str, Any] = {
    "aggregator": MASKED,
    "max_rounds": 30,
    "round_seconds": 600,
    "min_sites": 3,
    "min_examples": 5,
    "min_cell": 5,
}


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """Four hospitals whose nodes are all connected before the study begins."""
    town = Town(tmp_path / "town", sites=len(FOUR), patients=200)
    try:
        town.open()
        town.serve()
        status = ("hub", "status", "--home", town.play.hub)
        town.until(lambda: json.dumps(town.cast.ask(*status)).count(UP) == len(FOUR), SECONDS)
        yield town
    finally:
        for child in town.sites.values():
            send(child.pid, signal.SIGCONT)
        town.close()


def send(pid: int, number: signal.Signals) -> None:
    """Signal a node and everything that it started, until no new process is found."""
    done: set[int] = set()
    while new := family(pid) - done:
        for one in new:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, number)
        done |= new


def kill(town: Town, site: str) -> None:
    """Kill -9 a node with all its processes: no part of it answers any more."""
    pids = family(town.sites[site].pid)
    town.kill(site)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def state_of(town: Town) -> StudyState:
    """The study as the hub's log has it now."""
    return hub_rooms(hub_settings(Path(town.play.hub))).ledger.state(town.play.study)


def only_the_slow_one_is_awaited(town: Town) -> bool:
    """Whether the open round has everybody's update but one."""
    running = state_of(town).open_round
    return running is not None and running.submitted.keys() == set(FOUR) - {f"{SLOW}.example"}


def closed_by(town: Town, sites: frozenset[str], after: int = 0) -> list[ClosedRound]:
    """Rounds above this number whose model was made of exactly these hospitals."""
    rounds = state_of(town).rounds_closed
    return [row for row in rounds if row.number > after and row.used.keys() == sites]


def disk_of(town: Town) -> Disk:
    """All that the hub has on its disk, its own log and Flower's among it."""
    return Disk(Path(town.play.hub), town.play.state / "logs")


@pytest.mark.long
def test_masks_come_off_over_flower_although_a_hospital_dies_and_no_update_is_at_the_hub(
    town: Town,
) -> None:
    """All four; one dead before its shares came; that one gone from the start."""
    town.propose(**TERMS)
    town.sign()
    town.launch()
    town.until(lambda: bool(closed_by(town, frozenset(FOUR))), SECONDS)

    send(town.sites[SLOW].pid, signal.SIGSTOP)
    town.until(lambda: only_the_slow_one_is_awaited(town), SECONDS)
    number = state_of(town).running.number
    held = disk_of(town)
    kill(town, DEAD)
    send(town.sites[SLOW].pid, signal.SIGCONT)
    town.until(lambda: bool(closed_by(town, THREE, after=number)), SECONDS)
    town.ask_study("stop", town.play.study, "--reason", "operator")

    lists_and_accounts_agree(town, number)
    a_sum_and_no_part_of_it(town, number, held)
    hospitals_hold_what_the_hub_made(town)
    report = acts.export_and_verify(town.play)
    assert {step["result"] for step in report["steps"]} <= {"pass", "not_applicable"}


def lists_and_accounts_agree(town: Town, number: int) -> None:
    """`used` is `alive`, in every round; the dead one is in its last sum and in none after it."""
    rows = town.entries()
    lists = {row["body"]["round"]: row["body"] for row in rows if row["type"] == "round.unmasking"}
    closed = {row["body"]["round"]: row["body"] for row in rows if row["type"] == "round.closed"}
    assert {no: body["used"] for no, body in closed.items()} == {
        no: lists[no]["alive"] for no in closed
    }
    assert sorted(closed[number]["used"]) == sorted(FOUR)
    later = closed[min(no for no in closed if no > number)]
    assert sorted(later["used"]) == sorted(THREE)
    assert lists[later["round"]]["gone"] == [f"{DEAD}.example"]
    assert list(later["missing"]) == [f"{DEAD}.example"]
    sent = [row["body"] for row in rows if row["type"] == "update.submitted"]
    assert {(body["masked"], body["encoding"]) for body in sent} == {(True, "masked-u32")}
    models = [body["model_sha256"] for body in closed.values()]
    assert len(set(models)) == len(models)
    with Rooms(load_settings(Path(town.play.home(DEAD)))) as rooms:
        told = {line["data"]["round"] for line in rooms.journal.lines_of("unmasked")}
    assert number not in told


def a_sum_and_no_part_of_it(town: Town, number: int, held: Disk) -> None:
    """The mean of the bare updates is the model; of the bare ones the hub's disk has nothing.

    Looked at while three updates lay in the spool, and at the end.
    """
    state = state_of(town)
    n = {
        row["actor"].split("/")[0]: int(row["body"]["n"])
        for row in town.entries()
        if row["type"] == "update.submitted" and row["body"]["round"] == number
    }
    vaults = {
        f"{site}.example": kept(Path(town.play.home(site)), state.charter_id, number)
        for site in town.play.sites
    }
    words = {site: bare(vaults, site) for site in FOUR}

    registry = hub_rooms(hub_settings(Path(town.play.hub))).registry
    places = [row.number for row in state.rounds_closed]
    made = state.rounds_closed[places.index(number)].model_sha256
    base = state.rounds_closed[places.index(number) - 1].model_sha256
    before, after = (
        np.frombuffer(registry.read(town.play.study, name), "<f4") for name in (base, made)
    )
    mean = sum(words[site].view(np.int32).astype(np.float64) for site in FOUR)
    mean /= divisor_of([n[site] for site in FOUR], N_REF, RANGE)
    assert np.abs(before + mean - after).max() < 1e-6
    assert np.abs(after - before).max() > 1e-4

    for site in sorted(set(FOUR) - {f"{SLOW}.example"}):
        assert held.with_bytes(vaults[site].wire)  # what does lie there is found
    ended = disk_of(town)
    for site in FOUR:
        values = floats_of(words[site], n[site], N_REF, RANGE)
        for disk in (held, ended):
            assert disk.with_words(words[site]) == []
            assert disk.with_floats(values, words[site]) == []


def test_what_is_looked_for_would_be_found(tmp_path: Path) -> None:
    """An update in plain, as numbers or as words, at any place of a file: the check can fail."""
    drawn = np.random.default_rng(7).normal(0, 1e-2, 4000).astype("<f4")
    words = words_of(drawn.tobytes(), 30, Scale(N_REF, Decimal(1)))
    values = floats_of(words, 30, N_REF, RANGE)
    (tmp_path / "log").write_bytes(b"odd" + drawn.tobytes())
    (tmp_path / "db").write_bytes(b"x" + words.astype("<u4").tobytes() + b"y")
    (tmp_path / "other").write_bytes(drawn[::-1].tobytes())
    disk = Disk(tmp_path)

    assert disk.with_floats(values, words) == ["log"]
    assert disk.with_words(words) == ["db"]


def hospitals_hold_what_the_hub_made(town: Town) -> None:
    """The newest model's hash is the same in every living hospital's own mirror."""
    newest = state_of(town)
    for site in sorted(THREE):
        home = Path(town.play.home(site.split(".", maxsplit=1)[0]))

        def seen(home: Path = home) -> bool:
            with Rooms(load_settings(home)) as rooms:
                state = rooms.mirror.state(town.play.study)
                return state.size == newest.size and state.model_sha256 == newest.model_sha256

        town.until(seen, SECONDS)
