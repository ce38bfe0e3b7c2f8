"""A home from a backup remembers what it spent: from the logs, and from what it may have answered.

An update in a log is charged as it states itself. A round that was open between backup and restore
and of which nothing is known may have been answered to the hub alone: it is charged with all its
planned steps. Before every log has caught up no study with noise goes on here.

Source: design/federation.md §8.2; docs/decisions/0032.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from compliance.canonical import digest_of
from compliance.errors import ConsiliumError, Refused
from compliance.records.envelope import Event, parse_event
from compliance.records.recipe import Recipe
from compliance.records.rounds import RoundOpened, UpdateSubmitted
from compliance.records.types import time_text
from compliance.rules.noise import sample_rate, steps_of
from compliance.rules.state import StudyState
from compliance.signing.note import parse
from site_node.gate.budget import NO_END, People
from site_node.gate.journal import Clock, Journal
from site_node.gate.mirror import CONSORTIUM, Mirror
from site_node.gate.permits import Datasets
from site_node.gate.restored import Mark, Restored
from site_node.store import privacy as table
from site_node.store.journal import Sessions
from site_node.store.privacy import SPENT, ChargeRow

DONE = "privacy.recalled"
RESTING = (
    "This hospital came from a backup, and not every log has caught up: what it has spent from its "
    "privacy budget is not known yet. See `consilium site restored`."
)


class Recalled:
    """Completes the account of a home that came from a backup.

    Args:
        site: its name.
        mirror: the site's own copies of the logs.
        restored: the mark of the home.
        recipe: the recipe with a hash.
        catalogue: the site's curated datasets.
        people: reads whose images a dataset trains on.
        sessions: the site's database.
        journal: told once when the account is whole again.
        clock: the time now.
    """

    def __init__(  # noqa: PLR0913 - built by hand in one place, each part named
        self,
        *,
        site: str,
        mirror: Mirror,
        restored: Restored,
        recipe: Callable[[str], Recipe],
        catalogue: Datasets,
        people: People,
        sessions: Sessions,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._site, self._mirror, self._restored = site, mirror, restored
        self._recipe, self._catalogue, self._people = recipe, catalogue, people
        self._sessions, self._journal, self._clock = sessions, journal, clock

    def complete(self) -> None:
        """Charge what the backup has forgotten; a home that never came from one does nothing.

        Raises:
            Refused: `mirror.behind`: a log has not caught up.
        """
        mark = self._restored.mark()
        if mark is None:
            return
        logs = [head.study for head in self._mirror.heads()]
        if any(self._restored.rests(log) for log in (*logs, CONSORTIUM)):
            raise Refused("mirror.behind", sentence=RESTING)
        logs = sorted(set(logs) - self._done(mark))
        if not logs:
            return
        rows = [row for log in logs for row in self._forgotten(log, mark)]
        with self._sessions.begin() as session:
            table.lock(session)
            for row in rows:
                if table.find_charge(session, row.charge) is None:
                    table.add(session, row)
            count = len(rows)
            self._journal.within(session, DONE, since=mark.since, logs=logs, charges=count)

    def _done(self, mark: Mark) -> set[str]:
        """Logs that were read since this restore."""
        rows = [row["data"] for row in self._journal.lines_of(DONE)]
        return {log for row in rows if row["since"] == mark.since for log in row["logs"]}

    def _forgotten(self, log: str, mark: Mark) -> Iterator[ChargeRow]:
        """Charges of one study that the database does not hold."""
        state = self._mirror.state(log)
        if state.charter.dp is None:
            return
        with self._sessions() as session:
            kept = table.charges(session)
        known = {row.round for row in kept if row.log == state.charter_id and row.state == SPENT}
        events = [parse_event(parse(note).text) for note in self._mirror.entries(log)]
        said = {
            event.body.round: event.body
            for event in events
            if isinstance(event.body, UpdateSubmitted) and event.actor == f"{self._site}/node"
        }
        for opened in self._asked(events):
            if opened.round in known:
                continue
            if opened.round in said:
                yield self._row(state, opened, _as_said(said[opened.round]))
            elif opened.deadline >= mark.made:
                yield self._row(state, opened, self._as_planned(state))

    def _asked(self, events: list[Event]) -> Iterator[RoundOpened]:
        """Rounds of before the restore in which this hospital was asked."""
        for event in events:
            asked = isinstance(event.body, RoundOpened) and self._site in event.body.sites
            if asked and self._restored.predates(event.time):
                yield event.body  # type: ignore[misc]  # asked says which kind it is

    def _as_planned(self, state: StudyState) -> dict[str, Any]:
        """All steps of a round; with everybody in each where the patients are not known."""
        dataset = state.charter.datasets_of(self._site)[0]
        version = state.dataset_versions.get((self._site, dataset.id), dataset.version)
        terms = (recipe := self._recipe(state.charter.recipe.sha256)).dp
        if terms is None:
            raise Refused("recipe.dp", sentence="The charter has a privacy cap, its recipe none.")
        try:
            patients = len(set(self._people(self._catalogue.get(dataset.id, version).dir)))
        except (ConsiliumError, OSError):
            patients = 0
        return {
            "account": dataset.id,
            "dataset_version": version,
            "sigma": terms.sigma,
            "clip": terms.clip,
            "sample_rate": f"{sample_rate(terms.batch, patients):f}",
            "steps": steps_of(recipe.local, terms.batch, patients or terms.batch),
        }

    def _row(self, state: StudyState, opened: RoundOpened, told: dict[str, Any]) -> ChargeRow:
        name = {"log": state.charter_id, "round": opened.round, "recalled": True}
        return ChargeRow(
            charge=digest_of(name),
            settles=1,
            log=state.charter_id,
            round=opened.round,
            base_sha256=opened.model_sha256,
            state=SPENT,
            at=time_text(self._clock()),
            eps_total=NO_END,
            **({"eps_study": NO_END} | told),
        )


def _as_said(body: UpdateSubmitted) -> dict[str, Any]:
    """A charge as the log has it; a study with a cap has no update without a cost."""
    cost = body.dp
    if cost is None:
        raise Refused("dp.missing", None, "a privacy cost")
    return {
        "account": body.dataset,
        "dataset_version": body.dataset_version,
        "sigma": cost.sigma,
        "clip": cost.clip,
        "sample_rate": cost.sample_rate,
        "steps": cost.steps,
        "eps_study": cost.epsilon,
    }
