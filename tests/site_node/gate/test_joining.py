"""Joining: nothing secret before trust, nothing left behind on failure."""

from __future__ import annotations

import errno
import hashlib
import stat
from pathlib import Path
from typing import Any

import pytest

from compliance.errors import ConsiliumError, NotProven, NotReady, Refused
from site_node.gate import joining
from site_node.gate.invitation import PREFIX, read_code
from site_node.gate.joining import Applicant, Connections, join
from site_node.gate.keys import Keys
from site_node.settings import load_settings
from tests.site_node.gate.world import CA, US, World

SOMEBODY = Applicant("North Hospital", None, lambda n: hashlib.sha256(b"x").digest()[:n])


def test_a_joined_home_holds_keys_and_settings_that_only_its_owner_reads(world: World) -> None:
    """One code makes a complete member: keys, certificate, signers, settings."""
    rooms = world.joined()

    settings = load_settings(world.home)
    assert (settings.site, settings.hub_name) == (US, "hub.example")
    assert (world.home / "ca.pem").read_bytes() == CA
    assert "ssh-ed25519" in (world.home / "signers.yaml").read_text()
    for name in ("institution.key", "node.key", "witness.key", "flower.key"):
        assert stat.S_IMODE((world.home / "keys" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(world.home.stat().st_mode) == 0o700
    assert rooms.keys.public.flower.startswith("ecdsa-sha2-nistp384 ")
    assert not list(world.home.glob(".joining-*"))


def test_the_token_stays_here_when_the_hub_shows_another_certificate(world: World) -> None:
    """An impostor between hospital and hub gets nothing, not even a try."""
    sent: list[Any] = []
    connections = Connections(
        authority=lambda _: b"another certificate", open=lambda *a: sent.append(a)
    )

    with pytest.raises(NotProven, match="Nothing was sent"):
        join(world.home, read_code(world.code()), SOMEBODY, connections, world.record)

    assert sent == []
    assert not world.home.exists()


def test_a_used_code_is_refused_and_leaves_nothing_behind(world: World, tmp_path: Path) -> None:
    """A code works once; the second home is as empty as before."""
    world.joined()
    second = tmp_path / "second"

    with pytest.raises(Refused, match="ask for a new one"):
        join(second, read_code(world.code()), SOMEBODY, world.connections(), world.record)

    assert not second.exists()


def test_a_wrong_code_is_refused_and_keeps_what_was_in_the_folder(world: World) -> None:
    """A folder that held something before the failed join holds just that afterwards."""
    world.home.mkdir()
    (world.home / "notes.txt").write_text("mine")

    guessed = read_code(world.code("guess"))
    with pytest.raises(Refused):
        join(world.home, guessed, SOMEBODY, world.connections(), world.record)

    assert [path.name for path in world.home.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("code", ["", "hello", PREFIX + "e30", PREFIX + "!!!!", PREFIX])
def test_a_damaged_code_is_answered_with_what_to_do(code: str) -> None:
    """A code that was cut off says so, before anything is touched."""
    with pytest.raises(NotReady, match=r"(?i)code.*new one"):
        read_code(code)


def test_a_code_split_over_lines_by_a_mail_program_is_read(world: World) -> None:
    """Blanks and line breaks do not belong to a code."""
    code = world.code()

    assert read_code(f" {code[:40]}\n  {code[40:]}\n") == read_code(code)


def test_a_home_that_has_joined_is_not_joined_again(world: World) -> None:
    """Keys are never overwritten by a second join."""
    world.joined()
    before = (world.home / "keys" / "node.key").read_bytes()

    with pytest.raises(NotReady, match="joined already"):
        join(world.home, read_code(world.code()), SOMEBODY, world.connections(), world.record)

    assert (world.home / "keys" / "node.key").read_bytes() == before


def test_a_full_disk_while_joining_leaves_nothing_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills up between the hub's yes and our settings: no half member remains."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(joining, "write_settings", full)

    with pytest.raises(NotReady, match="No space left"):
        join(world.home, read_code(world.code()), SOMEBODY, world.connections(), world.record)

    assert not world.home.exists()


def test_the_hospitals_key_is_closed_by_its_passphrase(world: World) -> None:
    """The institution key opens with the passphrase alone; the node key needs none."""
    world.joined(passphrase="correct horse battery")
    keys = Keys(world.home / "keys")

    with pytest.raises(Refused, match="passphrase"):
        keys.institution("wrong horse")

    assert keys.institution("correct horse battery").name == f"{US}/institution"
    assert keys.node.name == f"{US}/node"


def test_a_short_passphrase_is_refused_before_a_key_is_made(world: World) -> None:
    """Seven characters do not protect a hospital's signature."""
    with pytest.raises(NotReady, match="8 characters"):
        join(
            world.home,
            read_code(world.code()),
            Applicant(None, "seven77", lambda n: bytes(n)),
            world.connections(),
            world.record,
        )

    assert not world.home.exists()


@pytest.mark.parametrize("missing", ["events_vkey", "fleet", "signers", "bundle_sha256", "site"])
def test_an_incomplete_welcome_is_refused(world: World, missing: str) -> None:
    """A hub that leaves out what the site must trust does not get a member."""
    welcome = {
        "site": US,
        "hub_name": "hub.example",
        "events_vkey": str(world.hub.events.verifier),
        "signers": {},
        "fleet": {"host": "127.0.0.1", "port": 1},
        "bundle_sha256": "sha256:" + "0" * 64,
    }
    del welcome[missing]

    with pytest.raises(ConsiliumError):
        joining._check_answer(welcome, read_code(world.code()))
