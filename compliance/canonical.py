"""One byte form for every record: RFC 8785 (JSON Canonicalization Scheme), and only that form.

Two encodings of one statement would have two hashes; the reader therefore decodes, encodes again
and demands the same bytes. Fractions never travel as JSON numbers: decimals are text.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import rfc8785

from compliance.errors import Malformed

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 16


def encode(value: Any) -> bytes:
    """Write a value in its one canonical form.

    Raises:
        Malformed: a float, an integer beyond 2^53 - 1, a lone surrogate or an unknown type.

    Source: RFC 8785 §3.2; integers as I-JSON (RFC 7493 §2.2).
    """
    _check(value, MAX_DEPTH)
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, ValueError) as error:
        raise Malformed("record", f"it cannot be written canonically ({error})") from None


def decode(data: bytes) -> Any:
    """Read a canonical value; any other encoding of it is refused.

    Raises:
        Malformed: not UTF-8, not JSON, duplicate keys, a fraction, NaN, nested too deep, or not
            the canonical bytes.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_float=_no_fraction,
            parse_constant=_no_fraction,
        )
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise Malformed("record", f"it is not one JSON value ({type(error).__name__})") from None
    if encode(value) != data:
        raise Malformed("record", "it is not in the canonical form of RFC 8785")
    return value


def sha256_id(data: bytes | memoryview) -> str:
    """Name bytes by their SHA-256: `sha256:` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """Name a value by the SHA-256 of its canonical form."""
    return sha256_id(encode(value))


def _check(value: Any, depth: int) -> None:
    if depth == 0:
        raise Malformed("record", f"it is nested deeper than {MAX_DEPTH}")
    if isinstance(value, float):
        raise Malformed("record", "a fraction stands where decimal text belongs")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_INTEGER:
        raise Malformed("record", "an integer is beyond 2^53 - 1")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise Malformed("record", "a key is not text")
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            _check(inner, depth - 1)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _no_fraction(text: str) -> Any:
    raise ValueError(f"fraction {text[:20]}")
