"""From a charter in force and a few changed terms to the whole new text that everybody signs.

What cannot change is not asked of anybody: origin, log, consortium, start model, and the keys that
speak. The rules of the log judge the new text like the first one (`amendments`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from compliance.errors import Malformed, Refused
from compliance.records.charter import CharterBody
from compliance.rules.amendments import FIXED

AMENDABLE = frozenset(CharterBody.model_fields) - {*FIXED, "log_key", "hub_key", "researcher"}


def amended(body: CharterBody, changes: Mapping[str, Any]) -> CharterBody:
    """The charter with these terms in place of its own; a table changes field by field.

    Args:
        body: the charter in force.
        changes: fields as a charter has them.

    Raises:
        Refused: `amend.fixed` for what cannot change, or nothing would change.
        Malformed: a field has another form; it is named.
    """
    for name in sorted(set(changes) - AMENDABLE):
        raise Refused("amend.fixed", name[:40], "a term of the charter")
    plain = body.plain()
    for name, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(plain[name], dict)
        plain[name] = {**plain[name], **value} if both else value
    try:
        made = CharterBody.model_validate(plain)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Malformed("amendment", f"{where}: {first['msg']}") from None
    if made == body:
        raise Refused("amend.fixed", "no change", sentence="Nothing would change: name a term.")
    return made
