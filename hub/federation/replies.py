"""Judging a reply: does the vector that came belong to the signed statement that came with it?

Pure questions in a fixed order; the first that fails is the reason. Signatures, rounds and floors
are judged by the log's own rules when the statement is appended.

Source: design/federation.md §4.2, §5.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from compliance.canonical import sha256_id
from compliance.errors import Malformed
from compliance.records.consortium import BUCKETS
from compliance.records.decisions import DecisionDenied
from compliance.records.envelope import Event, parse_event
from compliance.records.reasons import Excluded, Missing
from compliance.records.rounds import MetricReported, UpdateSubmitted
from compliance.records.wire import WORDS_32, vector_values
from compliance.signing.note import parse

CHUNK = 262_144
MOST_NOTES = 16
NORM_BOUND = 5.0
FEWEST_FOR_MEDIAN = 3


@dataclass(frozen=True)
class Reply:
    """What came from one hospital: an array's bytes or none, and signed notes."""

    site: str
    array: bytes | None
    notes: list[bytes]
    papers: Mapping[str, bytes] = field(default_factory=dict)
    """What came beside a masked update, or opened shares; empty without masks."""


@dataclass(frozen=True)
class Spoken:
    """The notes of a reply, read: what was measured, and the update or the refusal."""

    metrics: list[bytes]
    update: tuple[bytes, UpdateSubmitted] | None
    refusal: tuple[bytes, DecisionDenied] | None


def read_notes(reply: Reply) -> Spoken:
    """Read the notes of a reply.

    Raises:
        Malformed: unreadable, too many, of another kind, two updates, or not in this site's name.
    """
    if len(reply.notes) > MOST_NOTES:
        raise Malformed("reply", f"it holds more than {MOST_NOTES} notes")
    metrics, updates, refusals = [], [], []
    for note in reply.notes:
        event = _own(note, reply.site)
        if isinstance(event.body, MetricReported):
            metrics.append(note)
        elif isinstance(event.body, UpdateSubmitted):
            updates.append((note, event.body))
        elif isinstance(event.body, DecisionDenied):
            refusals.append((note, event.body))
        else:
            raise Malformed("reply", f"a note of kind {event.type} does not belong into it")
    if len(updates) + len(refusals) > 1:
        raise Malformed("reply", "it says two things about one order")
    return Spoken(metrics, updates[0] if updates else None, refusals[0] if refusals else None)


def _own(note: bytes, site: str) -> Event:
    event = parse_event(parse(note).text)
    if event.actor != f"{site}/node":
        raise Malformed("reply", "a note speaks in another name than its sender's")
    return event


def refusal_means(body: DecisionDenied) -> Missing:
    """Why a site that refused is missing: its program failed, it was late, or it said no."""
    known = {"site.failed": Missing.FAILED, "round.deadline": Missing.LATE}
    return known.get(body.rule, Missing.REFUSED)


def judge_update(
    array: bytes | None, said: UpdateSubmitted, count: int, cases: Cases
) -> tuple[memoryview, float] | Excluded:
    """Compare an update's bytes with what was signed about them.

    Args:
        array: a `.npy` file of `count` float32 values, as it came.
        said: the signed statement.
        count: values of the layout.
        cases: what is known about the number of cases behind it.

    Returns:
        The values' bytes and their Euclidean norm, or why the update does not count.
    """
    try:
        values = vector_values(array or b"", count)
    except Malformed:
        return Excluded.WRONG_SHAPE
    if sha256_id(values) != said.update_sha256:
        return Excluded.BAD_HASH
    if said.encoding != "packed-f32" or said.bytes != len(values):
        return Excluded.WRONG_SHAPE
    norm = norm_of(values)
    if norm is None:
        return Excluded.NOT_FINITE
    return (values, norm) if cases.fits(said.n) else Excluded.BAD_COUNT


def judge_masked(
    array: bytes | None, said: UpdateSubmitted, count: int, cases: Cases
) -> memoryview | Excluded:
    """Compare a masked update's bytes with what was signed; what its numbers are, nobody sees.

    Args as `judge_update`; the file holds `count` uint32 values.
    """
    try:
        values = vector_values(array or b"", count, WORDS_32)
    except Malformed:
        return Excluded.WRONG_SHAPE
    if sha256_id(values) != said.update_sha256:
        return Excluded.BAD_HASH
    if said.encoding != "masked-u32" or said.bytes != len(values):
        return Excluded.WRONG_SHAPE
    return values if cases.fits(said.n) else Excluded.BAD_COUNT


@dataclass(frozen=True)
class Cases:
    """What the hub knows about a dataset's size.

    Args:
        bucket: as `dataset.registered` tells it, over all splits.
        last: n of the newest update on the same dataset version, or None.
    """

    bucket: str
    last: int | None

    def fits(self, n: int) -> bool:
        """Whether n training cases are possible: within the bucket, and unchanged."""
        edges = [edge for edge in BUCKETS if self.bucket in ("≥floor", f"≥{edge}")]
        higher = BUCKETS[0] if self.bucket == "≥floor" else None
        if self.bucket.startswith("≥") and self.bucket != "≥floor":
            place = BUCKETS.index(edges[0])
            higher = BUCKETS[place + 1] if place + 1 < len(BUCKETS) else None
        return (higher is None or n < higher) and self.last in (None, n)


def norm_of(values: memoryview) -> float | None:
    """Euclidean norm of float32 values, or None when one of them is no number.

    Per chunk a float64 sum, then an exact sum over chunks: the same on every machine.
    """
    vector, parts = np.frombuffer(values, dtype="<f4"), []
    for start in range(0, len(vector), CHUNK):
        piece = vector[start : start + CHUNK].astype(np.float64)
        if not np.isfinite(piece).all():
            return None
        parts.append(float(np.add.reduce(piece * piece)))
    return math.sqrt(math.fsum(parts))


def too_large(norms: Mapping[str, float], agreed: float | None) -> set[str]:
    """Sites whose update is far larger than the others', or than the charter lets in.

    Args:
        norms: Euclidean norm by site, of all that count so far.
        agreed: `norm_max` of the charter, or None.
    """
    found = {site for site, norm in norms.items() if agreed is not None and norm > agreed}
    if len(norms) >= FEWEST_FOR_MEDIAN:
        middle = _median(norms.values())
        found |= {site for site, norm in norms.items() if norm > NORM_BOUND * middle}
    return found


def _median(values: Iterable[float]) -> float:
    return float(np.median(np.array(sorted(values), dtype=np.float64)))
