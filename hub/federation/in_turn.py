"""Flower's own command line, several commands in one process: loading it costs more than they do.

Run as `python -m hub.federation.in_turn`; each line of the input holds the words of one command as
JSON, and each line of the output its answer. The first failure ends it.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Sequence
from typing import Any

from flwr.cli.app import app


def main() -> int:
    """Carry out what the input says."""
    for line in sys.stdin:
        answer = carried_out(json.loads(line))
        print(json.dumps(answer), flush=True)  # noqa: T201 - the hub reads it
        if not answer.get("success"):
            return 1
    return 0


def carried_out(words: Sequence[str]) -> dict[str, Any]:
    """What `flwr WORDS…` answers in JSON."""
    said, real = io.StringIO(), sys.__stdout__
    try:
        # Flower writes its JSON past any redirection
        sys.__stdout__ = said  # type: ignore[misc, assignment]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            app(list(words), standalone_mode=False)
        answer = json.loads(said.getvalue())
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever ends it is told as JSON
        answer = _told(said.getvalue(), error)
    finally:
        sys.__stdout__ = real  # type: ignore[misc]
    return answer if isinstance(answer, dict) else {"success": False}


def _told(said: str, error: BaseException) -> dict[str, Any]:
    try:
        answer = json.loads(said)
    except ValueError:
        return {"success": False, "error-message": f"{type(error).__name__}: {error}"}
    return answer if isinstance(answer, dict) else {"success": False}


if __name__ == "__main__":
    raise SystemExit(main())
