"""The state of a consortium: what everybody knows who read its log from the start.

Only `advance` writes here, as in `compliance.rules.state`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from compliance.records.agreement import Agreement
from compliance.records.consortium import DatasetRegistered
from compliance.records.decisions import ExportCreated
from compliance.records.reasons import StudyRefused
from compliance.records.registry import OfferMade, RecipeRegistered, RequestMade
from compliance.rules.said import LogState

Pair = tuple[str, str]


class Standing(StrEnum):
    """Where a hospital stands in the consortium."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    LEFT = "left"


@dataclass(frozen=True)
class Member:
    """A hospital; its keys in force are `keys.current[f"{site}/institution"]` and so on.

    Args:
        site: its name.
        country: two letters.
        standing: active, suspended or left.
        since: entry index from which it stands so.
    """

    site: str
    country: str
    standing: Standing
    since: int


@dataclass(frozen=True)
class Researcher:
    """A researcher's key; `left` is the entry index from which it is silent."""

    name: str
    since: int
    left: int | None = None


@dataclass(frozen=True)
class Recipe:
    """A version of a recipe; `retired` is the entry index of its end."""

    index: int
    body: RecipeRegistered
    retired: int | None = None

    @property
    def sha256(self) -> str:
        """Hash of the recipe document."""
        return self.body.recipe_sha256

    @property
    def bundle_sha256(self) -> str:
        """Hash of its Flower bundle."""
        return self.body.bundle_sha256

    @property
    def family(self) -> str:
        """Family of its network."""
        return self.body.family

    @property
    def task(self) -> str:
        """What the model says."""
        return self.body.task


@dataclass(frozen=True)
class Registered:
    """A version of a dataset that a hospital laid open to offers."""

    index: int
    body: DatasetRegistered
    withdrawn: bool = False


@dataclass(frozen=True)
class Offer:
    """Something that somebody offers; `maker` is a hospital, or empty for the hub."""

    index: int
    maker: str
    body: OfferMade
    withdrawn: int | None = None


@dataclass(frozen=True)
class Request:
    """A request for an offer, by its entry index; without an answer it is open."""

    index: int
    actor: str
    body: RequestMade
    answer: str | None = None
    reason: StudyRefused | None = None


@dataclass(frozen=True)
class Proposed:
    """A charter that lies before the hospitals; `actor` is the researcher or the hub."""

    index: int
    actor: str


@dataclass(frozen=True)
class Listed:
    """A study of this consortium; `closed` is the entry index of its end."""

    origin: str
    entry0: str
    index: int
    closed: int | None = None


@dataclass(frozen=True)
class Exported:
    """An export of this log that is on record."""

    index: int
    actor: str
    body: ExportCreated


@dataclass(kw_only=True)
class ConsortiumState(LogState):
    """Where a consortium stands after `size` entries; `version_id` is the agreement in force."""

    agreement: Agreement
    members: dict[str, Member] = field(default_factory=dict)
    researchers: dict[str, Researcher] = field(default_factory=dict)
    recipes: dict[tuple[str, int], Recipe] = field(default_factory=dict)
    datasets: dict[Pair, dict[str, Registered]] = field(default_factory=dict)
    offers: dict[str, Offer] = field(default_factory=dict)
    requests: dict[int, Request] = field(default_factory=dict)
    proposed: dict[str, Proposed] = field(default_factory=dict)
    refused: dict[str, dict[str, StudyRefused]] = field(default_factory=dict)
    studies: dict[str, Listed] = field(default_factory=dict)
    listed_origins: set[str] = field(default_factory=set)
    exports: list[Exported] = field(default_factory=list)

    @property
    def agreement_id(self) -> str:
        """Names the text of entry 0 for ever; the other name of `charter_id`."""
        return self.charter_id

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self.agreement.origin

    @property
    def log_key(self) -> str:
        """Verifier key of the log, as the agreement in force names it."""
        return self.agreement.log_key

    @property
    def signatures_required(self) -> int:
        """How many founders had to sign the agreement."""
        return self.agreement.signatures_required

    def active_members(self) -> list[str]:
        """Hospitals that belong and are not suspended, sorted."""
        return self._standing(Standing.ACTIVE)

    def active_sites(self) -> list[str]:
        """The same, under the name that every log has."""
        return self.active_members()

    def bound(self) -> list[str]:
        """Hospitals that belong, suspended or not, sorted."""
        return sorted(self.active_members() + self._standing(Standing.SUSPENDED))

    def institutions(self) -> frozenset[str]:
        """Key names of the institutions that decide: those of active members."""
        return frozenset(f"{site}/institution" for site in self.active_members())

    def summary(self) -> dict[str, Any]:
        """The state in plain values, equal for all who read the same log."""
        return {
            "members": {site: str(row.standing) for site, row in sorted(self.members.items())},
            "researchers": {
                name: row.left is None for name, row in sorted(self.researchers.items())
            },
            "keys": {name: str(key) for name, key in sorted(self.keys.current.items())},
            "recipes": {
                f"{name}|{version}": row.retired is None
                for (name, version), row in sorted(self.recipes.items())
            },
            "datasets": {
                f"{site}|{dataset}|{version}": not row.withdrawn
                for (site, dataset), versions in sorted(self.datasets.items())
                for version, row in sorted(versions.items())
            },
            "offers": {name: row.withdrawn is None for name, row in sorted(self.offers.items())},
            "requests": {str(index): row.answer for index, row in sorted(self.requests.items())},
            "proposed": sorted(self.proposed),
            "refused": {
                charter: {site: str(reason) for site, reason in sorted(rows.items())}
                for charter, rows in sorted(self.refused.items())
            },
            "studies": {
                charter: row.closed is None for charter, row in sorted(self.studies.items())
            },
            "version": self.version_id,
        }

    def _standing(self, standing: Standing) -> list[str]:
        return sorted(site for site, row in self.members.items() if row.standing is standing)
