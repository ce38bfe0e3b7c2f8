"""What studies are made from: recipes by their hash, and data sets as hospitals registered them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import Malformed, NotReady, Refused
from compliance.records.consortium import DatasetRegistered
from compliance.records.envelope import parse_event
from compliance.records.kinds import CONSORTIUM as CONSORTIUM_KINDS
from compliance.records.recipe import (
    Recipe,
    layout_of,
    parse_recipe,
    read_recipe,
    shipped,
    with_changes,
)
from compliance.rules.consortium.state import ConsortiumState
from compliance.signing.note import parse
from hub.services.clock import Clock, text_of
from hub.services.ledger import LedgerService
from hub.services.logbook import CONSORTIUM
from hub.storage import studies as rows
from hub.storage.database import Database
from hub.storage.members import find_member

MAX_DESCRIPTION = 1 << 20
MAX_RECIPE = 256 << 10


class CatalogueService:
    """Recipes and data sets.

    Args:
        database: where they lie.
        clock: the time now.
        ledger: registrations stand in the consortium's own log.
        bundle: returns the hash of the signed Flower bundle.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        ledger: LedgerService,
        bundle: Callable[[], str],
    ) -> None:
        self._database, self._clock, self._ledger = database, clock, ledger
        self._bundle = bundle

    def recipes(self) -> list[dict[str, Any]]:
        """Every recipe: those of this release and those that a charter changed."""
        with self._database.reading() as session:
            stored = [parse_recipe(row.document) for row in rows.all_recipes(session)]
        known = {recipe.sha256: recipe for recipe in (*shipped().values(), *stored)}
        return [
            {
                "id": recipe.id,
                "version": recipe.version,
                "sha256": sha256,
                "document": recipe.plain(),
            }
            for sha256, recipe in sorted(known.items(), key=lambda pair: pair[1].id)
        ]

    def recipe(self, sha256: str) -> Recipe:
        """A recipe by its hash.

        Raises:
            NotReady: it is not known here.
        """
        for recipe in shipped().values():
            if recipe.sha256 == sha256:
                return recipe
        with self._database.reading() as session:
            row = rows.find_recipe(session, sha256)
        if row is None:
            raise NotReady(f"no recipe {sha256} is known here.", "See GET /api/v1/recipes.")
        return parse_recipe(row.document)

    def change(self, base: str, changes: dict[str, Any]) -> Recipe:
        """Make and keep a new version of a recipe, with a number that is free.

        Raises:
            NotReady: no such recipe.
            Malformed: a number outside its bounds.
        """
        made = self._numbered(with_changes(self._based_on(base), changes))
        with self._database.transaction() as session:
            rows.keep(session, rows.RecipeRow(sha256=made.sha256, document=made.encode()))
        return made

    def bring(self, document: bytes) -> Recipe:
        """Take a whole recipe: of a consortium's package, or with a network of its own widths.

        Its layout travels within it; no program does, and nothing of it is run here.

        Raises:
            Malformed: too large, not one canonical recipe, or it names another layout than its own.
                It may not stand in the place of a recipe of this release.
        """
        if len(document) > MAX_RECIPE:
            raise Malformed("recipe", f"it has more than {MAX_RECIPE} bytes")
        brought = parse_recipe(document)
        layout_of(brought)
        if brought.id in shipped():
            raise Malformed("recipe", f"this release has a recipe {brought.id}: name it otherwise")
        made = self._numbered(brought)
        with self._database.transaction() as session:
            rows.keep(session, rows.RecipeRow(sha256=made.sha256, document=made.encode()))
        return made

    def _based_on(self, base: str) -> Recipe:
        """A recipe by its hash or id; of an id that was brought, the newest version."""
        if base in shipped():
            return shipped()[base]
        with self._database.reading() as session:
            stored = [parse_recipe(row.document) for row in rows.all_recipes(session)]
        named = [recipe for recipe in stored if recipe.id == base]
        return max(named, key=lambda recipe: recipe.version) if named else self.recipe(base)

    def _numbered(self, recipe: Recipe) -> Recipe:
        """A version number stands for one document for ever: take the next one that is free.

        One that is registered under an older Flower bundle counts as taken.
        """
        state = self._ledger.founded()
        if state is None:
            return recipe
        bundle = self._bundle()
        versions = {version: row for (name, version), row in state.recipes.items()
                    if name == recipe.id}  # fmt: skip
        plain = recipe.plain()
        for version, row in sorted(versions.items(), reverse=True):
            same = recipe.model_copy(update={"version": version})
            if (row.sha256, row.bundle_sha256) == (same.sha256, bundle):
                return same
        if recipe.version not in versions:
            return recipe
        return read_recipe(plain | {"version": max(versions) + 1})

    def register(self, site: str, note: bytes) -> None:
        """Put a hospital's signed `dataset.registered` into the consortium's log.

        Raises:
            Refused: another site, another consortium, or a signature that does not verify.
            Malformed: not such a note.
            NotReady: the consortium is not founded yet.
        """
        agreement_id = self._ledger.consortium().agreement_id
        event = parse_event(parse(note).text, kinds=CONSORTIUM_KINDS)
        body = event.body
        if not isinstance(body, DatasetRegistered) or event.log != agreement_id:
            raise Malformed("registration", "it is no dataset.registered of this consortium")
        if event.actor != f"{site}/node":
            raise Refused("event.signer", event.actor, f"{site}/node")
        with self._ledger.writing(CONSORTIUM) as session:
            self._ledger.append_in(session, CONSORTIUM, note)
            known = rows.find_dataset(session, site, body.dataset, body.version)
            row = rows.DatasetRow(
                site=site,
                dataset=body.dataset,
                version=body.version,
                note=note,
                registered=text_of(self._clock),
                description=known.description if known else None,
            )
            rows.keep(session, row)

    def describe(self, site: str, dataset: str, version: str, data: bytes) -> None:
        """Keep the description whose hash was registered.

        Raises:
            NotReady: the data set is not registered.
            Refused: another hash than registered.
        """
        if len(data) > MAX_DESCRIPTION:
            raise Malformed("description", "it is larger than 1 MiB")
        with self._database.transaction() as session:
            row = rows.find_dataset(session, site, dataset, version)
            if row is None:
                raise NotReady("this version is not registered.", "Register it first.")
            registered = _registered(row)
            if sha256_id(data) != registered.description_sha256:
                raise Refused("dataset.description", sha256_id(data), registered.description_sha256)
            row.description = data

    def datasets(self) -> list[dict[str, Any]]:
        """The newest version of every data set that is on offer, in closed words and buckets."""
        with self._database.reading() as session:
            found = [row for row in rows.newest_datasets(session) if self._offered(row)]
            titles = {row.site: find_member(session, row.site) for row in found}
        listed = []
        for row in found:
            member, body = titles[row.site], _registered(row)
            listed.append(
                {
                    "site": row.site,
                    "title": member.title if member else row.site,
                    **body.plain(),
                    "registered": row.registered,
                    "description": json.loads(row.description) if row.description else None,
                }
            )
        return listed

    def dataset(self, site: str, name: str, version: str | None) -> DatasetRegistered:
        """A registered data set: the version that is named, else the newest.

        Raises:
            NotReady: the hospital has not registered it.
        """
        with self._database.reading() as session:
            found = [
                row
                for row in rows.newest_datasets(session)
                if (row.site, row.dataset) == (site, name)
            ]
            if version is not None:
                exact = rows.find_dataset(session, site, name, version)
                found = [exact] if exact else []
        if not found or not self._offered(found[0]):
            raise NotReady(
                f"{site} has registered no data set {name}.",
                "The hospital runs `consilium site import` and `consilium site serve`.",
            )
        return _registered(found[0])

    def _offered(self, row: rows.DatasetRow) -> bool:
        """Whether the log has the registration and the hospital has not taken it back."""

        def stands(state: ConsortiumState | None) -> bool:
            versions = state.datasets.get((row.site, row.dataset), {}) if state else {}
            known = versions.get(row.version)
            return known is not None and not known.withdrawn

        return self._ledger.ask_consortium(stands)


def _registered(row: rows.DatasetRow) -> DatasetRegistered:
    body = parse_event(parse(row.note).text).body
    if not isinstance(body, DatasetRegistered):
        raise Malformed("registration", "the stored note is no dataset.registered")
    return body
