"""Networks of a consortium's own packages: verified, then imported, then asked for their gradients.

A process that trains or scores by a recipe with a package calls `admit` first; `network_of` builds
only what was admitted in this process.

Source: design/federation.md §7.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compliance.errors import Malformed, Refused
from compliance.records.families import ONE_EACH
from compliance.records.form import Form, Limits, Statement, Vouched
from compliance.records.recipe import Recipe
from site_node.packages import RULE, Sealed, describe, vouched_for
from site_node.training.layouts import entries_of
from site_node.training.learning import repeatable

Maker = Callable[[int, int, int], nn.Module]
_ADMITTED: dict[tuple[str, str], Maker] = {}
_LATEST: dict[str, tuple[str, str]] = {}
_WHY = 100


def admit(home: Path, recipe: Recipe) -> None:
    """Verify and import the package of a recipe; nothing happens where it has none.

    With noise, its gradients of single cases are compared here as well: a signature vouches for
    code, not for mathematics.

    Raises:
        Refused: `recipe.package` or `recipe.dp`.
    """
    if recipe.package is None:
        return
    sealed = vouched_for(home, recipe.package, recipe.network.name)
    named = (recipe.package.files_sha256, recipe.network.name)
    if _LATEST.get(recipe.package.name) != named:  # modules have one place: the last one counts
        _ADMITTED[named] = _maker(sealed.load())
        _LATEST[recipe.package.name] = named
    if recipe.dp is not None and recipe.form is not None:
        able, why = tried(_ADMITTED[named], recipe.form, draws=recipe.draws)
        if not able:
            raise Refused("recipe.dp", recipe.network.name, sentence=f"No noise here: {why}.")


def brought_network(recipe: Recipe) -> nn.Module:
    """Build the network of an admitted package.

    Raises:
        Refused: `recipe.package`: it was not admitted in this process, or cannot be built.
    """
    package = recipe.package
    maker = _ADMITTED.get((package.files_sha256, recipe.network.name)) if package else None
    if maker is None:
        raise Refused(RULE, recipe.network.name, sentence="The package was not verified here.")
    return _built(maker, recipe.preprocessing.channels, recipe.outputs, recipe.dims)


def _maker(family: Any) -> Maker:
    build = getattr(family, "build", None)
    if not callable(build):
        raise Refused(RULE, sentence="The entry point has no `build(channels, outputs, dims)`.")
    return build


def _built(maker: Maker, channels: int, outputs: int, dims: int) -> nn.Module:
    try:
        network = maker(channels, outputs, dims)
    except Exception as error:  # noqa: BLE001 - code of others may raise anything
        said = f"The package could not build its network: {type(error).__name__}: {error}."
        raise Refused(RULE, sentence=said) from None
    if not isinstance(network, nn.Module):
        raise Refused(RULE, type(network).__name__, "a torch.nn.Module")
    return network


def form_of(maker: Maker, limits: Limits, channels: int, dims: int) -> Form:
    """Write down the values of a package's network.

    Raises:
        Refused: `recipe.package`: it cannot be built, or its values are not described.
    """
    entries = entries_of(lambda outputs: _built(maker, channels, outputs, dims))
    told = {"channels": channels, "dims": dims, "entries": entries}
    return Form.model_validate(told | {"smallest": limits.smallest, "step": limits.step})


def tried(maker: Maker, form: Form, *, draws: bool) -> tuple[bool, str]:
    """Whether a real backward pass gives each case its own gradient, and why not."""
    from site_node.training.single_gradients import CLOSE, farthest  # slow to import: Opacus

    outputs, sides = 2, [form.smallest] * form.dims
    with repeatable(1, 1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about the hooks that Opacus needs
        network = _built(maker, form.channels, outputs, form.dims)
        images = torch.randn(3, form.channels, *sides)
        wanted = torch.randn(3, outputs, *(sides if draws else []))
        try:
            gap = farthest(network, images, wanted)
        except Exception as error:  # noqa: BLE001 - whatever it raises is the answer
            said = error.agreed if isinstance(error, Refused) else type(error).__name__
            return False, f"no gradient per case can be taken ({said})"[:_WHY]
    if not gap <= CLOSE:
        return False, f"gradients per case differ from those of the case alone by {gap:.1e}"
    return True, ONE_EACH


def state(name: str) -> Statement:
    """Describe an installed package as its signer would sign it, each family after a real backward.

    Raises:
        Refused: `recipe.package`: a file or a family that cannot be signed.
        NotReady: it has no family.
    """
    found, files, entries = describe(name)
    statement = Statement(
        package=name,
        version=found.version,
        files=files,
        families={
            family: Vouched(entry=entry, limits=_UNTRIED) for family, entry in entries.items()
        },
    )
    told = {
        family: Vouched(entry=row.entry, limits=_limits(Sealed(found, statement, row).load()))
        for family, row in statement.families.items()
    }
    return statement.model_copy(update={"families": told})


_UNTRIED = Limits(
    dims=[2], channels=[1], smallest=1, step=1, draws=False, noise=False, why="not tried"
)


def _limits(family: Any) -> Limits:
    """What the object of an entry point says of itself, and what its gradients say."""
    maker = _maker(family)
    try:
        told = {
            "dims": [int(n) for n in family.dims],
            "channels": [int(n) for n in family.channels],
            "smallest": int(family.smallest),
            "step": int(getattr(family, "step", 1)),
            "draws": bool(getattr(family, "draws", False)),
        }
        limits = Limits.model_validate(told | {"noise": False, "why": "not tried"})
    except (AttributeError, TypeError, ValueError) as error:
        said = "an entry point has dims, channels, smallest, and maybe step and draws"
        raise Malformed("package of recipes", f"{said} ({error})") from None
    answers = [
        tried(maker, form_of(maker, limits, channels, dims), draws=limits.draws)
        for channels, dims in limits.family.layouts()
    ]
    able, why = min(answers)
    return limits.model_copy(update={"noise": able, "why": why})
