"""Recipes and datasets: registered once, retired or withdrawn, never changed.

Source: design/ledger.md §2.3.
"""

from __future__ import annotations

from dataclasses import replace

from compliance.records.consortium import DatasetRegistered, RegistrationWithdrawn
from compliance.records.registry import RecipeRegistered, RecipeRetired
from compliance.rules.consortium.state import ConsortiumState, Recipe, Registered
from compliance.rules.said import Said
from compliance.rules.verdict import ALLOWED, Denied, Verdict


def may_register_recipe(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether this version is new; its hashes never change."""
    body = said.as_(RecipeRegistered)
    if (body.recipe, body.version) in state.recipes:
        return Denied("recipe.twice", f"{body.recipe} version {body.version}")
    return ALLOWED


def register_recipe(state: ConsortiumState, said: Said) -> None:
    """Let charters name this version."""
    body = said.as_(RecipeRegistered)
    state.recipes[body.recipe, body.version] = Recipe(said.index, body)


def may_retire_recipe(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether this version is there and still in use."""
    body = said.as_(RecipeRetired)
    known = state.recipes.get((body.recipe, body.version))
    if known is None or known.retired is not None:
        return Denied("recipe.unknown", f"{body.recipe} version {body.version}")
    return ALLOWED


def retire_recipe(state: ConsortiumState, said: Said) -> None:
    """Let no new charter name this version."""
    body = said.as_(RecipeRetired)
    key = body.recipe, body.version
    state.recipes[key] = replace(state.recipes[key], retired=said.index)


def may_register_dataset(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether this version of a hospital's own dataset is new."""
    body = said.as_(DatasetRegistered)
    if body.version in state.datasets.get((said.site, body.dataset), {}):
        return Denied("dataset.twice", f"{body.dataset} {body.version}")
    return ALLOWED


def register_dataset(state: ConsortiumState, said: Said) -> None:
    """Lay the dataset open to offers."""
    body = said.as_(DatasetRegistered)
    versions = state.datasets.setdefault((said.site, body.dataset), {})
    versions[body.version] = Registered(said.index, body)


def may_withdraw_dataset(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether there is something of one's own to withdraw."""
    body = said.as_(RegistrationWithdrawn)
    named = _named(state, said)
    if not named:
        return Denied("dataset.unknown", f"{said.site} {body.dataset} {body.version or ''}".strip())
    if all(row.withdrawn for row in named.values()):
        return Denied("dataset.withdrawn", body.dataset)
    return ALLOWED


def withdraw_dataset(state: ConsortiumState, said: Said) -> None:
    """Offer these versions no more."""
    versions = state.datasets[said.site, said.as_(RegistrationWithdrawn).dataset]
    for version, row in _named(state, said).items():
        versions[version] = replace(row, withdrawn=True)


def _named(state: ConsortiumState, said: Said) -> dict[str, Registered]:
    """The versions that a withdrawal names; null names all."""
    body = said.as_(RegistrationWithdrawn)
    versions = state.datasets.get((said.site, body.dataset), {})
    wanted = versions if body.version is None else {body.version}
    return {version: row for version, row in versions.items() if version in wanted}
