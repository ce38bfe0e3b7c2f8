"""What can be wrong at a hospital: each fault has a code of its own, and its fix works.

The fault is made, the doctor names it, what it says is done, and the doctor is silent about it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

import pytest
import uvicorn

from hub.services.authority import make_authority
from site_node import wiring
from site_node.gate.hub_client import HubClient
from site_node.gate.line import proxy_for
from tests.site_node.shell import Site

Step = Callable[[], None]


@dataclass
class Ward:
    """A member's shell, and the means to break things and mend them."""

    site: Site
    patch: pytest.MonkeyPatch
    folder: Path

    @property
    def home(self) -> Path:
        """The site's folder."""
        return self.site.world.home

    def codes(self) -> set[str]:
        """What the doctor finds wrong now."""
        _, out = self.site.run("doctor", "--json")
        return {row["code"] for row in json.loads(out)["checks"] if not row["well"]}

    def fix_of(self, code: str) -> str:
        """What the doctor says to do about it."""
        _, out = self.site.run("doctor", "--json")
        return next(row["fix"] for row in json.loads(out)["checks"] if row["code"] == code)

    def setting(self, name: str, value: str) -> Step:
        """Write another value into `site.toml`; returns how to put the old one back."""
        path = self.home / "site.toml"
        before = path.read_text(encoding="utf-8")
        lines = [line for line in before.splitlines() if not line.startswith(f"{name} ")]
        path.write_text("\n".join([*lines, f'{name} = "{value}"', ""]), encoding="utf-8")
        return lambda: _write(path, before)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def ward(member: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ward:
    """A site that has joined."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return Ward(member, monkeypatch, tmp_path)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def hub_with(tls: Path, host: str = "127.0.0.1") -> Iterator[str]:
    """Something that answers with this certificate; gives its address."""

    async def app(_scope: object, _receive: object, _send: object) -> None:
        raise AssertionError("a request came through")

    listener = socket.create_server((host, 0))
    pair = {"ssl_certfile": str(tls / "server.pem"), "ssl_keyfile": str(tls / "server.key")}
    config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none", **pair)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"https://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def open_folder(ward: Ward) -> Step:
    """Somebody made the home readable."""
    ward.home.chmod(0o755)
    return lambda: ward.home.chmod(0o700)


def open_key(ward: Ward) -> Step:
    """A copy of the keys came back with other rights."""
    path = ward.home / "keys" / "node.key"
    path.chmod(0o644)
    return lambda: path.chmod(0o600)


def closed_port(ward: Ward) -> Step:
    """Nobody listens there."""
    return ward.setting("hub_address", f"https://127.0.0.1:{_free_port()}")


def unknown_name(ward: Ward) -> Step:
    """A typing mistake in the address (RFC 6761: never resolved)."""
    return ward.setting("hub_address", "https://hub.invalid")


def dead_proxy(ward: Ward) -> Step:
    """The proxy moved."""
    ward.patch.setenv("HTTPS_PROXY", f"http://anna:secret@127.0.0.1:{_free_port()}")
    return lambda: ward.patch.setenv("NO_PROXY", "127.0.0.1")


def other_authority(ward: Ward) -> Step:
    """A proxy that opens TLS, or a file of another hub."""
    path = ward.home / "ca.pem"
    before = path.read_text(encoding="ascii")
    make_authority(ward.folder / "other", "other.example", "127.0.0.1", datetime.now(UTC))
    path.write_bytes((ward.folder / "other" / "ca.pem").read_bytes())
    return lambda: _write(path, before)


def late_clock(ward: Ward) -> Step:
    """The battery of the clock is empty."""
    ward.patch.setattr(wiring, "site_rooms", functools.partial(wiring.Rooms, clock=_nine_late))
    return lambda: ward.patch.setattr(wiring, "site_rooms", wiring.Rooms)


def _nine_late() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=9)


def old_database(ward: Ward) -> Step:
    """The software is newer than the database."""
    with closing(sqlite3.connect(ward.home / "site.sqlite")) as database:
        database.execute("DROP TABLE alembic_version")
        database.commit()
    return lambda: _done(ward.site.run("upgrade")[0])


def taken_port(ward: Ward) -> Step:
    """Another program listens where the PACS is to send."""
    other = socket.create_server(("127.0.0.1", 0))
    ward.setting("scp_disk_floor_gb", "0")
    ward.setting("scp_allow", "CT1@127.0.0.1")
    ward.setting("scp_port", str(other.getsockname()[1]))
    return other.close


def away_pacs(ward: Ward) -> Step:
    """The PACS moved."""
    return ward.setting("pacs_url", f"http://127.0.0.1:{_free_port()}/dicom-web")


def cut_ledger(ward: Ward) -> Step:
    """Somebody took the newest line out of the ledger of what left."""
    path = ward.home / "site.sqlite"
    kept = path.with_name("kept.sqlite")
    with closing(sqlite3.connect(path)) as database:
        database.execute("VACUUM INTO ?", (str(kept),))
        for (name,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'egress'"
        ).fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute("DELETE FROM egress WHERE id = (SELECT max(id) FROM egress)")
        database.commit()
    return lambda: _put_back(kept, path)


def _put_back(kept: Path, path: Path) -> None:
    for beside in path.parent.glob(f"{path.name}-*"):
        beside.unlink()
    kept.replace(path)


def _done(code: int) -> None:
    assert code == 0


FAULTS = {
    "folder_open": (open_folder, "chmod 700"),
    "key_open": (open_key, "chmod 600"),
    "port_closed": (closed_port, "Check the address"),
    "address_unknown": (unknown_name, "Correct hub_address in site.toml"),
    "proxy_away": (dead_proxy, "name the hub's host in NO_PROXY"),
    "tls_unknown_ca": (other_authority, "the hub for its code"),
    "clock_skew": (late_clock, "Set the clock by NTP"),
    "receiver_down": (taken_port, "Choose another scp_port"),
    "pacs_away": (away_pacs, "Check pacs_url"),
    "egress_broken": (cut_ledger, "call the auditor"),
    "database_old": (old_database, "Run `consilium site upgrade`"),
}


@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_has_its_own_code_and_its_fix_works(ward: Ward, code: str) -> None:
    """Made, named, mended, gone."""
    before = ward.codes()
    assert code not in before
    make, words = FAULTS[code]

    mend = make(ward)
    found = ward.codes()
    assert code in found
    assert found - before == {code}, "one fault, one code"
    assert words in ward.fix_of(code)
    assert "delete" not in ward.fix_of(code).lower()

    mend()
    assert ward.codes() == before


@pytest.mark.parametrize(("seconds", "told"), [(6, True), (-300, True), (-60, False)])
def test_a_clock_that_is_wrong_in_either_direction(ward: Ward, seconds: int, *, told: bool) -> None:
    """Six seconds ahead Flower refuses the site; a minute behind nothing happens."""
    wrong = functools.partial(_off_by, timedelta(seconds=seconds))
    ward.patch.setattr(wiring, "site_rooms", functools.partial(wiring.Rooms, clock=wrong))
    assert ("clock_skew" in ward.codes()) == told


def _off_by(difference: timedelta) -> datetime:
    return datetime.now(UTC) + difference


@pytest.mark.parametrize(("slow", "told"), [(1, False), (100, True)])
def test_a_busy_hub_is_no_wrong_clock(ward: Ward, slow: int, *, told: bool) -> None:
    """One date that was made long before it was sent says nothing; dates that all are old do."""
    said = HubClient.hub_time
    asked = []

    def hub_time(hub: HubClient) -> str:
        asked.append(said(hub))
        late = timedelta(seconds=5 if len(asked) <= slow else 0)
        return format_datetime(
            parsedate_to_datetime(asked[-1]).replace(tzinfo=UTC) - late, usegmt=True
        )

    ward.patch.setattr(HubClient, "hub_time", hub_time)
    assert ("clock_skew" in ward.codes()) == told
    assert len(asked) > 1


def test_a_certificate_past_its_dates_is_told_from_a_foreign_one(ward: Ward) -> None:
    """Its renewal mends it; the sentence asks about the clock first."""
    old = ward.folder / "old"
    make_authority(old, "hub.example", "127.0.0.1", datetime.now(UTC) - timedelta(days=900))
    before = (ward.home / "ca.pem").read_bytes()
    with hub_with(old) as address:
        (ward.home / "ca.pem").write_bytes((old / "ca.pem").read_bytes())
        back = ward.setting("hub_address", address)
        assert "certificate_expired" in ward.codes()
        assert "Is this machine's clock right?" in ward.fix_of("certificate_expired")
        back()
    (ward.home / "ca.pem").write_bytes(before)
    assert "certificate_expired" not in ward.codes()


def test_a_certificate_for_another_name_is_told_too(ward: Ward) -> None:
    """The right authority, another machine."""
    other = ward.folder / "named"
    make_authority(other, "hub.example", "hub.example", datetime.now(UTC))
    with hub_with(other, "127.0.0.2") as address:
        (ward.home / "ca.pem").write_bytes((other / "ca.pem").read_bytes())
        ward.setting("hub_address", address)
        assert "certificate_name" in ward.codes()


def test_the_password_of_a_proxy_is_in_no_sentence(ward: Ward) -> None:
    """It may stand in the variable; the finding names host and port only."""
    dead_proxy(ward)
    _, out = ward.site.run("doctor")
    assert "proxy 127.0.0.1:" in out
    assert "secret" not in out + ward.site.said


@pytest.mark.parametrize(
    ("proxy", "passed", "told"),
    [
        ("http://p.example:3128", "", "p.example:3128"),
        ("p.example:3128", "", "p.example:3128"),
        ("http://a:b@p.example:3128", "", "p.example:3128"),
        ("http://p.example:3128", "hub.example", ""),
        ("", "", ""),
    ],
)
def test_the_proxy_in_between_is_the_one_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, proxy: str, passed: str, told: str
) -> None:
    """As every other program of the machine finds it."""
    for name in ("HTTPS_PROXY", "ALL_PROXY", "all_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setenv("no_proxy", passed)
    assert proxy_for("https://hub.example") == told
