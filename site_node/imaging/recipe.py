"""The import recipe: how files become arrays. Its hash is part of every dataset's description."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from compliance.canonical import digest_of
from compliance.errors import NotReady

MOST = 1 << 20


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


class ImportRecipe(BaseModel):
    """What a hospital may choose; two hospitals with the same recipe make comparable arrays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["2d"] = "2d"
    size: tuple[int, int] = (224, 224)
    fit: Literal["pad", "crop"] = "pad"
    channels: Literal[1, 3] = 1
    intensity: Literal["relative"] = "relative"
    frames_per_object: int = Field(1, ge=1, le=64)
    accept_burned_in: bool = False
    split: SplitShares = SplitShares()

    @model_validator(mode="after")
    def _sensible_size(self) -> ImportRecipe:
        if not all(8 <= side <= 1024 for side in self.size):  # noqa: PLR2004 - pixels per side
            raise ValueError("size must lie between 8 and 1024 pixels per side")
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows, columns of every image."""
        return (self.channels, *self.size)

    @property
    def pixels_id(self) -> str:
        """Names what decides the pixels: objects decoded under it need no second decoding."""
        return digest_of(self.model_dump(mode="json", exclude={"split"})).removeprefix("sha256:")

    @property
    def sha256(self) -> str:
        """Names the whole recipe; fractions are written as text."""
        plain = self.model_dump(mode="json")
        plain["split"] = {name: repr(share) for name, share in plain["split"].items()}
        return digest_of(plain)


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
