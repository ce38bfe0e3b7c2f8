"""There is one way to write each thing; whoever writes another one is told which rule it breaks.

Where two guards stand behind one another, the sentence says which of them spoke.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compliance import canonical
from compliance.errors import ConsiliumError, Malformed, NotProven, NotReady
from compliance.ledger.checkpoint import Checkpoint, open_checkpoint, parse_text, sign
from compliance.ledger.cosign import answer, check_cosignature, cosign
from compliance.ledger.merkle import EMPTY_ROOT, Tree, check_consistency, leaf_hash
from compliance.ledger.policy import Policy, policy_of_charter
from compliance.ledger.proof import HEADER, parse_proof
from compliance.ledger.tiles import entry_bundle, parse_entry_bundle
from compliance.records.envelope import NotAnEvent, parse_event
from compliance.signing.keyfile import read_key, write_key
from compliance.signing.keys import COSIGNATURE, NOTE, VerifierKey, decode_base64
from compliance.signing.note import MAX_BYTES, assemble, parse, seal
from tests import factories as make
from tests.simulator import Federation

LOG = make.key(make.ORIGIN)
ROOT = bytes(range(32))
CHECKPOINT = Checkpoint(make.ORIGIN, 7, ROOT)
WITNESS = make.key("north.example/witness", COSIGNATURE)
VKEY, OTHER = make.vkey("a.example/witness", COSIGNATURE), make.vkey("b.example/x", COSIGNATURE)
LOG_LINE = f"log {make.vkey(make.ORIGIN)}\n"
WITNESSES = f"{LOG_LINE}witness a {VKEY}\nwitness b {OTHER}\n"
PROOF = f"{HEADER}\nindex 0\n\n".encode()
ROOT64 = base64.b64encode(ROOT).decode()


def raw(kind: int, public: bytes, name: str = "x") -> str:
    """A verifier key of whatever bytes, with the key id that belongs to them."""
    import hashlib

    body = bytes([kind]) + public
    identity = hashlib.sha256(name.encode() + b"\n" + body).digest()[:4].hex()
    return f"{name}+{identity}+{base64.b64encode(body).decode()}"


REFUSED: list[tuple[str, str, Callable[[], Any]]] = [
    ("an integer beyond what every reader holds", r"beyond 2\^53",
     lambda: canonical.encode({"a": 2**53})),
    ("a negative one", r"beyond 2\^53", lambda: canonical.encode([-(2**53)])),
    ("a key that is no text", "a key is not text", lambda: canonical.encode({1: 2})),
    ("a fraction", "fraction stands", lambda: canonical.encode({"a": 0.5})),
    ("a key that stands twice", r"not one JSON value \(ValueError\)",
     lambda: canonical.decode(b'{"a":1,"a":1}')),
    ("a fraction on the way in", r"not one JSON value \(ValueError\)",
     lambda: canonical.decode(b'{"a":1.5}')),
    ("a number that is none", r"not one JSON value \(ValueError\)",
     lambda: canonical.decode(b'{"a":NaN}')),
    ("base64 with loose bits", "not canonical", lambda: decode_base64("AB==", "key")),
    ("base64 of another alphabet", "not base64", lambda: decode_base64("A_==", "key")),
    ("a key name with a plus", "holds a space", lambda: VerifierKey("a+b", NOTE, bytes(32))),
    ("a key name with a space", "holds a space", lambda: VerifierKey("a b", NOTE, bytes(32))),
    ("a key without name", "is empty", lambda: VerifierKey("", NOTE, bytes(32))),
    ("a key of an unknown type", "unknown type 0x06", lambda: VerifierKey.parse(raw(6, ROOT))),
    ("a key that is too short", "32 bytes", lambda: VerifierKey.parse(raw(1, ROOT[:-1]))),
    ("a key of nothing", "it is empty", lambda: VerifierKey.parse("x+00000000+")),
    ("a note that is too long", "more than 65535",
     lambda: parse(seal(b"x" * 65_000 + b"\n", LOG).replace(b"x", b"xx", 600))),
    ("a note without signatures", "no signature block", lambda: parse(b"text\n")),
    ("a note that ends within a line", "no signature block",
     lambda: parse(seal(b"text\n", LOG)[:-1])),
    ("a text without its newline", "does not end in a newline",
     lambda: assemble(b"text", [LOG.line(b"text")])),
    ("a checkpoint that is not UTF-8", "not UTF-8", lambda: parse_text(b"\xff\n1\nx\n")),
    ("a checkpoint of four lines", "exactly three lines",
     lambda: parse_text(CHECKPOINT.text() + b"more\n")),
    ("a checkpoint of two lines", "exactly three lines", lambda: parse_text(b"log\n1\n")),
    ("a checkpoint without a name", "origin is empty",
     lambda: parse_text(f"\n7\n{ROOT64}\n".encode())),
    ("a checkpoint whose name holds a plus", "origin is empty",
     lambda: parse_text(f"a+b\n7\n{ROOT64}\n".encode())),
    ("a size with a leading zero", "leading zeros",
     lambda: parse_text(f"log\n07\n{ROOT64}\n".encode())),
    ("a size beyond 63 bits", "leading zeros",
     lambda: parse_text(f"log\n{2**63}\n{ROOT64}\n".encode())),
    ("a root of 31 bytes", "32 bytes",
     lambda: parse_text(f"log\n7\n{base64.b64encode(ROOT[:31]).decode()}\n".encode())),
    ("a checkpoint signed under another name", "not the key of",
     lambda: sign(CHECKPOINT, make.key("hub.example/events"))),
    ("a cosignature by a key that signs notes", "type 0x04",
     lambda: cosign(CHECKPOINT.text(), LOG, 1)),
    ("a policy with words behind its items", "line of its own",
     lambda: Policy.parse(f"{WITNESSES}group g 1 a b # both\nquorum g\n")),
    ("a policy with an unknown line", "unknown line",
     lambda: Policy.parse(f"{WITNESSES}trust me\nquorum a\n")),
    ("a policy with two logs", "only once",
     lambda: Policy.parse(f"{LOG_LINE}log {make.vkey('z.example/q')}\nquorum none\n")),
    ("a policy with two quorums", "only once",
     lambda: Policy.parse(f"{WITNESSES}quorum a\nquorum b\n")),
    ("a policy without quorum", "defines no quorum", lambda: Policy.parse(WITNESSES)),
    ("a group without members", "has members",
     lambda: Policy.parse(f"{WITNESSES}group g any\nquorum g\n")),
    ("a member that stands twice", "each once",
     lambda: Policy.parse(f"{WITNESSES}group g 2 a a\nquorum g\n")),
    ("a threshold above the members", "threshold",
     lambda: Policy.parse(f"{WITNESSES}group g 3 a b\nquorum g\n")),
    ("a threshold with a leading zero", "threshold",
     lambda: Policy.parse(f"{WITNESSES}group g 01 a b\nquorum g\n")),
    ("a threshold of nobody", "threshold",
     lambda: Policy.parse(f"{WITNESSES}group g 0 a b\nquorum g\n")),
    ("a witness named none", "none is no name",
     lambda: Policy.parse(f"{LOG_LINE}witness none {VKEY}\nquorum none\n")),
    ("a name defined twice", "a is defined twice",
     lambda: Policy.parse(f"{WITNESSES}group a 1 b\nquorum a\n")),
    ("a name before its definition", "before its use",
     lambda: Policy.parse(f"{LOG_LINE}group g 1 a\nwitness a {VKEY}\nquorum g\n")),
    ("a public key that stands twice", "stands twice",
     lambda: Policy.parse(f"{LOG_LINE}witness a {VKEY}\nwitness b {VKEY}\nquorum a\n")),
    ("a log whose key cosigns", "another type",
     lambda: Policy.parse(f"log {VKEY}\nquorum none\n")),
    ("a proof without checkpoint", "no checkpoint", lambda: parse_proof(PROOF)),
    ("a proof without an empty line", "no checkpoint", lambda: parse_proof(PROOF[:-2])),
    ("a proof that is not UTF-8", "not UTF-8", lambda: parse_proof(b"\xff" + PROOF + b"x\n")),
    ("a proof with 64 hashes", "more than 63",
     lambda: parse_proof(PROOF[:-1] + f"{ROOT64}\n".encode() * 64 + b"\nx\n")),
    ("a proof with a hash of 31 bytes", "more than 63",
     lambda: parse_proof(PROOF[:-1] + base64.b64encode(ROOT[:31]) + b"\n\nx\n")),
    ("an entry of 65,536 bytes in a bundle", "65535 bytes",
     lambda: entry_bundle([b"x" * 65_536])),
    ("a bundle that ends in a length", "ends within", lambda: parse_entry_bundle(b"\x00\x01x\x00")),
    ("a bundle that ends in an entry", "ends within", lambda: parse_entry_bundle(b"\x00\x03ab")),
    ("a statement nested nine deep", "deeper than 8",
     lambda: parse_event(b'consilium/v1\n{"body":' + b"[" * 8 + b"]" * 8
                         + b',"time":1,"type":"x","v":1}\n')),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "act"), [pytest.param(words, act, id=name) for name, words, act in REFUSED]
)
def test_there_is_one_way_to_write_it(words: str, act: Callable[[], Any]) -> None:
    """Another way is refused as malformed, and the sentence names the rule."""
    with pytest.raises(Malformed, match=words):
        act()


def signed(**changes: Any) -> bytes:
    """A checkpoint with the log's signature, the fields changed."""
    fields = {"origin": make.ORIGIN, "size": 7, "root": ROOT} | changes
    return seal(Checkpoint(**fields).text(), make.key(fields["origin"]))


