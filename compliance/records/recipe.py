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

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from compliance import canonical
from compliance.errors import Malformed
from compliance.records.families import Family, beyond
from compliance.records.form import MOST_VALUES, Form, Package, brought, row_of
from compliance.records.layout import Layout, layout_for
from compliance.records.linear import LINEAR, linear_layout
from compliance.records.personal import Personal, parted
from compliance.records.training import (
    Augment,
    LocalTraining,
    Network,
    NoiseTerms,
    Optimiser,
    Preprocessing,
)
from compliance.records.types import Count, Record, Sha, Slug

_FOLDER = Path(__file__).parent / "recipes"
_FIXED = ("v", "id", "family", "layout_sha256", "form", "package")
_BROUGHT = ("form", "package", "personal")
_LOSSES = {
    "binary": "bce",
    "multilabel": "bce",
    "multiclass": "cross_entropy",
    "segmentation": "dice_ce",
}
_BINARY_CLASSES = 2


class Recipe(Record):
    """One version of one recipe."""

    v: Literal[1]
    id: Slug
    version: Count
    family: Slug
    task: Literal["binary", "multiclass", "multilabel", "segmentation"]
    classes: Annotated[list[Slug], Field(min_length=1, max_length=256)]
    network: Network
    layout_sha256: Sha
    preprocessing: Preprocessing
    augment: Augment
    loss: Literal["cross_entropy", "bce", "dice_ce"]
    optimiser: Optimiser
    local: LocalTraining
    class_weights: Literal["none", "balanced"]
    dp: NoiseTerms | None
    evaluate_every: Annotated[Count, Field(ge=1, le=1000)]
    threads: Annotated[Count, Field(ge=1, le=256)]
    seed: Count
    baseline: bool
    form: Form | None = None
    package: Package | None = None
    personal: Personal | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_not_brought(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave both out where the release has the network: recipes of before keep their hash."""
        told: dict[str, Any] = plain(self)
        return {k: v for k, v in told.items() if k not in _BROUGHT or v is not None}

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
        if self.personal is not None and (self.dp is not None or self.local.scaffold):
            raise ValueError("layers stay at a hospital (personal) only without dp and scaffold")
        if (self.local.epochs is None) == (self.local.steps is None):
            raise ValueError("exactly one of local.epochs and local.steps is a number")
        return self

    @model_validator(mode="after")
    def _a_table_has_no_pixels(self) -> Recipe:
        if not self.tabular:
            return self
        plain, moved = self.preprocessing, self.augment
        if len(plain.size) != 1 or (plain.channels, plain.mean, plain.std) != (1, "0", "1"):
            raise ValueError("a table has one size, one channel, mean 0 and std 1")
        if moved.flip or Decimal(moved.rotate) or Decimal(moved.shift):
            raise ValueError("the cases of a table cannot be mirrored, turned or shifted")
        return self

    @property
    def tabular(self) -> bool:
        """Whether it trains on the columns of a table, not on images."""
        return self.network.name in LINEAR

    @model_validator(mode="after")
    def _the_network_can_do_it(self) -> Recipe:
        told = self.preprocessing
        for problem in brought(self.network.name, self.network.params, self.form, self.package):
            raise ValueError(problem)
        if self.form is not None and self.form.values(self.outputs) > MOST_VALUES:
            raise ValueError(f"a model has more than {MOST_VALUES} values")
        for problem in beyond(
            self.network.name,
            self.row,
            size=told.seen,
            channels=told.channels,
            batch=self.local.batch,
            draws=self.draws,
        ):
            raise ValueError(problem)
        if self.draws and self.class_weights != "none":
            raise ValueError("masks are weighed by their Dice loss: class_weights must be none")
        if told.patch is not None and not self.draws:
            raise ValueError("only masks are learned from patches")
        if told.patch is not None and not _inside(told.patch, told.size):
            raise ValueError("preprocessing.patch is not within preprocessing.size")
        return self

    @model_validator(mode="after")
    def _its_family_is_its_network(self) -> Recipe:
        """Hospitals allow families: a name that stands for another network would pass them."""
        if self.family != self.network.name:
            raise ValueError(f"the family of {self.network.name} is not {self.family}")
        return self

    @property
    def row(self) -> Family | None:
        """What its network can be asked for; None where no table says so."""
        return row_of(self.network.name, self.form, self.package)

    @property
    def draws(self) -> bool:
        """Whether it answers with a mask: a class for every pixel or voxel, 0 is none of them."""
        return self.task == "segmentation"

    @property
    def kind(self) -> str:
        """The task as charters and registrations write it."""
        return self.task if self.draws else f"{self.task}-classification"

    @property
    def dims(self) -> int:
        """Dimensions of a case: 2 for images, 3 for volumes."""
        return len(self.preprocessing.size)

    @property
    def outputs(self) -> int:
        """Values at the end of the network: 1 for a binary task, else one per class.

        For masks one more: the first is for what is in no class.
        """
        if self.draws:
            return 1 + len(self.classes)
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
    layout = network_layout(recipe)
    if layout.sha256 != recipe.layout_sha256:
        raise Malformed("recipe", "its layout hash is not that of its network")
    return layout


def network_layout(recipe: Recipe) -> Layout:
    """Return the layout of what travels of a recipe's network now, whatever hash it names.

    Raises:
        NotReady: the network is not installed.
        Malformed: a parameter of the network is unknown or outside its bounds, or it has no such
            layers as the recipe keeps at the hospitals.
    """
    if recipe.personal is None:
        return whole_layout(recipe)
    return _parted(recipe, recipe.personal)[0]


def local_layout(recipe: Recipe) -> Layout | None:
    """Return the layout of what stays at each hospital; None where everything travels."""
    return None if recipe.personal is None else _parted(recipe, recipe.personal)[1]


def whole_layout(recipe: Recipe) -> Layout:
    """Return the layout of all of a recipe's network; errors as `network_layout`."""
    return _layout_at(recipe, recipe.outputs)


def _parted(recipe: Recipe, personal: Personal) -> tuple[Layout, Layout]:
    return parted(lambda outputs: _layout_at(recipe, outputs), recipe.outputs, personal.layers)


def _layout_at(recipe: Recipe, outputs: int) -> Layout:
    if recipe.tabular:
        network, inputs = recipe.network, recipe.preprocessing.size[0]
        return linear_layout(network.name, network.params, inputs, outputs)
    if recipe.form is not None:
        return recipe.form.layout(outputs)
    return layout_for(recipe.network.name, recipe.preprocessing.channels, outputs, recipe.dims)


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
    if isinstance(plain["network"], dict):
        plain["family"] = plain["network"].get("name")
    if "version" not in changes:
        plain["version"] = recipe.version + 1
    made = read_recipe(plain)
    return made.model_copy(update={"layout_sha256": network_layout(made).sha256})


def made_from(base: Recipe, over: dict[str, Any]) -> Recipe:
    """Make the first version of another recipe from the terms of one; any field may differ.

    Args:
        base: where everything comes from that is not told.
        over: the fields that differ, nested as in the document.

    Raises:
        Malformed: a field is unknown or outside its bounds.
    """
    plain = _merged(base.plain(), {"version": 1, "package": None, "form": None, **over})
    plain["network"], plain["family"] = over["network"], over["network"]["name"]
    made = read_recipe(plain)
    return made.model_copy(update={"layout_sha256": network_layout(made).sha256})


def _inside(patch: list[int], size: list[int]) -> bool:
    return len(patch) == len(size) and all(p <= s for p, s in zip(patch, size, strict=True))


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
