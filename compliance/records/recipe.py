"""A recipe: which network is trained and how, in names and numbers; never code.

A recipe is a canonical document; the charter names its id, version and hash. Other numbers are
another version.

Source: design/federation.md §7.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from compliance import canonical
from compliance.errors import Malformed
from compliance.records.layout import Layout, layout_for
from compliance.records.types import Count, Dec, Record, Sha, Slug

_FOLDER = Path(__file__).parent / "recipes"
_FIXED = ("v", "id", "family", "layout_sha256")
_LOSSES = {"binary": "bce", "multilabel": "bce", "multiclass": "cross_entropy"}
_BINARY_CLASSES = 2


class Network(Record):
    """The network's name in the catalogue and its few parameters."""

    name: Slug
    params: Annotated[dict[Slug, Dec], Field(max_length=32)]


class Preprocessing(Record):
    """How an image becomes numbers: size, channels, intensity, mean and standard deviation."""

    size: Annotated[list[Annotated[Count, Field(ge=1, le=4096)]], Field(min_length=1, max_length=3)]
    channels: Annotated[Count, Field(ge=1, le=64)]
    intensity: Slug
    mean: Dec
    std: Dec


class Augment(Record):
    """Changes that keep the label: flip, rotation (degrees), shift (share of size), noise (sd)."""

    flip: bool
    rotate: Dec
    shift: Dec
    noise: Dec


class Optimiser(Record):
    """The local optimiser; fresh in every round."""

    name: Literal["adam", "sgd", "adamw"]
    lr: Dec
    weight_decay: Dec
    momentum: Dec


class LocalTraining(Record):
    """How long a hospital trains: epochs or steps; `mu` is FedProx's pull to the start model."""

    epochs: Annotated[Count, Field(ge=1, le=1000)] | None
    steps: Annotated[Count, Field(ge=1, le=1_000_000)] | None
    batch: Annotated[Count, Field(ge=1, le=4096)]
    mu: Dec
    scaffold: bool


class NoiseTerms(Record):
    """DP-SGD: noise multiplier, clip of a patient's gradient, expected batch."""

    sigma: Dec
    clip: Dec
    batch: Annotated[Count, Field(ge=1, le=4096)]


class Recipe(Record):
    """One version of one recipe."""

    v: Literal[1]
    id: Slug
    version: Count
    family: Slug
    task: Literal["binary", "multiclass", "multilabel"]
    classes: Annotated[list[Slug], Field(min_length=1, max_length=256)]
    network: Network
    layout_sha256: Sha
    preprocessing: Preprocessing
    augment: Augment
    loss: Literal["cross_entropy", "bce"]
    optimiser: Optimiser
    local: LocalTraining
    class_weights: Literal["none", "balanced"]
    dp: NoiseTerms | None
    evaluate_every: Annotated[Count, Field(ge=1, le=1000)]
    threads: Annotated[Count, Field(ge=1, le=256)]
    seed: Count
    baseline: bool

    @model_validator(mode="after")
    def _numbers_are_within_bounds(self) -> Recipe:
        bounds = {
            "optimiser.lr": (self.optimiser.lr, "0.000000001", "10"),
            "optimiser.weight_decay": (self.optimiser.weight_decay, "0", "10"),
            "optimiser.momentum": (self.optimiser.momentum, "0", "0.9999"),
            "local.mu": (self.local.mu, "0", "100"),
            "preprocessing.std": (self.preprocessing.std, "0.000001", "1000000"),
            "augment.rotate": (self.augment.rotate, "0", "180"),
            "augment.shift": (self.augment.shift, "0", "1"),
            "augment.noise": (self.augment.noise, "0", "10"),
        }
        if self.dp is not None:  # sigma below 0.3 makes the accountant overflow
            bounds["dp.sigma"] = (self.dp.sigma, "0.3", "1000")
            bounds["dp.clip"] = (self.dp.clip, "0.000001", "1000000")
        for name, (value, low, high) in bounds.items():
            if not Decimal(low) <= Decimal(value) <= Decimal(high):
                raise ValueError(f"{name} is {value}, allowed are {low} to {high}")
        return self

    @model_validator(mode="after")
    def _task_loss_and_length_fit(self) -> Recipe:
        if self.loss != _LOSSES[self.task]:
            raise ValueError(f"a {self.task} task needs the loss {_LOSSES[self.task]}")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class stands twice")
        if self.task == "binary" and len(self.classes) != _BINARY_CLASSES:
            raise ValueError("a binary task has two classes")
        if (self.local.epochs is None) == (self.local.steps is None):
            raise ValueError("exactly one of local.epochs and local.steps is a number")
        return self

    @property
    def outputs(self) -> int:
        """Values at the end of the network: 1 for a binary task, else one per class."""
        return 1 if self.task == "binary" else len(self.classes)

    @property
    def sha256(self) -> str:
        """Name the document by the hash of its canonical form."""
        return self.digest()

    def encode(self) -> bytes:
        """Write the document."""
        return canonical.encode(self.plain())


