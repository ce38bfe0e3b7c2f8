"""A hub with a hundred hospitals: memory of every hub process, and seconds, round by round.

The hub is `consilium hub serve` as it runs anywhere: API, gateway, SuperLink, ServerApp, TLS, log.
The hospitals are light (`light_sites`): own keys, Flower's own fleet client through the gateway,
looks at both logs, cosignatures, signed notes, a vector that costs nothing. They join by the hub's
own services, in a fixture; nobody waits for a hundred commands.

A study has no hundred hospitals: its charter is one entry of a log, and an entry has at most 65,535
bytes, so it names at most 32 (design/ledger.md §2.1), and a consortium as many. So the hundred
share four studies that run at the same time, a round is one of each, and in these processes, and
nowhere else, the consortium's bound is lifted (`wide_hub`).

Run: `.venv/bin/python -m tests.benchmarks.bench_many_sites [--sites 100] [--rounds 20]`.
The bars (issue 5, l): every round has the answer of every hospital; the hub's processes hold less
than 2 GB together; no more than 2 % growth from round 10 to the last. Exit code 1 below a bar.
Memory over a thousand rounds (federation.md §13):
`--sites 3 --studies 1 --rounds 1000 --recipe cnn2d-small`.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import secrets
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from compliance.records.recipe import layout_of, shipped
from compliance.records.types import time_text
from hub.demo.processes import Cast, CommandFailed, free_port
from hub.federation.keeper import descendants
from site_node.gate.keys import make_keys
from tests import factories as make
from tests.benchmarks import wide_hub
from tests.hub.house import House

BAR_GB, BAR_GROWTH, FROM_ROUND = 2.0, 0.02, 10
FOUNDERS = 5
"""The others are admitted by three of them."""
LOOK_SECONDS = 0.5


class Now:
    """The time that it is; hub and hospitals run in other processes."""

    def __call__(self) -> datetime:
        """The time now."""
        return datetime.now(UTC)

    def text(self, **ahead: float) -> str:
        """The time now, or later, as records carry it."""
        return time_text(self() + timedelta(**ahead))


class Many(House):
    """A hub made by its own commands, with hospitals that joined by its own services.

    Args:
        folder: where everything lies.
        cast: runs commands and servers.
        names: of the hospitals.
    """

    def __init__(self, folder: Path, cast: Cast, names: list[str]) -> None:
        self.home, self.names, self.keys = folder / "hub", names, folder / "keys"
        self.address = f"https://127.0.0.1:{free_port()}"
        cast.ask(
            "hub", "init", "--home", str(self.home), "--name", make.HUB, "--address", self.address
        )
        cast.ask("hub", "sign-bundle", "--home", str(self.home), "--name", "signer")
        self.time = Now()  # type: ignore[assignment]
        self._url, self._random = None, secrets.token_bytes
        self._nonce, self._made = 0, []
        self.rooms = self.again()
        self.study = self.charter_id = ""
        self.studies: dict[str, list[str]] = {}

    def application(self, site: str, token: str, **changes: Any) -> dict[str, Any]:
        """With a node key that Flower takes."""
        folder = self.keys / site
        make_keys(folder, site, None, secrets.token_bytes)
        public = (folder / "flower.pub").read_text().strip()
        return super().application(site, token, flower_public=public, **changes)

    def begin(self, recipe: str, rounds: int, studies: int) -> None:
        """Let all join; launch studies that share the hospitals among them."""
        self.join(*self.names[:FOUNDERS])
        if self.names[FOUNDERS:]:
            self.join(*self.names[FOUNDERS:])
        for part in range(studies):
            names = self.names[part::studies]
            self.propose(
                title=f"Study {part}",
                recipe={"id": recipe},
                datasets=[{"site": name, "id": make.DATASET} for name in names],
                legal=make.charter(names)["legal"],
                signatures_required=len(names),
                min_sites=len(names),
                max_rounds=rounds,
                round_seconds=3600,
                aggregator={"name": "fedavg", "params": {}, "masked": False},
            )
            self.sign(*names)
            self.rooms.charters.launch(self.charter_id)
            self.studies[self.study] = names


def main(words: list[str]) -> int:
    """Print one JSON object: memory, growth and seconds beside their bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=100)
    parser.add_argument("--studies", type=int, default=4, help="that share the hospitals")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--recipe", default="cnn2d-small")
    parser.add_argument("--processes", type=int, default=2, help="that play the hospitals")
    parser.add_argument(
        "--tick", type=float, default=10.0, help="seconds between two looks at the logs"
    )
    parser.add_argument("--minutes", type=float, default=120.0, help="give up after so long")
    parser.add_argument("--keep", type=Path, help="folder that stays, with every log")
    asked = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no process is left behind
    with contextlib.ExitStack() as stack:
        kept = asked.keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="consilium-many-"))
        )
        told = play(kept, asked)
    print(json.dumps(told))
    return 0 if told["good"] else 1


