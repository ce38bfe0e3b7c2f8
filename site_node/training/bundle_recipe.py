"""A recipe document from what a MONAI bundle or a package says of its network.

Source: design/federation.md §7.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compliance.errors import Malformed, NotReady
from compliance.records.families import FAMILIES
from compliance.records.form import Form, Statement, arguments_of, halvings
from compliance.records.recipe import Recipe, made_from, shipped
from site_node.packages import Sealed, installed
from site_node.training.brought import form_of
from site_node.training.bundle_files import WHAT, Plain
from site_node.training.layouts import entries_of
from site_node.training.monai_bundle import METADATA, Told, network_of_bundle
from site_node.training.networks import build

USUAL: Mapping[str, dict[str, Any]] = {
    "unet_gn": {"widths": [16, 32, 64, 128], "units": 2},
    "basic_unet": {"widths": [32, 32, 64, 128, 256, 32]},
    "segresnet": {"filters": 8, "down": [1, 2, 2, 4], "up": [1, 1, 1]},
}
"""With these a network is the release's own, and its recipe brings no form."""

ALWAYS = (
    "weights (models/): pickles are programs, they are not opened; training begins anew",
    "norm, act, dropout: here group normalisation, nothing in place, no dropout",
    "transforms, loss, optimiser, schedules: they are this recipe's own",
)


@dataclass(frozen=True)
class Wanted:
    """What a person chooses for a new recipe; None leaves it to the bundle or to the base."""

    id: str
    classes: Sequence[str] | None = None
    size: Sequence[int] | None = None
    task: str | None = None
    channels: int | None = None


def recipe_of_bundle(bundle: Mapping[str, Plain], wanted: Wanted) -> tuple[Recipe, list[str]]:
    """Make a recipe; returns it with what was left out, in sentences.

    Raises:
        Malformed: the network is none of ours, or an argument is outside its bounds.
        NotReady: the classes are not told.
    """
    told = network_of_bundle(bundle)
    draws = FAMILIES[told.network].draws
    classes = list(wanted.classes or _classes(bundle.get(METADATA, {}), told, draws=draws))
    _check_outputs(told, classes, draws=draws)
    network: Plain = {"name": told.network, "params": _params(told)}
    base = _base(told.network, told.dims, draws=draws)
    over = _task(classes, wanted, base) | {"id": wanted.id, "network": network}
    over["preprocessing"] = _preparation(wanted, base, told.channels, told.dims)
    if network["params"]:
        over["form"] = _form(told, network["params"]).plain()
    left = [*ALWAYS, *told.left_out]
    expressions = sum(_expressions(config) for name, config in bundle.items() if name != METADATA)
    if expressions:
        left.append(f"{expressions} expressions ($…) elsewhere: read as text, none was run")
    return made_from(base, over), left


def recipe_of_family(statement: Statement, family: str, wanted: Wanted) -> Recipe:
    """Make a recipe for a family of an installed package, as its signer described it.

    Raises:
        Refused: `recipe.package`: the package is not here, or another than was signed.
        NotReady: no such family, or classes or size are not told.
    """
    row = statement.families.get(family)
    if row is None:
        raise NotReady(
            f"{statement.package} has no family {family}.",
            f"It has: {', '.join(sorted(statement.families))}.",
        )
    if not wanted.classes or not wanted.size:
        raise NotReady("classes or size are not told.", "Say --classes a,b --size 64,64.")
    sealed = Sealed(installed(statement.package), statement, row)
    sealed.check()
    limits, dims = row.limits, len(wanted.size)
    channels = wanted.channels or limits.channels[0]
    base = _base(family, dims, draws=limits.draws)
    over = _task(list(wanted.classes), wanted, base) | {"id": wanted.id}
    over["network"] = {"name": family, "params": {}}
    over["preprocessing"] = _preparation(wanted, base, channels, dims)
    over["form"] = form_of(sealed.load().build, limits, channels, dims).plain()
    over["package"] = statement.as_package(family).plain()
    return made_from(base, over)


def _base(network: str, dims: int, *, draws: bool) -> Recipe:
    """The recipe of this release whose terms come nearest."""
    rows = [one for one in shipped().values() if one.draws == draws and not one.tabular]
    rows.sort(key=lambda one: (one.dims != dims, one.network.name != network, one.dp is not None))
    return rows[0]


def _task(classes: list[str], wanted: Wanted, base: Recipe) -> Plain:
    usual = "binary" if len(classes) == 2 else "multiclass"  # noqa: PLR2004 - negative, positive
    task = wanted.task or ("segmentation" if base.draws else usual)
    loss = {"segmentation": "dice_ce", "multiclass": "cross_entropy"}.get(task, "bce")
    return {"task": task, "loss": loss, "classes": classes, "dp": None}


def _preparation(wanted: Wanted, base: Recipe, channels: int, dims: int) -> Plain:
    size = list(wanted.size or base.preprocessing.size)
    if len(size) != dims:
        raise NotReady(f"a network for {dims}D reads {dims} sides.", "Say --size with as many.")
    return {**base.preprocessing.plain(), "size": size, "channels": channels, "patch": None}


def _params(told: Told) -> dict[str, str]:
    """None where they are those of the release's own network."""
    if not told.params:
        return {}
    try:
        usual = arguments_of(told.network, told.params) == USUAL[told.network]
    except ValueError as error:
        raise Malformed(WHAT, f"{error}") from None
    known = (told.channels, told.dims) in FAMILIES[told.network].layouts()
    return {} if usual and known else told.params


def _form(told: Told, params: dict[str, str]) -> Form:
    step = 1 << halvings(told.network, params)
    entries = entries_of(
        lambda outputs: build(
            told.network, params, channels=told.channels, outputs=outputs, dims=told.dims
        )
    )
    smallest = max(step, FAMILIES[told.network].smallest)
    sides = {"smallest": smallest, "step": step}
    return Form.model_validate(
        {"channels": told.channels, "dims": told.dims, **sides, "entries": entries}
    )


def _classes(metadata: Plain, told: Told, *, draws: bool) -> list[str]:
    """The classes that a bundle's metadata names; channel 0 of a mask is none of them."""
    found: Any = metadata
    for word in ("network_data_format", "outputs", "pred", "channel_def"):
        found = found.get(word) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not 1 <= len(found) <= told.outputs:
        raise NotReady("the bundle does not name its classes.", "Say --classes a,b.")
    names = [re.sub(r"[^a-z0-9_.-]+", "-", str(found[key]).lower()) for key in sorted(found)]
    return names[1:] if draws and told.outputs > 1 else names


def _check_outputs(told: Told, classes: list[str], *, draws: bool) -> None:
    """As many classes as the bundle's network answers with; one output means one class."""
    alone = 1 if draws else 2
    agreed = alone if told.outputs == 1 else told.outputs - draws
    if len(classes) != agreed:
        said = f"its network answers with {told.outputs} values: that is {agreed} classes"
        raise Malformed(WHAT, f"{said}, not {len(classes)}")


def _expressions(value: Any) -> int:
    if isinstance(value, str):
        return int(value.startswith("$"))
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(_expressions(part) for part in inner)
