"""What the hub answered: bytes into values, a refusal into an error of the family."""

from __future__ import annotations

import base64
import json
from typing import Any

from compliance.errors import ConsiliumError, Malformed, NotReady, Refused, Unreachable

MAX_ANSWER = 64 << 20
SIGNED_OUT, SERVER = 401, 500


def read_json(data: bytes) -> Any:
    """Read an answer.

    Raises:
        Malformed: it is not JSON.
    """
    try:
        return json.loads(data)
    except ValueError:
        raise Malformed("answer of the hub", "it is not JSON") from None


def decoded(text: object, what: str) -> bytes:
    """Read base64 in an answer.

    Raises:
        Malformed: it is not base64.
    """
    try:
        return base64.b64decode(str(text), validate=True)
    except ValueError:
        raise Malformed("answer of the hub", f"{what} is unreadable") from None


def bounded(part: bytes, before: int) -> bytes:
    """Hand a part on while the whole answer stays within 64 MiB.

    Raises:
        Malformed: it does not.
    """
    if before + len(part) > MAX_ANSWER:
        raise Malformed("answer of the hub", f"it is larger than {MAX_ANSWER} bytes")
    return part


def failure(status: int, data: bytes) -> ConsiliumError:
    """Turn the hub's one form of refusals into an error; its sentence is kept."""
    try:
        said = dict(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        said = {}
    rule, fix = said.get("rule"), str(said.get("fix") or "")
    sentence = str(said.get("sentence") or f"it answered with status {status}.")
    if rule or status == SIGNED_OUT:
        error = Refused(str(rule or "auth.session"), sentence=sentence)
        error.found, error.agreed = said.get("found"), said.get("agreed")
        return error  # the hub's sentence says already what was found and agreed
    if status >= SERVER:
        return Unreachable(f"the hub is in trouble: {sentence}", fix or "Try again later.")
    return NotReady(sentence.removeprefix("Not ready: ").removesuffix(fix).strip(), fix)
