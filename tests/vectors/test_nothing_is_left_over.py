"""Every file of the shared vectors is read by a test, and how many cases each holds is known."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from compliance import canonical
from compliance.errors import Malformed, NotProven
from compliance.ledger.cosign import check_cosignature
from compliance.ledger.merkle import Tree, check_consistency, leaf_hash
from compliance.ledger.policy import Policy, policy_of_charter
from compliance.ledger.tiles import parse_entry_bundle
from compliance.records.envelope import parse_event
from compliance.rules.fold import replay
from compliance.signing.keys import COSIGNATURE, NOTE, SigningKey, VerifierKey
from compliance.signing.note import parse
from tests.shared import shared_data


def _load(*parts: str) -> Any:
    return json.loads(shared_data(*parts).read_text("utf-8"))


def _formats(name: str) -> Any:
    return _load("tlog", "formats", name)


COUNTED: dict[str, tuple[int, Callable[[], int]]] = {
    "merkle/inclusion.json": (98, lambda: len(_load("tlog", "merkle", "inclusion.json"))),
    "merkle/consistency.json": (98, lambda: len(_load("tlog", "merkle", "consistency.json"))),
    "merkle/reference.json": (
        8,
        lambda: len(_load("tlog", "merkle", "reference.json")["leaf_inputs_hex"]),
    ),
    "formats/checkpoint.json": (13, lambda: len(_formats("checkpoint.json")["cases"])),
    "formats/cosignature.json": (8, lambda: len(_formats("cosignature.json")["vkeys"])),
    "formats/policy.json": (11, lambda: len(_formats("policy.json"))),
    "formats/tlog_proof.json": (
        11,
        lambda: sum(len(_formats("tlog_proof.json")[name]) for name in ("valid", "invalid")),
    ),
    "wycheproof/ed25519_test.json": (
        151,
        lambda: sum(
            len(group["tests"])
            for group in _load("tlog", "wycheproof", "ed25519_test.json")["testGroups"]
        ),
    ),
}
ELSEWHERE = ("LICENSE", "README.md", "wycheproof/eddsa_verify_schema_v1.json")
"""Words about the vectors, and the schema of one of them."""

WHOLE = ("jcs/input/", "jcs/output/", "jcs/outhex/", "tessera/log")
"""Folders that are read to the last file below."""


def test_every_file_of_the_vectors_is_used() -> None:
    """A vector that somebody adds is not overlooked."""
    folder = shared_data("tlog")
    paths = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    left = [
        path
        for path in paths
        if path not in COUNTED and not path.endswith(ELSEWHERE) and not path.startswith(WHOLE)
    ]

    assert left == []
    assert len(paths) > 60


@pytest.mark.parametrize("file", COUNTED)
def test_a_file_of_vectors_holds_as_many_cases_as_were_counted(file: str) -> None:
    """The tests beside this one walk over all of them: fewer cases would prove less in silence."""
    wanted, count = COUNTED[file]

    assert count() == wanted


def test_canonical_json_has_three_faces_that_agree() -> None:
    """Each of the six RFC 8785 pairs: input, output as text, output as hex."""
    names = sorted(path.name for path in shared_data("tlog", "jcs", "input").iterdir())
    for name in names:
        output = shared_data("tlog", "jcs", "output", name).read_bytes()
        told = shared_data("tlog", "jcs", "outhex", name.replace(".json", ".txt")).read_text()
        assert bytes.fromhex("".join(told.split())) == output
        value = json.loads(output)
        if name == "values.json":
            with pytest.raises(Malformed, match="fraction"):
                canonical.encode(value)
        else:
            assert canonical.encode(value) == output
    assert len(names) == 6


def test_every_tile_of_every_width_is_the_beginning_of_the_last() -> None:
    """Tessera's tiles of 15 widths, of hashes and of entries, and its 17 checkpoints."""
    log = shared_data("tlog", "tessera", "log")
    entries = parse_entry_bundle((log / "tile" / "entries" / "000.p" / "15").read_bytes())
    for width in range(1, 16):
        part = parse_entry_bundle((log / "tile" / "entries" / "000.p" / str(width)).read_bytes())
        hashes = (log / "tile" / "0" / "000.p" / str(width)).read_bytes()
        assert part == entries[:width]
        assert hashes == b"".join(leaf_hash(entry) for entry in part)
    assert (log / "checkpoint").read_bytes() == (log / "checkpoint.15").read_bytes()
    assert len([path for path in log.rglob("*") if path.is_file()]) == 15 + 15 + 17


