"""What a recipe brings along when no release has its network: the shapes, and who wrote the code.

Two kinds of networks are not in the tables of a release: those of a consortium's own package, and
those of the table with parameters of their own (from a MONAI bundle). Their layout travels within
the recipe, as data; the program does not.

Source: design/federation.md §4.1, §7.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Annotated, Literal

from pydantic import Field, field_validator

from compliance.records.families import FAMILIES, FLAT, SOLID, Family
from compliance.records.layout import Constant, Layout, Uniform
from compliance.records.types import Count, Record, Sha, Slug, Text120

MOST_VALUES = 250_000_000
"""1 GB of numbers: what a hub or a hospital is asked to hold for one model."""

Side = Annotated[Count, Field(ge=1, le=4096)]
Dims = Literal[2, 3]


class Shaped(Record):
    """One tensor: its shape, in which "classes" is the number of outputs."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    shape: Annotated[list[Count | Literal["classes"]], Field(max_length=8)]
    role: Literal["param", "buffer"]
    init: Annotated[Uniform | Constant, Field(discriminator="kind")]


class Form(Record):
    """The values of a network for so many channels and dimensions, and the sides it can read."""

    channels: Annotated[Count, Field(ge=1, le=64)]
    dims: Dims
    smallest: Side
    step: Side
    entries: Annotated[list[Shaped], Field(min_length=1, max_length=4096)]

    def layout(self, outputs: int) -> Layout:
        """The layout for so many outputs.

        Raises:
            Malformed: a name twice.
        """
        rows = [row.plain() for row in self.entries]
        for row in rows:
            row["shape"] = [outputs if side == "classes" else side for side in row["shape"]]
        return Layout.of(rows)

    def values(self, outputs: int) -> int:
        """How many numbers a model has, told without laying them out."""
        shapes = ([outputs if s == "classes" else s for s in row.shape] for row in self.entries)
        return sum(prod(shape) for shape in shapes)


class Limits(Record):
    """What a package's family can be asked for; `noise` was found by a real backward pass."""

    dims: Annotated[list[Dims], Field(min_length=1, max_length=2)]
    channels: Annotated[list[Side], Field(min_length=1, max_length=8)]
    smallest: Side
    step: Side
    draws: bool
    noise: bool
    why: Text120

    @property
    def family(self) -> Family:
        """The same as a row of the table of families."""
        return Family(
            tuple(self.dims),
            self.smallest,
            self.step,
            draws=self.draws,
            noise=self.noise,
            channels=tuple(self.channels),
            reason=self.why,
        )


class Package(Record):
    """The installed code that has the network: name, version, and the hash over its files."""

    name: Slug
    version: Slug
    files_sha256: Sha
    limits: Limits


class Vouched(Record):
    """A family of a package as its signer describes it: where its code is, what it can do."""

    entry: Annotated[str, Field(pattern=r"^[a-z0-9_.]{1,100}:[A-Za-z0-9_]{1,60}$")]
    limits: Limits


