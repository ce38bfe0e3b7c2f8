"""Official vectors of checkpoints, policies, proofs, cosignature keys and tiles; our golden log."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from compliance.errors import ConsiliumError, Malformed, NotProven
from compliance.ledger.checkpoint import open_checkpoint, parse_text
from compliance.ledger.merkle import Tree, check_consistency, leaf_hash
from compliance.ledger.policy import Policy
from compliance.ledger.proof import check_proof, parse_proof, write_proof
from compliance.ledger.tiles import parse_entry_bundle, tile_files
from compliance.signing.keys import VerifierKey
from compliance.signing.note import parse
from tests.shared import shared_data

TESSERA_SIZE = 15


def _load(*parts: str) -> Any:
    return json.loads(shared_data(*parts).read_text())


def test_every_policy_vector_is_read_or_refused_as_decided() -> None:
    """Eleven policies; where we are stricter than the source, the file says why."""
    cases = _load("tlog", "formats", "policy.json")
    for case in cases:
        try:
            Policy.parse(case["policy"])
            found = "accept"
        except Malformed:
            found = "refuse"
        assert found == case["ours"], case["name"]
    assert len(cases) == 11


def test_every_proof_vector_is_read_or_refused_as_published() -> None:
    """Three good proofs are written back byte for byte, eight bad ones are refused."""
    cases = _load("tlog", "formats", "tlog_proof.json")
    for case in cases["valid"]:
        proof = parse_proof(case["text"].encode())
        assert proof.index == case["index"]
        assert [base64.b64encode(item).decode() for item in proof.hashes] == case["hashes_base64"]
        again = write_proof(proof.index, proof.hashes, proof.checkpoint, proof.extra)
        assert again == case["text"].encode()
    for case in cases["invalid"]:
        with pytest.raises(Malformed):
            parse_proof(case["text"].encode())
    assert (len(cases["valid"]), len(cases["invalid"])) == (3, 8)


def test_every_checkpoint_vector_without_32_byte_root_is_refused() -> None:
    """Our own checkpoints carry no extension lines and a SHA-256 root: all of these are refused."""
    for case in _load("tlog", "formats", "checkpoint.json")["cases"]:
        with pytest.raises(Malformed):
            parse_text(case["text"].encode())


def test_verifier_keys_are_read_or_their_type_is_named_unknown() -> None:
    """Types 0x01 and 0x04 are read back equal; ML-DSA is an unknown type, never a guess."""
    for case in _load("tlog", "formats", "cosignature.json")["vkeys"]:
        if case["type"] in (1, 4):
            assert str(VerifierKey.parse(case["vkey"])) == case["vkey"]
        else:
            with pytest.raises(Malformed):
                VerifierKey.parse(case["vkey"])


def test_a_foreign_log_is_read_to_the_last_tile() -> None:
    """Tessera's log of 15 entries: signed checkpoints of each size, tiles, consistency of pairs."""
    folder = shared_data("tlog", "tessera")
    key = VerifierKey.parse((folder / "log.vkey").read_text().strip())
    last = folder / "log" / "tile" / "entries" / "000.p" / str(TESSERA_SIZE)
    entries = parse_entry_bundle(last.read_bytes())
    tree = Tree()
    for size in range(TESSERA_SIZE + 1):
        note = (folder / "log" / f"checkpoint.{size}").read_bytes()
        checkpoint = open_checkpoint(note, key)
        assert (checkpoint.size, checkpoint.root) == (size, tree.root())
        if size < TESSERA_SIZE:
            tree.append(leaf_hash(entries[size]))
    leaves = [leaf_hash(entry) for entry in entries]
    made = tile_files(leaves, entries)
    tile = folder / "log" / "tile" / "0" / "000.p" / str(TESSERA_SIZE)
    assert made[f"tile/0/000.p/{TESSERA_SIZE}"] == tile.read_bytes()
    assert made[f"tile/entries/000.p/{TESSERA_SIZE}"] == last.read_bytes()
    for old in range(1, TESSERA_SIZE + 1):
        for new in range(old, TESSERA_SIZE + 1):
            proof = tree.consistency(old, new)
            check_consistency(old, tree.root(old), new, tree.root(new), proof)


def test_the_golden_log_has_the_stated_leaves_roots_and_proofs() -> None:
    """34 entries made by an independent implementation."""
    golden = _load("ledger", "golden.json")
    tree = Tree()
    assert base64.b64encode(tree.root()).decode() == golden["roots_base64_by_size"][0]
    for index, entry in enumerate(golden["entries"]):
        note = entry.encode()
        assert parse(note).encode() == note
        assert leaf_hash(note).hex() == golden["leaf_hashes_hex"][index]
        tree.append(leaf_hash(note))
        assert base64.b64encode(tree.root()).decode() == golden["roots_base64_by_size"][index + 1]


def test_the_golden_quorum_holds_and_two_witnesses_are_not_enough() -> None:
    """Four cosigned where three are needed; the same with two is refused."""
    golden = _load("ledger", "golden.json")
    policy = Policy.parse(golden["policy"])
    quorum = policy.judge(golden["checkpoint"].encode())
    assert quorum.checkpoint.size == len(golden["entries"])
    assert sorted(quorum.times) == [f"{x}.example" for x in ("east", "north", "south", "west")]
    with pytest.raises(NotProven, match="cosigned by 2"):
        policy.judge(golden["checkpoint_without_quorum"].encode())
    assert Policy.parse(policy.text()) == policy


def test_the_golden_proof_of_entry_12_holds_for_entry_12_only() -> None:
    """An inclusion proof convinces about one entry and no other."""
    golden = _load("ledger", "golden.json")
    policy = Policy.parse(golden["policy"])
    proof = parse_proof(golden["inclusion_proof_12"].encode())
    check_proof(proof, golden["entries"][12].encode(), policy)
    with pytest.raises(NotProven):
        check_proof(proof, golden["entries"][13].encode(), policy)


@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_no_byte_of_a_checkpoint_with_exactly_its_quorum_can_change(mask: int) -> None:
    """Every byte counts: with exactly k cosignatures any changed byte is refused."""
    golden = _load("ledger", "golden.json")
    policy = Policy.parse(golden["policy"])
    note = parse(golden["checkpoint"].encode())
    exact = type(note)(note.text, note.lines[:4]).encode()
    policy.judge(exact)
    for place in range(len(exact)):
        changed = bytearray(exact)
        changed[place] ^= mask
        with pytest.raises(ConsiliumError):
            policy.judge(bytes(changed))