def test_a_cosignature_carries_its_time_and_a_plain_signature_none() -> None:
    """The three published signatures: 72 bytes with a time, 64 bytes, and no base64 at all."""
    cases = _formats("cosignature.json")["signature_times"]
    for case in cases:
        try:
            data = base64.b64decode(case["signature_base64"], validate=True)[4:]
            time = int.from_bytes(data[:8], "big") if len(data) == 72 else None
        except ValueError:
            time = None
        assert time == case["time"], case["name"]
    assert len(cases) == 3


# ------------------------------------------------------------------------------ the golden log


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """The golden log."""
    loaded: dict[str, Any] = _load("ledger", "golden.json")
    return loaded


def test_every_field_of_the_golden_log_is_held_against_ours(golden: dict[str, Any]) -> None:
    """A field that somebody adds to it is not overlooked."""
    assert sorted(golden) == [
        "charter_id", "checkpoint", "checkpoint_without_quorum", "consistency_7_to_end", "domain",
        "entries", "fold", "inclusion_proof_12", "leaf_hashes_hex", "policy",
        "private_seeds_hex", "roots_base64_by_size", "sealed", "version_id", "vkeys",
    ]  # fmt: skip


def test_the_golden_keys_follow_from_their_seeds(golden: dict[str, Any]) -> None:
    """Every published seed gives one of the published verifier keys, name and type included."""
    made = set()
    for name, seed in golden["private_seeds_hex"].items():
        kind = COSIGNATURE if "/witness" in name else NOTE
        made.add(str(SigningKey(name.partition(" ")[0], kind, bytes.fromhex(seed)).verifier))

    assert made == set(golden["vkeys"])
    assert all(str(VerifierKey.parse(text)) == text for text in golden["vkeys"])


def test_the_golden_policy_follows_from_the_golden_charter(golden: dict[str, Any]) -> None:
    """The policy text is derived, never stored twice."""
    state = replay(entry.encode() for entry in golden["entries"])

    assert policy_of_charter(state.charter) == golden["policy"]
    assert state.summary() == golden["fold"]


def test_the_golden_consistency_proof_holds_from_7_to_the_end(golden: dict[str, Any]) -> None:
    """And from no other size."""
    roots = [base64.b64decode(text) for text in golden["roots_base64_by_size"]]
    proof = [base64.b64decode(text) for text in golden["consistency_7_to_end"]]
    size = len(golden["entries"])

    check_consistency(7, roots[7], size, roots[size], proof)

    tree = Tree()
    for entry in golden["entries"]:
        tree.append(leaf_hash(entry.encode()))
    assert tree.consistency(7) == proof
    for old in (6, 8):
        with pytest.raises(NotProven):
            check_consistency(old, roots[old], size, roots[size], proof)


def test_the_golden_checkpoint_is_cosigned_by_four_and_by_two(golden: dict[str, Any]) -> None:
    """Each line verifies alone; two of them are not the three that were agreed."""
    policy = Policy.parse(golden["policy"])
    for name, voices in (("checkpoint", 4), ("checkpoint_without_quorum", 2)):
        note = parse(golden[name].encode())
        lines = [line for line in note.lines if line.name.endswith("/witness")]
        keys = {key.name: key for key in policy.witnesses.values()}
        assert [check_cosignature(note.text, line, keys[line.name]) > 0 for line in lines] == (
            [True] * voices
        )
    with pytest.raises(NotProven, match="3 of 4"):
        policy.judge(golden["checkpoint_without_quorum"].encode())


def test_the_golden_domain_is_the_first_line_of_every_entry(golden: dict[str, Any]) -> None:
    """So that no entry can be taken for a checkpoint, and none of another version for this one."""
    for entry in golden["entries"]:
        assert entry.startswith(golden["domain"] + "\n")
        assert parse_event(parse(entry.encode()).text)
