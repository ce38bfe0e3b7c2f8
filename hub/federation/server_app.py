"""The Flower ServerApp of every study: finds its study, takes the lease, lets the director work.

It is a child of the SuperLink and builds its parts from the hub's home: same database, same append
as `hub serve`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from compliance.errors import Refused
from hub.federation.director import Director, Stage
from hub.federation.exchange import FlowerExchange
from hub.federation.ring import bell_path, ring
from hub.services.health import UP
from hub.settings import load_settings
from hub.wiring import Rooms, hub_rooms

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Conduct the study that the run names, to its end or until another run takes over."""
    rooms = hub_rooms(load_settings())
    study = str(context.run_config["study"])
    if not rooms.runs.is_wanted(study, str(context.run_id), time.sleep):
        _say(f"study {study}: another run was started since; this one ends")
        return
    with rooms.runs.at_work(study):
        conduct(rooms, study, grid)


def conduct(rooms: Rooms, study: str, grid: Grid) -> None:
    """Take the lease and let the director work to its end."""
    lease = rooms.rounds.begin(study)
    stage = Stage(
        rounds=rooms.rounds,
        exchange=FlowerExchange(
            grid, lambda: nodes_of(rooms), lambda: ring(bell_path(rooms.settings.home))
        ),
        sizes=lambda site, name, version: rooms.catalogue.dataset(site, name, version).examples,
        wait=time.sleep,
        say=_say,
        scores=rooms.scores.keep,
        working=lambda: working_on(rooms.rounds.state(study).charter_id, rooms.members.members()),
    )
    try:
        Director(lease, stage).run()
    except Refused as error:
        _say(f"study {study}: {error}")
        if error.rule != "run.lease":
            raise
    finally:
        rooms.rounds.end(lease)


def nodes_of(rooms: Rooms) -> Mapping[str, str]:
    """Site by Flower node id, for active hospitals."""
    return rooms.members.flower_nodes()


def working_on(log: str, members: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Round of the order that each hospital says it has in hand, of those that are heard."""
    found = {}
    for row in members:
        order = row["health"].get("order")
        if row["health"].get("state") == UP and isinstance(order, dict) and order.get("log") == log:
            found[str(row["name"])] = order.get("round")
    return {site: number for site, number in found.items() if isinstance(number, int)}


def _say(words: str) -> None:
    print(words, flush=True)  # noqa: T201 - goes to the SuperLink's log at the hub
