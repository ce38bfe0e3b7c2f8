"""Masked rounds: keys, lists, and what travels beside a masked update and its unmasking.

Source: design/federation.md §4.2, §11 and §16; Bonawitz et al. 2017 (doi 10.1145/3133956.3133982).
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from compliance import canonical
from compliance.errors import Malformed
from compliance.records.order import Order
from compliance.records.types import MAP_KEYS, Count, Record, Root, Sha, Site

MOST_SEALED = 4096
"""Characters of one sealed share: 31 field elements of 66 bytes and a tag, as base64, fit."""


def _base64(text: str) -> str:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("it is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise ValueError("it is not the one base64 form of its bytes")
    return text


Sealed = Annotated[str, Field(max_length=MOST_SEALED), AfterValidator(_base64)]
"""A share that only its recipient can open (RFC 8439), as base64."""

Element = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{132}$")]
"""An element of the field of 2^521 - 1: 66 bytes, big-endian, as hexadecimal digits."""


class MaskKey(Record):
    """A site's X25519 key for masks; it takes the place of the one before."""

    public: Root


class RoundUnmasking(Record):
    """The hub ends the uploads: whose masked updates are in the sum, and who is not."""

    round: Count
    alive: Annotated[dict[Site, Sha], Field(min_length=1, max_length=MAP_KEYS)]
    gone: Annotated[list[Site], Field(max_length=MAP_KEYS)]


class UnmaskOrder(Order):
    """Open these shares; `entry` and `leaf` name the `round.unmasking`, `shares` go by sender."""

    kind: Literal["unmask"]
    shares: Annotated[dict[Site, Sealed], Field(min_length=1, max_length=MAP_KEYS)]


class Shares(Record):
    """The shares of one site's seeds, by recipient, the sender itself among them."""

    v: Literal[1] = 1
    to: Annotated[dict[Site, Sealed], Field(min_length=1, max_length=MAP_KEYS)]


class Commitments(Record):
    """SHA-256 of a site's own seed and of each seed that it has with another site."""

    v: Literal[1] = 1
    own: Sha
    pairs: Annotated[dict[Site, Sha], Field(max_length=MAP_KEYS)]


class OpenedShare(Record):
    """What one site tells of another: its share of the own seed, and of those with the gone."""

    own: Element
    pairs: Annotated[dict[Site, Element], Field(max_length=MAP_KEYS)]


class Opened(Record):
    """A site's answer to an unmasking, by alive site."""

    v: Literal[1] = 1
    of: Annotated[dict[Site, OpenedShare], Field(min_length=1, max_length=MAP_KEYS)]


Paper = TypeVar("Paper", Shares, Commitments, Opened)


def read_paper(form: type[Paper], data: bytes) -> Paper:
    """Read what travels beside a masked update or an unmasking.

    Raises:
        Malformed: not canonical, or a field is missing, unknown or wrong.
    """
    value = canonical.decode(data)
    try:
        return form.model_validate(value)
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise Malformed(form.__name__.lower(), told) from None


def read_any_order(data: bytes) -> Order:
    """Read an order of any kind; raises as `Order.parse`."""
    value = canonical.decode(data)
    unmask = isinstance(value, dict) and value.get("kind") == "unmask"
    return UnmaskOrder.parse(data) if unmask else Order.parse(data)