def read_recipe(value: dict[str, Any]) -> Recipe:
    """Read a recipe from JSON values.

    Raises:
        Malformed: a field is missing, unknown or outside its bounds; the field is named.
    """
    try:
        return Recipe.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise Malformed("recipe", f"{where}: {first['msg']}") from None


def parse_recipe(data: bytes) -> Recipe:
    """Read a recipe document; only its canonical form counts."""
    value = canonical.decode(data)
    if not isinstance(value, dict):
        raise Malformed("recipe", "it is not an object")
    return read_recipe(value)


@cache
def shipped() -> dict[str, Recipe]:
    """Return the recipes that come with this release, by id."""
    recipes = [
        parse_recipe(path.read_bytes().rstrip(b"\n")) for path in sorted(_FOLDER.glob("*.json"))
    ]
    return {recipe.id: recipe for recipe in recipes}


def layout_of(recipe: Recipe) -> Layout:
    """Return the layout of a recipe's network.

    Raises:
        NotReady: the network is not installed.
        Malformed: the recipe names another layout than its network has.
    """
    layout = layout_for(recipe.network.name, recipe.preprocessing.channels, recipe.outputs)
    if layout.sha256 != recipe.layout_sha256:
        raise Malformed("recipe", "its layout hash is not that of its network")
    return layout


def with_changes(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    """Make a new version of a recipe; the id stays, the layout hash is computed again.

    Args:
        recipe: the document to start from.
        changes: the fields that differ, nested as in the document; `version` is the caller's,
            without it the next number is taken. No change at all returns the same document.

    Raises:
        Malformed: a field is unknown, fixed, or outside its bounds.
    """
    fixed = [name for name in _FIXED if name in changes]
    if fixed:
        raise Malformed("recipe change", f"{fixed[0]} cannot be changed; choose another recipe")
    if not changes:
        return recipe
    plain = _merged(recipe.plain(), changes)
    _one_length(plain["local"], changes.get("local", {}))
    if "version" not in changes:
        plain["version"] = recipe.version + 1
    made = read_recipe(plain)
    layout = layout_for(made.network.name, made.preprocessing.channels, made.outputs)
    return made.model_copy(update={"layout_sha256": layout.sha256})


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in changes.items():
        inner = merged.get(name)
        both = isinstance(value, dict) and isinstance(inner, dict)
        merged[name] = _merged(inner, value) if both else value  # type: ignore[arg-type]
    return merged


def _one_length(local: dict[str, Any], changes: dict[str, Any]) -> None:
    """Whoever sets epochs takes steps away, and the other way round."""
    for chosen, other in (("epochs", "steps"), ("steps", "epochs")):
        if changes.get(chosen) is not None and other not in changes:
            local[other] = None
