"""Every reader of bytes that come from outside: strange bytes only make it say no.

Random bytes hardly get past the first line of a parser; so most examples are valid bytes of the
golden log that were flipped, cut, doubled, swapped or spliced.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compliance import canonical
from compliance.errors import Malformed, NotProven, NotReady
from compliance.ledger.checkpoint import open_checkpoint, parse_text
from compliance.ledger.cosign import answer, check_cosignature
from compliance.ledger.policy import Policy
from compliance.ledger.proof import check_proof, parse_proof
from compliance.ledger.tiles import entry_bundle, parse_entry_bundle
from compliance.records.envelope import parse_event
from compliance.records.order import Order
from compliance.records.recipe import parse_recipe, shipped
from compliance.report.bag import read_zip, write_zip
from compliance.rules.fold import judge, replay
from compliance.rules.state import StudyState
from compliance.signing.keyfile import read_key, read_public, write_key
from compliance.signing.keys import VerifierKey, decode_base64
from compliance.signing.note import parse, parse_line
from compliance.signing.request import authorization, parse_authorization
from tests import factories as make
from tests.shared import shared_data

FEW, MANY = 300, 10_000
TOKENS = [
    b"\n", b"\n\n", b"\x00", b"\xff", b" ", b"+", "— ".encode(), b"0", b"-1", b"%d" % 2**64,
    b"1e999", b"NaN", b"null", b"true", b'"', b"{", b"[" * 40, b"=", b"\\ud800", b"\xed\xa0\x80",
    "é".encode(), "\u2028".encode(), b"sha256:", b"9999-12-31T23:59:59Z",
]  # fmt: skip


@functools.cache
def golden() -> dict[str, Any]:
    """The golden log."""
    loaded: dict[str, Any] = json.loads(shared_data("ledger", "golden.json").read_text("utf-8"))
    return loaded


@functools.cache
def notes() -> list[bytes]:
    """Its entries."""
    return [entry.encode() for entry in golden()["entries"]]


@functools.cache
def policy() -> Policy:
    """Its policy."""
    return Policy.parse(golden()["policy"])


@functools.cache
def state() -> StudyState:
    """The study in the middle of its life; `judge` never changes it."""
    return replay(notes()[:20])


def checkpoint() -> bytes:
    """Its checkpoint with four cosignatures."""
    return str(golden()["checkpoint"]).encode()


def texts() -> list[bytes]:
    """The text of every entry."""
    return [parse(note).text for note in notes()]


def words(data: bytes) -> str:
    """Bytes as a caller would hand them on who had decoded them somehow."""
    return data.decode("utf-8", "surrogateescape")


def key_file(folder: Path, data: bytes, read: Callable[..., Any]) -> None:
    """Read bytes as a key file that nobody else may read."""
    path = folder / "strange.key"
    path.write_bytes(data)
    path.chmod(0o600)
    read(path)


@functools.cache
def key_files() -> list[bytes]:
    """A plain key file, and one whose seed is sealed (never opened here: scrypt is slow)."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write_key(Path(folder) / "a.key", make.key("a/b"))
        write_key(Path(folder) / "b.key", make.key("a/b"), "a passphrase")
        return [(Path(folder) / name).read_bytes() for name in ("a.key", "b.key")]


def order() -> bytes:
    """An order of the hub."""
    fields = {"log": "l", "leaf": "e", "layout_sha256": "y", "model_sha256": "m"}
    named: dict[str, Any] = {name: make.sha(word) for name, word in fields.items()}
    return Order(kind="train", entry=1, round=1, deadline=make.BEGINS, **named).encode()


def request() -> bytes:
    """The header of a signed request."""
    made = authorization(make.key("a/b"), "a.example", "GET", "/x", b"", make.BEGINS, "0" * 32)
    return made.encode()


def containers() -> list[bytes]:
    """Bundles as they are written."""
    return [write_zip("top", {"a.txt": b"one\n", "b/c.txt": b"two\n"}), write_zip("t", {"x": b""})]


@dataclass(frozen=True)
class Reader:
    """A reader: what it takes, which valid bytes are bent, and by which errors it may say no."""

    read: Callable[[bytes, Path], Any]
    valid: Callable[[], Sequence[bytes]]
    says: tuple[type[Exception], ...] = (Malformed,)


def vkeys() -> list[bytes]:
    """The verifier keys of the golden log."""
    return [str(text).encode() for text in golden()["vkeys"]]


def log_key() -> VerifierKey:
    """The key of the golden log."""
    key = policy().log
    assert key is not None
    return key


def witness(data: bytes) -> None:
    """A witness never raises: it answers, and 200 only for the one honest checkpoint."""
    said = answer(None, 0, [], data, log_key())
    assert said.status in (200, 400, 403, 404, 409, 422)
    honest = b"\n".join(checkpoint().split(b"\n")[:3])
    assert said.status != 200 or data.startswith(honest)


