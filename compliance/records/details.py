"""Round details: the scalars by which anybody recomputes a round's model, bit for bit.

The hub commits to them by `sealed` of `round.closed`. Numbers are written as C99 hexadecimal
floats: exact, and the log takes no fraction. Lists follow `sites`.

Source: design/federation.md §6.2.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from compliance.errors import Malformed
from compliance.records.types import MAP_KEYS, Count, Record, Sha, Site

PAIRS = MAP_KEYS * (MAP_KEYS - 1) // 2

Hex = Annotated[
    str, StringConstraints(pattern=r"^(?:0x0\.0p\+0|0x[01]\.[0-9a-f]{13}p[+-]\d{1,4})$")
]
"""A float from 0 as `float.hex()` writes it."""

SignedHex = Annotated[
    str, StringConstraints(pattern=r"^-?(?:0x0\.0p\+0|0x[01]\.[0-9a-f]{13}p[+-]\d{1,4})$")
]
Mask = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,16}$")]
"""Places in `sites` as a hexadecimal number: bit 0 is the first."""


class RoundDetails(Record):
    """How one model came about, besides the updates themselves.

    Args:
        v: version of this form.
        round: its number.
        sites: hospitals that vote, sorted.
        n: their examples.
        reference: hospital whose update is the measure and no vote.
        reference_norm: L2 norm of that update.
        norms: L2 norm of each update, over the parameters.
        cosines: cosine of each update with the reference.
        distances: L2 distance of each pair, in the order (0,1), (0,2), …, (1,2), ….
        factors: what each update is multiplied by.
        total: what the sum is divided by.
        neighbours: which updates each one is averaged with.
        state_before: SHA-256 of the server step's state that the round began with.
        state_after: and of the one that it left.
    """

    v: Literal[1] = 1
    round: Count
    sites: Annotated[list[Site], Field(min_length=1, max_length=MAP_KEYS)]
    n: Annotated[list[Count], Field(max_length=MAP_KEYS)]
    reference: Site | None
    reference_norm: Hex | None
    norms: Annotated[list[Hex], Field(max_length=MAP_KEYS)]
    cosines: Annotated[list[SignedHex], Field(max_length=MAP_KEYS)]
    distances: Annotated[list[Hex], Field(max_length=PAIRS)]
    factors: Annotated[list[Hex], Field(max_length=MAP_KEYS)]
    total: Hex | None
    neighbours: Annotated[list[Mask], Field(max_length=MAP_KEYS)]
    state_before: Sha | None
    state_after: Sha | None

    @model_validator(mode="after")
    def _one_for_each_site(self) -> RoundDetails:
        count = len(self.sites)
        if self.sites != sorted(set(self.sites)) or len(self.n) != count:
            raise ValueError("sites are not sorted, or n has another length")
        for name in ("norms", "cosines", "factors", "neighbours"):
            if len(getattr(self, name)) not in (0, count):
                raise ValueError(f"{name} has another length than sites")
        if len(self.distances) not in (0, count * (count - 1) // 2):
            raise ValueError("distances do not hold every pair once")
        return self


def read_details(value: Any) -> RoundDetails:
    """Read round details.

    Raises:
        Malformed: a field is wrong, or a list does not fit.
    """
    try:
        return RoundDetails.model_validate(value)
    except ValidationError as error:
        raise Malformed("round details", error.errors(include_url=False)[0]["msg"]) from None
