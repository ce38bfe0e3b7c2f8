"""A training program that tries to get a word out of the hospital, and all that a hub receives."""

from __future__ import annotations

import base64
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from flwr.common.serde import message_to_proto

from compliance.errors import NotReady, Refused
from site_node.training.work import Done, Work

CANARY = "MUELLER-HANS-19440203"
SLUG = CANARY.lower()
NUMBER = int.from_bytes(b"MUEL")
SHARE = {"value": Decimal("0.871"), "low": Decimal("0.82"), "high": Decimal("0.91")}

Hostile = Callable[[Work, memoryview], Done]


def done(vector: memoryview, values: Any = None, **changes: Any) -> Done:
    """An answer that looks ordinary but for what is changed."""
    told = {
        "delta": np.full(len(vector) // 4, 0.001, "<f4"),
        "n": 30,
        "steps": 9,
        "metrics": [("before_training", "test", values or {"auroc": cell()})],
    }
    return Done(**{**told, **changes})


def cell(**changes: Any) -> dict[str, Any]:
    """One measured value."""
    return {**SHARE, "n": 40, "positives": 20, **changes}


class Renamed(np.ndarray):
    """An array that carries a word with it."""


def _renamed(vector: memoryview) -> Renamed:
    array = np.full(len(vector) // 4, 0.001, "<f4").view(Renamed)
    array.patient = CANARY  # type: ignore[attr-defined]
    return array


def _named_dtype(vector: memoryview) -> Any:
    kind = np.dtype("<f4", metadata={"patient": CANARY})
    return np.full(len(vector) // 4, 0.001, kind)


def _longer(vector: memoryview) -> Any:
    spelled = np.frombuffer(CANARY.encode().ljust(24), "<f4")
    return np.concatenate([np.full(len(vector) // 4, 0.001, "<f4"), spelled])


def _raises(error: BaseException) -> Hostile:
    def hostile(work: Work, vector: memoryview) -> Done:
        raise error

    return hostile


def _talks(work: Work, vector: memoryview) -> Done:
    print(CANARY)
    sys.stderr.write(f"{CANARY}\n")
    logging.getLogger("flwr").error("patient %s", CANARY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn(CANARY, stacklevel=1)
    return done(vector)


def _names_a_file(work: Work, vector: memoryview) -> Done:
    path = Path(work.dataset_dir) / f"{CANARY}.dcm"
    path.read_bytes()
    return done(vector)


def _measured(**changes: Any) -> Hostile:
    return lambda work, vector: done(vector, {"auroc": cell(**changes)})


Patient = type(CANARY, (RuntimeError,), {})

ATTACKS: dict[str, Hostile] = {
    "the name of a metric": lambda _, v: done(v, {"auroc": cell(), SLUG: cell()}),
    "a name that is no slug": lambda _, v: done(v, {"auroc": cell(), CANARY: cell()}),
    "a text as a value": _measured(value=CANARY),
    "a text as an interval": _measured(low=CANARY),
    "a number as a value": _measured(value=Decimal(NUMBER)),
    "a number as an interval": _measured(high=Decimal(NUMBER)),
    "a text as a count": _measured(n=CANARY),
    "a number as a count": _measured(n=NUMBER, positives=None),
    "a number as positives": _measured(positives=NUMBER),
    "a field of a metric": _measured(**{SLUG: CANARY}),
    "a phase": lambda _, v: done(v, metrics=[(SLUG, "test", {"auroc": cell()})]),
    "a split": lambda _, v: done(v, metrics=[("before_training", SLUG, {"auroc": cell()})]),
    "the number of cases": lambda _, v: done(v, n=NUMBER),
    "a text as number of cases": lambda _, v: done(v, n=CANARY),
    "an attribute of the array": lambda _, v: done(v, delta=_renamed(v)),
    "metadata of the array's type": lambda _, v: done(v, delta=_named_dtype(v)),
    "values behind the array": lambda _, v: done(v, delta=_longer(v)),
    "an array of texts": lambda _, v: done(v, delta=np.array([CANARY])),
    "an exception": _raises(RuntimeError(CANARY)),
    "the name of an exception": _raises(Patient("no")),
    "a sentence of a refusal": _raises(Refused("site.failed", sentence=CANARY)),
    "what a refusal found": _raises(Refused("update.norm", CANARY, CANARY)),
    "the rule of a refusal": _raises(Refused(SLUG)),
    "a finding of this machine": _raises(NotReady(CANARY, CANARY)),
    "log lines": _talks,
    "a file's name": _names_a_file,
}
"""Each tries one way out."""


def needles() -> set[bytes]:
    """The word as it could be written down."""
    word = CANARY.encode()
    shifted = (base64.b64encode(b"." * by + word)[(by * 4 + 2) // 3 :] for by in range(3))
    written = {part.rstrip(b"=")[1:-1] for part in shifted}
    parts = {CANARY[:12], SLUG[:12], CANARY[::-1][:12], str(NUMBER)}
    return (
        written
        | {part.encode() for part in parts}
        | {
            word.hex().encode(),
            CANARY.encode("utf-16-le"),
            CANARY.encode("utf-32-le"),
        }
    )


def received(requests: list[httpx.Request], *messages: Any) -> Iterator[bytes]:
    """Everything that left: requests, line and headers too, and Flower's messages."""
    for request in requests:
        headers = b"\n".join(name + b": " + value for name, value in request.headers.raw)
        yield b"\n".join([str(request.url).encode(), headers, request.read()])
    for message in messages:
        yield message_to_proto(message).SerializeToString()
