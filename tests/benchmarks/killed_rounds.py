"""A study whose hub, SuperLink, ServerApp and hospitals are killed (-9) at random moments.

Real processes over TLS on loopback: hub, SuperLink, three nodes. One study is launched twice from
the same files: undisturbed, then with twenty kills over ten rounds. It must complete, play no round
twice, and make the very models of the undisturbed run wherever the same hospitals counted.

Run: `.venv/bin/python -m tests.benchmarks.killed_rounds [--kills 20] [--rounds 10] [--seed N]`.
Bars: issue 5, acceptance c; design/federation.md §3.4, §17.3.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from compliance.records.envelope import parse_event
from compliance.signing.note import parse
from hub.federation.keeper import descendants
from hub.settings import load_settings
from hub.wiring import hub_rooms
from tests.stories.town import Town

PARTS = {"superlink": b"flower-superlink", "serverapp": b"flwr-serverapp"}
"""Children of the hub, by the name of their program."""
LIMBS = {
    "supernode": b"pinned_supernode",
    "clientapp": b"flwr-clientapp",
    "worker": b"training.confined",
}
"""Children of a hospital's node."""
BACK = (0.5, 3.0)
"""Seconds until whoever watches over a service starts it again."""
SMALL = {"baseline": False, "local": {"steps": 4, "batch": 4}}


@dataclass
class Watched:
    """The log of a study, read from the hub's own store: it needs no hub that lives.

    Args:
        town: hub, hospitals, researcher.
        opened: when each round was first seen open, by its number.
    """

    town: Town
    opened: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rooms = hub_rooms(load_settings(Path(self.town.play.hub)))
        self._events: list[tuple[str, dict[str, Any]]] = []

    def look(self) -> list[tuple[str, dict[str, Any]]]:
        """Every entry so far: its kind and what it says."""
        fresh = self._rooms.ledger.entries(self.town.play.study, len(self._events))
        for note in fresh:
            event = parse_event(parse(note).text)
            self._events.append((event.type, event.body.plain()))
            if event.type == "round.opened":
                self.opened[self._events[-1][1]["round"]] = time.monotonic()
        return self._events

    def of(self, kind: str) -> list[dict[str, Any]]:
        """What the entries of a kind say."""
        return [body for called, body in self.look() if called == kind]

    def over(self) -> bool:
        """Whether the study was closed or stopped."""
        return bool(self.of("study.closed") or self.of("study.stopped"))


