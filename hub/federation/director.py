"""The director of one study: opens rounds, waits, judges, aggregates, closes them.

The log is its memory. It may die at any moment: the next one reads the fold, the spool and the
registry and goes on.

Source: design/federation.md §3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from compliance.errors import NotReady
from compliance.records.order import Order
from compliance.records.reasons import Excluded, Missing
from compliance.records.types import seconds_of, time_text
from compliance.rules.state import OpenRound, StudyState
from hub.federation.aggregation.rule import Undecided
from hub.federation.course import Counted, Course, End
from hub.federation.exchange import Exchange, Failure
from hub.federation.exchange import Model as Values
from hub.federation.judging import Judge, Sizes
from hub.federation.making import Model, make_model
from hub.federation.replies import Reply, too_large
from hub.federation.spool import Spool
from hub.federation.suspicion import Ranks, ranks
from hub.federation.sweeping import Parts, Take, make_account
from hub.federation.unmasking import Hands, Unmasking
from hub.services.rounds import Account, Lease, RoundService

BEAT_SECONDS = 10
LOOK_SECONDS = 1.0
EXTRA_TTL = 60
LITTLE_TIME = timedelta(seconds=60)
FULL_DISK = timedelta(seconds=30)
KEYS = timedelta(seconds=30)
"""How long a masked round waits for the keys of hospitals that are there."""
MOST_ABORTED = 3
PACE = ((30.0, 0.2), (300.0, 0.5), (float("inf"), 1.0))
"""Seconds since the order, and how long to wait between two looks for replies until then."""

Working = Callable[[], Mapping[str, int]]
"""Round of the order that each site says it has, by site; a site that has none is not named."""


@dataclass(frozen=True)
class Stage:
    """What a director works with.

    Args:
        rounds: writes to the log.
        exchange: carries orders and replies.
        sizes: what is registered about a dataset's size.
        wait: lets seconds pass.
        say: one line for the hub's own log.
        working: which site has an order in its hands, by its own sign of life.
        scores: keeps the ranks of a round's updates for whoever looks.
    """

    rounds: RoundService
    exchange: Exchange
    sizes: Sizes
    wait: Callable[[float], None]
    say: Callable[[str], None]
    working: Working
    scores: Callable[[str, int, Ranks], None]


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
        self._working: Mapping[str, int] = {}
        self._lacking = False
        self._judge = Judge(lease, stage.rounds, self._spool, stage.sizes, stage.say)
        self._waits: datetime | None = None
        self._unmasking = Unmasking(
            lease=lease,
            rounds=stage.rounds,
            exchange=stage.exchange,
            spool=self._spool,
            say=stage.say,
            hands=Hands(self._there, self._over, self._pause),
        )

    def run(self) -> None:
        """Play rounds until the study is closed, stopped or expired.

        Raises:
            Refused: another director took over (`run.lease`).
        """
        while not self._over():
            state = self._state()
            if state.open_round is not None:
                self._play(state.open_round, resumed=True)
            elif len(state.rounds_closed) >= state.charter.max_rounds:
                self._evaluate()
                self._account()
                if not self._over():
                    self._rounds.finish(self._lease, "completed")
            elif self._rounds.expired(self._study):
                self._rounds.finish(self._lease, "expired")
            elif state.model_sha256 in state.unmasked:  # no second sum may begin with this model
                self._rounds.finish(self._lease, "abandoned")
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
        there = self._online & set(self._rounds.partakers(self._study))
        self._waits = self._waits or self._rounds.now()
        waited = self._rounds.now() - self._waits >= KEYS
        keyless = self._online & self._rounds.without_mask_key(self._study)
        if len(there) >= self._state().charter.min_sites and (waited or not keyless):
            self._waits = None
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
            found = self._judge.found(running.number, site, said)
            if found is not None:
                course.settle(site, found)
        if running.unmasking is not None:
            self._go_on_unmasking(course, running.unmasking.alive)
            return
        if resumed and deadline - now < LITTLE_TIME:
            self._end(course, End.CLOSE if self._sufficient(course) else End.TOO_FEW, "hub_restart")
            return
        order = self._rounds.order(self._study, "train", running.index, running.deadline)
        self._stage.say(f"study {self._study}: round {running.number} of {course.sites}")
        end = self._wait_for(course, order)
        if end is not None:
            self._end(course, end, "too_few")

    def _wait_for(self, course: Course, order: Order) -> End | None:
        """Send, receive, send again; None when the study ended meanwhile."""
        began = self._rounds.now()
        while True:
            now = self._rounds.now()
            self._look()
            self._leave(course)
            course.heard(self._working, order.round, now)
            self._send(course, order, now)
            self._receive(course, lambda reply: self._take(course, order, reply))
            if self._over():
                return None
            end = course.end(self._online, self._rounds.now())
            if end is not End.NOT_YET:
                return end
            passed = (now - began).total_seconds()
            self._pause(next(pause for until, pause in PACE if passed < until))

    def _send(
        self, course: Course, order: Order, now: datetime, vector: Values | None = None
    ) -> None:
        wanted = course.to_send(self._online, now)
        if not wanted:
            return
        ttl = (course.deadline - now).total_seconds() + EXTRA_TTL
        sent = self._exchange.send(order, vector or self._model, wanted, ttl)
        for site, message in sent.items():
            course.sent(site, message, now)

    def _leave(self, course: Course) -> None:
        """Take note of hospitals that withdrew in the middle of the round."""
        gone = self._state().withdrawn
        submitted = self._state().running.submitted if self._state().open_round else {}
        for site in gone & set(course.sites):
            if not isinstance(course.seats[site].outcome, Excluded):
                left = Excluded.WITHDRAWN if site in submitted else Missing.WITHDRAWN
                course.settle(site, left)

    def _receive(self, course: Course, take: Callable[[Reply | Failure], None]) -> None:
        """Take what has come, one by one: two models are never held at once."""
        replies = self._exchange.receive(course.under_way())
        while (reply := next(replies, None)) is not None:
            take(reply)
            reply = None

    def _take(self, course: Course, order: Order, reply: Reply | Failure) -> None:
        if isinstance(reply, Failure):
            course.failed(reply.site)
            return
        try:
            outcome = self._judge.take(order, reply)
        except OSError as error:
            self._stage.say(f"study {self._study}: store.full: {error.strerror}")
            course.put_off(reply.site, self._rounds.now() + FULL_DISK)
            return
        if outcome is None:
            course.failed(reply.site)
        elif course.seats[reply.site].outcome is None:
            course.settle(reply.site, outcome)

    # ------------------------------------------------------------------------------ its end

    def _end(self, course: Course, end: End, why_not: str) -> None:
        self._leave(course)
        self._bound(course)
        course.on_record(self._state().running.submitted)
        enough = end is End.CLOSE and self._sufficient(course)
        if not (enough and self._close(course)) and self._state().open_round is not None:
            self._rounds.abort(self._lease, why_not)
            if self._lacking or self._rounds.aborted_in_a_row(self._study) >= MOST_ABORTED:
                self._rounds.stop(self._lease, "integrity")
        self._spool.clear()

    def _go_on_unmasking(self, course: Course, alive: Mapping[str, str]) -> None:
        """The lists are on record already: nobody is asked for an update, nobody is left out."""
        for site in set(course.sites) - alive.keys():
            if isinstance(course.seats[site].outcome, Counted):
                course.settle(site, Excluded.BAD_HASH)
        if course.counted().keys() != alive.keys():
            self._stage.say(f"study {self._study}: store.missing: masked updates of the sum")
            self._rounds.stop(self._lease, "integrity")
            return
        course.on_record(self._state().running.submitted)
        self._close(course)
        self._spool.clear()

    def _sufficient(self, course: Course) -> bool:
        return len(course.counted()) >= course.min_sites

    def _bound(self, course: Course) -> None:
        agreed = self._state().charter.aggregator.params.get("norm_max")
        norms = {site: update.norm for site, update in course.counted().items()}
        for site in too_large(norms, float(agreed) if agreed is not None else None):
            course.settle(site, Excluded.NORM_BOUND)

    def _close(self, course: Course) -> bool:
        """Make and enter the new model; False if the rule makes none of these updates."""
        try:
            model = self._make(course)
        except (Undecided, NotReady) as error:
            self._stage.say(f"study {self._study}: no model of this round: {error}")
            if isinstance(error, NotReady):  # what the next round needs is missing too
                self._lacking = True
            return False
        if model is None:
            return False
        made, weights = model
        counted = course.counted()
        account = Account(
            used={site: update.sha256 for site, update in sorted(counted.items())},
            weights=weights,
            excluded=course.excluded(),
            missing=course.missing(self._online),
        )
        masked = self._state().charter.aggregator.masked
        unlike = ranks({} if masked else course.measured())
        self._rounds.close(self._lease, account, made)
        self._stage.scores(self._study, self._state().rounds_closed[-1].number, unlike)
        return True

    def _make(self, course: Course) -> Model | None:
        """The model of what counts; None when masks stay on: too few alive, or the study ended."""
        if not self._state().charter.aggregator.masked:
            return make_model(self._rounds, self._study, self._spool.folder, course.counted())
        if self._state().running.unmasking is None and not self._unmasking.begin(course):
            return None
        return self._unmasking.finish(course.counted())

    # --------------------------------------------------------------------- the last question

    def _evaluate(self) -> None:
        """Let every hospital that is there measure the final model once."""
        state, now = self._state(), self._rounds.now()
        newest = state.rounds_closed[-1]
        index = self._rounds.opened_at(self._study)
        deadline = now + timedelta(seconds=state.charter.round_seconds)
        order = self._rounds.order(self._study, "evaluate", index, time_text(deadline))
        self._stage.say(f"study {self._study}: evaluating the model of round {newest.number}")
        self._ask(order, self._model, state.active_sites(), self._measured)

    def _measured(self, reply: Reply) -> bool:
        self._judge.measured(reply)
        return True

    def _account(self) -> None:
        """Make the account of contributions, where the charter asks for a sweep."""
        parts = Parts(self._lease, self._rounds, self._ask, self._stage.sizes, self._stage.say)
        make_account(parts)

    def _ask(self, order: Order, vector: Values, sites: list[str], take: Take) -> set[str]:
        """Ask hospitals something outside a round, until its deadline; returns who answered."""
        began, answered = self._rounds.now(), set()
        course = Course(sites, began, seconds_of(order.deadline), min_sites=0)

        def settle(reply: Reply | Failure) -> None:
            if isinstance(reply, Failure):
                course.failed(reply.site)
                return
            if take(reply):
                answered.add(reply.site)
            course.settle(reply.site, Missing.NO_ANSWER)

        while course.end(self._online, self._rounds.now()) is End.NOT_YET and not self._over():
            now = self._rounds.now()
            self._look()
            course.heard(self._working, order.round, now)
            self._send(course, order, now, vector)
            self._receive(course, settle)
            passed = (self._rounds.now() - began).total_seconds()
            self._pause(next(pause for until, pause in PACE if passed < until))
        return answered

    # ---------------------------------------------------------------------------- small things

    def _state(self) -> StudyState:
        return self._rounds.state(self._study)

    def _model(self) -> bytes:
        return self._rounds.model(self._study)

    def _look(self) -> None:
        now = self._rounds.now()
        if self._looked is None or (now - self._looked).total_seconds() >= LOOK_SECONDS:
            self._online, self._looked = self._exchange.online(), now
            self._working = self._stage.working()

    def _there(self) -> set[str]:
        self._look()
        return self._online

    def _pause(self, seconds: float) -> None:
        now = self._rounds.now()
        if self._beaten is None or (now - self._beaten).total_seconds() >= BEAT_SECONDS:
            self._rounds.beat(self._lease)
            self._beaten = now
        self._stage.wait(seconds)
