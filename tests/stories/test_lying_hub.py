"""A hub rewrites its own history, with its own key and its triggers dropped; nobody believes it.

Real processes: the hub's program without its check at the start, and each hospital's agent. An
auditor gets two bundles of each lie: with the hub's own checkpoint, and with the old one that the
hospitals cosigned.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from compliance.canonical import sha256_id
from compliance.command import main
from compliance.errors import NotProven
from compliance.ledger.policy import Policy
from compliance.records.envelope import parse_event, write_event
from compliance.report.bundle import Material, build, write_zip
from compliance.signing.keys import COSIGNATURE, NOTE, SigningKey
from compliance.signing.note import parse, seal
from hub.demo.processes import free_port
from hub.settings import load_settings as load_hub
from hub.wiring import hub_rooms
from site_node.settings import load_settings
from site_node.wiring import Rooms
from tests.house import House
from tests.report.evidence import lied, over
from tests.stories import liar

SITES = ("north.example", "south.example", "west.example")
INTERVAL = 60
"""Seconds between two looks of a witness here: whoever alarms before did so at its first look."""

Lie = Callable[["Town"], Sequence[bytes]]


@dataclass
class Town:
    """Homes of one honest history, from which each lie begins anew."""

    folder: Path
    study: str
    notes: list[bytes]
    policy: str
    cosigned: bytes
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def hub(self) -> Path:
        """The hub's home."""
        return self.folder / "hub"

    def begin(self, module: str, home: Path) -> None:
        """Start one process; its output stands beside the home."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CONSILIUM_")}
        with (self.folder / f"{home.name}.log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", f"tests.stories.{module}", str(home)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=kept | {"CONSILIUM_SITE_POLL_SECONDS": str(INTERVAL)},
            )  # fmt: skip
        self.children.append(child)

    def begin_liar(self) -> None:
        """Start the hub and wait until its door is open."""
        self.begin("liar", self.hub)
        settings, end = load_hub(self.hub), time.monotonic() + INTERVAL
        with closing(socket.socket()) as door:
            while door.connect_ex((settings.host, settings.listen_port)):
                assert time.monotonic() < end, self.logs()
                time.sleep(0.1)

    def end(self) -> None:
        """End every process, by its own id."""
        for child in reversed(self.children):
            os.killpg(child.pid, signal.SIGTERM)
            child.wait(timeout=20)
        self.children.clear()

    def alarms(self, site: str) -> list[str]:
        """What alarmed a hospital about this study, by rule."""
        with Rooms(load_settings(self.folder / site)) as rooms:
            return [alarm.rule for alarm in rooms.mirror.alarms(self.study)]

    def alarms_at_first_look(self) -> list[str]:
        """Start every hospital; the alarm of each within one interval, or the logs."""
        end = time.monotonic() + INTERVAL
        for site in SITES:
            self.begin("onlooker", self.folder / site)
        while True:
            found = [self.alarms(site) for site in SITES]
            if all(found):
                return [rules[0] for rules in found]
            assert time.monotonic() < end, f"{found}\n{self.logs()}"
            time.sleep(0.3)

    def logs(self) -> str:
        """The ends of every log."""
        return "\n".join(path.read_text()[-1500:] for path in sorted(self.folder.glob("*.log")))


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A study with one closed round, mirrored and cosigned by three hospitals."""
    folder = tmp_path_factory.mktemp("honest")
    house = House(folder, _Quiet(), SITES, address=f"https://127.0.0.1:{free_port()}")
    house.launch()
    house.close_round()
    house.time.forward(seconds=6)
    house.look()
    assert house.look() == ["same"] * 3
    ledger, study = house.hub.ledger, house.study
    policy, cosigned = ledger.policy(study), ledger.checkpoint(study)
    town = Town(folder, study, ledger.entries(study, 0), policy, cosigned)
    for rooms in house.sites.values():
        rooms.__exit__()
    house.hub.database.engine.dispose()
    return town


class _Quiet:
    """Stands in for pytest's capture, which a module's fixture cannot have."""

    def readouterr(self) -> None:
        """Nothing is captured here."""


@pytest.fixture
def town(honest: Town, tmp_path: Path) -> Iterator[Town]:
    """The same homes once more, and every process ended afterwards."""
    copy = tmp_path / "town"
    shutil.copytree(honest.folder, copy)
    town = Town(copy, honest.study, honest.notes, honest.policy, honest.cosigned)
    try:
        yield town
    finally:
        town.end()


