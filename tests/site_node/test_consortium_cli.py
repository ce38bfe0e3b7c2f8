"""Agreement, texts of several, keys and copies: typed by a technician, read by a steward."""

from __future__ import annotations

from pathlib import Path

import pytest

from compliance.ledger.policy import Policy
from compliance.signing.keys import VerifierKey
from tests.site_node.gate.world import STUDY, World, public_of
from tests.site_node.shell import Site, Terminal, launched


def test_the_agreement_is_shown_with_the_id_to_compare_by_telephone(member: Site) -> None:
    """By the own copy of the consortium's log, members with their standing, quorum in words."""
    told = member.ask("agreement")
    code, out = member.run("agreement")

    assert code == 0
    assert f"to compare by telephone: {told['agreement_id']}" in out
    assert told["members"] == {"north.example": "active", "south.example": "active"}
    assert "1 of 2: one hospital may be down" in out


def test_a_text_is_signed_after_the_first_characters_of_its_id_were_typed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page goes to the person, who types what he compared; then the key signs."""
    site.ask("join", site.world.code(), "--no-passphrase")
    motion = site.world.hub.found()
    typed = motion.removeprefix("sha256:")[:8]
    monkeypatch.setattr("sys.stdin", Terminal(f"{typed}\n"))

    code, out = site.run("sign", motion)

    assert code == 0, site.said
    assert "AGREEMENT between the hospitals" in site.said
    assert "with this signature it stands in the log" in out
    assert site.ask("motions")[0]["state"] == "carried"


def test_the_policy_of_the_consortiums_log_is_printed_alone_for_an_auditor(member: Site) -> None:
    """It judges this log's checkpoints, and names every founder as a witness."""
    code, out = member.run("agreement", "--policy")

    assert code == 0
    policy = Policy.parse(out)
    assert policy.log is not None
    assert policy.log.name == "hub.example/consortium"
    assert member.ask("agreement", "--policy") == {"policy": out}


def test_without_a_consortium_the_agreement_says_what_to_do(site: Site) -> None:
    """Nothing is shown that nobody signed."""
    site.ask("join", site.world.code(), "--no-passphrase")

    code, _ = site.run("agreement")

    assert code == 2
    assert "site motions" in site.said


def test_a_node_key_is_replaced_by_one_command(member: Site) -> None:
    """The old file is kept beside; the hub's log names the new key."""
    told = member.ask("rotate-key", "node")

    assert told["in_force"]
    kept = [path.name for path in (member.world.home / "keys").glob("node.key*")]
    assert len(kept) == 2
    current = member.world.hub.consortium.state.keys.current["north.example/node"]
    assert str(current) == told["vkey"]


def test_a_lost_institution_key_says_what_the_others_must_do(member: Site) -> None:
    """The command for the telephone, with the new key; nothing is sent."""
    before = len(member.world.hub.consortium.entries)

    code, out = member.run("rotate-key", "institution", "--reason", "lost", "--no-passphrase")

    assert code == 0
    assert "consilium site replace-key north.example/institution" in out
    assert len(member.world.hub.consortium.entries) == before


@pytest.mark.usefixtures("shelf")
def test_evidence_and_mirror_are_written_as_files(member: Site, tmp_path: Path) -> None:
    """Copies for a successor of the hub; evidence only when there is an alarm."""
    launched(member)

    logs = member.ask("mirror", "--out", str(tmp_path / "copy"))
    code, out = member.run("evidence", "--out", str(tmp_path / "proof"))

    assert sorted(row["log"] for row in logs) == sorted([STUDY, "consortium"])
    assert (tmp_path / "copy" / "consortium" / "checkpoint").exists()
    assert (code, out.strip()) == (0, "No alarm: there is no evidence to write.")


@pytest.mark.usefixtures("shelf")
def test_leaving_the_consortium_leaves_the_studies_first(member: Site) -> None:
    """One command, no one else's consent; both logs say so."""
    launched(member)

    told = member.ask("leave", "--yes")

    assert told["studies"] == [STUDY]
    assert member.world.hub.log.state.withdrawn == {"north.example"}
    standing = member.world.hub.consortium.state.members["north.example"].standing
    assert str(standing) == "left"


def test_a_hospital_that_joins_later_asks_for_its_admission(site: Site) -> None:
    """With the passphrase at hand while joining; the sentence says for how many it waits."""
    site.world.hub.members["north.example"] = {
        role: VerifierKey.parse(text) for role, text in public_of("west.example").items()
    }
    _found_without(site.world)

    _, out = site.run("join", site.world.code(), "--no-passphrase", "--country", "se")

    assert "It waits for 2 members" in out
    (motion,) = [row for row in site.ask("motions") if row["kind"] == "member.admitted"]
    assert motion["body"]["country"] == "SE"
    assert motion["signed"] == ["north.example/institution"]


def _found_without(world: World) -> None:
    """South and west founded a consortium before north came."""
    body = {
        "members": [
            {"name": name, **public_of(name), "country": "SE"}
            for name in ("south.example", "west.example")
        ],
        "quorum": {"k": 1, "witnesses": ["south.example", "west.example"]},
        "signatures_required": 2,
    }
    motion = world.hub.found("south.example", "west.example", **body)
    world.hub.members.clear()
    world.hub.try_motion(motion)
