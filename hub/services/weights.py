"""The models of studies on a successor: made again from what hospitals kept, or named as missing.

A model is named by its hash, and the log says which one is the newest: whatever leads to that hash
is it, wherever it comes from. In this order: it is here; it is the start model, which follows from
the recipe, or from the earlier study that released it; a hospital was given it; it follows from the
one before and the hospitals' updates. A start model that came as a file is that file
again, in any folder of the study.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from compliance.canonical import sha256_id
from compliance.errors import ConsiliumError
from compliance.records.charter import CharterBody
from compliance.records.layout import BYTES_PER_VALUE, Layout, model_sha256
from compliance.records.model_file import MAX_HEADER, packed
from compliance.records.recipe import Recipe, layout_of, parse_recipe, shipped
from compliance.records.rounds import UpdateSubmitted
from compliance.rules.state import StudyState
from hub.services.ledger import LedgerService
from hub.services.registry import ModelRegistry
from hub.services.start import start_model
from hub.storage import studies as rows
from hub.storage.database import Database

Aggregate = Callable[
    [CharterBody, Layout, Path, Mapping[str, tuple[Path, int]]], tuple[bytes, dict[str, Decimal]]
]
"""The charter's rule: layout, model before, update and number of examples of each hospital."""

MOST_RECIPE = 1 << 20
SUFFIXES = (".safetensors", ".f32")


class WeightService:
    """Takes models from hospitals' folders.

    Args:
        database: keeps the recipes.
        ledger: the logs name every model.
        registry: where models lie.
        aggregate: makes a model from the one before.
    """

    def __init__(
        self,
        *,
        database: Database,
        ledger: LedgerService,
        registry: ModelRegistry,
        aggregate: Aggregate,
    ) -> None:
        self._database, self._ledger = database, ledger
        self._registry, self._aggregate = registry, aggregate

    def take(self, folders: Sequence[Path]) -> None:
        """Look for the newest model of every study; which stay without one, `RunService` knows.

        Args:
            folders: what `consilium site mirror --weights` wrote at each hospital; what is damaged
                in them is passed over, for a hash says what counts.
        """
        for study in self._ledger.studies():
            self._find(study, [folder / study for folder in folders])

    def _find(self, study: str, folders: Sequence[Path]) -> None:
        state = self._ledger.state(study)
        recipe = self._recipe(state, folders)
        if recipe is None or self._registry.has(study, state.model_sha256):
            return
        layout = layout_of(recipe)
        starts = [start_model(layout, study, recipe.seed), *_given(state, layout, folders)]
        folders = [*folders, *self._earlier(state, folders)]
        for values in self._candidates(study, state, (layout, starts), folders):
            if model_sha256(layout.sha256, values) == state.model_sha256:
                kind = "round" if state.rounds_closed else "initial"
                self._registry.put(study, layout, values, kind)
                return

    def _earlier(self, state: StudyState, folders: Sequence[Path]) -> list[Path]:
        """Folders of the study that released this study's start model, if it began with one."""
        start = state.charter.start_model
        if start is None or start.source != "released":
            return []
        found = [one for one in self._ledger.studies()
                 if self._ledger.state(one).charter_id == start.sha256]  # fmt: skip
        beside = [folder.parent / one for folder in folders for one in found]
        return [self._registry.folder(one) for one in found] + beside

    def _candidates(
        self,
        study: str,
        state: StudyState,
        made: tuple[Layout, Sequence[bytes]],
        folders: Sequence[Path],
    ) -> Iterator[bytes]:
        """Values that may be the newest model; the caller compares the hash."""
        layout, starts = made
        yield from starts
        for path in _paths(folders, "models", state.model_sha256):
            yield path.read_bytes()
        for values in (
            *starts,
            *(p.read_bytes() for p in _paths(folders, "models", state.last_base)),
        ):
            if model_sha256(layout.sha256, values) == state.last_base:
                self._registry.write(study, layout, values)
        if state.rounds_closed and self._registry.has(study, state.last_base):
            yield from self._again(study, state, layout, folders)

    def _again(
        self, study: str, state: StudyState, layout: Layout, folders: Sequence[Path]
    ) -> Iterator[bytes]:
        """The last round once more, if every update that counted in it was found."""
        made, updates = state.rounds_closed[-1], {}
        counts = self._counts(study, made.number)
        for site, name in made.used.items():
            for path in _paths(folders, "updates", name):
                if sha256_id(path.read_bytes()) == name:
                    updates[site] = (path, counts[site])
        if set(updates) == set(made.used):
            base = self._registry.path(study, state.last_base)
            yield self._aggregate(state.charter, layout, base, updates)[0]

    def _counts(self, study: str, number: int) -> dict[str, int]:
        found = {}
        for event in self._ledger.events(study, "update.submitted"):
            if isinstance(event.body, UpdateSubmitted) and event.body.round == number:
                found[str(event.actor).partition("/")[0]] = event.body.n
        return found

    def _recipe(self, state: StudyState, folders: Sequence[Path]) -> Recipe | None:
        """The recipe of the charter: of this release, known here, or from a folder."""
        sha256 = state.charter.recipe.sha256
        for recipe in shipped().values():
            if recipe.sha256 == sha256:
                return recipe
        for data in self._documents(sha256, folders):
            try:
                recipe = parse_recipe(data)
            except ConsiliumError:
                continue
            if recipe.sha256 == sha256:
                self._keep(recipe)
                return recipe
        return None

    def _documents(self, sha256: str, folders: Sequence[Path]) -> Iterator[bytes]:
        with self._database.reading() as session:
            row = rows.find_recipe(session, sha256)
        if row is not None:
            yield row.document
        for folder in folders:
            path = folder / "recipe.json"
            if path.is_file() and path.stat().st_size <= MOST_RECIPE:
                yield path.read_bytes()

    def _keep(self, recipe: Recipe) -> None:
        with self._database.transaction() as session:
            if rows.find_recipe(session, recipe.sha256) is None:
                rows.keep(session, rows.RecipeRow(sha256=recipe.sha256, document=recipe.encode()))


def _given(state: StudyState, layout: Layout, folders: Sequence[Path]) -> Iterator[bytes]:
    """The values of the file with which the study began, where somebody brought it."""
    start = state.charter.start_model
    if start is None or start.source != "file":
        return
    most = layout.count * BYTES_PER_VALUE + MAX_HEADER
    for path in (path for folder in folders for path in sorted(folder.glob("*"))):
        if path.suffix not in SUFFIXES or path.stat().st_size > most:
            continue
        data = path.read_bytes()
        if sha256_id(data) == start.sha256:
            yield packed(data, layout)


def _paths(folders: Sequence[Path], kind: str, name: str) -> list[Path]:
    """The files of a model or an update in several hospitals' folders."""
    found = [folder / kind / f"{name.removeprefix('sha256:')}.f32" for folder in folders]
    return [path for path in found if path.is_file()]