def tree_of(size: int) -> Tree:
    """A tree of so many leaves."""
    tree = Tree()
    for number in range(size):
        tree.append(leaf_hash(bytes([number])))
    return tree


def line_of(signature: bytes, key_id: bytes = b"") -> str:
    """A signature line of the north witness around whatever bytes."""
    told = base64.b64encode((key_id or WITNESS.verifier.key_id) + signature).decode()
    return f"— {WITNESS.name} {told}\n"


POLICY = Policy.parse(policy_of_charter(Federation().state.charter))
TIME = 1_800_000_000
HONEST = cosign(CHECKPOINT.text(), WITNESS, TIME)
TREE = tree_of(7)
NOT_PROVEN: list[tuple[str, str, Callable[[], Any]]] = [
    ("a checkpoint of another log", "not hub.example/study",
     lambda: open_checkpoint(signed(origin="hub.example/study/ffffffffffffffff"), LOG.verifier)),
    ("a checkpoint that the log did not sign", "has not signed",
     lambda: open_checkpoint(seal(CHECKPOINT.text(), make.key("x.example/y")), LOG.verifier)),
    ("a checkpoint whose signature is of another text", "does not verify",
     lambda: open_checkpoint(signed().replace(b"\n7\n", b"\n8\n"), LOG.verifier)),
    ("a cosignature of another witness", "not made by the witness",
     lambda: check_cosignature(CHECKPOINT.text(), HONEST, make.key("x/y", COSIGNATURE).verifier)),
    ("a cosignature under a key that signs notes", "not made by the witness",
     lambda: check_cosignature(CHECKPOINT.text(), HONEST, LOG.verifier)),
    ("a plain signature in place of a cosignature", "72 bytes",
     lambda: check_cosignature(CHECKPOINT.text(), line_of(WITNESS.sign(b"x")), WITNESS.verifier)),
    ("a cosignature of the time 0", "out of range",
     lambda: check_cosignature(CHECKPOINT.text(), cosign(CHECKPOINT.text(), WITNESS, 0),
                               WITNESS.verifier)),
    ("a cosignature after the end of time", "out of range",
     lambda: check_cosignature(CHECKPOINT.text(), cosign(CHECKPOINT.text(), WITNESS, 2**63),
                               WITNESS.verifier)),
    ("a cosignature of another text", "does not verify",
     lambda: check_cosignature(signed(size=8), HONEST, WITNESS.verifier)),
    ("a policy without a log", "names no log",
     lambda: Policy.parse(f"witness a {VKEY}\nquorum a\n").judge(signed())),
    ("a witness whose key signs notes", "not made by the witness",
     lambda: Policy.parse(f"{LOG_LINE}witness a {make.vkey('a.example/node')}\nquorum a\n").judge(
         seal(CHECKPOINT.text(), LOG, make.key("a.example/node")))),
    ("a cosignature from the future", "ahead of now",
     lambda: POLICY.judge(assemble(CHECKPOINT.text(), [LOG.line(CHECKPOINT.text()), HONEST]),
                          now=TIME - 601)),
    ("an index behind the end", "not below size", lambda: TREE.inclusion(7)),
    ("an index below zero", "not below size", lambda: TREE.inclusion(-1)),
    ("a path of a tree that is not that large", "not within", lambda: TREE.inclusion(0, 8)),
    ("a tree that shrinks", "not within 5", lambda: TREE.consistency(6, 5)),
    ("a tree of a negative size", "not within", lambda: TREE.consistency(-1)),
    ("a root of a tree that is not that large", "not within", lambda: TREE.root(8)),
    ("a root of 31 bytes", "32 bytes",
     lambda: check_consistency(3, ROOT[:31], 7, TREE.root(), TREE.consistency(3))),
    ("a proof of 31 bytes", "32 bytes",
     lambda: check_consistency(3, TREE.root(3), 7, TREE.root(),
                               [item[:31] for item in TREE.consistency(3)])),
    ("another older root", "older root",
     lambda: check_consistency(3, ROOT, 7, TREE.root(), TREE.consistency(3))),
    ("another newer root", "newer root",
     lambda: check_consistency(3, TREE.root(3), 7, ROOT, TREE.consistency(3))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "act"), [pytest.param(words, act, id=name) for name, words, act in NOT_PROVEN]
)
def test_what_is_not_proven_names_its_step(words: str, act: Callable[[], Any]) -> None:
    """A signature, time or path that does not hold is refused in the one way proofs are refused."""
    with pytest.raises(NotProven, match=words):
        act()


