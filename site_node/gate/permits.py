"""Permits: may this happen here, now? Asked before a dataset file is opened.

The answer comes from this site's own fold over its own mirror, from what this hospital remembers
to have signed, and from its own settings. Nothing in the hub's database counts, and the order
itself is no authority.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from compliance.errors import ConsiliumError, Refused
from compliance.records.charter import CharterBody, CharterDataset
from compliance.records.envelope import parse_event
from compliance.records.layout import Layout
from compliance.records.order import Order, seed_of
from compliance.records.recipe import Recipe, layout_of
from compliance.records.types import time_text
from compliance.rules.fold import may
from compliance.rules.noise import FREE, check_terms
from compliance.rules.state import StudyState
from compliance.rules.sweeps import check_sweep, swept_recipe
from compliance.rules.updates import ENCODING
from compliance.rules.verdict import Denied
from compliance.signing.note import parse
from site_node.gate.journal import Journal
from site_node.gate.mirror import CONSORTIUM, Mirror
from site_node.gate.restored import Restored
from site_node.gate.terms import (
    cases,
    check_consortium,
    check_entry,
    check_epsilon,
    check_hours,
    check_identity,
    check_own_limits,
    check_purpose,
    check_round,
    check_step,
    check_time,
    check_usable,
    known_recipe,
)
from site_node.packages import vouched_for
from site_node.settings import Settings
from site_node.store import studies as decisions
from site_node.store.journal import Sessions
from site_node.store.mirror import MirrorLog

EMPTY = "sha256:" + "00" * 32
BYTES = 4
TWICE = "update.twice"
KINDS = ("train", "evaluate", "sweep")
UNMASK = ("unmask",)
BEHIND = ("mirror.behind", "study.unlisted")
"""What another look at the hub's logs may lift; whoever waits says at last why it was in vain."""

BEHIND_BACKUP = (
    "This hospital came from a backup, and the others have not confirmed its copy of the log yet."
)


class Datasets(Protocol):
    """What the gate needs to know of the catalogue."""

    def get(self, name: str, version: str | None = None) -> Any:
        """The dataset's summary, in the version named."""


@dataclass(frozen=True)
class Permit:
    """What was permitted, and on which terms; made by `Permits.check` only."""

    study: str
    state: StudyState
    charter: CharterBody
    dataset: CharterDataset
    dataset_version: str
    dataset_dir: Path
    examples: int
    patients: int
    recipe: Recipe
    layout: Layout
    seed: int
    min_examples: int
    min_cell: int
    answered: bool = False
    """Its update of this round is on record: only the very same answer may leave again."""

    registered_dir: Path | None = None
    """The version that the charter names, where another is in force and the first is still here."""


