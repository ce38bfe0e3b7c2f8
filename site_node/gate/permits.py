"""Permits: may this happen here, now? Asked before a dataset file is opened.

The answer comes from this site's own fold over its own mirror, from what this hospital remembers
to have signed, and from its own settings. Nothing in the hub's database counts, and the order
itself is no authority.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from compliance.errors import ConsiliumError, Refused
from compliance.records.charter import CharterBody, CharterDataset
from compliance.records.layout import Layout
from compliance.records.order import Order
from compliance.records.recipe import Recipe, layout_of
from compliance.records.types import time_text
from compliance.rules.fold import may
from compliance.rules.state import StudyState
from compliance.rules.verdict import Denied
from site_node.gate.journal import Journal
from site_node.gate.mirror import CONSORTIUM, Mirror
from site_node.gate.terms import (
    cases,
    check_consortium,
    check_entry,
    check_epsilon,
    check_hours,
    check_own_limits,
    check_purpose,
    check_round,
    check_time,
    check_usable,
    known_recipe,
    seed_of,
)
from site_node.settings import Settings
from site_node.store import studies as decisions
from site_node.store.journal import Sessions
from site_node.store.mirror import MirrorLog

EMPTY = "sha256:" + "00" * 32
BYTES = 4
KINDS = ("train", "evaluate")
BEHIND = ("mirror.behind", "study.unlisted")
"""What another look at the hub's logs may lift; whoever waits says at last why it was in vain."""


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


class Permits:
    """Answers the question whether an order may be carried out here.

    Args:
        settings: the site's own limits; they only tighten what the charter says.
        mirror: the site's own copies and fold.
        sessions: the site's database: what was signed here.
        catalogue: the site's curated datasets.
        journal: every question and answer is written down.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        mirror: Mirror,
        sessions: Sessions,
        catalogue: Datasets,
        journal: Journal,
    ) -> None:
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

    def _check(self, order: Order, now: str) -> Permit:
        head = self._head(order)
        state = self._mirror.state(head.study)
        check_entry(self._mirror.leaf(head.study, order.entry), order)
        self._check_consent(head, state)
        self._check_listed(head, state)
        check_time(state.charter, self._site, now)
        check_round(state, order, self._site, now)
        if state.charter.bundle_sha256 != self._settings.bundle_sha256:
            raise Refused("round.bundle", state.charter.bundle_sha256, self._settings.bundle_sha256)
        recipe, layout = self._recipe(state.charter, order)
        check_purpose(self._settings, state.charter)
        check_epsilon(self._settings, state.charter)
        check_own_limits(self._settings, state.charter, recipe.family)
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
        )
        if order.kind == "train":
            self._ask_fold(permit, order, now)
        return permit

    def _head(self, order: Order) -> MirrorLog:
        if order.kind not in KINDS:
            raise Refused("site.policy", order.kind, ", ".join(KINDS))
        for head in self._mirror.heads():
            if head.charter_id == order.log:
                for alarm in self._mirror.alarms(head.study):
                    raise Refused(alarm.rule, sentence=f"The log is not believed: {alarm.finding}")
                return head
        raise Refused("mirror.behind", sentence="This study's log is not mirrored here.")

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

    def _ask_fold(self, permit: Permit, order: Order, now: str) -> None:
        if permit.examples < permit.min_examples:
            raise Refused("update.min_examples", permit.examples, permit.min_examples)
        body = {
            "round": order.round,
            "base_model_sha256": order.model_sha256,
            "dataset": permit.dataset.id,
            "dataset_version": permit.dataset_version,
            "update_sha256": EMPTY,
            "bytes": permit.layout.count * BYTES,
            "encoding": "packed-f32",
            "masked": False,
            "n": permit.examples,
            "dp": None,
        }
        verdict = may(permit.state, "update.submitted", body, f"{self._site}/node", now)
        if isinstance(verdict, Denied):
            raise Refused(verdict.rule, verdict.found, verdict.agreed)
