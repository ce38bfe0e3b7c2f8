"""What this release of the hub can do only with some recipes, though a charter may ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from compliance.errors import Refused
from compliance.records.charter import PrivacyTerms
from compliance.records.recipe import Recipe
from compliance.rules.check import Finding, finding_of
from compliance.rules.masking import fits
from compliance.rules.noise import check_terms
from compliance.rules.sweeps import check_sweep
from compliance.rules.words import SENTENCES


def masks_that_fit(body: Mapping[str, Any], recipe: Recipe) -> list[Finding]:
    """Refusal of a charter whose masks and recipe do not belong together."""
    asked = body.get("aggregator") or {}
    denied = fits(recipe) if asked.get("masked") else None
    return [] if denied is None else [finding_of(denied)]


def fits_recipe(body: Mapping[str, Any], recipe: Recipe) -> list[Finding]:
    """Refusals of a charter whose privacy cap or sweep does not go with its recipe."""
    try:
        terms, sites = body.get("dp"), body.get("sites") or ()
        check_terms(None if terms is None else PrivacyTerms.model_validate(terms), recipe)
        check_sweep(str((body.get("contribution") or {}).get("rule")), len(sites), recipe)
    except ValidationError:
        return []  # the charter's own form says what is wrong
    except Refused as error:
        sentence = error.sentence or SENTENCES[error.rule]
        found, agreed = str(error.found), str(error.agreed)
        return [Finding("charter.terms", sentence, found, agreed, allowed=False)]
    return []