class Permits:
    """Answers the question whether an order may be carried out here.

    Args:
        settings: the site's own limits; they only tighten what the charter says.
        mirror: the site's own copies and fold.
        sessions: the site's database: what was signed here.
        catalogue: the site's curated datasets.
        journal: every question and answer is written down.
        restored: whether this home came from a backup and what it may have forgotten.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        mirror: Mirror,
        sessions: Sessions,
        catalogue: Datasets,
        journal: Journal,
        restored: Restored,
    ) -> None:
        self._restored = restored
        self._settings, self._mirror, self._sessions = settings, mirror, sessions
        self._catalogue, self._journal = catalogue, journal
        self._site = str(settings.site)

    def check(self, order: Order, now: datetime) -> Permit:
        """Permit the order or say which rule forbids it; no dataset file is opened.

        Raises:
            Refused: with the rule id; the refusal is in the journal.
        """
        try:
            check_usable(self._settings)
            check_hours(self._settings, now)
            permit = self._check(order, time_text(now))
        except Refused as error:
            if error.rule not in BEHIND:  # asked again until the mirror has caught up
                self._journal.write("not.permitted", rule=error.rule, said=str(error))
            raise
        self._journal.write("permitted", study=permit.study, order=order.kind, round=order.round)
        return permit

    def check_unmask(self, order: Order) -> tuple[str, StudyState]:
        """The study of an unmasking that stands in the own copy, and where it stands.

        No data are touched: hours and limits of work on data are not asked.

        Raises:
            Refused: with the rule id; the refusal is in the journal.
        """
        try:
            check_usable(self._settings)
            head = self._head(order, UNMASK)
            state = self._state(head, order)
            self._check_consent(head, state)
            self._check_listed(head, state)
        except Refused as error:
            if error.rule not in BEHIND:
                self._journal.write("not.permitted", rule=error.rule, said=str(error))
            raise
        return head.study, state

    def _check(self, order: Order, now: str) -> Permit:
        head = self._head(order)
        state = self._state(head, order)
        self._check_consent(head, state)
        self._check_listed(head, state)
        check_time(state.charter, self._site, now)
        (check_step if order.kind == "sweep" else check_round)(state, order, self._site, now)
        if state.charter.bundle_sha256 != self._settings.bundle_sha256:
            raise Refused("round.bundle", state.charter.bundle_sha256, self._settings.bundle_sha256)
        recipe, layout = self._recipe(state.charter, order)
        check_purpose(self._settings, state.charter)
        check_epsilon(self._settings, state.charter)
        check_own_limits(self._settings, state.charter, recipe.family)
        check_terms(state.charter.dp, recipe)
        dataset, version, summary = self._dataset(state)
        permit = Permit(
            study=head.study,
            state=state,
            charter=state.charter,
            dataset=dataset,
            dataset_version=version,
            dataset_dir=Path(summary.dir),
            examples=cases(summary.n_by_split, "train"),
            patients=int(summary.patients),
            recipe=recipe,
            layout=layout,
            seed=seed_of(state.charter_id, order.model_sha256, self._site),
            min_examples=max(state.charter.min_examples, self._settings.min_examples),
            min_cell=max(state.charter.min_cell, self._settings.min_cell),
            registered_dir=self._registered(dataset, version),
        )
        if order.kind == "train" and self._ask_fold(permit, order, now):
            return replace(permit, answered=True)
        return permit

    def _head(self, order: Order, kinds: Sequence[str] = KINDS) -> MirrorLog:
        if order.kind not in kinds:
            raise Refused("site.policy", order.kind, ", ".join(kinds))
        for head in self._mirror.heads():
            if head.charter_id == order.log:
                for alarm in self._mirror.alarms(head.study):
                    raise Refused(alarm.rule, sentence=f"The log is not believed: {alarm.finding}")
                return head
        raise Refused("mirror.behind", sentence="This study's log is not mirrored here.")

    def _state(self, head: MirrorLog, order: Order) -> StudyState:
        """Where the study stands, at the entry that the order names or after it.

        The entry first: the agent may extend the copy in between, and a state of before it would
        contradict an order that is right.
        """
        self._check_restored(head, order)
        check_entry(self._mirror.leaf(head.study, order.entry), order)
        return self._mirror.state(head.study)

    def _check_restored(self, head: MirrorLog, order: Order) -> None:
        """What a backup has forgotten is neither spent nor answered a second time."""
        if any(self._restored.rests(log) for log in (head.study, CONSORTIUM)):
            raise Refused("mirror.behind", sentence=BEHIND_BACKUP)
        leaf = self._mirror.leaf(head.study, order.entry)
        if leaf is not None and self._restored.predates(parse_event(parse(leaf[1]).text).time):
            raise Refused("site.restored")

    def _check_consent(self, head: MirrorLog, state: StudyState) -> None:
        with self._sessions() as session:
            decision = decisions.find_decision(session, head.charter_id)
        if decision is None or decision.state == decisions.REFUSED or not decision.line:
            raise Refused("site.unsigned", sentence="This hospital did not sign this charter.")
        if decision.state == decisions.WITHDRAWN or self._site in state.withdrawn:
            raise Refused("site.withdrawn", sentence="This hospital has left this study.")
        if self._site not in state.signed:
            raise Refused("site.unsigned", sentence="The log holds no signature of this hospital.")
        if state.stopped is not None:
            raise Refused("study.stopped")
        if state.closed is not None:
            raise Refused("study.closed")

    def _check_listed(self, head: MirrorLog, state: StudyState) -> None:
        for alarm in self._mirror.alarms(CONSORTIUM):
            raise Refused(alarm.rule, sentence=f"The consortium is not believed: {alarm.finding}")
        first = self._mirror.leaf(head.study, 0)
        entry0 = first[0] if first else b""
        check_consortium(self._mirror.consortium(), state, entry0, self._site)

    def _recipe(self, charter: CharterBody, order: Order) -> tuple[Recipe, Layout]:
        with self._sessions() as session:
            data = decisions.find_document(session, charter.recipe.sha256)
        recipe = known_recipe(charter.recipe.sha256, data)
        check_identity(charter, recipe)
        if order.kind == "sweep":
            check_sweep(charter.contribution.rule, len(charter.sites), recipe)
            recipe = swept_recipe(charter.contribution.rule, recipe)
        if recipe.package is not None:
            vouched_for(self._settings.home, recipe.package, recipe.network.name)
        layout = layout_of(recipe)
        if layout.sha256 != order.layout_sha256:
            raise Refused("round.model", order.layout_sha256, layout.sha256)
        return recipe, layout

    def _dataset(self, state: StudyState) -> tuple[CharterDataset, str, Any]:
        named = state.charter.datasets_of(self._site)
        if not named:
            raise Refused("dataset.unknown", self._site)
        dataset = named[0]
        version = state.dataset_versions.get((self._site, dataset.id), dataset.version)
        try:
            summary = self._catalogue.get(dataset.id, version)
        except ConsiliumError as error:
            raise Refused("dataset.version", dataset.id, version, str(error)) from error
        if summary is None or summary.version != version:
            raise Refused("dataset.version", getattr(summary, "version", None), version)
        return dataset, version, summary

    def _registered(self, dataset: CharterDataset, version: str) -> Path | None:
        """Where the version lies that the charter names; None while that one is in force."""
        if dataset.version == version:
            return None
        try:
            return Path(self._catalogue.get(dataset.id, dataset.version).dir)
        except ConsiliumError:
            return None

    def _ask_fold(self, permit: Permit, order: Order, now: str) -> bool:
        """Refuse what the log's rules forbid; True when the log has this site's update already."""
        if permit.examples < permit.min_examples:
            raise Refused("update.min_examples", permit.examples, permit.min_examples)
        body = {
            "round": order.round,
            "base_model_sha256": order.model_sha256,
            "dataset": permit.dataset.id,
            "dataset_version": permit.dataset_version,
            "update_sha256": EMPTY,
            "bytes": permit.layout.count * BYTES,
            "encoding": ENCODING[permit.charter.aggregator.masked],
            "masked": permit.charter.aggregator.masked,
            "n": permit.examples,
            "dp": None if permit.charter.dp is None else FREE,
        }
        verdict = may(permit.state, "update.submitted", body, f"{self._site}/node", now)
        if isinstance(verdict, Denied) and verdict.rule == TWICE:
            return True
        if isinstance(verdict, Denied):
            raise Refused(verdict.rule, verdict.found, verdict.agreed)
        return False
