"""From a researcher's draft to a whole charter body: defaults filled, keys looked up, hashes made.

Nothing legal is invented: the legal block comes from the draft or the charter is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from compliance.canonical import digest_of
from compliance.errors import NotReady
from compliance.records.charter import StartModel
from compliance.records.measures import names_of
from compliance.records.recipe import Recipe
from compliance.records.types import time_text
from compliance.rules.quorum import default_k
from compliance.signing.keys import SigningKey
from hub.services.catalogue import CatalogueService
from hub.services.members import MemberService

YEAR, RETENTION = timedelta(days=365), timedelta(days=365 + 2190)
KEYS = frozenset(
    {"title", "summary", "recipe", "datasets", "max_rounds", "round_seconds", "min_sites",
     "min_examples", "min_cell", "signatures_required", "quorum", "aggregator", "evaluation",
     "release", "contribution", "purpose", "legal", "documents", "starts", "expires",
     "retention_until", "dp", "start_model"}
)  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """What a charter takes from the hub and not from the researcher."""

    consortium: str
    origin: str
    log_key: SigningKey
    hub_vkey: str
    researcher_vkey: str
    bundle_sha256: str
    now: datetime


class Drafter:
    """Completes drafts.

    Args:
        catalogue: recipes and registered data sets.
        members: the hospitals' keys.
    """

    def __init__(self, *, catalogue: CatalogueService, members: MemberService) -> None:
        self._catalogue, self._members = catalogue, members

    def recipe(self, draft: Mapping[str, Any]) -> Recipe:
        """The recipe that a draft names, with its changes.

        Raises:
            NotReady: no recipe is named, or it is unknown.
        """
        named = draft.get("recipe")
        if not isinstance(named, Mapping) or not (named.get("id") or named.get("sha256")):
            raise NotReady("the draft names no recipe.", "Say recipe: {id: …}.")
        base = str(named.get("sha256") or named.get("id"))
        return self._catalogue.change(base, dict(named.get("changes") or {}))

    def complete(
        self,
        draft: Mapping[str, Any],
        frame: Frame,
        recipe: Recipe,
        initial_model_sha256: str,
        start: StartModel | None = None,
    ) -> dict[str, Any]:
        """The whole body of a charter, as plain values; the rules judge it afterwards.

        Raises:
            NotReady: an unknown field, a hospital or data set that is not there.
        """
        strangers = sorted(set(draft) - KEYS)
        if strangers:
            raise NotReady(
                f"the draft has an unknown field {strangers[0]}.", "Remove or correct it."
            )
        datasets = self._datasets(draft)
        sites = sorted({row["site"] for row in datasets})
        keys = {name: self._members.keys_of(name) for name in sites}
        return {
            **self._terms(draft, recipe, sites),
            **_times(draft, frame.now),
            "title": draft.get("title") or "",
            "summary": draft.get("summary") or "",
            "consortium": frame.consortium,
            "origin": frame.origin,
            "log_key": str(frame.log_key.verifier),
            "hub_key": frame.hub_vkey,
            "researcher": frame.researcher_vkey,
            "sites": [{"name": name, **held} for name, held in keys.items()],
            "task": {
                "kind": recipe.kind,
                "labels": list(recipe.classes),
                "label_map_sha256": digest_of(list(recipe.classes)),
                "preprocessing_sha256": digest_of(recipe.preprocessing.plain()),
            },
            "recipe": {
                "id": recipe.id, "version": recipe.version, "sha256": recipe.sha256,
                "family": recipe.family,
            },
            "bundle_sha256": frame.bundle_sha256,
            "initial_model_sha256": initial_model_sha256,
            "datasets": datasets,
            "legal": draft.get("legal"),
            "documents": draft.get("documents") or [],
            **({"start_model": start.plain()} if start else {}),
        }  # fmt: skip

    def _datasets(self, draft: Mapping[str, Any]) -> list[dict[str, Any]]:
        rows = []
        for row in draft.get("datasets") or []:
            site, name = str(row.get("site")), str(row.get("id"))
            known = self._catalogue.dataset(site, name, row.get("version"))
            rows.append(
                {
                    "site": site,
                    "id": name,
                    "version": known.version,
                    "duo": [str(term) for term in known.duo],
                    "disease": list(known.disease),
                    "description_sha256": known.description_sha256,
                    "dac": row.get("dac"),
                    "epsilon": row.get("epsilon", (draft.get("dp") or {}).get("epsilon")),
                }
            )
        if not rows:
            raise NotReady("the draft names no data set.", "Say datasets: [{site: …, id: …}].")
        return sorted(rows, key=lambda row: (row["site"], row["id"]))

    def _terms(self, draft: Mapping[str, Any], recipe: Recipe, sites: list[str]) -> dict[str, Any]:
        count = len(sites)
        witnesses = {"k": default_k(count), "witnesses": sites}
        measured = names_of(recipe.task, recipe.classes, baseline=recipe.baseline)
        defaults: dict[str, Any] = {
            "signatures_required": count,
            "purpose": {
                "use": "HMB", "disease": [], "for_profit": False, "commercial": False, "flags": [],
            },
            "min_sites": min(2, count),
            "min_examples": 20,
            "min_cell": 5,
            "max_rounds": 10,
            "round_seconds": 3600,
            "aggregator": {"name": "fedavg", "params": {}, "masked": False},
            "dp": None,
            "evaluation": {
                "primary": measured[0], "metrics": measured, "subgroups": [],
            },
            "release": {"outputs": ["weights"], "k": max(1, count // 2 + 1), "veto": True},
            "contribution": {"rule": "cases", "params": {}},
            "quorum": {**witnesses, "external": []},
        }  # fmt: skip
        return {name: draft.get(name, value) for name, value in defaults.items()}


def _times(draft: Mapping[str, Any], now: datetime) -> dict[str, str]:
    return {
        "starts": draft.get("starts") or time_text(now),
        "expires": draft.get("expires") or time_text(now + YEAR),
        "retention_until": draft.get("retention_until") or time_text(now + RETENTION),
    }
