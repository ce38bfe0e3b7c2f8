"""Real processes fail and the study goes on: a node is killed, comes back, too few are left."""

from __future__ import annotations

import base64
import os
import signal
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_public_key,
)

from hub.demo.processes import CommandFailed
from hub.federation.keeper import descendants
from tests.stories.town import Town


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Three hospitals, a study whose rounds may last a minute; two updates make a model."""
    town = Town(tmp_path_factory.mktemp("faults"), sites=3, patients=180)
    try:
        town.open()
        town.serve()
        yield town
    finally:
        town.close()


def test_a_superlink_that_is_killed_costs_time_and_no_round(town: Town) -> None:
    """Flower's own server dies: a new one takes over, the nodes come back, the study goes on."""
    town.propose(max_rounds=60, round_seconds=120, min_sites=2, min_examples=5, min_cell=5)
    town.sign()
    town.launch()
    told = town.wait(lambda told: closed(told) >= 1)

    hub = next(child for name, child in town.cast.servers() if name == "hub")
    for pid in descendants(hub.pid):
        if b"flower-superlink" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    before = closed(told)

    back = town.wait(lambda told: closed(told) >= before + 2)

    assert [row["type"] for row in town.entries()].count("round.closed") >= before + 2
    assert [row["round"] for row in back["rounds"]] == sorted({r["round"] for r in back["rounds"]})


def closed(told: Mapping[str, Any]) -> int:
    """How many rounds are closed."""
    return int(told["rounds_closed"])


def test_a_node_that_is_killed_costs_one_round_and_comes_back_by_itself(town: Town) -> None:
    """Killed in mid-round: the others go on, the record names it; restarted, it takes part."""
    town.kill("south")
    told = town.wait(lambda told: "south.example" in missing(told))
    assert missing(told)["south.example"] in {"offline", "failed", "no_answer"}
    assert len(told["rounds"][-1]["used"]) == 2

    before = closed(told)
    town.serve("south")
    back = town.wait(
        lambda told: any("south.example" in row["used"] for row in told["rounds"][before:])
    )
    assert closed(back) > before


def missing(told: Mapping[str, Any]) -> dict[str, str]:
    """Who was missing in the newest closed round."""
    rounds = told["rounds"]
    return dict(rounds[-1]["missing"]) if rounds else {}


def test_a_hospital_that_the_others_suspend_is_refused_everywhere_within_a_minute(
    town: Town,
) -> None:
    """Two sign: its node, its requests and its updates are refused, and the rounds go on."""
    assert passes(town, "north")
    assert passes(town, "west")
    motion = town.ask_site("north", "suspend", "west.example", "--reason", "security")
    if motion["state"] != "carried":
        town.ask_site("south", "sign", motion["id"], "--yes")

    town.until(lambda: not passes(town, "west"), 60)
    town.until(lambda: refused(town, "west"), 60)
    for site in ("north", "south"):
        members = town.ask_site(site, "agreement")["members"]
        assert members["west.example"] == "suspended"
    assert passes(town, "north")

    before = closed(town.told())
    told = town.wait(lambda told: closed(told) >= before + 2)
    assert set(told["rounds"][-1]["used"]) == {"north.example", "south.example"}


def passes(town: Town, site: str) -> bool:
    """Whether a request with this hospital's Flower key gets through the hub's public port."""
    public = (Path(town.play.home(site)) / "keys" / "flower.pub").read_bytes()
    pem = load_ssh_public_key(public).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    trust = ssl.create_default_context(cafile=str(Path(town.play.hub) / "tls" / "ca.pem"))
    with httpx.Client(verify=trust, base_url=town.play.address) as client:
        headers = {"flwr-public-key": base64.b64encode(pem).decode()}
        answer = client.post("/v1/fleet/get-run", content=b"x", headers=headers)
    return answer.status_code != 404


def refused(town: Town, site: str) -> bool:
    """Whether the hub's API refuses this hospital's own signed request."""
    try:
        town.ask_site(site, "studies")
    except CommandFailed as error:
        return "suspended this hospital" in str(error)
    return False


def test_with_too_few_hospitals_the_round_is_aborted_and_recorded(town: Town) -> None:
    """Two of three are killed: nothing hangs, the abort stands in the log."""
    town.kill("north")
    town.kill("west")

    def aborted() -> list[str]:
        rows = [row for row in town.entries() if row["type"] == "round.aborted"]
        return [row["body"]["reason"] for row in rows]

    town.until(lambda: bool(aborted()))

    assert aborted()[-1] == "too_few"


def test_a_stop_ends_the_study_for_the_hospital_that_is_left(town: Town) -> None:
    """One word of the researcher, and no further round is opened."""
    town.ask_study("stop", town.play.study, "--reason", "safety")

    told = town.wait(lambda told: told["stopped"] is not None, 30)

    assert told["stopped"] is not None
