"""Keys, notes, key files and requests: one way to write each, and only the key holder can."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.errors import ConsiliumError, Malformed, NotReady, Refused
from compliance.signing.keyfile import read_key, read_public, write_key
from compliance.signing.keys import COSIGNATURE, NOTE, SigningKey, VerifierKey
from compliance.signing.note import Note, assemble, parse, parse_line, seal, verified
from compliance.signing.request import authorization, parse_authorization

NORTH = SigningKey("north.example/node", NOTE, b"\x01" * 32)
SOUTH = SigningKey("south.example/node", NOTE, b"\x02" * 32)
TEXT = "consilium/v1\nein Satz — mit Strich\n".encode()


def test_a_sealed_note_comes_back_and_names_its_signers() -> None:
    """What is written can be read, and the lines are sorted by name."""
    note = parse(seal(TEXT, SOUTH, NORTH))

    assert note.text == TEXT
    assert [line.name for line in note.lines] == ["north.example/node", "south.example/node"]
    assert verified(note, [NORTH.verifier, SOUTH.verifier]) == [NORTH.verifier, SOUTH.verifier]
    assert verified(note, [SOUTH.verifier]) == [SOUTH.verifier]


def test_a_changed_text_is_refused_under_a_known_key() -> None:
    """A line that claims a known key must verify."""
    note = parse(seal(TEXT, NORTH))
    changed = Note(TEXT.replace(b"ein", b"das"), note.lines)

    with pytest.raises(Malformed, match="does not verify"):
        verified(changed, [NORTH.verifier])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        TEXT + b"\nno dash here\n",
        TEXT + b"\n" + b"\xff\xfe\n",
        TEXT + b"\x07\n\n" + NORTH.line(TEXT).encode(),
        TEXT + b"\n" + NORTH.line(TEXT).encode() * 65,
        b"x" * 70_000,
        TEXT + b"\n" + "— north+x AAAAAAAA\n".encode(),
        TEXT + b"\n" + "— north AAA\n".encode(),
        TEXT + b"\n" + "— north AAAAAB==\n".encode(),
        TEXT + b"\n" + "— north AAAA\n".encode(),
    ],
)
def test_strange_notes_are_named_malformed(data: bytes) -> None:
    """Size, encoding, control bytes and signature lines have one form."""
    with pytest.raises(Malformed):
        parse(data)


@given(st.binary(max_size=300))
def test_strange_bytes_only_make_it_say_no(data: bytes) -> None:
    """No input leads to another exception than ours."""
    for reader in (parse, lambda raw: parse_line(raw.decode("latin-1"))):
        try:
            reader(data)
        except ConsiliumError:
            continue


def test_a_verifier_key_with_another_id_is_refused() -> None:
    """The key id is the hash of name and key: a renamed key is another key."""
    text = str(NORTH.verifier)

    assert VerifierKey.parse(text) == NORTH.verifier
    for wrong in (text.replace("north", "nurth"), text[:-4], "a+b", f"a b+{text}", "x+00000000+"):
        with pytest.raises(Malformed):
            VerifierKey.parse(wrong)


def test_a_cosigning_key_signs_no_note() -> None:
    """A witness key never makes statements."""
    with pytest.raises(Malformed):
        SigningKey("north.example/witness", COSIGNATURE, b"\x03" * 32).line(TEXT)


def test_a_note_without_final_newline_is_refused() -> None:
    """The text of a note ends in a newline."""
    with pytest.raises(Malformed):
        assemble(b"text", [NORTH.line(b"text")])


def test_a_key_file_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    """The seed lies encrypted; a wrong passphrase is refused and nothing is signed."""
    path = tmp_path / "keys" / "institution.key"
    write_key(path, NORTH, "correct horse")

    assert read_key(path, "correct horse") == NORTH
    assert read_public(path) == NORTH.verifier
    assert NORTH.seed.hex() not in path.read_text()
    with pytest.raises(Refused, match="wrong"):
        read_key(path, "battery staple")
    with pytest.raises(NotReady, match="passphrase"):
        read_key(path)


def test_a_key_file_is_private_and_never_overwritten(tmp_path: Path) -> None:
    """Mode 0600 is demanded, an existing key is kept."""
    path = tmp_path / "node.key"
    write_key(path, NORTH)

    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path) == NORTH
    with pytest.raises(NotReady, match="never overwritten"):
        write_key(path, SOUTH)
    assert read_key(path) == NORTH
    path.chmod(0o644)
    with pytest.raises(NotReady, match="chmod 600"):
        read_key(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"name": 1}', '{"name":"a","kind":1,"sealed":{}}']
)
def test_a_damaged_key_file_is_named(tmp_path: Path, text: str) -> None:
    """Bytes that are no key file are refused with its path."""
    path = tmp_path / "node.key"
    path.write_text(text)
    path.chmod(0o600)

    with pytest.raises(Malformed, match=r"node\.key"):
        read_key(path)


def test_a_missing_key_file_says_so(tmp_path: Path) -> None:
    """The sentence names the file."""
    with pytest.raises(NotReady, match=r"absent\.key"):
        read_key(tmp_path / "absent.key")


def test_a_signed_request_counts_for_just_this_request() -> None:
    """Method, path, query and body are covered."""
    made = authorization(
        NORTH, "north.example", "POST", "/a?b=1", b"body", "2026-11-24T08:00:00Z", "0" * 32
    )
    request = parse_authorization(made)

    assert request.site == "north.example"
    assert request.verifies(NORTH.verifier, "POST", "/a?b=1", b"body")
    assert not request.verifies(NORTH.verifier, "GET", "/a?b=1", b"body")
    assert not request.verifies(NORTH.verifier, "POST", "/a?b=2", b"body")
    assert not request.verifies(NORTH.verifier, "POST", "/a?b=1", b"other")
    assert not request.verifies(SOUTH.verifier, "POST", "/a?b=1", b"body")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer x", "Consilium a b c d", "Consilium n 2026-11-24T08:00:00Z short AAAA",
     f"Consilium n 2026-11-24T08:00:00Z {'0' * 32} ?"],
)  # fmt: skip
def test_another_header_is_no_signed_request(header: str) -> None:
    """The header has one form."""
    with pytest.raises(Malformed):
        parse_authorization(header)
