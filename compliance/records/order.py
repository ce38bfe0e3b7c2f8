"""The order a hub sends with a model. It is no authority: all of it is checked against the log.

Source: design/federation.md §4.2.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ValidationError

from compliance import canonical
from compliance.errors import Malformed
from compliance.records.types import Count, Record, Sha, Time


class Order(Record):
    """Train or evaluate this model for this round; `entry` and `leaf` name its `round.opened`."""

    v: Literal[1] = 1
    kind: Literal["train", "evaluate", "unmask", "sweep"]
    log: Sha
    entry: Count
    leaf: Sha
    round: Count
    layout_sha256: Sha
    model_sha256: Sha
    deadline: Time

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
