"""Official vectors of tree, canonical JSON and Ed25519 (sources in the shared data's README)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from compliance.canonical import decode, encode
from compliance.errors import NotProven
from compliance.ledger.merkle import Tree, check_consistency, check_inclusion, leaf_hash
from compliance.signing.keys import NOTE, VerifierKey
from tests.shared import shared_data


def _load(*parts: str) -> Any:
    return json.loads(shared_data("tlog", *parts).read_text())


def _b64(text: str) -> bytes:
    return base64.b64decode(text)


def test_every_inclusion_vector_is_judged_as_published() -> None:
    """98 cases of transparency-dev/merkle: 6 hold, 92 are refused."""
    judged = []
    for case in _load("merkle", "inclusion.json"):
        proof = [_b64(item) for item in case["proof"] or []]
        arguments = (case["leafIdx"], case["treeSize"], proof, _b64(case["root"]))
        try:
            check_inclusion(_b64(case["leafHash"]), *arguments)
            wrong = False
        except NotProven:
            wrong = True
        assert wrong is case["wantErr"], case["case"]
        judged.append(wrong)
    assert (len(judged), sum(judged)) == (98, 92)


def test_every_consistency_vector_is_judged_as_published() -> None:
    """98 cases of transparency-dev/merkle: 6 hold, 92 are refused."""
    judged = []
    for case in _load("merkle", "consistency.json"):
        proof = [_b64(item) for item in case["proof"] or []]
        roots = _b64(case["root1"]), _b64(case["root2"])
        try:
            check_consistency(case["size1"], roots[0], case["size2"], roots[1], proof)
            wrong = False
        except NotProven:
            wrong = True
        assert wrong is case["wantErr"], case["case"]
        judged.append(wrong)
    assert (len(judged), sum(judged)) == (98, 92)


def test_the_reference_tree_has_the_published_roots_and_proofs_hold() -> None:
    """RFC 6962's eight leaves: every root, and every pair of proofs made here is accepted here."""
    reference = _load("merkle", "reference.json")
    tree = Tree()
    assert tree.root().hex() == reference["root_hashes_hex_by_size"][0]
    for size, text in enumerate(reference["leaf_inputs_hex"], 1):
        tree.append(leaf_hash(bytes.fromhex(text)))
        assert tree.root().hex() == reference["root_hashes_hex_by_size"][size]
    leaves = [leaf_hash(bytes.fromhex(text)) for text in reference["leaf_inputs_hex"]]
    for size in range(1, 9):
        for index in range(size):
            check_inclusion(
                leaves[index], index, size, tree.inclusion(index, size), tree.root(size)
            )
        for old in range(1, size + 1):
            proof = tree.consistency(old, size)
            check_consistency(old, tree.root(old), size, tree.root(size), proof)


@pytest.mark.parametrize("name", ["arrays", "french", "structures", "unicode", "values", "weird"])
def test_canonical_json_equals_the_published_bytes(name: str) -> None:
    """RFC 8785 vectors; `values` holds fractions, which no record of ours may carry."""
    wanted = bytes.fromhex("".join(_text("outhex", f"{name}.txt").split()))
    value = json.loads(_text("input", f"{name}.json"))
    if name in ("arrays", "structures", "values"):
        import rfc8785

        assert rfc8785.dumps(value) == wanted
        return
    assert encode(value) == wanted
    assert decode(wanted) == value


def _text(folder: str, name: str) -> str:
    return shared_data("tlog", "jcs", folder, name).read_text()


def test_every_wycheproof_signature_is_judged_as_published() -> None:
    """151 Ed25519 cases, with malleable and truncated signatures among them."""
    count = 0
    for group in _load("wycheproof", "ed25519_test.json")["testGroups"]:
        key = VerifierKey("vector", NOTE, bytes.fromhex(group["publicKey"]["pk"]))
        for case in group["tests"]:
            message, signature = bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
            assert key.verifies(message, signature) is (case["result"] == "valid"), case["tcId"]
            count += 1
    assert count == 151
