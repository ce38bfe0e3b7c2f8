"""The director of one study: opens rounds, waits, judges, aggregates, closes them.

The log is its memory. It may die at any moment: the next one reads the fold, the spool and the
registry and goes on.

Source: design/federation.md §3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from compliance.errors import ConsiliumError, Refused
from compliance.records.order import Order
from compliance.records.reasons import Excluded, Missing
from compliance.records.rounds import UpdateSubmitted
from compliance.records.types import seconds_of, time_text
from compliance.rules.state import OpenRound, StudyState
from hub.federation.aggregation.again import aggregated
from hub.federation.course import Counted, Course, End
from hub.federation.exchange import Exchange, Failure
from hub.federation.replies import (
    Cases,
    Reply,
    judge_update,
    norm_of,
    read_notes,
    refusal_means,
    too_large,
)
from hub.federation.spool import Spool
from hub.services.rounds import Account, Lease, RoundService

BEAT_SECONDS = 10
LOOK_SECONDS = 1.0
EXTRA_TTL = 60
LITTLE_TIME = timedelta(seconds=60)
MOST_ABORTED = 3
PACE = ((30.0, 0.2), (300.0, 0.5), (float("inf"), 1.0))
"""Seconds since the order, and how long to wait between two looks for replies until then."""

Sizes = Callable[[str, str, str], str]
"""Bucket of a registered dataset: site, name, version."""


@dataclass(frozen=True)
class Stage:
    """What a director works with.

    Args:
        rounds: writes to the log.
        exchange: carries orders and replies.
        sizes: what is registered about a dataset's size.
        wait: lets seconds pass.
        say: one line for the hub's own log.
    """

    rounds: RoundService
    exchange: Exchange
    sizes: Sizes
    wait: Callable[[float], None]
    say: Callable[[str], None]


class Director:
    """Conducts one study from where its log stands to its end.

    Args:
        lease: the right to write; it ends this director when another one takes it.
        stage: what it works with.
    """

    def __init__(self, lease: Lease, stage: Stage) -> None:
        self._lease, self._study = lease, lease.study
        self._stage, self._rounds = stage, stage.rounds
        self._exchange = stage.exchange
        self._spool = Spool(stage.rounds.folder(self._study))
        self._beaten: datetime | None = None
        self._looked: datetime | None = None
        self._online: set[str] = set()
        self._aborted = 0
        self._last: dict[tuple[str, str], int] = {}

    def run(self) -> None:
        """Play rounds until the study is closed, stopped or expired.

        Raises:
            Refused: another director took over (`run.lease`).
        """
        self._last = self._rounds.last_counts(self._study)
        while not self._over():
            state = self._state()
            if state.open_round is not None:
                self._play(state.open_round, resumed=True)
            elif len(state.rounds_closed) >= state.charter.max_rounds:
                self._evaluate()
                self._rounds.finish(self._lease, "completed")
            elif self._rounds.expired(self._study):
                self._rounds.finish(self._lease, "expired")
            elif self._enough():
                self._spool.clear()
                self._rounds.open(self._lease)
                self._play(self._state().running, resumed=False)
        self._stage.say(f"study {self._study}: {self._state().phase}")

    def _over(self) -> bool:
        state = self._state()
        return state.closed is not None or state.stopped is not None

    def _enough(self) -> bool:
        """Whether enough hospitals are there to open a round; waits a moment if not."""
        self._look()
        there = self._online & set(self._state().active_sites())
        if len(there) >= self._state().charter.min_sites:
            return True
        self._pause(LOOK_SECONDS)
        return False

    # ---------------------------------------------------------------------------- one round

    def _play(self, running: OpenRound, *, resumed: bool) -> None:
        state, now = self._state(), self._rounds.now()
        deadline = seconds_of(running.deadline)
        opened = min(now, deadline - timedelta(seconds=1))
        course = Course(running.sites, opened, deadline, state.charter.min_sites)
        for site, said in running.submitted.items():
            course.settle(site, self._found(running.number, site, said))
        if resumed and deadline - now < LITTLE_TIME:
            self._end(course, End.CLOSE if self._sufficient(course) else End.TOO_FEW, "hub_restart")
            return
        order = self._rounds.order(self._study, "train", running.index, running.deadline)
        self._stage.say(f"study {self._study}: round {running.number} of {course.sites}")
        end = self._wait_for(course, order)
        if end is not None:
            self._end(course, end, "too_few")

    def _found(self, number: int, site: str, said: UpdateSubmitted) -> Counted | Excluded:
        """An update that an earlier director put on record: in the spool, or lost."""
        path = self._spool.find(number, site, said.update_sha256)
        norm = norm_of(memoryview(path.read_bytes())) if path is not None else None
        if path is None or norm is None:
            return Excluded.BAD_HASH
        return Counted(path, said.update_sha256, said.n, norm)

    def _wait_for(self, course: Course, order: Order) -> End | None:
        """Send, receive, send again; None when the study ended meanwhile."""
        vector, began = self._rounds.model(self._study), self._rounds.now()
        while True:
            now = self._rounds.now()
            self._look()
            self._leave(course)
            self._send(course, order, vector, now)
            for reply in self._exchange.receive(course.under_way()):
                self._take(course, order, reply)
            if self._over():
                return None
            end = course.end(self._online, self._rounds.now())
            if end is not End.NOT_YET:
                return end
            passed = (now - began).total_seconds()
            self._pause(next(pause for until, pause in PACE if passed < until))

    def _send(self, course: Course, order: Order, vector: bytes, now: datetime) -> None:
        wanted = course.to_send(self._online, now)
        if not wanted:
            return
        ttl = (course.deadline - now).total_seconds() + EXTRA_TTL
        for site, message in self._exchange.send(order, vector, wanted, ttl).items():
            course.sent(site, message)

    def _leave(self, course: Course) -> None:
        """Take note of hospitals that withdrew in the middle of the round."""
        gone = self._state().withdrawn
        submitted = self._state().running.submitted if self._state().open_round else {}
        for site in gone & set(course.sites):
            if not isinstance(course.seats[site].outcome, Excluded):
                left = Excluded.WITHDRAWN if site in submitted else Missing.WITHDRAWN
                course.settle(site, left)

    def _take(self, course: Course, order: Order, reply: Reply | Failure) -> None:
        if isinstance(reply, Failure):
            course.failed(reply.site)
            return
        try:
            outcome = self._judge(order, reply)
        except Refused as error:
            if error.rule == "run.lease":
                raise
            self._refused(reply.site, error.rule)
            outcome = Missing.FAILED
        except ConsiliumError as error:
            self._stage.say(f"study {self._study}: reply of {reply.site}: {error}")
            self._refused(reply.site, "event.form")
            outcome = Missing.FAILED
        if outcome is None:
            course.failed(reply.site)
        elif course.seats[reply.site].outcome is None:
            course.settle(reply.site, outcome)

    def _judge(self, order: Order, reply: Reply) -> Counted | Excluded | Missing | None:
        """Put on record what a reply says and say whether its update counts.

        Raises:
            Refused: a rule of the log refuses a statement.
            Malformed: the notes cannot be read, or speak in another name.
        """
        spoken = read_notes(reply)
        if spoken.refusal is not None:
            note, denied = spoken.refusal
            self._rounds.take(self._lease, note)
            return refusal_means(denied)
        if spoken.update is None:
            for note in spoken.metrics:
                self._rounds.take(self._lease, note)
            return None
        note, said = spoken.update
        layout = self._rounds.layout(self._study)
        bucket = self._stage.sizes(reply.site, said.dataset, said.dataset_version)
        place = reply.site, said.dataset_version
        found = judge_update(reply.array, said, layout.count, Cases(bucket, self._last.get(place)))
        counted: Counted | Excluded
        if isinstance(found, Excluded):
            counted = found
        else:
            values, norm = found
            path = self._spool.keep(order.round, reply.site, values)
            counted = Counted(path, said.update_sha256, said.n, norm)
        for statement in (*spoken.metrics, note):
            self._rounds.take(self._lease, statement)
        if isinstance(counted, Counted):
            self._last[place] = said.n
        return counted

    def _refused(self, site: str, rule: str) -> None:
        self._stage.say(f"study {self._study}: a statement of {site} was refused: {rule}")
        self._rounds.deny(self._lease, f"{site}/node", rule)

    # ------------------------------------------------------------------------------ its end

    def _end(self, course: Course, end: End, why_not: str) -> None:
        self._leave(course)
        self._bound(course)
        if end is End.CLOSE and self._sufficient(course):
            self._close(course)
            self._aborted = 0
        else:
            self._rounds.abort(self._lease, why_not)
            self._aborted += 1
            if self._aborted >= MOST_ABORTED:
                self._rounds.stop(self._lease, "integrity")
        self._spool.clear()

    def _sufficient(self, course: Course) -> bool:
        return len(course.counted()) >= course.min_sites

    def _bound(self, course: Course) -> None:
        agreed = self._state().charter.aggregator.params.get("norm_max")
        norms = {site: update.norm for site, update in course.counted().items()}
        for site in too_large(norms, float(agreed) if agreed is not None else None):
            course.settle(site, Excluded.NORM_BOUND)

    def _close(self, course: Course) -> None:
        counted = course.counted()
        model, weights = self._aggregate(counted)
        account = Account(
            used={site: update.sha256 for site, update in sorted(counted.items())},
            weights=weights,
            excluded=course.excluded(),
            missing=course.missing(self._online),
        )
        self._rounds.close(self._lease, account, model)

    def _aggregate(self, counted: Mapping[str, Counted]) -> tuple[bytes, dict[str, Decimal]]:
        """The new model by the charter's rule, and how much each hospital counts in it."""
        return aggregated(
            self._state().charter.aggregator,
            self._rounds.model_path(self._study),
            {site: (update.path, update.n) for site, update in counted.items()},
        )

    # --------------------------------------------------------------------- the last question

    def _evaluate(self) -> None:
        """Let every hospital that is there measure the final model once."""
        state, now = self._state(), self._rounds.now()
        newest = state.rounds_closed[-1]
        index = self._rounds.opened_at(self._study)
        deadline = now + timedelta(seconds=state.charter.round_seconds)
        order = self._rounds.order(self._study, "evaluate", index, time_text(deadline))
        self._stage.say(f"study {self._study}: evaluating the model of round {newest.number}")
        course = Course(state.active_sites(), now, deadline, min_sites=0)
        vector, began = self._rounds.model(self._study), now
        while course.end(self._online, self._rounds.now()) is End.NOT_YET and not self._over():
            self._look()
            self._send(course, order, vector, self._rounds.now())
            for reply in self._exchange.receive(course.under_way()):
                self._measured(course, reply)
            passed = (self._rounds.now() - began).total_seconds()
            self._pause(next(pause for until, pause in PACE if passed < until))

    def _measured(self, course: Course, reply: Reply | Failure) -> None:
        if isinstance(reply, Failure):
            course.failed(reply.site)
            return
        try:
            spoken = read_notes(reply)
            for note in spoken.metrics:
                self._rounds.take(self._lease, note)
            if spoken.refusal is not None:
                self._rounds.take(self._lease, spoken.refusal[0])
        except Refused as error:
            if error.rule == "run.lease":
                raise
            self._refused(reply.site, error.rule)
        except ConsiliumError as error:
            self._stage.say(f"study {self._study}: reply of {reply.site}: {error}")
        course.settle(reply.site, Missing.NO_ANSWER)

    # ---------------------------------------------------------------------------- small things

    def _state(self) -> StudyState:
        return self._rounds.state(self._study)

    def _look(self) -> None:
        now = self._rounds.now()
        if self._looked is None or (now - self._looked).total_seconds() >= LOOK_SECONDS:
            self._online, self._looked = self._exchange.online(), now

    def _pause(self, seconds: float) -> None:
        now = self._rounds.now()
        if self._beaten is None or (now - self._beaten).total_seconds() >= BEAT_SECONDS:
            self._rounds.beat(self._lease)
            self._beaten = now
        self._stage.wait(seconds)
