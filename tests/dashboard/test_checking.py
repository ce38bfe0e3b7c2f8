"""The dashboard believes no hub: forged, forked, shortened and uncosigned logs are named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from compliance.ledger.checkpoint import Checkpoint, parse_text, sign
from compliance.ledger.cosign import cosign
from compliance.ledger.merkle import Tree, leaf_hash
from compliance.records.envelope import write_event
from compliance.signing.keys import COSIGNATURE, NOTE, SigningKey
from compliance.signing.note import parse, seal
from dashboard.checking import Checked, check_log
from dashboard.remembered import Memory
from tests.dashboard.faked import FakeHub
from tests.shared import shared_data

STUDY = "00112233445566aa"
ORIGIN = f"hub.example/study/{STUDY}"
WITNESSES = ("north.example", "south.example", "east.example", "west.example")


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """The golden log."""
    loaded: dict[str, Any] = json.loads(shared_data("ledger", "golden.json").read_text("utf-8"))
    return loaded


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    """A dashboard that has seen nothing yet."""
    return Memory(tmp_path / "checkpoints")


def honest(golden: dict[str, Any]) -> FakeHub:
    """A hub that shows the golden log as it is."""
    return FakeHub([entry.encode() for entry in golden["entries"]], golden["checkpoint"].encode())


def check(hub: FakeHub, memory: Memory, policy: str | None = None) -> Checked:
    """Check as of the end of that log."""
    policies = [policy] if policy else []
    return check_log(hub, STUDY, memory=memory, now=lambda: 2_000_000_000, policies=policies)


def signed(golden: dict[str, Any], entries: list[bytes], *witnesses: str) -> bytes:
    """A checkpoint over any entries, signed by the log's own key and cosigned."""
    seeds = golden["private_seeds_hex"]
    tree = Tree()
    for entry in entries:
        tree.append(leaf_hash(entry))
    log = SigningKey(ORIGIN, 1, bytes.fromhex(seeds[ORIGIN]))
    note = sign(Checkpoint(ORIGIN, len(entries), tree.root()), log)
    text = parse(note).text
    for site in witnesses:
        key = SigningKey(f"{site}/witness", COSIGNATURE, bytes.fromhex(seeds[f"{site}/witness"]))
        note += cosign(text, key, 1_900_000_000).encode()
    return note


def test_a_log_is_proven_only_with_a_policy_from_elsewhere(
    golden: dict[str, Any], memory: Memory
) -> None:
    """The same log without that policy is only reported."""
    hub = honest(golden)

    assert check(hub, memory, golden["policy"]).standing == "proven"
    assert check(hub, memory).standing == "reported"
    assert check(hub, memory).size == 34


def test_a_changed_byte_in_any_part_is_refuted(golden: dict[str, Any], memory: Memory) -> None:
    """The entry is named."""
    hub = honest(golden)
    at = hub.all[5].index(b'"time":"2026') + 20
    hub.all[5] = hub.all[5][:at] + bytes([hub.all[5][at] ^ 1]) + hub.all[5][at + 1 :]

    found = check(hub, memory, golden["policy"])

    assert found.standing == "refuted"
    assert found.bad == 5


def test_a_changed_checkpoint_is_refuted(golden: dict[str, Any], memory: Memory) -> None:
    """A root that the log did not sign does not count."""
    hub = honest(golden)
    lines = hub.note.split(b"\n")
    lines[2] = b"A" + lines[2][1:] if lines[2][:1] != b"A" else b"B" + lines[2][1:]
    hub.note = b"\n".join(lines)

    assert check(hub, memory, golden["policy"]).standing == "refuted"


def test_too_few_cosignatures_prove_nothing(golden: dict[str, Any], memory: Memory) -> None:
    """It is said that hospitals are missing; nothing is green."""
    entries = honest(golden).all
    hub = FakeHub(entries, b"", signed(golden, entries, "north.example"))

    found = check(hub, memory, golden["policy"])

    assert found.standing == "unknown"
    assert found.step == "quorum"


