"""There is one way to write it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.canonical import decode, digest_of, encode, sha256_id
from compliance.errors import Malformed

LEAVES = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_can_be_read(value: Any) -> None:
    """Encode and decode are each other's inverse."""
    assert decode(encode(value)) == value


@pytest.mark.parametrize(
    "data",
    [b'{"a":1, "b":2}', b'{"b":1,"a":2}', b'{"a":1,"a":1}', b"1.0", b"1e3", b"NaN", b"-0",
     b'"\\u0041"', b"\xff", b"", b"[1,2", b"9007199254740993", b"[" * 40 + b"]" * 40,
     b"[" * 100_000],
)  # fmt: skip
def test_every_other_encoding_is_refused(data: bytes) -> None:
    """Spaces, order, duplicates, fractions, escapes, depth, size."""
    with pytest.raises(Malformed):
        decode(data)


@pytest.mark.parametrize(
    "value", [1.5, float("nan"), 2**53, {1: 2}, [{"b": 0.1}], {"\ud800": 1}, object()]
)
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    """Fractions travel as decimal text."""
    with pytest.raises(Malformed):
        encode(value)


@given(st.binary(max_size=100))
def test_strange_bytes_only_make_it_say_no(data: bytes) -> None:
    """No input leads to another exception than ours."""
    try:
        decode(data)
    except Malformed:
        return


def test_a_digest_names_the_canonical_bytes() -> None:
    """`sha256:` and 64 hex digits."""
    assert digest_of({"b": 1, "a": 2}) == sha256_id(b'{"a":2,"b":1}')