def test_a_cosignature_within_ten_minutes_counts() -> None:
    """Clocks may differ a little; the border itself is inside."""
    south = cosign(CHECKPOINT.text(), make.key("south.example/witness", COSIGNATURE), TIME)
    lines = [LOG.line(CHECKPOINT.text()), HONEST, south]

    quorum = POLICY.judge(assemble(CHECKPOINT.text(), lines), now=TIME - 600)

    assert quorum.times == {"north.example": TIME, "south.example": TIME}


KNOWN = Checkpoint(make.ORIGIN, 3, TREE.root(3))
GROWN = signed(root=TREE.root())
ANSWERS: list[tuple[str, int, str, Callable[[], Any]]] = [
    ("an honest step", 200, "",
     lambda: answer(KNOWN, 3, TREE.consistency(3), GROWN, LOG.verifier)),
    ("the first contact", 200, "", lambda: answer(None, 0, [], GROWN, LOG.verifier)),
    ("an old size above the new one", 400, "above the new",
     lambda: answer(KNOWN, 8, [], GROWN, LOG.verifier)),
    ("bytes that are no checkpoint", 400, "Malformed",
     lambda: answer(KNOWN, 3, [], b"x", LOG.verifier)),
    ("another log", 404, "not hub.example", lambda: answer(
        KNOWN, 3, [], signed(origin="hub.example/study/ffffffffffffffff"), LOG.verifier)),
    ("another key", 403, "has not signed",
     lambda: answer(KNOWN, 3, [], seal(CHECKPOINT.text(), make.key("x/y")), LOG.verifier)),
    ("another size than the known one", 409, "3\n",
     lambda: answer(KNOWN, 2, [], GROWN, LOG.verifier)),
    ("a size at the first contact", 409, "0\n",
     lambda: answer(None, 2, [], GROWN, LOG.verifier)),
    ("another history", 422, "does not lead",
     lambda: answer(Checkpoint(make.ORIGIN, 3, ROOT), 3, TREE.consistency(3), GROWN,
                    LOG.verifier)),
    ("a proof where none belongs", 422, "must be empty",
     lambda: answer(None, 0, [ROOT], GROWN, LOG.verifier)),
    ("an empty tree with a root", 422, "another root",
     lambda: answer(None, 0, [], signed(size=0), LOG.verifier)),
    ("an empty tree", 200, "",
     lambda: answer(None, 0, [], signed(size=0, root=EMPTY_ROOT), LOG.verifier)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "words", "act"),
    [pytest.param(status, words, act, id=name) for name, status, words, act in ANSWERS],
)
def test_a_witness_answers_in_the_agreed_codes(
    status: int, words: str, act: Callable[[], Any]
) -> None:
    """The codes of C2SP tlog-witness; after a refusal the witness knows what it knew before."""
    said = act()

    assert said.status == status
    assert words in said.body
    if status != 200:
        assert said.known is None or said.known.size == 3


