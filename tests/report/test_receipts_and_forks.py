"""A receipt proves that the log says what was exported; two faces of a log are proven too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compliance.canonical import sha256_id
from compliance.cli import main as audit
from compliance.command import main as command
from compliance.errors import NotReady
from compliance.ledger.checkpoint import Checkpoint
from compliance.ledger.merkle import leaf_hash
from compliance.ledger.tiles import tile_files
from compliance.report import bag
from compliance.report.bundle import write_zip
from compliance.report.export import complete_receipts, put
from compliance.report.verify import verify
from compliance.rules.policies import policy_in_force
from tests import factories as make
from tests.report.evidence import (
    SITES,
    cosigned,
    failed,
    files_of,
    forced,
    told,
    untold,
    witnessed,
)
from tests.simulator import Federation


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Federation, Path]:
    """A bundle in a folder, on record and witnessed, with its policy."""
    world = told()
    files = files_of(world)
    path = tmp_path / "out" / "consilium-00112233445566aa-21.zip"
    put(path, write_zip(files))
    world.export(manifest_sha256=sha256_id(files[bag.MANIFEST]))
    (tmp_path / "policy.txt").write_text(policy_in_force(world.state))
    return world, path


def mirror(folder: Path, world: Federation, size: int | None = None) -> Path:
    """A folder of static tiles, as a site mirrors a log."""
    entries = world.entries[:size]
    for path, data in tile_files([leaf_hash(entry) for entry in entries], entries).items():
        put(folder / path, data)
    put(folder / "checkpoint", witnessed(world, size))
    return folder


def test_a_receipt_lies_beside_the_bundle_once_the_export_is_witnessed(exported):
    """Before the witnesses there is none; afterwards it holds in step 15."""
    world, path = exported
    before = witnessed(world, 21)
    assert complete_receipts(path.parent, world.entries, before) == []

    written = complete_receipts(path.parent, world.entries, witnessed(world))

    report = verify(
        path.read_bytes(), policy_in_force(world.state), receipt=written[0].read_bytes()
    )
    assert [item.name for item in written] == [f"{path.name}.receipt"]
    assert report.exit_code == 0
    assert "entry 21 of 22" in report.steps[14].detail
    assert complete_receipts(path.parent, world.entries, witnessed(world)) == []


def test_a_receipt_of_another_bundle_is_refuted(exported, tmp_path):
    """The proof holds, but it is about something else."""
    world, path = exported
    (receipt,) = complete_receipts(path.parent, world.entries, witnessed(world))
    other = files_of(world, exporter=make.key(f"{SITES[0]}/node"), entries=world.entries[:21],
                     checkpoint_note=witnessed(world, 21))  # fmt: skip

    report = verify(write_zip(other), policy_in_force(world.state), receipt=receipt.read_bytes())

    assert list(failed(report)) == [15]


@pytest.mark.parametrize("place", [0, 40, 700, -2])
def test_a_changed_receipt_is_refuted(exported, place):
    """Header, note, path or checkpoint: each byte counts."""
    world, path = exported
    (receipt,) = complete_receipts(path.parent, world.entries, witnessed(world))
    data = bytearray(receipt.read_bytes())
    data[place] ^= 0x01

    report = verify(path.read_bytes(), policy_in_force(world.state), receipt=bytes(data))

    assert list(failed(report)) == [15]


def test_the_command_finds_the_receipt_and_reads_it_as_a_proof(exported, tmp_path, capsys):
    """`audit verify` takes the receipt beside the bundle; `audit proof` needs no entry file."""
    world, path = exported
    (receipt,) = complete_receipts(path.parent, world.entries, witnessed(world))
    policy = ["--policy", str(tmp_path / "policy.txt")]

    assert audit(["verify", str(path), *policy, "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert steps[14]["result"] == "pass"
    assert audit(["proof", str(receipt), *policy]) == 0
    assert "Entry 21 stands in" in capsys.readouterr().out
    note = tmp_path / "a.tlog-proof"
    note.write_bytes(bag.read_zip(path.read_bytes())[1]["data/log/proofs/0.tlog-proof"])
    assert command(["audit", "proof", str(note), *policy]) == 2


def two_faces() -> tuple[Federation, Federation]:
    """One charter, one log key, two histories of one length."""
    one, other = Federation(sites=SITES), Federation(sites=SITES)
    one.play_round()
    other.leave(SITES[0])
    other.play_round()
    while len(other.entries) < len(one.entries):
        other.must("review.noted", {"from": 0, "to": 1, "result": "nothing_found",
                                    "on_behalf": None}, make.EVENTS)  # fmt: skip
    return one, other


def test_two_faces_of_one_log_are_proven_with_bundles(tmp_path, capsys):
    """Exit 1, and the first entry that differs is named."""
    one, other = two_faces()
    for name, world in (("hub.zip", one), ("hospital.zip", other)):
        (tmp_path / name).write_bytes(write_zip(files_of(world)))

    code = command(["audit", "compare", str(tmp_path / "hub.zip"), str(tmp_path / "hospital.zip")])

    assert code == 1
    assert "entry 1 differs" in capsys.readouterr().err


def test_two_signed_checkpoints_of_one_size_are_a_fork_for_anybody(tmp_path, capsys):
    """Two small files and the policy are enough; without a policy nobody can tell."""
    one, other = two_faces()
    paths = [tmp_path / "a.checkpoint", tmp_path / "b.checkpoint"]
    for path, world in zip(paths, (one, other), strict=True):
        path.write_bytes(witnessed(world))
    (tmp_path / "policy.txt").write_text(policy_in_force(one.state))
    words = ["audit", "compare", *map(str, paths)]

    assert command([*words, "--policy", str(tmp_path / "policy.txt")]) == 1
    assert "two histories were signed" in capsys.readouterr().err
    assert command(words) == 2
    assert "--policy" in capsys.readouterr().err


def test_a_log_of_the_same_name_under_a_strangers_key_is_no_fork(tmp_path, capsys):
    """Anybody can write such a file; it must not stand against the hub."""
    one, _ = two_faces()
    (tmp_path / "policy.txt").write_text(policy_in_force(one.state))
    (tmp_path / "a.checkpoint").write_bytes(witnessed(one))
    invented = Checkpoint(make.ORIGIN, len(one.entries), b"\x01" * 32)
    note = cosigned(invented, one, log_key=make.key(make.ORIGIN, generation=7))
    (tmp_path / "b.checkpoint").write_bytes(note)
    words = ["audit", "compare", str(tmp_path / "a.checkpoint"), str(tmp_path / "b.checkpoint")]

    assert command([*words, "--policy", str(tmp_path / "policy.txt")]) == 1
    assert "not signed by the log's key" in capsys.readouterr().err


def test_an_older_bundle_is_the_beginning_of_a_newer_one_and_checkpoints_alone_cannot_tell(
    tmp_path, capsys
):
    """A bundle brings its entries; two checkpoints of two sizes bring none."""
    world = told()
    (tmp_path / "new.zip").write_bytes(write_zip(files_of(world)))
    (tmp_path / "old.checkpoint").write_bytes(witnessed(world, 9))
    (tmp_path / "new.checkpoint").write_bytes(witnessed(world))
    (tmp_path / "policy.txt").write_text(policy_in_force(world.state))
    policy = ["--policy", str(tmp_path / "policy.txt")]
    old, new = str(tmp_path / "old.checkpoint"), str(tmp_path / "new.checkpoint")

    assert audit(["compare", old, str(tmp_path / "new.zip"), *policy]) == 0
    assert "9 entries are the beginning of 21" in capsys.readouterr().out
    assert command(["audit", "compare", old, new, *policy]) == 2
    assert audit(["compare", str(mirror(tmp_path / "m", world, 9)), str(tmp_path / "new.zip")]) == 0


def test_a_forged_history_that_all_witnesses_signed_differs_from_the_mirror(tmp_path, capsys):
    """Even a quorum that lies is found out by one honest copy."""
    world = told()
    entries = world.entries[:8] + world.entries[9:]
    (tmp_path / "lie.zip").write_bytes(write_zip(forced(files_of(world), world, entries)))

    code = command(["audit", "compare", str(tmp_path / "lie.zip"),
                    str(mirror(tmp_path / "m", world))])  # fmt: skip

    assert code == 1
    assert "entry 8 differs" in capsys.readouterr().err


def test_a_watch_remembers_and_tells_of_growth_of_going_back_and_of_a_fork(tmp_path, capsys):
    """Look after look at a static folder: growth is fine, the past does not change."""
    world, (one, other) = told(), two_faces()
    (tmp_path / "policy.txt").write_text(policy_in_force(world.state))
    words = ["watch", str(tmp_path / "m"), "--policy", str(tmp_path / "policy.txt"), "--once"]
    words += ["--state", str(tmp_path / "state.json")]

    assert audit(words) == 2
    mirror(tmp_path / "m", world, 9)
    assert audit(words) == 0
    mirror(tmp_path / "m", world)
    assert audit([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["size"] == 21
    put(tmp_path / "m" / "checkpoint", witnessed(world, 9))
    assert audit(words) == 1
    assert "went back from 21 to 9" in capsys.readouterr().out

    forks = ["watch", str(tmp_path / "f"), "--policy", str(tmp_path / "policy.txt"), "--once"]
    forks += ["--state", str(tmp_path / "other.json")]
    put(tmp_path / "f" / "a.checkpoint", witnessed(one))
    assert audit(forks) == 0
    put(tmp_path / "f" / "b.checkpoint", witnessed(other))
    assert audit(forks) == 1
    assert (tmp_path / "other.json.a.checkpoint").is_file()
    assert (tmp_path / "other.json.b.checkpoint").is_file()


def test_a_watch_that_forgot_says_so(tmp_path, capsys):
    """A spoiled memory is not silently begun again."""
    (tmp_path / "policy.txt").write_text(policy_in_force(Federation(sites=SITES).state))
    (tmp_path / "state.json").write_text("{}")
    words = ["audit", "watch", str(tmp_path), "--policy", str(tmp_path / "policy.txt"), "--once"]

    assert command([*words, "--state", str(tmp_path / "state.json")]) == 2
    assert "--state" in capsys.readouterr().err


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path, monkeypatch):
    """The record is made only when the bytes are safe; nothing half stays."""
    said: list[str] = []

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("compliance.report.export.os.fsync", full)

    with pytest.raises(NotReady, match="nothing was kept"):
        put(tmp_path / "out" / "b.zip", b"x", lambda: said.append("recorded"))

    assert said == []
    assert list((tmp_path / "out").iterdir()) == []


def test_a_receipt_without_a_policy_cannot_tell(exported):
    """As with the bundle itself, trust comes from outside."""
    world, path = exported
    (receipt,) = complete_receipts(path.parent, world.entries, witnessed(world))

    report = verify(path.read_bytes(), None, receipt=receipt.read_bytes())

    assert 15 in untold(report)