def hub_says(town: Town, kind: str, body: dict[str, Any], number: int = 0, log: str = "") -> bytes:
    """A statement of the hub as it may have been, signed with its true key."""
    rooms = hub_rooms(load_hub(town.hub))
    state = rooms.ledger.state(town.study)
    text = write_event(
        kind, body, time=state.newest_time, actor=rooms.keys.events.name,
        log=log or state.charter_id, nonce=f"{number:02x}" * 16,
    )  # fmt: skip
    return seal(text, rooms.keys.events)


def shorter(town: Town) -> Sequence[bytes]:
    """The last entries never happened."""
    return town.notes[:-2]


def another_end(town: Town) -> Sequence[bytes]:
    """As long as before, with another last entry."""
    stop = hub_says(town, "study.stopped", {"reason": "operator", "on_behalf": None})
    return [*town.notes[:-1], stop]


def another_order(town: Town) -> Sequence[bytes]:
    """Two updates change places."""
    notes = list(town.notes)
    notes[-3], notes[-2] = notes[-2], notes[-3]
    return notes


def one_left_out(town: Town) -> Sequence[bytes]:
    """A hospital's update is gone, and the log goes on as if it had never come."""
    stop = hub_says(town, "study.stopped", {"reason": "operator", "on_behalf": None})
    return [*town.notes[:-3], *town.notes[-2:], stop]


def in_a_hospitals_name(town: Town) -> Sequence[bytes]:
    """A withdrawal that the hospital never said, signed with a key that the hub made."""
    state = hub_rooms(load_hub(town.hub)).ledger.state(town.study)
    text = write_event(
        "site.withdrawn", {"reason": "other"}, time=state.newest_time, actor="north.example/node",
        log=state.charter_id, nonce="cd" * 16,
    )  # fmt: skip
    return [*town.notes, seal(text, SigningKey("north.example/node", 1, bytes(31) + b"\x09"))]


def one_word_changed(town: Town) -> Sequence[bytes]:
    """A number in a hospital's update is another one; its signature stays as it was."""
    notes = list(town.notes)
    notes[-2] = notes[-2].replace(b'"n":40', b'"n":41')
    assert notes != town.notes
    return notes


def all_after_the_charter(town: Town) -> Sequence[bytes]:
    """Nothing but the charter stays; the hub says more than there was, in its own name."""
    stop = {"reason": "operator", "on_behalf": None}
    return [town.notes[0], *(hub_says(town, "study.stopped", stop, n) for n in range(12))]


def another_charter(town: Town) -> Sequence[bytes]:
    """Even the charter is another one, with keys that the hub made for everybody."""
    rooms = hub_rooms(load_hub(town.hub))
    body = parse_event(parse(town.notes[0]).text).body.plain()
    keys = [
        {role: invented(site["name"], role) for role in ("institution", "node", "witness")}
        for site in body["sites"]
    ]  # fmt: skip
    researcher = SigningKey("lead.example/r-1", 1, bytes(31) + b"\x07")
    sites = [
        {"name": site["name"], **{role: str(key.verifier) for role, key in own.items()}}
        for site, own in zip(body["sites"], keys, strict=True)
    ]
    body |= {"sites": sites, "researcher": str(researcher.verifier), "title": "Another purpose"}
    time = rooms.ledger.state(town.study).newest_time
    charter = seal(
        write_event("charter", body, time=time), *(own["institution"] for own in keys), researcher
    )
    log = sha256_id(parse(charter).text)
    stop = {"reason": "operator", "on_behalf": None}
    return [charter, *(hub_says(town, "study.stopped", stop, n, log) for n in range(12))]


def invented(site: str, role: str) -> SigningKey:
    """A key that the hub makes in a hospital's name."""
    seed = hashlib.sha256(f"{site} {role}".encode()).digest()
    return SigningKey(f"{site}/{role}", COSIGNATURE if role == "witness" else NOTE, seed)


