"""What only the people who made a model can say: the narrative of its card.

A log holds no sentence about who a model is for. What nobody wrote stays empty and is printed as
such; nothing is ever guessed.

Source: design/compliance.md §9.1.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from compliance.errors import Malformed
from compliance.records.types import Record, Text4000

MARKER = "to be completed by the developer"


class Narrative(Record):
    """Nine fields, each a text or nothing; no other field is known."""

    intended_use: Text4000 | None = None
    users: Text4000 | None = None
    population: Text4000 | None = None
    out_of_scope: Text4000 | None = None
    risks: Text4000 | None = None
    biases: Text4000 | None = None
    maintenance: Text4000 | None = None
    funding: Text4000 | None = None
    stakeholders: Text4000 | None = None

    def say(self, field: str) -> str:
        """The text of a field, or the marker that nobody wrote one."""
        text: str | None = getattr(self, field)
        return MARKER if text is None else text


FIELDS = tuple(Narrative.model_fields)


def narrative_of(plain: Any) -> Narrative:
    """Read a narrative from plain data.

    Raises:
        Malformed: an unknown field, a text that is empty, too long or holds a line break.
    """
    try:
        return Narrative.model_validate(plain)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "it"
        known = ", ".join(FIELDS)
        raise Malformed(
            "narrative", f"{name[:80]}: {first['msg']}; the fields are {known}"
        ) from None
