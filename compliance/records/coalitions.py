"""What a sweep says: a step of it in an order, and what a hospital measured of its coalitions.

A sweep trains every coalition of a study's hospitals beside each other, their models stacked in one
vector. Bit i of a coalition stands for the i-th hospital of the sweep, in the order of names.

Source: design/federation.md §10, §16.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from compliance.canonical import sha256_id
from compliance.records.types import Coalition, Count, Dec, Record, Sha, Slug

STACK_DOMAIN = b"consilium/stack/v1\n"
COURSE_DOMAIN = b"consilium/course/v1\n"
MOST_BYTES = 96 << 20
"""Largest stack of one order."""
MOST_VALUES = 256
"""Most coalitions of one statement: all of eight hospitals, the empty one among them."""
MOST_STATEMENTS = 64
"""Most statements of one reply."""


class SweepStep(Record):
    """Which part of a sweep an order asks for: step 1 to the number of rounds, then measuring."""

    name: Slug
    batch: Count
    step: Annotated[Count, Field(ge=1)]


class CoalitionValue(Record):
    """One coalition's model on a hospital's held-out cases: counts, or a value where there is none.

    `correct` is null where it, or what is missing to `n`, is below the smallest count; all three
    are null where `n` itself is.
    """

    n: Count | None
    correct: Count | None
    value: Dec | None


class CoalitionMeasured(Record):
    """A hospital measured coalitions of one seed of a sweep.

    `models_sha256` names the stack of their models, `course_sha256` all that the hospital was sent
    and answered in the sweep before.
    """

    sweep: Slug
    seed: Count
    models_sha256: Sha
    course_sha256: Sha
    dataset: Slug
    dataset_version: Sha
    split: Literal["validation", "test"]
    values: Annotated[dict[Coalition, CoalitionValue], Field(min_length=1, max_length=MOST_VALUES)]


def stack_sha256(layout_sha256: str, stack: bytes | memoryview) -> str:
    """Name a stack of models of one network: float32, little-endian, one after the other."""
    state = hashlib.sha256(STACK_DOMAIN + bytes.fromhex(layout_sha256.removeprefix("sha256:")))
    state.update(stack)
    return "sha256:" + state.hexdigest()


def next_course(course: str | None, models_sha256: str, sent_sha256: str) -> str:
    """Go on with a course by one step.

    Args:
        course: of the steps before; None at the first one.
        models_sha256: the stack that came in.
        sent_sha256: hash of the stacked updates that went back.
    """
    words = "\n".join((course or "", models_sha256, sent_sha256))
    return sha256_id(COURSE_DOMAIN + words.encode())


def coalition_text(coalition: int) -> str:
    """A coalition as statements write it."""
    return format(coalition, "x")