def main(words: list[str]) -> int:
    """Print one JSON object: the kills, the rounds of both runs, and which models differ."""
    asked = arguments(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no process is left behind
    random = Random(asked.seed)  # noqa: S311 - moments, no secret
    with tempfile.TemporaryDirectory(prefix="consilium-killed-") as name:
        folder = Path(asked.keep or name)
        state, copy = folder / "town", folder / "copy"
        town = prepared(state, asked)
        shutil.copytree(state, copy, symlinks=True)
        calm, seconds = undisturbed(town, asked)
        shutil.move(state, folder / "calm")
        shutil.move(copy, state)
        told = disturbed(town, asked, random, seconds)
    told |= {"seed": asked.seed, "undisturbed_seconds": round(seconds, 1), "calm": calm}
    told |= judged(told, asked)
    print(json.dumps(told))
    return 0 if told["well"] else 1


def arguments(words: list[str]) -> argparse.Namespace:
    """What may be asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--sites", type=int, default=3)
    parser.add_argument("--min-sites", type=int, help="updates that make a model; all, if not said")
    known = ["hub", *PARTS, "site", *LIMBS]
    parser.add_argument("--targets", nargs="+", choices=known, default=known[:4])
    parser.add_argument("--round-seconds", type=int, default=900)
    parser.add_argument("--patience", type=float, default=3600.0, help="seconds, for each run")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    parser.add_argument("--keep", help="an empty folder in which everything is left")
    return parser.parse_args(words)


def prepared(state: Path, asked: argparse.Namespace) -> Town:
    """A town whose study is signed and not launched; every process has ended."""
    town = Town(state, sites=asked.sites, rounds=asked.rounds, patients=40 * asked.sites)
    try:
        town.open()
        town.propose(
            recipe={"id": "cnn2d-small", "changes": SMALL},
            max_rounds=asked.rounds,
            round_seconds=asked.round_seconds,
            min_sites=asked.min_sites or asked.sites,
            min_examples=5,
            min_cell=5,
        )
        town.sign()
    finally:
        town.close()
    return town


def started(town: Town) -> Watched:
    """Hub and hospitals run and the study is launched."""
    from hub.demo.acts import serve_hub

    serve_hub(town.play)
    town.serve()
    town.launch()
    return Watched(town)


def undisturbed(town: Town, asked: argparse.Namespace) -> tuple[list[dict[str, Any]], float]:
    """The closed rounds of a quiet run, and how long a round lasts."""
    try:
        seen = started(town)
        began = time.monotonic()
        wait(seen, began + asked.patience)
        rounds = seen.of("round.closed")
        return accounts(rounds), (time.monotonic() - began) / max(1, len(rounds))
    finally:
        town.close()


def wait(seen: Watched, until: float) -> None:
    """Look twice a second until the study is over or time is up."""
    while not seen.over() and time.monotonic() < until:
        time.sleep(0.5)


def disturbed(
    town: Town, asked: argparse.Namespace, random: Random, seconds: float
) -> dict[str, Any]:
    """The same study with kills: each a random part of a round after that round was opened."""
    kills: list[dict[str, Any]] = []
    try:
        seen = started(town)
        began = time.monotonic()
        for round_at in plan(asked, random):
            moment = random.random() * seconds
            if not at(seen, round_at, moment, began + asked.patience):
                break
            kills.append(kill(town, seen, random, asked.targets))
            say(kills[-1] | {"at": round(time.monotonic() - began, 1)})
        wait(seen, began + asked.patience)
        told = {
            "kills": kills,
            "rounds": accounts(seen.of("round.closed")),
            "opened": [body["round"] for body in seen.of("round.opened")],
            "aborted": [body["reason"] for body in seen.of("round.aborted")],
            "closed": [body["reason"] for body in seen.of("study.closed")],
            "stopped": [body["reason"] for body in seen.of("study.stopped")],
            "seconds": round(time.monotonic() - began, 1),
        }
        if not told["closed"]:
            say(town.logs())
        return told
    finally:
        town.close()


def plan(asked: argparse.Namespace, random: Random) -> Iterator[int]:
    """The number of closed rounds after which each kill falls: spread evenly, then by chance.

    None waits for the last round: a study that is over first would leave a kill without a victim.
    """
    for place in range(asked.kills):
        yield place * max(1, asked.rounds - 1) // asked.kills


def at(seen: Watched, closed: int, seconds: float, until: float) -> bool:
    """Wait until a round after so many closed ones is open, then so many seconds."""
    while len(seen.of("round.closed")) < closed or not seen.opened:
        if seen.over() or time.monotonic() > until:
            return False
        time.sleep(0.1)
    time.sleep(seconds)
    return not seen.over()


def kill(town: Town, seen: Watched, random: Random, targets: list[str]) -> dict[str, Any]:
    """Kill one process and start it again where somebody else would."""
    target = random.choice(targets)
    pause = random.uniform(*BACK)
    told = {"target": target, "round": max(seen.opened), "closed": len(seen.of("round.closed"))}
    if target == "site":
        site = random.choice(town.play.sites)
        town.kill(site)
        time.sleep(pause)
        town.serve(site)
        return told | {"site": site, "hit": 1}
    if target in LIMBS:
        site = random.choice(town.play.sites)
        node = next(child for name, child in town.cast.servers() if name == site)
        return told | {"site": site, "hit": insist(node.pid, LIMBS[target], seen)}
    hub = next(child for name, child in town.cast.servers() if name == "hub")
    if target == "hub":
        town.cast.forget(hub)
        hub.send_signal(signal.SIGKILL)
        hub.wait()
        time.sleep(pause)
        town.cast.serve("hub", "hub", "serve", "--home", town.play.hub)
        return told | {"hit": 1}
    return told | {"hit": insist(hub.pid, PARTS[target], seen)}


def insist(parent: int, program: bytes, seen: Watched) -> int:
    """Kill a part as soon as it is there; returns how many processes were hit."""
    while not (hit := kill_part(parent, program)) and not seen.over():
        time.sleep(0.1)  # it has not begun yet
    return hit


def kill_part(parent: int, program: bytes) -> int:
    """Kill the children that run a program; their keepers live on. Returns how many."""
    hit = 0
    for pid in descendants(parent):
        with contextlib.suppress(OSError):
            words = b"".join(
                Path(f"/proc/{pid}/{part}").read_bytes() for part in ("cmdline", "comm")
            )
            if program in words and b"federation.keeper" not in words:
                os.kill(pid, signal.SIGKILL)
                hit += 1
    return hit


def hits(told: dict[str, Any]) -> bool:
    """Whether a kill found something to kill."""
    return bool(told["hit"])


def accounts(rounds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What became of each closed round, short."""
    return [
        {
            "round": body["round"],
            "used": sorted(body["used"]),
            "left_out": body["excluded"] | body["missing"],
            "model": body["model_sha256"][7:19],
        }
        for body in rounds
    ]


def judged(told: dict[str, Any], asked: argparse.Namespace) -> dict[str, Any]:
    """Whether it completed, played no round twice, and made the same models."""
    numbers = [row["round"] for row in told["rounds"]]
    twice = sorted({one for one in numbers if numbers.count(one) > 1})
    twice += sorted({one for one in told["opened"] if told["opened"].count(one) > 1})
    pairs = list(zip(told["calm"], told["rounds"], strict=False))
    same = list(itertools.takewhile(lambda pair: pair[0]["used"] == pair[1]["used"], pairs))
    differ = [theirs["round"] for ours, theirs in same if ours["model"] != theirs["model"]]
    well = told["closed"] == ["completed"] and not twice and not differ
    well = well and len(numbers) == asked.rounds and sum(map(hits, told["kills"])) == asked.kills
    return {"twice": twice, "comparable": len(same), "other_models": differ, "well": well}


def say(words: object) -> None:
    """One line for whoever waits."""
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
