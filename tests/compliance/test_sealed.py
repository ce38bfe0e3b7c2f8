"""A sealed detail can be opened by whoever has it, guessed by nobody, and forgotten for good."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from compliance.errors import Malformed, NotProven
from compliance.records.sealed import MOST_BYTES, commitment, open_sealed, seal_payload
from tests import factories as make

SALT = bytes(range(16))
PAYLOAD = {"remark": "Round 3 looks odd.", "entry": 7}


def test_a_commitment_is_the_hash_of_salt_and_canonical_payload() -> None:
    """Anybody with a hash program and the rule of the design gets the same value."""
    by_hand = hashlib.sha256(SALT + b'{"entry":7,"remark":"Round 3 looks odd."}').hexdigest()

    assert commitment(SALT, PAYLOAD) == f"sha256:{by_hand}"
    assert seal_payload(PAYLOAD, SALT).payload == PAYLOAD


def test_what_was_sealed_is_opened_by_its_own_salt_and_bytes_only() -> None:
    """Another salt, another payload or another commitment proves nothing."""
    sealed = seal_payload(PAYLOAD, SALT)
    other = seal_payload(PAYLOAD | {"entry": 8}, SALT)

    assert open_sealed(sealed.commitment, SALT, sealed.data) == PAYLOAD
    for said, salt, data in (
        (sealed.commitment, SALT[::-1], sealed.data),
        (sealed.commitment, SALT, other.data),
        (other.commitment, SALT, sealed.data),
    ):
        with pytest.raises(NotProven, match="commits to"):
            open_sealed(said, salt, data)


def test_a_guessed_payload_cannot_be_confirmed_without_its_salt() -> None:
    """After the salt is deleted a right guess looks like every wrong one."""
    said = seal_payload(PAYLOAD, SALT).commitment
    guesses = [bytes(16), bytes([255]) * 16, hashlib.sha256(said.encode()).digest()[:16]]

    assert said not in {commitment(salt, PAYLOAD) for salt in guesses}
    with pytest.raises(Malformed, match="salt"):
        commitment(b"", PAYLOAD)


@pytest.mark.parametrize(
    "payload",
    [{}, [], "text", None, {"share": 0.5}, {"n": 2**53}, {"x": "y" * MOST_BYTES}, {1: "a"}],
)
def test_a_payload_follows_the_rules_of_the_log(payload: Any) -> None:
    """One object, no fraction, no integer that a reader would round, and small."""
    with pytest.raises(Malformed):
        seal_payload(payload, SALT)


def test_bytes_in_another_encoding_are_not_opened() -> None:
    """A space more is another payload."""
    data = b'{"entry": 7}'
    said = "sha256:" + hashlib.sha256(SALT + data).hexdigest()

    with pytest.raises(Malformed, match="canonical"):
        open_sealed(said, SALT, data)
    with pytest.raises(Malformed, match="object"):
        open_sealed(make.sha("x"), SALT, b"[]")
