"""What becomes of a reply: its statements go on record, its values into the spool, or neither.

Whatever a hospital sends, the answer is one outcome for that hospital, and the round goes on.

Source: design/federation.md §3.4, §5.2.
"""

from __future__ import annotations

from collections.abc import Callable

from compliance.errors import ConsiliumError, Refused
from compliance.records.order import Order
from compliance.records.reasons import Excluded, Missing
from compliance.records.rounds import UpdateSubmitted
from hub.federation.course import Counted
from hub.federation.replies import (
    Cases,
    Reply,
    Spoken,
    judge_masked,
    judge_update,
    norm_of,
    read_notes,
    refusal_means,
)
from hub.federation.spool import Spool
from hub.federation.unmasking import papers_fit
from hub.services.rounds import Lease, RoundService

LEASE = "run.lease"
FORM = "event.form"
ANOTHER = "round.inputs"
UNSEEN = 0.0
"""Norm of a masked update: nobody sees it."""
Outcome = Counted | Excluded | Missing

Sizes = Callable[[str, str, str], str]
"""Bucket of a registered dataset: site, name, version."""


class Judge:
    """Takes the replies of one study.

    Args:
        lease: the right to write.
        rounds: writes to the log.
        spool: keeps the values of what counts.
        sizes: what is registered about a dataset's size.
        say: one line for the hub's own log.
    """

    def __init__(
        self,
        lease: Lease,
        rounds: RoundService,
        spool: Spool,
        sizes: Sizes,
        say: Callable[[str], None],
    ) -> None:
        self._lease, self._study = lease, lease.study
        self._rounds, self._spool, self._sizes = rounds, spool, sizes
        self._say = say
        self._last = rounds.last_counts(lease.study)

    def found(self, number: int, site: str, said: UpdateSubmitted) -> Counted | None:
        """An update that an earlier director put on record; None when its values are not here.

        The hospital is then asked again and answers the same bytes: a file that the hub lost, or
        never kept because it did not count, is no offence of the hospital.
        """
        path = self._spool.find(number, site, said.update_sha256)
        if path is not None and said.masked:
            return Counted(path, said.update_sha256, said.n, UNSEEN)
        norm = norm_of(memoryview(path.read_bytes())) if path is not None else None
        if path is None or norm is None:
            return None
        return Counted(path, said.update_sha256, said.n, norm)

    def take(self, order: Order, reply: Reply) -> Outcome | None:
        """Put on record what a reply says; None when it answers nothing, and may be asked again.

        Raises:
            Refused: another director took over (`run.lease`).
            OSError: the spool cannot be written.
        """
        try:
            return self._judge(order, reply, read_notes(reply))
        except Refused as error:
            if error.rule == LEASE:
                raise
            return self._refused(reply.site, error.rule)
        except ConsiliumError as error:
            self._say(f"study {self._study}: reply of {reply.site}: {error}")
            return self._refused(reply.site, FORM)

    def measured(self, reply: Reply) -> None:
        """Put on record what a hospital measured of the last model.

        Raises:
            Refused: another director took over (`run.lease`).
        """
        try:
            spoken = read_notes(reply)
            for note in spoken.metrics:
                self._rounds.take(self._lease, note)
            if spoken.refusal is not None:
                self._rounds.take(self._lease, spoken.refusal[0])
        except Refused as error:
            if error.rule == LEASE:
                raise
            self._refused(reply.site, error.rule)
        except ConsiliumError as error:
            self._say(f"study {self._study}: reply of {reply.site}: {error}")

    def _judge(self, order: Order, reply: Reply, spoken: Spoken) -> Outcome | None:
        if spoken.refusal is not None:
            note, denied = spoken.refusal
            self._rounds.take(self._lease, note)
            return refusal_means(denied)
        if spoken.update is None:
            for note in spoken.metrics:
                self._rounds.take(self._lease, note)
            return None
        note, said = spoken.update
        found = self._weighed(order, reply, said)
        for statement in (*spoken.metrics, note):
            self._rounds.take(self._lease, statement)
        if not self._on_record(order, reply.site, said):
            return self._refused(reply.site, ANOTHER)
        if isinstance(found, Counted):
            self._last[reply.site, said.dataset_version] = said.n
        return found

    def _on_record(self, order: Order, site: str, said: UpdateSubmitted) -> bool:
        """Whether this very statement is the site's word in this round.

        The log takes the same note twice without a word: an update of an earlier round passes it.
        """
        running = self._rounds.state(self._study).open_round
        return running is not None and (running.number, running.submitted.get(site)) == (
            order.round,
            said,
        )

    def _weighed(self, order: Order, reply: Reply, said: UpdateSubmitted) -> Counted | Excluded:
        """Compare values and statement; what counts lies in the spool before it is on record."""
        layout = self._rounds.layout(self._study)
        bucket = self._sizes(reply.site, said.dataset, said.dataset_version)
        place = reply.site, said.dataset_version
        cases = Cases(bucket, self._last.get(place))
        if self._rounds.state(self._study).charter.aggregator.masked:
            return self._masked(order, reply, said, layout.count, cases)
        found = judge_update(reply.array, said, layout.count, cases)
        if isinstance(found, Excluded):
            return found
        values, norm = found
        path = self._spool.keep(order.round, reply.site, values)
        return Counted(path, said.update_sha256, said.n, norm)

    def _masked(
        self, order: Order, reply: Reply, said: UpdateSubmitted, count: int, cases: Cases
    ) -> Counted | Excluded:
        found = judge_masked(reply.array, said, count, cases)
        if isinstance(found, Excluded):
            return found
        running = self._rounds.state(self._study).open_round
        if running is None or not papers_fit(reply.papers, reply.site, running.sites):
            return Excluded.WRONG_SHAPE
        for name, data in reply.papers.items():
            self._spool.keep_paper(order.round, reply.site, name, data)
        path = self._spool.keep(order.round, reply.site, found)
        return Counted(path, said.update_sha256, said.n, UNSEEN)

    def _refused(self, site: str, rule: str) -> Missing:
        self._say(f"study {self._study}: a statement of {site} was refused: {rule}")
        self._rounds.deny(self._lease, f"{site}/node", rule)
        return Missing.FAILED