LIES: dict[str, tuple[Lie, set[str], set[int]]] = {
    "edited": (one_word_changed, {"checkpoint.proof"}, {9}),
    "left out": (one_left_out, {"checkpoint.proof"}, {10}),
    "reordered": (another_order, {"checkpoint.proof"}, set()),
    "truncated": (shorter, {"checkpoint.old"}, set()),
    "forked": (another_end, {"checkpoint.proof"}, set()),
    "rewritten": (all_after_the_charter, {"checkpoint.proof"}, set()),
    "rewritten from the charter on": (another_charter, {"checkpoint.proof"}, {8}),
    "forged": (in_a_hospitals_name, {"note.form", "event.signer", "own.forged"}, {9}),
}
"""The lie, what a hospital calls it, and which steps of the verifier fail by the entries alone."""


@pytest.mark.parametrize("name", LIES)
def test_a_hub_that_rewrites_its_log_is_caught_by_every_hospital(town: Town, name: str) -> None:
    """Each hospital alarms at its next look, cosigns nothing, and its doctor says so.

    An interval is a minute here, so nobody looks twice.
    """
    lie, rules, _ = LIES[name]
    checkpoint = liar.rewrite(town.hub, town.study, lie(town))

    town.begin_liar()
    found = town.alarms_at_first_look()
    town.end()

    assert set(found) <= rules
    with pytest.raises(NotProven):
        Policy.parse(town.policy).judge(newest(town))
    assert main(["site", "doctor", "--home", str(town.folder / SITES[0]), "--json"]) == 2
    if name == "forked":
        assert fork_is_proven(town, checkpoint)


@pytest.mark.parametrize("name", LIES)
def test_an_auditor_refutes_the_bundle_of_a_hub_that_rewrote_its_log(
    town: Town, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The hub's own checkpoint has no quorum; under the old one the entries lead elsewhere."""
    lie, _, steps = LIES[name]
    honest = bundle(town, town.notes, town.cosigned)
    entries = list(lie(town))
    own = liar.rewrite(town.hub, town.study, entries)

    assert verified(town, honest, capsys) == (0, set())
    code, failed = verified(town, bundle(town, entries, own), capsys)
    assert (code, 5 in failed, steps <= failed) == (1, True, True)
    code, failed = verified(town, bundle(town, entries, town.cosigned), capsys)
    assert (code, 6 in failed, steps <= failed) == (1, True, True)


def bundle(town: Town, entries: list[bytes], checkpoint: bytes) -> bytes:
    """A bundle over these entries, signed by the hub, whatever stands in it."""
    key = hub_rooms(load_hub(town.hub)).keys.events
    files = build(Material(town.notes, town.cosigned, key))
    if entries != town.notes:
        files = lied(files, over(files, entries) | {"data/log/checkpoint": checkpoint}, key)
    return write_zip(files)


def verified(town: Town, data: bytes, capsys: pytest.CaptureFixture[str]) -> tuple[int, set[int]]:
    """What `consilium audit verify` says with the hospitals' policy and charter: code, failures."""
    path, policy = town.folder / "bundle.zip", town.folder / "policy.txt"
    path.write_bytes(data)
    policy.write_text(town.policy)
    capsys.readouterr()
    known = ["--policy", str(policy), "--charter", sha256_id(parse(town.notes[0]).text)]
    code = main(["audit", "verify", str(path), *known, "--json"])
    steps = json.loads(capsys.readouterr().out)["steps"]
    return code, {step["number"] for step in steps if step["result"] == "fail"}


def newest(town: Town) -> bytes:
    """The hub's newest checkpoint with every cosignature it got."""
    rooms = hub_rooms(load_hub(town.hub))
    try:
        return rooms.ledger.checkpoint(town.study, latest=True)
    finally:
        rooms.database.engine.dispose()


def fork_is_proven(town: Town, lie: bytes) -> bool:
    """Two signed checkpoints of one size with two roots prove the fork to anybody."""
    with Rooms(load_settings(town.folder / SITES[0])) as rooms:
        head = rooms.mirror.head(town.study)
    assert head is not None
    files = {"hub.checkpoint": lie, "hospital.checkpoint": head.note}
    files["policy.txt"] = town.policy.encode()
    for name, data in files.items():
        (town.folder / name).write_bytes(data)
    words = [str(town.folder / name) for name in ("hub.checkpoint", "hospital.checkpoint")]
    return main(["audit", "compare", *words, "--policy", str(town.folder / "policy.txt")]) == 1
