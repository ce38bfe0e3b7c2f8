"""What a hospital tells of its own checks of a model, sealed beside its yes to the release.

The whole check report stays at the hospital. This part of it has no count and no text; the log
holds its hash, and it can be erased. In a study with noise nothing that was computed on training
cases is told: no epsilon covers it.

Source: design/federation.md §8.1 and §8.4.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from compliance.errors import Malformed
from compliance.records.types import Dec, Record, Sha, Slug

Outcome = Literal["not_tested", "no_leak_found", "leak_test", "kept_here"]


class Between(Record):
    """A value with its 95 % interval."""

    value: Dec
    low: Dec
    high: Dec


class ClassLeak(Record):
    """How well training patients of one class are told from others: 0.5 is a coin.

    Args:
        name: the class.
        auc: area under the curve of the loss threshold.
        tpr: training patients that are found at 1 % false ones.
    """

    name: Slug
    auc: Between
    tpr: Between


class ChecksTold(Record):
    """The sealed part: leak test, identity by three hashes, and whether every count may be shown.

    `classes` holds those with 100 patients on both sides, the others were not tested.
    """

    v: Literal[1]
    model_sha256: Sha
    leak: Outcome
    classes: Annotated[list[ClassLeak], Field(max_length=256)]
    layout_sha256: Sha
    label_map_sha256: Sha
    preprocessing_sha256: Sha
    floor_holds: bool


def read_checks(value: dict[str, Any]) -> ChecksTold:
    """Read it from JSON values.

    Raises:
        Malformed: a field is missing, unknown or of another form; it is named.
    """
    try:
        return ChecksTold.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise Malformed("checks of a model", f"{where}: {first['msg']}") from None
