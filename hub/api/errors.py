"""Errors of the family become a status and one JSON form; nothing else ever leaves."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from compliance.errors import (
    ConsiliumError,
    Malformed,
    NotProven,
    NotReady,
    Refused,
    Unreachable,
)

STATUS: dict[str, int] = {
    "auth.session": 401,
    "auth.password": 401,
    "request.signature": 401,
    "request.site": 401,
    "request.time": 401,
    "request.replay": 401,
    "auth.wait": 429,
    "request.size": 413,
    "note.size": 413,
    "checkpoint.old": 409,
    "run.lease": 409,
    "request.protocol": 426,
    "hub.readonly": 503,
}
FORBIDDEN, BAD, CONFLICT, AWAY = 403, 400, 409, 503
TRY_AGAIN = (429, AWAY)


def install(app: FastAPI) -> None:
    """Answer every error in one form."""
    app.add_exception_handler(ConsiliumError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _unknown)


def status_of(error: ConsiliumError) -> int:
    """The HTTP status of an error of the family."""
    if isinstance(error, Refused):
        return STATUS.get(error.rule, FORBIDDEN)
    table = ((Malformed, BAD), (NotProven, BAD), (NotReady, CONFLICT), (Unreachable, AWAY))
    return next((status for kind, status in table if isinstance(error, kind)), BAD)


def answer(error: ConsiliumError) -> JSONResponse:
    """The HTTP answer to an error of the family."""
    status, fix = status_of(error), str(getattr(error, "fix", ""))
    if not isinstance(error, Refused):
        return _plain(status, type(error).__name__, str(error), fix)
    rule = {
        "rule": error.rule,
        "found": None if error.found is None else str(error.found),
        "agreed": None if error.agreed is None else str(error.agreed),
    }
    return _plain(status, error.rule, str(error), fix, rule)


def _known(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, ConsiliumError):
        raise error
    return answer(error)


def _no_route(_: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else BAD
    return _plain(status, "Malformed", "There is nothing at this address.", "See the guide.")


def _invalid(_: Request, error: Exception) -> JSONResponse:
    where = ""
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) + ": " + str(first["msg"])
    return _plain(BAD, "Malformed", f"The request has another form ({where}).", "See the guide.")


def _unknown(_: Request, error: Exception) -> JSONResponse:
    logging.getLogger("consilium.hub").error("unexpected error", exc_info=error)
    return _plain(500, "internal", "Something went wrong at the hub; it is in its log.", "")


def _plain(
    status: int, code: str, sentence: str, fix: str, more: Mapping[str, str | None] | None = None
) -> JSONResponse:
    error = {"code": code, "sentence": sentence, "fix": fix, **(more or {})}
    headers = {"Retry-After": "1"} if status in TRY_AGAIN else None
    return JSONResponse({"error": error}, status, headers)
