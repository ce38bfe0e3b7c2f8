"""What a consortium can use: recipes, offers, and requests for them.

Source: design/ledger.md §2.3.
"""

from __future__ import annotations

from typing import Literal

from compliance.records.reasons import Retired, StudyRefused
from compliance.records.types import Count, Record, Sha, Slug, Time, Who, Word


class RecipeRegistered(Record):
    """A version of a recipe and its Flower bundle; the hashes never change."""

    recipe: Slug
    version: Count
    recipe_sha256: Sha
    bundle_sha256: Sha
    family: Slug
    task: Slug
    on_behalf: Who | None


class RecipeRetired(Record):
    """No new charter may name this version of a recipe."""

    recipe: Slug
    version: Count
    reason: Word[Retired]
    on_behalf: Who | None


class OfferMade(Record):
    """Somebody offers a dataset, a model or compute; the terms are a published document."""

    offer: Slug
    kind: Literal["dataset", "model", "compute"]
    subject_sha256: Sha
    terms_sha256: Sha
    until: Time
    on_behalf: Who | None


class OfferWithdrawn(Record):
    """Its maker takes an offer back."""

    offer: Slug
    on_behalf: Who | None


class RequestMade(Record):
    """A researcher asks for an offer; the purpose is a document, named by hash."""

    offer: Slug
    purpose_sha256: Sha


class RequestAnswered(Record):
    """The maker answers; a grant is an intention, only a signed charter permits.

    `request` is the entry index of the request; the reason is null exactly when it is granted.
    """

    request: Count
    answer: Literal["granted", "refused"]
    reason: Word[StudyRefused] | None
    on_behalf: Who | None
