"""The order a hub sends with a model. It is no authority: all of it is checked against the log.

Source: design/federation.md §4.2.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, ValidationError, model_serializer

from compliance import canonical
from compliance.errors import Malformed
from compliance.records.coalitions import SweepStep
from compliance.records.types import Count, Record, Sha, Time


class Order(Record):
    """Train or evaluate this model for this round; `entry` and `leaf` name its `round.opened`.

    `sweep` says which step of a sweep; layout and model are then those of its stack, and the entry
    is the `round.closed` of the last round. An order without it does not have the field.
    """

    v: Literal[1] = 1
    kind: Literal["train", "evaluate", "unmask", "sweep"]
    log: Sha
    entry: Count
    leaf: Sha
    round: Count
    layout_sha256: Sha
    model_sha256: Sha
    deadline: Time
    sweep: SweepStep | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_not_asked(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what this kind of order has not: others keep their bytes."""
        told: dict[str, Any] = plain(self)
        return {name: value for name, value in told.items() if value is not None}

    def encode(self) -> bytes:
        """Write the order as it travels."""
        return canonical.encode(self.plain())

    @classmethod
    def parse(cls, data: bytes) -> Order:
        """Read an order.

        Raises:
            Malformed: not canonical, or a field is missing, unknown or wrong.
        """
        value = canonical.decode(data)
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "order"
            raise Malformed("order", f"{where}: {first['msg']}") from None


def seed_of(log: str, model_sha256: str, site: str) -> int:
    """First 8 bytes of SHA-256 over charter id, model and site: the same order, the same run."""
    material = f"{log}{model_sha256}{site}".encode()
    return int.from_bytes(hashlib.sha256(material).digest()[:8], "big")
