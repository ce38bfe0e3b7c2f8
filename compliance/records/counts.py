"""How many: a question of the consortium in closed words, and what a hospital answers to it.

These statements stand in no log. A question has no word for a floor: that is each hospital's own.
An answer says of each registered dataset a number of patients, or nothing where it is below the
floor: none and too few look the same.

Source: docs/decisions/0028 and 0034.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationError

from compliance.errors import NotReady
from compliance.records.types import Count, Record, Sha, Slug

Modality = Literal[
    "cr", "dx", "mg", "us", "ct", "mr", "pt", "nm", "xa", "rf", "sc", "ot", "io",
    "table", "other", "unknown",
]  # fmt: skip
BodyPart = Literal[
    "abdomen", "abdomenpelvis", "ankle", "arm", "brain", "breast", "cervix", "chest",
    "chestabdomen", "colon", "cspine", "elbow", "eye", "face", "femur", "foot", "hand",
    "head", "headneck", "heart", "hip", "kidney", "knee", "leg", "liver", "lspine", "lung",
    "neck", "pancreas", "pelvis", "prostate", "shoulder", "skull", "spine", "stomach",
    "thyroid", "tspine", "uterus", "wholebody", "wrist", "other", "unknown",
]  # fmt: skip
Age = Literal[
    "0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80+", "unknown"
]  # fmt: skip
MOST_TOLD = 64
"""Datasets of one answer."""

Sex = Literal["female", "male", "other", "unknown"]


class CountsAsked(Record):
    """How many patients of a kind are there? What is null may be anything."""

    modality: Modality | None = None
    body_part: BodyPart | None = None
    age: Age | None = None
    sex: Sex | None = None
    label: Slug | None = None

    @property
    def phrase(self) -> str:
        """The question in one line, such as `body part chest, age 60-69`."""
        words = [f"{name} {word}" for name, word in self.plain().items() if word]
        return ", ".join(words).replace("body_part", "body part") or "any patient"


def read_question(fix: str, **words: str | None) -> CountsAsked:
    """The question that the options of a command say.

    Args:
        fix: where the words are listed.
        words: by name; None was not said.

    Raises:
        NotReady: a word may not be asked.
    """
    try:
        return CountsAsked.model_validate(words)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0]).replace("_", "-")
        raise NotReady(f"--{name} is none of the words that may be asked.", fix) from None


class CountTold(Record):
    """Patients of one dataset; null where they are fewer than the floor, or none."""

    dataset: Slug
    patients: Count | None


class CountsAnswered(Record):
    """What a hospital tells of its registered datasets, above its own floor."""

    question: Sha
    floor: Annotated[Count, Field(ge=1)]
    told: Annotated[list[CountTold], Field(max_length=MOST_TOLD)]


class CountsDeclined(Record):
    """This hospital answers no such question."""

    question: Sha


COUNTS: dict[str, type[Record]] = {
    "counts.asked": CountsAsked,
    "counts.answered": CountsAnswered,
    "counts.declined": CountsDeclined,
}
"""Statements about counts; none of them belongs into a log."""
