"""Keys change during a study; evidence says which entry did it, and an old policy says so too."""

from __future__ import annotations

from compliance.report.bundle import write_zip
from compliance.report.verify import verify
from compliance.rules.policies import policy_in_force
from compliance.signing.keys import COSIGNATURE
from tests import factories as make
from tests.report.evidence import SITES, check, failed, files_of, lied, untold, witnessed
from tests.simulator import HUB, Federation

LOG_KEY = make.key(make.ORIGIN, generation=1)


def rotated(name: str, kind: int = 1, reason: str = "planned") -> dict[str, str]:
    """A second key takes the place of the first."""
    return {"name": name, "vkey": make.vkey(name, kind, 1), "reason": reason}


def study() -> Federation:
    """One round."""
    return Federation(sites=SITES).play_round()


def test_a_policy_older_than_the_log_key_names_the_entry_that_changed_it():
    """Exit 2: the auditor must get a new policy from a member, not from the bundle."""
    world = study()
    old = policy_in_force(world.state)
    world.must("key.rotated", rotated(make.ORIGIN), HUB)
    files = files_of(world, checkpoint_note=witnessed(world, log_key=LOG_KEY))

    before = verify(write_zip(files), old)
    after = check(files, world)

    assert before.exit_code == 2
    assert f"entry {len(world.entries) - 1} changed the key" in untold(before)[4]
    assert "not from the bundle" in untold(before)[4]
    assert after.exit_code == 0
    assert str(LOG_KEY.verifier) in files["data/log/policy.txt"].decode()


def test_a_key_that_no_entry_put_in_force_is_refuted():
    """A fork under another log key is no rotation."""
    world = study()
    note = witnessed(world)
    forged = lied(files_of(world), {"data/log/checkpoint": witnessed(world, log_key=LOG_KEY)})

    report = check(forged, world)

    assert 4 in failed(report)
    assert check(files_of(world, checkpoint_note=note), world).exit_code == 0


def test_a_policy_older_than_a_witness_key_cannot_tell_when_the_quorum_needs_it():
    """Two of three: with one old witness key the quorum still stands, with two it does not."""
    world = study()
    old = policy_in_force(world.state)
    keys = [make.key(f"{site}/witness", COSIGNATURE) for site in SITES]
    for place in (0, 1):
        name = f"{SITES[place]}/witness"
        world.must("key.rotated", rotated(name, COSIGNATURE), f"{SITES[place]}/institution")
        keys[place] = make.key(name, COSIGNATURE, 1)
        files = files_of(world, checkpoint_note=witnessed(world, witnesses=keys))

        assert check(files, world).exit_code == 0
        report = verify(write_zip(files), old)
        assert report.exit_code == (0 if place == 0 else 2), report.plain()

    assert "changed the key of" in untold(report)[5]


def test_a_hospital_exports_with_the_key_of_now_only():
    """The node key of yesterday signs no manifest."""
    world = study()
    name = f"{SITES[0]}/node"
    world.must("key.rotated", rotated(name), f"{SITES[0]}/institution")

    new = check(files_of(world, exporter=make.key(name, generation=1)), world)
    old = check(files_of(world, exporter=make.key(name)), world)

    assert new.exit_code == 0
    assert 3 in failed(old)


def test_the_table_of_keys_says_who_held_which_from_where_to_where():
    """The first node key ends at the entry that replaced it; the second has no end."""
    world = study()
    name = f"{SITES[0]}/node"
    world.must("key.rotated", rotated(name, reason="stolen"), f"{SITES[0]}/institution")
    at = len(world.entries) - 1

    table = files_of(world)["data/governance/keys.csv"].decode().splitlines()
    rows = [line.split(",") for line in table if f",{name}," in line]

    assert [row[5:] for row in rows] == [["0", str(at), "stolen"], [str(at), "", ""]]
    assert rows[1][4] == make.vkey(name, generation=1)
