"""The import recipe: how files become arrays. Its hash is part of every dataset's description."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from compliance.canonical import digest_of
from compliance.errors import NotReady

MOST = 1 << 20
MOST_VOXELS = 64 << 20
PLANE = ("rows", "columns")
LATER = ("spacing", "min_slices", "hu_range", "segments")
"""Words that came with volumes and masks."""


class SplitShares(BaseModel):
    """Shares of patients that are kept for validation and test; the rest is for training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    validation: float = Field(0.1, ge=0, lt=1)
    test: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _leave_some(self) -> SplitShares:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together leave nothing for training")
        return self


class Segment(BaseModel):
    """One class of masks: how it is called here, and which segment it is in a DICOM SEG."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")
    code: str | None = Field(None, pattern=r"^[A-Z0-9_]{2,16}:[A-Za-z0-9.-]{1,16}$")
    label: str | None = Field(None, min_length=1, max_length=64)

    @model_validator(mode="after")
    def _one_way(self) -> Segment:
        if (self.code is None) == (self.label is None):
            raise ValueError("a segment is named by its code (SCT:4147007) or by its label")
        return self


class ImportRecipe(BaseModel):
    """What a hospital may choose; two hospitals with the same recipe make comparable arrays.

    `size` is rows and columns, for 3D slices, rows and columns; `spacing` is in mm in the same
    order. `hu_range` is the window of Hounsfield units that is kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["2d", "3d"] = "2d"
    size: tuple[int, int] | tuple[int, int, int] = (224, 224)
    spacing: tuple[float, float, float] | None = None
    min_slices: int = Field(8, ge=2, le=4096)
    fit: Literal["pad", "crop"] = "pad"
    channels: Literal[1, 3] = 1
    intensity: Literal["relative", "hu"] = "relative"
    hu_range: tuple[int, int] = (-1024, 3071)
    frames_per_object: int = Field(1, ge=1, le=64)
    segments: tuple[Segment, ...] = Field((), max_length=32)
    accept_burned_in: bool = False
    split: SplitShares = SplitShares()

    @model_validator(mode="after")
    def _sensible_size(self) -> ImportRecipe:
        if not all(8 <= side <= 1024 for side in self.size):  # noqa: PLR2004 - pixels per side
            raise ValueError("size must lie between 8 and 1024 pixels per side")
        if prod(self.size) > MOST_VOXELS:
            raise ValueError("size has over 64 million voxels")
        return self

    @model_validator(mode="after")
    def _fits_kind(self) -> ImportRecipe:
        if self.kind == "3d":
            return self._solid()
        if len(self.size) != len(PLANE):
            raise ValueError("a 2d recipe has a size of two: rows, columns")
        if self.spacing is not None or self.intensity == "hu":
            raise ValueError("spacing and intensity: hu are for kind: 3d")
        return self

    def _solid(self) -> ImportRecipe:
        if len(self.size) == len(PLANE) or self.spacing is None:
            raise ValueError("a 3d recipe has a size and a spacing of three: slices, rows, columns")
        if not all(0.1 <= step <= 20 for step in self.spacing):  # noqa: PLR2004 - mm
            raise ValueError("spacing must lie between 0.1 and 20 mm")
        if self.channels != 1 or self.frames_per_object != 1:
            raise ValueError("a volume has one channel and all its frames")
        low, high = self.hu_range
        if not -32768 <= low < high <= 32767:  # noqa: PLR2004 - what 16 bits hold
            raise ValueError("hu_range must be two Hounsfield units, the lower one first")
        return self

    @model_validator(mode="after")
    def _names_once(self) -> ImportRecipe:
        if len({segment.name for segment in self.segments}) != len(self.segments):
            raise ValueError("two segments have the same name")
        return self

    @property
    def solid(self) -> bool:
        """Whether samples are volumes."""
        return self.kind == "3d"

    @property
    def plane(self) -> tuple[int, int]:
        """Rows and columns."""
        return (self.size[-2], self.size[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, (slices,) rows, columns of every sample."""
        return (self.channels, *self.size)

    @property
    def pixels_id(self) -> str:
        """Names what decides the pixels: objects decoded under it need no second decoding."""
        plain = self._plain()
        del plain["split"]
        return digest_of(plain).removeprefix("sha256:")

    @property
    def sha256(self) -> str:
        """Names the whole recipe; fractions are written as text."""
        return digest_of(self._plain())

    def _plain(self) -> dict[str, Any]:
        """Every word; those that came later only where they say something.

        So a 2D recipe keeps the name that it had before there were volumes.
        """
        plain = self.model_dump(mode="json")
        plain["split"] = {name: repr(share) for name, share in plain["split"].items()}
        if plain["spacing"] is not None:
            plain["spacing"] = [repr(step) for step in plain["spacing"]]
        unsaid = {name for name in LATER if getattr(self, name) == _default(name)}
        return {name: value for name, value in plain.items() if name not in unsaid}


def _default(name: str) -> Any:
    return ImportRecipe.model_fields[name].default


def read_recipe(path: Path | None) -> ImportRecipe:
    """Read a recipe from YAML or JSON; without a file, the defaults.

    Raises:
        NotReady: not readable, no mapping, an unknown word or an impossible number.
    """
    if path is None:
        return ImportRecipe()
    try:
        if path.stat().st_size > MOST:
            raise NotReady(f"the import recipe {path} is too long.", "Name the right file.")
        text = path.read_text(encoding="utf-8")
        plain: Any = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        return ImportRecipe.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "it"
        finding = f"the import recipe {path} is not usable: {name}: {first['msg']}."
        raise NotReady(
            finding, "Correct that line, or leave --recipe out for the defaults."
        ) from error
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        finding = f"the import recipe {path} cannot be read ({reason})."
        raise NotReady(finding, "Name a YAML or JSON file with --recipe.") from error