def rotated(golden: dict[str, Any], site: str, key: SigningKey) -> bytes:
    """The institution of a hospital puts another witness key in force."""
    name = f"{site}/institution"
    signer = SigningKey(name, NOTE, bytes.fromhex(golden["private_seeds_hex"][name]))
    text = write_event(
        "key.rotated",
        {"name": key.name, "vkey": str(key.verifier), "reason": "planned"},
        time="2026-11-22T09:33:00Z",
        actor=name,
        log=golden["charter_id"],
        nonce=key.seed.hex()[:32],
    )
    return seal(text, signer)


def test_witnesses_with_new_keys_are_counted(golden: dict[str, Any], memory: Memory) -> None:
    """Two of four rotate: three cosignatures with the keys of now are a quorum, two are none."""
    fresh = [
        SigningKey(f"{site}/witness", COSIGNATURE, hashlib.sha256(site.encode()).digest())
        for site in WITNESSES[:2]
    ]
    entries = [entry.encode() for entry in golden["entries"]]
    entries += [rotated(golden, site, key) for site, key in zip(WITNESSES, fresh, strict=False)]
    note = signed(golden, entries, WITNESSES[2])
    text = parse(note).text
    lines = [cosign(text, key, 1_900_000_000).encode() for key in fresh]

    assert check(FakeHub(entries, note + b"".join(lines)), memory).standing == "reported"
    assert check(FakeHub(entries, note + lines[0]), memory).standing == "unknown"


def test_a_log_that_became_shorter_is_refuted(golden: dict[str, Any], memory: Memory) -> None:
    """A rollback between two visits turns the page red and keeps both checkpoints as proof."""
    hub = honest(golden)
    assert check(hub, memory, golden["policy"]).standing == "proven"
    fewer = hub.all[:20]

    found = check(FakeHub(fewer, signed(golden, fewer, *WITNESSES)), memory, golden["policy"])

    assert (found.standing, found.step) == ("refuted", "rollback")
    assert [parse_text(parse(proof).text).size for proof in found.proofs] == [34, 20]


def test_a_log_with_another_past_is_refuted(golden: dict[str, Any], memory: Memory) -> None:
    """A fork is named although everybody signed the second history too."""
    entries = honest(golden).all
    first = entries[:8]
    assert check(FakeHub(first, signed(golden, first, *WITNESSES)), memory).standing == "reported"
    other = [*entries[:7], entries[8], entries[7]]  # the same updates in another order

    found = check(FakeHub(other, signed(golden, other, *WITNESSES)), memory)

    assert (found.standing, found.step) == ("refuted", "fork")


def test_entries_that_do_not_give_the_signed_root_are_refuted(
    golden: dict[str, Any], memory: Memory
) -> None:
    """Entries that obey every rule still have to be those that were cosigned."""
    entries = honest(golden).all
    other = [*entries[:7], entries[8], entries[7]]

    found = check(FakeHub(other, signed(golden, entries[:9], *WITNESSES)), memory)

    assert (found.standing, found.step) == ("refuted", "root")


def test_a_refuted_log_is_not_remembered(golden: dict[str, Any], memory: Memory) -> None:
    """The last good checkpoint stays the measure of all that comes."""
    hub = honest(golden)
    check(hub, memory, golden["policy"])
    before = memory.known(STUDY)
    hub.all[5] = hub.all[6]

    check(hub, memory, golden["policy"])

    assert memory.known(STUDY) == before


def test_the_log_of_another_study_is_refuted(golden: dict[str, Any], memory: Memory) -> None:
    """A hub that shows a good log under the name of another study is told so."""
    policies = [golden["policy"]]

    found = check_log(
        honest(golden), "ffff" * 4, memory=memory, now=lambda: 2_000_000_000, policies=policies
    )

    assert (found.standing, found.step) == ("refuted", "origin")
    assert memory.known("ffff" * 4) is None
