"""Differential privacy in numbers that hub, site and auditor work out alike.

The unit is the patient. A step draws each patient with the same chance, whether anybody is drawn
or not, so that steps and not epochs are what is paid for.

Source: design/federation.md §7, §8.1, §8.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from compliance.errors import Refused
from compliance.records.charter import CharterBody, PrivacyTerms
from compliance.records.families import FAMILIES
from compliance.records.linear import LINEAR
from compliance.records.recipe import Recipe
from compliance.records.training import LocalTraining

PLACES = Decimal("0.000001")
LARGEST_DELTA = Decimal("0.00001")
SMALLEST_SIGMA = Decimal("0.3")
"""Below it the accountant overflows; what it cannot price is not for sale."""

FREE: dict[str, str | int] = {
    "epsilon": "0", "delta": "0", "sigma": "0", "clip": "0", "sample_rate": "0", "steps": 0,
}  # fmt: skip
"""What costs nothing, as a statement says it."""

UNKNOWN = "nobody has compared its gradients of single cases"


def why_not(network: str) -> str | None:
    """Why this network does not train with differential privacy; None when it does.

    A network that is in no table was not examined and is refused.
    """
    if network in LINEAR:
        return None
    family = FAMILIES.get(network)
    if family is None:
        return UNKNOWN
    return None if family.noise else family.why


def refused_noise(recipe: Recipe) -> str | None:
    """Why this recipe's network does not train with noise, whatever its numbers; None when it does.

    A package's signer answers for its own.

    The hospital that trains asks such a network again, by a backward pass of its own.
    """
    if recipe.package is None:
        return why_not(recipe.network.name)
    return None if recipe.package.limits.noise else recipe.package.limits.why


def sample_rate(batch: int, patients: int) -> Decimal:
    """Chance of each patient to be in a step: expected batch by patients, rounded up, at most 1."""
    if patients < 1:
        return Decimal(1)
    return min(Decimal(1), (Decimal(batch) / patients).quantize(PLACES, ROUND_UP))


def steps_of(local: LocalTraining, batch: int, patients: int) -> int:
    """Steps of one round: as the recipe says, or its epochs of expected batches."""
    if local.steps is not None:
        return local.steps
    return (local.epochs or 1) * -(-patients // batch)


def largest_delta(patients: int) -> Decimal:
    """The largest delta for a group of patients: 10⁻⁵, and at most a tenth of one patient."""
    tenth = (Decimal(1) / (10 * max(patients, 1))).quantize(Decimal("1e-12"), ROUND_DOWN)
    return min(LARGEST_DELTA, tenth)


def rounded_up(epsilon: float) -> Decimal:
    """An epsilon as it is stated: six places, never less than it is."""
    return Decimal(repr(epsilon)).quantize(PLACES, ROUND_UP)


def check_terms(terms: PrivacyTerms | None, recipe: Recipe) -> None:
    """Refuse a recipe that does not do what its charter promises.

    Raises:
        Refused: `recipe.dp`, with the first thing that does not fit.
    """
    for found, agreed in _problems(terms, recipe):
        raise Refused("recipe.dp", found, agreed)


def _problems(terms: PrivacyTerms | None, recipe: Recipe) -> Iterator[tuple[str, str]]:
    if (terms is None) != (recipe.dp is None):
        told = "a privacy cap in the charter" if terms else "noise in the recipe"
        yield f"{told} alone", "a privacy cap in the charter and noise (dp) in the recipe, or none"
    if recipe.dp is None:
        return
    reason = refused_noise(recipe)
    if reason:
        yield recipe.network.name, f"a network that trains with noise: {reason}"
    if recipe.class_weights != "none":
        yield "class_weights", "none: weights by class would change with every single patient"
    if recipe.local.scaffold:
        yield "local.scaffold", "false: its state holds gradients without noise"


def check_delta(terms: PrivacyTerms, patients: int) -> None:
    """Refuse a delta that would let a whole patient through.

    Raises:
        Refused: `dp.delta`.
    """
    most = largest_delta(patients)
    if not 0 < Decimal(terms.delta) <= most:
        raise Refused("dp.delta", terms.delta, f"{most:f}")


def cap_of(charter: CharterBody, site: str) -> Decimal | None:
    """The largest budget that a charter gives a dataset of this hospital; None without noise."""
    if charter.dp is None:
        return None
    caps = [Decimal(row.epsilon) for row in charter.datasets_of(site) if row.epsilon is not None]
    return max(caps, default=Decimal(charter.dp.epsilon))
