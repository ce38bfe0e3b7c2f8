"""The hub dies for good, and any member carries on: by the guide, by commands, with real processes.

docs/guides/administrator.md, "The hub is lost", is followed word for word.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from compliance.records.types import time_text
from hub.settings import load_settings as load_hub
from hub.wiring import hub_rooms
from site_node.settings import load_settings
from site_node.wiring import Rooms
from tests.stories.orphans import NAME, SITES, Orphans

NORTH, SOUTH, WEST = SITES


@pytest.fixture(scope="module")
def orphans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orphans]:
    """A hub and three hospitals in their own processes; nothing has happened yet."""
    made = Orphans(tmp_path_factory.mktemp("orphans"))
    try:
        yield made
    finally:
        made.cast.end()


@pytest.fixture(scope="module")
def carried(orphans: Orphans) -> Orphans:
    """The hub was killed and its home thrown away; a successor was made as the guide says."""
    old = orphans.serve(orphans.old_hub)
    orphans.watch()
    orphans.until(lambda: all(size(orphans, site) for site in SITES))
    orphans.kill(old)
    lost = time_text(datetime.now(UTC))
    orphans.old_hub.rename(orphans.folder / "stolen")
    address = f"https://127.0.0.1:{orphans.port}"
    home = ("--home", str(orphans.new_hub))

    done(orphans, "hub", "init", "--name", NAME, "--address", address, *home)
    done(orphans, "hub", "sign-bundle", *home)
    told = done(orphans, "hub", "rebuild", *orphans.mirrors("mirrors"), "--lost", lost, *home)
    assert told["lacking"] == {}
    assert told["hospitals"] == list(SITES)
    orphans.serve(orphans.new_hub)
    code = done(orphans, "hub", "successor", *home)["code"]
    followed = orphans.everywhere("follow", code, "--yes", "--json")
    assert [said.code for said in followed] == [0] * len(SITES), followed
    for site in SITES:
        orphans.cast.stop(site)
    orphans.watch()
    signed = [orphans.at_site(site, "takeover", "--yes", "--json") for site in SITES]
    assert [said.code for said in signed] == [0] * len(SITES), signed
    assert orphans.do("hub", "successor", *home).code == 2
    return orphans


def test_the_logs_go_on_where_they_stood(carried: Orphans) -> None:
    """A hospital withdraws: the successor takes it in, and a quorum cosigns it."""
    before = size(carried, NORTH)

    said = carried.at_site(WEST, "withdraw", carried.study, "--json")

    assert said.plain["on_record"], said
    carried.until(lambda: all(size(carried, site) > before for site in SITES))
    assert not [alarm for site in SITES for alarm in alarms(carried, carried.home(site))]


def test_a_bundle_that_spans_the_takeover_is_verified(carried: Orphans) -> None:
    """With the policy that a hospital has now; the older policy cannot tell, and says why."""
    study, home = carried.study, ("--home", str(carried.new_hub))
    policy = carried.at_site(NORTH, "show", study, "--policy").out
    mirror = carried.folder / "mirrors" / NORTH / study
    older = (mirror / "policy.txt").read_text()
    taken_over = int((mirror / "checkpoint.latest").read_text().split("\n")[1])
    assert policy != older
    for name, text in (("new.txt", policy), ("old.txt", older)):
        (carried.folder / name).write_text(text)
    out = str(carried.folder / "evidence")
    bundle = done(carried, "audit", "export", study, "--out", out, *home)["bundle"]

    now = carried.do("audit", "verify", bundle, "--policy", str(carried.folder / "new.txt"))
    then = carried.do("audit", "verify", bundle, "--policy", str(carried.folder / "old.txt"))

    assert now.code == 0, now
    assert then.code == 2, then
    assert f"entry {taken_over} changed the key" in then.out


def test_the_old_hub_with_its_old_keys_is_refused(carried: Orphans) -> None:
    """It comes back from the dead, or from a thief's disk: nobody follows it and nobody cosigns."""
    stolen = carried.folder / "stolen"
    child = carried.serve(stolen)
    try:
        alone = carried.do("hub", "successor", "--home", str(stolen))
        back = carried.at_site(NORTH, "follow", code_of(stolen), "--yes")
        astray = carried.folder / "astray"
        shutil.copytree(carried.home(NORTH), astray)
        shutil.copy(astray / "site.toml.before", astray / "site.toml")
        shutil.copy(stolen / "tls" / "ca.pem", astray / "ca.pem")
        carried.cast.serve("astray", str(astray), module="tests.stories.onlooker")
        carried.until(lambda: bool(alarms(carried, astray)))
    finally:
        carried.kill(child)

    assert alone.code == 2
    assert back.code == 1, back
    assert "knows less" in back.err
    assert set(alarms(carried, astray)) <= {"checkpoint.old", "checkpoint.key"}


def done(orphans: Orphans, *words: str) -> Any:
    """Run a command that must end with 0; returns what it says to machines."""
    said = orphans.do(*words, "--json")
    assert said.code == 0, said
    return said.plain


def size(orphans: Orphans, site: str) -> int:
    """How many entries of the study a hospital has checked and cosigned."""
    with Rooms(load_settings(orphans.home(site))) as rooms:
        head = rooms.mirror.head(orphans.study)
    return head.size if head and head.sent else 0


def alarms(orphans: Orphans, home: Path) -> list[str]:
    """Which rules alarmed a hospital about the study."""
    with Rooms(load_settings(home)) as rooms:
        return [alarm.rule for alarm in rooms.mirror.alarms(orphans.study)]


def code_of(home: Path) -> str:
    """A code that leads to a hub which is no successor: people can be told anything."""
    return hub_rooms(load_hub(home)).members.follow_code()
