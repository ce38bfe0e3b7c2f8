"""The second half of a masked round: lists into the log, shares out, seeds in, the mean of all.

The lists go on record once; whoever takes over after a power cut sends the same ones again. There
is no deadline: the round stays open until enough hospitals have opened their shares.

Source: design/federation.md §11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from compliance.errors import ConsiliumError, Malformed, Refused
from compliance.records.masking import (
    Commitments,
    Opened,
    Shares,
    UnmaskOrder,
    read_paper,
)
from compliance.records.reasons import Excluded
from compliance.records.wire import COMMITMENTS, OPENED, SHARES
from compliance.rules.masking import DEFAULT_RANGE, check_lists, threshold
from compliance.rules.state import Unmasking as Lists
from hub.federation.course import SILENCE, Counted, Course
from hub.federation.exchange import Exchange, Failure
from hub.federation.making import Model, masked_model
from hub.federation.masked_sum import Seed, disagreeing, divisor_of, seeds_left, write_mean
from hub.federation.replies import Reply, read_notes
from hub.federation.spool import Spool
from hub.services.rounds import Lease, RoundService

LOOK_SECONDS = 0.5
TTL_SECONDS = 600.0
AGAIN = timedelta(seconds=10)
PASSING = frozenset({"mirror.behind", "study.unlisted", "site.failed"})
"""Refusals that another try may lift; whoever says another one is not asked again."""


@dataclass(frozen=True)
class Hands:
    """What the director lends: who is there, whether the study is over, how time passes."""

    online: Callable[[], set[str]]
    over: Callable[[], bool]
    pause: Callable[[float], None]


@dataclass
class _Asked:
    """An order that is under way to one hospital, and when it may go again."""

    message: str | None
    again: datetime


class Unmasking:
    """Unmasks the rounds of one study.

    Args:
        lease: the right to write.
        rounds: writes to the log.
        exchange: carries orders and replies.
        spool: keeps masked updates and what came beside them.
        say: one line for the hub's own log.
        hands: of the director.
    """

    def __init__(
        self,
        *,
        lease: Lease,
        rounds: RoundService,
        exchange: Exchange,
        spool: Spool,
        say: Callable[[str], None],
        hands: Hands,
    ) -> None:
        self._lease, self._study, self._rounds = lease, lease.study, rounds
        self._exchange, self._spool, self._hands = exchange, spool, hands
        self._say = say

    def begin(self, course: Course) -> bool:
        """Put the lists on record; False when too few are left for anybody to open a share."""
        running = self._rounds.state(self._study).running
        counted = sorted(course.counted())
        told = {site: self._commitments(running.number, site) for site in counted}
        for site in disagreeing(told):
            self._say(f"study {self._study}: {site} contradicts others about a common seed")
            course.settle(site, Excluded.BAD_HASH)
        alive = {site: update.sha256 for site, update in sorted(course.counted().items())}
        gone = [site for site in running.sites if site not in alive]
        least = self._rounds.state(self._study).charter.min_sites
        if not alive or check_lists(running.sites, alive, gone, least) is not None:
            return False
        self._rounds.unmask(self._lease, alive, gone)
        return True

    def finish(self, counted: Mapping[str, Counted]) -> Model | None:
        """Ask until enough answered, and make the model; None when the study ended meanwhile.

        Raises:
            Undecided, NotReady: as `masked_model`.
        """
        seeds = self._collect()
        if seeds is None:
            return None
        state = self._rounds.state(self._study)
        params = state.charter.aggregator.params
        examples = {site: update.n for site, update in sorted(counted.items())}
        divisor = divisor_of(
            list(examples.values()),
            int(Decimal(params["n_ref"])),
            float(Decimal(params.get("mask_range", DEFAULT_RANGE))),
        )
        mean = self._spool.folder / "mean.part"
        files = [update.path for _, update in sorted(counted.items())]
        write_mean(mean, files, seeds, self._rounds.layout(self._study).count, divisor)
        return masked_model(self._rounds, self._study, self._spool.folder, mean, examples)

    # ------------------------------------------------------------------------- shares of all

    def _collect(self) -> list[Seed] | None:
        running = self._rounds.state(self._study).running
        lists, number = running.unmasking, running.number
        if lists is None:
            return None
        orders = self._orders(number, sorted(lists.alive))
        committed = {site: self._commitments(number, site) for site in lists.alive}
        needed = threshold(len(running.sites))
        asked: dict[str, _Asked] = {}
        opened: dict[str, Opened] = {}
        refused: set[str] = set()
        self._say(f"study {self._study}: round {number} is unmasked by {needed} of {len(orders)}")
        while not self._hands.over():
            silent = [site for site in orders if site not in opened and site not in refused]
            self._send({site: orders[site] for site in silent}, asked)
            before = len(opened)
            for reply in self._received(asked):
                self._take(reply, asked, opened, refused, lists)
            if len(opened) > before and len(opened) >= needed:
                seeds = seeds_left(running.sites, lists.gone, committed, opened)
                if seeds is not None:
                    return seeds
            self._hands.pause(LOOK_SECONDS)
        return None

    def _orders(self, number: int, alive: list[str]) -> dict[str, UnmaskOrder]:
        """One order a hospital, with the shares that only it can open."""
        told = {site: read_paper(Shares, self._spool.paper(number, site, SHARES)) for site in alive}
        return {
            site: self._rounds.unmask_order(
                self._study, {sender: row.to[site] for sender, row in told.items()}
            )
            for site in alive
        }

    def _send(self, orders: Mapping[str, UnmaskOrder], asked: dict[str, _Asked]) -> None:
        now, online = self._rounds.now(), self._hands.online()
        for site, order in orders.items():
            if site in online and (site not in asked or now >= asked[site].again):
                sent = self._exchange.send(order, None, [site], TTL_SECONDS)
                asked[site] = _Asked(sent.get(site), now + SILENCE)

    def _received(self, asked: Mapping[str, _Asked]) -> Iterator[Reply | Failure]:
        waiting = {site: row.message for site, row in asked.items() if row.message is not None}
        return self._exchange.receive(waiting)

    def _take(
        self,
        reply: Reply | Failure,
        asked: dict[str, _Asked],
        opened: dict[str, Opened],
        refused: set[str],
        lists: Lists,
    ) -> None:
        site = reply.site
        asked[site] = _Asked(None, self._rounds.now() + AGAIN)
        if isinstance(reply, Failure):
            return
        try:
            rule = self._refusal(reply)
            if rule is None:
                opened[site] = read_opened(reply, lists)
            elif rule not in PASSING:
                refused.add(site)
        except Malformed as error:
            self._say(f"study {self._study}: unmasking by {site}: {error}")
            refused.add(site)

    def _refusal(self, reply: Reply) -> str | None:
        """The rule of a refusal, which goes on record; None where shares came."""
        denied = read_notes(reply).refusal
        if denied is None:
            return None
        note, body = denied
        self._say(f"study {self._study}: {reply.site} does not unmask: {body.rule}")
        try:
            self._rounds.take(self._lease, note)
        except Refused as error:
            if error.rule == "run.lease":
                raise
        return body.rule

    def _commitments(self, number: int, site: str) -> Commitments:
        return read_paper(Commitments, self._spool.paper(number, site, COMMITMENTS))


def read_opened(reply: Reply, lists: Lists) -> Opened:
    """The shares of an answer.

    Raises:
        Malformed: there are none, or of others than were asked.
    """
    answer = read_paper(Opened, reply.papers.get(OPENED, b""))
    for share in answer.of.values():
        if sorted(share.pairs) != sorted(lists.gone) or answer.of.keys() != lists.alive.keys():
            raise Malformed("opened", "it tells of others than were asked")
    return answer


def papers_fit(papers: Mapping[str, bytes], site: str, sites: list[str]) -> bool:
    """Whether what came beside a masked update is for exactly the hospitals of the round."""
    try:
        shares = read_paper(Shares, papers.get(SHARES, b""))
        commitments = read_paper(Commitments, papers.get(COMMITMENTS, b""))
    except ConsiliumError:
        return False
    others = [other for other in sites if other != site]
    return sorted(shares.to) == sites and sorted(commitments.pairs) == others
