"""The consortium: founded by an agreement that all sign, seen as its own log tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from compliance.errors import NotReady
from compliance.records.envelope import write_event
from compliance.records.recipe import Recipe, shipped
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.quorum import default_k, words
from hub.services.clock import Clock, text_of
from hub.services.keys import KeyStore
from hub.services.ledger import LedgerService
from hub.services.logbook import CONSORTIUM
from hub.services.members import MemberService
from hub.services.motions import MotionService
from hub.storage.database import Transaction

FEWEST = 2
UNSAID = "ZZ"
"""The country of a hospital that did not tell one (ISO 3166-1, user-assigned)."""


@dataclass(frozen=True)
class Terms:
    """What an agreement says besides its members; None stands for the safe default.

    Args:
        title: name of the consortium.
        min_examples: no charter asks for fewer examples of a hospital.
        min_cell: no charter shows a smaller count.
        min_sites: no charter trains with fewer hospitals.
        signatures_required: founders that must sign; all, if not said.
        admit_k: members that must admit or suspend one; most, if not said.
        amend_k: members that must change the agreement; most, if not said.
        quorum_k: cosignatures that make a quorum.
        retention_years: how long the log is kept.
        profiles: laws that reports answer to.
        documents: papers between the hospitals: kind, ref, sha256.
        countries: two letters by hospital, where it did not tell its own.
    """

    title: str
    min_examples: int = 5
    min_cell: int = 5
    min_sites: int = 2
    signatures_required: int | None = None
    admit_k: int | None = None
    amend_k: int | None = None
    quorum_k: int | None = None
    retention_years: int = 15
    profiles: tuple[str, ...] = ("gdpr",)
    documents: tuple[dict[str, str], ...] = ()
    countries: dict[str, str] = field(default_factory=dict)


class ConsortiumService:
    """Founding, recipes on record, and what everybody may see.

    Args:
        ledger: the consortium's own log.
        motions: texts that wait for signatures.
        members: hospitals that have joined.
        keys: the hub's keys.
        clock: the time now.
        bundle: returns the hash of the signed Flower bundle.
    """

    def __init__(
        self,
        *,
        ledger: LedgerService,
        motions: Callable[[], MotionService],
        members: MemberService,
        keys: KeyStore,
        clock: Clock,
        bundle: Callable[[], str],
    ) -> None:
        self._ledger, self._motions, self._members = ledger, motions, members
        self._keys, self._clock, self._bundle = keys, clock, bundle

    def found(self, terms: Terms) -> dict[str, Any]:
        """Write the agreement of all hospitals that have joined, and lay it before them.

        Returns:
            The motion that waits for their signatures.

        Raises:
            NotReady: it is founded already, or too few hospitals have joined.
            NotAnEvent: a term has another form.
        """
        if self._ledger.founded() is not None:
            raise NotReady(
                "the consortium is founded already.",
                "Change the agreement by a motion `agreement.amended`.",
            )
        self._bundle()
        text = write_event("agreement", self.body(terms), time=text_of(self._clock))
        return self._motions().get(self._motions().lay(CONSORTIUM, text))

    def body(self, terms: Terms) -> dict[str, Any]:
        """The agreement's body of all hospitals that have joined.

        Raises:
            NotReady: too few have joined.
        """
        rows = [row for row in self._members.joined() if not row.suspended]
        names = [row.site for row in rows]
        if len(names) < FEWEST:
            raise NotReady(
                "fewer than two hospitals have joined.", "Invite them: `consilium hub invite NAME`."
            )
        most = len(names) // 2 + 1
        log_key = self._keys.log(CONSORTIUM)
        ahead = timedelta(days=365 * terms.retention_years)
        return {
            "title": terms.title,
            "hub": str(self._keys.events.verifier),
            "origin": log_key.name,
            "log_key": str(log_key.verifier),
            "members": [
                {
                    "name": row.site,
                    "institution": row.institution,
                    "node": row.node,
                    "witness": row.witness,
                    "country": row.country or terms.countries.get(row.site, UNSAID),
                }
                for row in rows
            ],
            "signatures_required": terms.signatures_required or len(names),
            "admit_k": terms.admit_k or most,
            "amend_k": terms.amend_k or most,
            "quorum": {"k": terms.quorum_k or default_k(len(names)), "witnesses": names},
            "floors": {
                "min_examples": terms.min_examples,
                "min_cell": terms.min_cell,
                "min_sites": terms.min_sites,
            },
            "profiles": list(terms.profiles),
            "documents": list(terms.documents),
            "retention_until": text_of(self._clock, ahead),
        }

    def founded(self, session: Transaction) -> None:
        """Put the recipes of this release on record, right after the agreement."""
        for recipe in shipped().values():
            self.register(session, recipe)

    def register(
        self, session: Transaction, recipe: Recipe, on_behalf: dict[str, Any] | None = None
    ) -> None:
        """Put a recipe under the signed bundle on record, unless it is there."""
        state = self._ledger.state_in(session, CONSORTIUM)
        known = getattr(state, "recipes", {}).get((recipe.id, recipe.version))
        if known is not None and known.sha256 == recipe.sha256:
            return
        body = {
            "recipe": recipe.id,
            "version": recipe.version,
            "recipe_sha256": recipe.sha256,
            "bundle_sha256": self._bundle(),
            "family": recipe.family,
            "task": recipe.kind,
            "on_behalf": on_behalf,
        }
        self._ledger.say_in(session, CONSORTIUM, "recipe.registered", body)

    def view(self) -> dict[str, Any]:
        """The consortium as its own log tells it, for whoever belongs to it."""
        plain = self._ledger.ask_consortium(_plain)
        if plain["agreement_id"] is not None:
            plain["policy"] = self._ledger.policy(CONSORTIUM)
        titles = {row.site: row.title for row in self._members.joined()}
        for row in plain["members"]:
            row["title"] = titles.get(row["site"], row["site"])
        here = {row["site"] for row in plain["members"]}
        plain["waiting"] = sorted(set(titles) - here)
        plain["origin"] = self._keys.log(CONSORTIUM).name
        plain["motions"] = self._motions().waiting()
        return plain


def _plain(state: ConsortiumState | None) -> dict[str, Any]:
    if state is None:
        empty: dict[str, Any] = {"members": [], "recipes": [], "studies": []}
        return {"agreement_id": None, "agreement": None, "title": None, "policy": None, "size": 0,
                "version_id": None, "quorum": None, **empty}  # fmt: skip
    terms = state.agreement.quorum
    current = state.keys.current
    return {
        "agreement_id": state.agreement_id,
        "version_id": state.version_id,
        "agreement": state.agreement.plain(),
        "title": state.agreement.title,
        "size": state.size,
        "quorum": words(len(terms.witnesses), terms.k),
        "members": [
            {
                "site": row.site,
                "country": row.country,
                "standing": str(row.standing),
                "since": row.since,
                "keys": {
                    role: str(current[f"{row.site}/{role}"])
                    for role in ("institution", "node", "witness")
                },
            }
            for _, row in sorted(state.members.items())
        ],
        "recipes": [
            {
                "id": name,
                "version": version,
                "sha256": row.sha256,
                "bundle_sha256": row.bundle_sha256,
                "index": row.index,
                "retired": row.retired,
            }
            for (name, version), row in sorted(state.recipes.items())
        ],
        "studies": [
            {
                "charter_id": charter_id,
                "origin": row.origin,
                "entry0": row.entry0,
                "index": row.index,
                "closed": row.closed,
            }
            for charter_id, row in sorted(state.studies.items())
        ],
    }
