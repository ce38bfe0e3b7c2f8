"""The same statements give the same log on either database, to the last byte of its bundle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compliance.errors import Refused
from tests.dashboard.stage import Stage
from tests.hub.house import NAMES, rows_of
from tests.postgres import Cluster

EAST, NORTH, SOUTH = NAMES
LEDGER = ("log", "log_entry", "log_node", "log_checkpoint", "log_cosignature")


def drawn() -> Callable[[int], bytes]:
    """The same draws for every hub: study ids, keys, nonces."""
    numbers = iter(range(10_000))
    return lambda count: hashlib.sha512(f"draw {next(numbers)}".encode()).digest()[:count]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, postgres: Cluster) -> Iterator[dict[str, Stage]]:
    """Two hubs that differ in their database only, after the same story."""
    urls = {"sqlite": None, "postgres": postgres.database()}
    folder = tmp_path_factory.mktemp("both")
    made = {
        name: Stage(folder / name, database_url=url, random=drawn()) for name, url in urls.items()
    }
    for stage in made.values():
        tell(stage)
    yield made
    for stage in made.values():
        stage.close()


def tell(stage: Stage) -> None:
    """Two rounds, refusals, a hospital that leaves and comes back, a release, a suspension."""
    study = stage.run(1, absent={1: SOUTH})
    ledger = stage.rooms.ledger
    with pytest.raises(Refused):
        ledger.submit(study, stage.note("round.aborted", aborted(7), f"{NORTH}/node"))
    stage.tick()
    ledger.append(study, stage.note("site.withdrawn", {"reason": "policy"}, f"{SOUTH}/node"))
    stage.tick()
    back = {"charter": ledger.state(study).version_id}
    ledger.append(study, stage.note("site.joined", back, f"{SOUTH}/institution"))
    stage.play_round()
    stage.agree(EAST, NORTH)
    stage.settle()
    stage.rooms.releases.release(study)
    stage.settle()
    stage.suspend(SOUTH)
    stage.again().ready()


def aborted(number: int) -> dict[str, Any]:
    """The body of a round that is given up."""
    return {"round": number, "reason": "operator", "on_behalf": None}


def told(stage: Stage, table: str) -> list[str]:
    """The rows of a table in one order, as text."""
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in plain(stage, table))


def plain(stage: Stage, table: str) -> Iterator[dict[str, Any]]:
    """Rows in which yes and no are numbers, as SQLite writes them."""
    for row in rows_of(stage.rooms.database, table):
        yield {
            name: int(value) if isinstance(value, bool) else value for name, value in row.items()
        }


@pytest.mark.parametrize("log", ["study", "consortium"])
def test_the_same_statements_give_the_same_log_on_either_database(
    both: dict[str, Stage], log: str
) -> None:
    """Entries, checkpoints and folded state are equal, byte for byte, whoever keeps the rows."""
    one, other = both["sqlite"], both["postgres"]
    name = one.study if log == "study" else log

    left, right = one.rooms.ledger, other.rooms.ledger

    assert one.study == other.study
    assert left.entries(name, 0) == right.entries(name, 0)
    assert left.checkpoint(name, latest=True) == right.checkpoint(name, latest=True)
    assert left.state_of(name).root() == right.state_of(name).root()


@pytest.mark.parametrize("table", LEDGER)
def test_every_table_of_the_ledger_holds_the_same_rows(both: dict[str, Stage], table: str) -> None:
    """Whatever stands in the tables of the logs, indexes too, is the same on both."""
    rows = told(both["sqlite"], table)

    assert rows == told(both["postgres"], table)
    assert rows


def test_a_bundle_is_the_same_file_whichever_database_kept_the_log(
    both: dict[str, Stage], tmp_path: Path
) -> None:
    """An auditor cannot tell, and need not ask, where the hub keeps its rows."""
    files = {}
    for name, stage in both.items():
        made = stage.rooms.exports.bundle(stage.study, tmp_path / f"of {name}", wait=0)
        files[name] = Path(made["bundle"]).read_bytes()

    assert files["sqlite"] == files["postgres"]