READERS: dict[str, Reader] = {
    "note": Reader(lambda data, _: parse(data), notes),
    "signature line": Reader(
        lambda data, _: parse_line(words(data)),
        lambda: [str(line).encode() for note in notes() for line in parse(note).lines],
    ),
    "base64": Reader(lambda data, _: decode_base64(words(data), "x"), lambda: [b"AAAA", b"AA=="]),
    "verifier key": Reader(lambda data, _: VerifierKey.parse(words(data)), vkeys),
    "checkpoint": Reader(
        lambda data, _: parse_text(data), lambda: [parse(checkpoint()).text], (Malformed,)
    ),
    "signed checkpoint": Reader(
        lambda data, _: open_checkpoint(data, log_key()),
        lambda: [checkpoint()],
        (Malformed, NotProven),
    ),
    "cosignature": Reader(
        lambda data, _: check_cosignature(
            parse(checkpoint()).text, words(data), policy().witnesses["east.example"]
        ),
        lambda: [str(line).encode() for line in parse(checkpoint()).lines],
        (Malformed, NotProven),
    ),
    "policy": Reader(
        lambda data, _: Policy.parse(words(data)), lambda: [str(golden()["policy"]).encode()]
    ),
    "quorum": Reader(
        lambda data, _: policy().judge(data), lambda: [checkpoint()], (Malformed, NotProven)
    ),
    "proof": Reader(
        lambda data, _: parse_proof(data), lambda: [golden()["inclusion_proof_12"].encode()]
    ),
    "whole proof": Reader(
        lambda data, _: check_proof(parse_proof(data), notes()[12], policy()),
        lambda: [golden()["inclusion_proof_12"].encode()],
        (Malformed, NotProven),
    ),
    "entry bundle": Reader(
        lambda data, _: parse_entry_bundle(data), lambda: [entry_bundle(notes()[:3])]
    ),
    "canonical JSON": Reader(
        lambda data, _: canonical.decode(data),
        lambda: [text.split(b"\n")[1] for text in texts()],
    ),
    "statement": Reader(lambda data, _: parse_event(data), texts),
    "order": Reader(lambda data, _: Order.parse(data), lambda: [order()]),
    "recipe": Reader(
        lambda data, _: parse_recipe(data),
        lambda: [canonical.encode(recipe.plain()) for recipe in shipped().values()],
    ),
    "request": Reader(lambda data, _: parse_authorization(words(data)), lambda: [request()]),
    "container": Reader(lambda data, _: read_zip(data), containers),
    "key file": Reader(
        lambda data, folder: key_file(folder, data, read_key), key_files, (Malformed, NotReady)
    ),
    "public key file": Reader(
        lambda data, folder: key_file(folder, data, read_public), key_files, (Malformed, NotReady)
    ),
    "first entry": Reader(lambda data, _: judge(None, data), notes, ()),
    "next entry": Reader(lambda data, _: judge(state(), data, now=make.BEGINS), notes, ()),
    "witness": Reader(lambda data, _: witness(data), lambda: [checkpoint()], ()),
}


def bend(data: st.DataObject, valid: bytes) -> bytes:
    """Change valid bytes in one to four ways."""
    made = bytearray(valid)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, max(0, len(made) - 1)))
        length = data.draw(st.integers(1, 40))
        match data.draw(st.sampled_from(["flip", "cut", "double", "swap", "put", "end"])):
            case "flip" if made:
                made[start] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del made[start : start + length]
            case "double":
                made[start:start] = made[start : start + length]
            case "swap":
                half = made[start : start + length]
                made[start : start + length] = half[::-1]
            case "put":
                made[start:start] = data.draw(st.sampled_from(TOKENS))
            case _:
                del made[start:]
    return bytes(made)


def try_once(name: str, data: st.DataObject, folder: Path) -> None:
    """Feed one strange thing to a reader; anything but its own way of saying no fails."""
    reader = READERS[name]
    if data.draw(st.integers(0, 9)) == 0:
        strange = data.draw(st.binary(max_size=300))
    else:
        strange = bend(data, data.draw(st.sampled_from(list(reader.valid()))))
    try:
        reader.read(strange, folder)
    except reader.says:
        return


HEALTH = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=FEW, deadline=None, suppress_health_check=HEALTH)
@given(data=st.data())
def test_strange_bytes_only_make_it_say_no(name: str, tmp_path: Path, data: st.DataObject) -> None:
    """No input leads to another exception than the one that the reader promises."""
    try_once(name, data, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", READERS)
@settings(max_examples=MANY, deadline=None, suppress_health_check=HEALTH)
@given(data=st.data())
def test_ten_thousand_strange_bytes_only_make_it_say_no(
    name: str, tmp_path: Path, data: st.DataObject
) -> None:
    """The same at night, ten thousand times for each reader."""
    try_once(name, data, tmp_path)


@pytest.mark.parametrize("name", READERS)
def test_every_reader_takes_what_is_valid(name: str, tmp_path: Path) -> None:
    """Or the tests above would show nothing: most valid bytes are read without a word."""
    reader = READERS[name]
    taken = 0
    for valid in reader.valid():
        try:
            reader.read(valid, tmp_path)
        except reader.says:
            continue
        taken += 1
    assert taken or name in ("request",)


def test_a_byte_more_or_less_is_another_note() -> None:
    """Every cut of a golden entry is refused or is another note with another hash."""
    note = notes()[5]
    for end in range(len(note)):
        try:
            found = parse(note[:end])
        except Malformed:
            continue
        assert found.encode() == note[:end]


def test_base64_has_one_form() -> None:
    """Every pair of characters behind a full group: one of sixteen encodes back to itself."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for second in alphabet:
        text = f"A{second}=="
        try:
            data = decode_base64(text, "x")
        except Malformed:
            continue
        assert base64.b64encode(data).decode() == text