def test_the_largest_note_is_read_and_one_byte_more_is_not() -> None:
    """65,535 bytes with its signature fit; one more does not."""
    rest = len(seal(b"\n", LOG)) - 1
    whole = seal(b"x" * (MAX_BYTES - rest - 1) + b"\n", LOG)

    assert len(whole) == MAX_BYTES
    assert parse(whole).encode() == whole
    with pytest.raises(Malformed):
        parse(b"x" + whole)


def test_numbers_at_the_border_are_written() -> None:
    """The largest and smallest integer that every reader holds."""
    border = 2**53 - 1

    assert canonical.decode(canonical.encode([border, -border])) == [border, -border]


def test_a_statement_nested_eight_deep_is_judged_by_its_type() -> None:
    """The border itself is inside: the next rule speaks."""
    text = b'consilium/v1\n{"body":' + b"[" * 7 + b"]" * 7 + b',"time":1,"type":"x","v":1}\n'

    with pytest.raises(NotAnEvent, match="closed list"):
        parse_event(text)


def test_a_key_file_that_is_a_list_is_no_key_file(tmp_path: Path) -> None:
    """Valid JSON of another shape is refused with the path."""
    path = tmp_path / "node.key"
    path.write_text("[1]")
    path.chmod(0o600)

    with pytest.raises(Malformed, match="not a Consilium key file"):
        read_key(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [("seed", "sced"), ("a/b+", "a/c+"), ('"seed": "', '"seed": "AAAA')],
)
def test_a_key_file_whose_halves_differ_is_not_used(tmp_path: Path, old: str, new: str) -> None:
    """A seed that is not the one of the public half would sign in a name that nobody knows."""
    path = tmp_path / "node.key"
    write_key(path, make.key("a/b"))
    path.write_text(path.read_text().replace(old, new))

    with pytest.raises(Malformed, match=r"node\.key"):
        read_key(path)


def test_a_key_in_a_place_that_takes_none_is_told_so(tmp_path: Path) -> None:
    """A file stands where the folder should be: the sentence says what cannot be written."""
    (tmp_path / "keys").write_text("a file")

    with pytest.raises(NotReady, match="cannot be written"):
        write_key(tmp_path / "keys" / "node.key", LOG)


def test_every_refusal_here_is_one_of_ours() -> None:
    """One family of errors, so that each edge can answer in words."""
    for kind in (Malformed, NotProven, NotReady):
        assert issubclass(kind, ConsiliumError)