class Statement(Record):
    """What a signer of recipes says: these files are this package, and it has these families."""

    v: Literal[1] = 1
    kind: Literal["recipe-package"] = "recipe-package"
    package: Slug
    version: Slug
    files: Annotated[dict[str, Sha], Field(min_length=1, max_length=200)]
    families: Annotated[dict[Slug, Vouched], Field(min_length=1, max_length=32)]

    @field_validator("files")
    @classmethod
    def _stay_below(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            parts = name.split("/")
            if not name.isprintable() or "\\" in name or {"", ".", ".."} & set(parts):
                raise ValueError(f"{name!r} is no path within a package")
        return files

    def as_package(self, family: str) -> Package:
        """What a recipe of this family says about its code."""
        return Package(
            name=self.package,
            version=self.version,
            files_sha256=files_digest(self.files),
            limits=self.families[family].limits,
        )


class _Files(Record):
    files: dict[str, Sha]


def files_digest(files: Mapping[str, str]) -> str:
    """Name a set of files by one hash over their paths and hashes."""
    return _Files(files=dict(files)).digest()


BOUNDS: Mapping[str, Mapping[str, tuple[int, int, int]]] = {
    "unet_gn": {f"width_{n}": (8, 512, 8) for n in range(1, 7)} | {"units": (0, 4, 1)},
    "basic_unet": {f"width_{n}": (8, 512, 8) for n in range(1, 7)},
    "segresnet": {"filters": (8, 64, 8)}
    | {f"down_{n}": (1, 8, 1) for n in range(1, 6)}
    | {f"up_{n}": (1, 8, 1) for n in range(1, 5)},
}
"""Parameters of the table's networks: least, most, and the step between; 8 groups divide widths."""


BASIC_LEVELS = 6


def numbers_of(network: str, params: Mapping[str, str]) -> dict[str, int]:
    """Read the parameters of a network of the table.

    Raises:
        ValueError: one is unknown, not whole, or outside its bounds.
    """
    bounds, found = BOUNDS.get(network, {}), {}
    for name, text in params.items():
        if name not in bounds:
            raise ValueError(f"network {network} has no parameter {name}")
        low, high, step = bounds[name]
        if not text.isdecimal() or not low <= int(text) <= high or int(text) % step:
            raise ValueError(f"{name} is {text}, allowed are {low} to {high} in steps of {step}")
        found[name] = int(text)
    return found


def series_of(numbers: Mapping[str, int], name: str) -> list[int]:
    """The numbers `name_1`, `name_2` … in their order.

    Raises:
        ValueError: one in between is missing.
    """
    found = [numbers[f"{name}_{n}"] for n in range(1, 9) if f"{name}_{n}" in numbers]
    if any(f"{name}_{n}" not in numbers for n in range(1, len(found) + 1)):
        raise ValueError(f"{name}_1, {name}_2 … are not numbered without a gap")
    return found


def arguments_of(network: str, params: Mapping[str, str]) -> dict[str, int | list[int]]:
    """What a builder is called with; every argument that a network has must be told.

    Raises:
        ValueError: as `numbers_of` and `series_of`, or the parts do not belong together.
    """
    numbers = numbers_of(network, params)
    if network == "segresnet":
        down, up = series_of(numbers, "down"), series_of(numbers, "up")
        if "filters" not in numbers or not 2 <= len(down) == len(up) + 1:  # noqa: PLR2004 - two levels
            raise ValueError("segresnet has filters, down_1 … and one up fewer than down")
        return {"filters": numbers["filters"], "down": down, "up": up}
    widths = series_of(numbers, "width")
    if network == "basic_unet":
        if len(widths) != BASIC_LEVELS:
            raise ValueError(f"basic_unet has width_1 to width_{BASIC_LEVELS}")
        return {"widths": widths}
    if "units" not in numbers or len(widths) < 2:  # noqa: PLR2004 - one level has no way down
        raise ValueError("unet_gn has units, and two widths or more")
    return {"widths": widths, "units": numbers["units"]}


def halvings(network: str, params: Mapping[str, str]) -> int:
    """How often a network of the table halves its sides; errors as `arguments_of`."""
    given = arguments_of(network, params)
    if network == "basic_unet":
        return 4
    levels = given["down" if network == "segresnet" else "widths"]
    return len(levels) - 1 if isinstance(levels, list) else 0


def brought(
    network: str, params: Mapping[str, str], form: Form | None, package: Package | None
) -> Iterator[str]:
    """Say what does not fit between a network's name, its form and its package."""
    if package is not None and form is None:
        yield "a network of a package brings its form"
    if package is not None and network in FAMILIES:
        yield f"{network} is a network of the release, not of a package"
    if package is not None and params:
        yield "a network of a package has no parameters"
    if form is None or package is not None:
        return
    if network not in BOUNDS or not params:
        yield f"{network} has no parameters here, so its form is that of the release"
        return
    try:
        arguments_of(network, params)
    except ValueError as error:
        yield str(error)


def row_of(network: str, form: Form | None, package: Package | None) -> Family | None:
    """The row by which a recipe's network is judged: of the table, of its package, or none."""
    row = package.limits.family if package is not None else FAMILIES.get(network)
    if row is None or form is None:
        return row
    channels = () if form.dims == SOLID else (form.channels,)
    dims = (FLAT,) if form.dims == FLAT else (SOLID,)
    return Family(
        dims, form.smallest, form.step, row.draws, row.noise, channels=channels, reason=row.reason
    )