def play(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Begin, serve, watch, end."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CONSILIUM_HOME")}
    cast = Cast(folder, kept | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"})
    names = [f"s{place:03d}.example" for place in range(asked.sites)]
    began = time.monotonic()
    try:
        wide_hub.widen()
        many = Many(folder, cast, names)
        many.begin(asked.recipe, asked.rounds, asked.studies)
        _say("launched", time.monotonic() - began)
        hub = cast.serve("hub", "hub", "serve", "--home", str(many.home), module=wide_hub.__name__)
        _until_ready(cast, many.home)
        _say("serving", time.monotonic() - began)
        _serve_hospitals(folder, cast, many, asked)
        rows = list(watched(many, hub.pid, asked, cast))
        many.close()
    finally:
        cast.end()
    return judged(rows, asked)


def _serve_hospitals(folder: Path, cast: Cast, many: Many, asked: argparse.Namespace) -> None:
    told = {
        "address": many.address,
        "fleet": many.address.removeprefix("https://"),
        "ca": str(many.home / "tls" / "ca.pem"),
        "keys": str(many.keys),
        "sites": {name: study for study, names in many.studies.items() for name in names},
        "count": layout_of(shipped()[asked.recipe]).count,
    }
    (folder / "light.json").write_text(json.dumps(told))
    edges = [asked.sites * part // asked.processes for part in range(asked.processes + 1)]
    for first, last in itertools.pairwise(edges):
        words = (str(folder), str(first), str(last), str(asked.tick))
        cast.serve(f"hospitals-{first}", *words, module="tests.benchmarks.light_sites")


def _until_ready(cast: Cast, home: Path) -> None:
    for _ in range(240):
        cast.check()
        with contextlib.suppress(CommandFailed):
            cast.run("hub", "status", "--home", str(home))
            return
        time.sleep(0.5)
    raise TimeoutError("the hub did not get ready")


def watched(
    many: Many, pid: int, asked: argparse.Namespace, cast: Cast
) -> Iterator[dict[str, Any]]:
    """A row for each round that every study closed: seconds, answers, bytes, processor time."""
    ledger, end = many.rooms.ledger, time.monotonic() + 60 * asked.minutes
    done, began = 0, time.monotonic()
    while done < asked.rounds:
        cast.check()
        if time.monotonic() > end:
            sys.stderr.write(f"round {done + 1} was not closed in {asked.minutes} minutes\n")
            return
        closed = min(len(ledger.places(study, "round.closed")) for study in many.studies)
        if closed == done:
            time.sleep(LOOK_SECONDS)
            continue
        now = time.monotonic()
        used = [
            [len(event.body.used) for event in ledger.events(study, "round.closed")[done:closed]]
            for study in many.studies
        ]
        processes = processes_of(pid)
        row = {
            "round": closed, "seconds": round(now - began, 2),
            "answers": min(map(sum, zip(*used, strict=True))),
            "mb": {name: one["mb"] for name, one in processes.items()},
            "all_mb": round(sum(one["mb"] for one in processes.values()), 1),
            "cpu": {name: one["cpu"] for name, one in processes.items()},
        }  # fmt: skip
        sys.stderr.write(json.dumps(row) + "\n")
        done, began = closed, now
        yield row


def processes_of(pid: int) -> dict[str, dict[str, float]]:
    """Proportional bytes (MB) and processor seconds of the hub and all that it started."""
    found: dict[str, dict[str, float]] = {}
    for one in sorted({pid} | descendants(pid)):
        with contextlib.suppress(OSError, StopIteration):
            words = Path(f"/proc/{one}/cmdline").read_bytes().split(b"\0")
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
            kilo = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            ticks = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[11:13]
            cpu = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
            row = found.setdefault(_name(words), {"mb": 0.0, "cpu": 0.0})
            row["mb"] = round(row["mb"] + kilo / 1024, 1)
            row["cpu"] = round(row["cpu"] + cpu, 1)
    return found


def _name(words: list[bytes]) -> str:
    """What a process is called in the table: the first word that says what it runs."""
    for word in words[1:]:
        name = word.decode(errors="replace").rsplit("/", 1)[-1]
        if name.startswith("flwr") or name.startswith("flower") or name == "hub.federation.keeper":
            return name
    return "hub serve" if b"serve" in words else "other"


def judged(rows: list[dict[str, Any]], asked: argparse.Namespace) -> dict[str, Any]:
    """Figures beside their bars."""
    if not rows:
        return {"good": False}
    steps = [row["seconds"] for row in rows]
    most = max(row["all_mb"] for row in rows) / 1024
    first = next((row for row in rows if row["round"] >= FROM_ROUND), rows[-1])
    after = [row["all_mb"] for row in rows if row["round"] > first["round"]]
    # Not the last row alone: by then the ServerApps of studies that are over have gone.
    growth = max(after, default=first["all_mb"]) / first["all_mb"] - 1
    answers = min(row["answers"] for row in rows)
    return {
        "sites": asked.sites, "studies": asked.studies,
        "rounds": asked.rounds, "recipe": asked.recipe,
        "fewest_answers": answers, "most_gb": round(most, 3), "bar_gb": BAR_GB,
        "growth": round(growth, 4), "bar_growth": BAR_GROWTH,
        "first_seconds": steps[0], "median_seconds": statistics.median(steps[1:] or steps),
        "closed": rows[-1]["round"],
        "good": (answers, rows[-1]["round"]) == (asked.sites, asked.rounds)
        and most < BAR_GB and growth <= BAR_GROWTH,
    }  # fmt: skip


def _say(what: str, seconds: float) -> None:
    sys.stderr.write(f"{what} after {seconds:.0f} s\n")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
