"""Answering: fetches the consortium's questions how many, and tells what may be told.

The hub carries questions, it asks none: without the signature of a researcher whom this hospital's
own copy of the consortium's log knows, nothing is answered. A question is answered once; whoever
sends it again gets the same bytes. How many questions a day takes is counted here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import Malformed, NotReady, Refused
from compliance.records.counts import (
    COUNTS,
    MOST_TOLD,
    CountsAnswered,
    CountsAsked,
    CountsDeclined,
    CountTold,
)
from compliance.records.envelope import write_event
from compliance.records.types import time_text
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.counts import MOST_A_DAY, judge_question, question_id, registered
from compliance.rules.said import Said
from compliance.rules.verdict import Denied
from compliance.signing.note import seal
from site_node.gate.counts import Counts, Told, words_of
from site_node.gate.hub_client import HubClient
from site_node.gate.journal import Clock, Journal
from site_node.gate.keys import Keys
from site_node.settings import Settings
from site_node.store import questions as table
from site_node.store.journal import Sessions
from site_node.store.questions import QuestionRow

MOST_OF_ALL = 100
"""Questions of all askers together in 24 hours, also of those who are nobody here."""

AT_ONCE = 200
DAY, HOUR, MINUTE = timedelta(hours=24), timedelta(hours=1), timedelta(minutes=1)
FULL = "counts.full"


class Answering:
    """Takes questions and answers each of them once.

    Args:
        settings: reads the settings anew, so that a no of the policy counts at once.
        keys: the node key signs answers.
        hub: carries questions and answers.
        consortium: the consortium by this hospital's own copy; None while that is not believed.
        counts: what may be told under given settings.
        sessions: the site's database.
        journal: every question that came, and what was told.
        clock: the time now.
        nonce: 32 hex digits, new each time.
    """

    def __init__(  # noqa: PLR0913 - built by hand in one place, each part named
        self,
        *,
        settings: Callable[[], Settings],
        keys: Keys,
        hub: Callable[[], HubClient],
        consortium: Callable[[], ConsortiumState | None],
        counts: Callable[[Settings], Counts],
        sessions: Sessions,
        journal: Journal,
        clock: Clock,
        nonce: Callable[[], str],
    ) -> None:
        self._settings, self._keys, self._hub = settings, keys, hub
        self._consortium, self._counts = consortium, counts
        self._sessions, self._journal = sessions, journal
        self._clock, self._nonce = clock, nonce

    def look(self) -> int:
        """Fetch the open questions and answer what may be answered; returns how many answers left.

        Raises:
            Unreachable: the hub is away; what waits is sent at the next look.
        """
        state = self._consortium()
        if state is None:
            return 0
        return sum(self._take(state, note) for note in self._hub().questions()[:AT_ONCE])

    def asked(self, most: int = 200) -> list[QuestionRow]:
        """The questions that came last, newest first."""
        with self._sessions() as session:
            return table.newest_questions(session, most)

    def _take(self, state: ConsortiumState, note: bytes) -> bool:
        question = _id_of(note)
        with self._sessions() as session:
            row = table.find_question(session, question)
        if row is None or row.answer is None:
            row = self._judge(state, question, note, row)
        return row is not None and row.answer is not None and self._send(row)

    def _judge(
        self, state: ConsortiumState, question: str, note: bytes, known: QuestionRow | None
    ) -> QuestionRow | None:
        """Answer a question that has no answer yet, if its asker may ask it now."""
        said = judge_question(state, note, now=time_text(self._clock()))
        if known is None and self._full("" if isinstance(said, Denied) else said.actor):
            return None
        if not isinstance(said, Denied):
            return self._answer(state, question, said)
        if known is None:
            self._refuse(question, said.rule)
        return None

    def _full(self, asker: str) -> bool:
        """Whether the day is full, of this asker or of all; the journal says so once a day."""
        since = time_text(self._clock() - DAY)
        with self._sessions() as session:
            mine = table.count_seen(session, since, asker) >= MOST_A_DAY
            full = mine or table.count_seen(session, since) >= MOST_OF_ALL
        if full and not self._journal.count(FULL, hours=DAY / HOUR):
            self._journal.write(FULL, asker=asker, a_day=MOST_A_DAY, of_all=MOST_OF_ALL)
        return full

    def _refuse(self, question: str, rule: str) -> None:
        """Remember what got no answer by its hash and rule; none of its words is kept."""
        seen = time_text(self._clock())
        with self._sessions.begin() as session:
            table.keep_question(
                session, QuestionRow(question=question, asker="", seen=seen, rule=rule)
            )
            self._journal.within(session, "counts.refused", rule=rule, question=question)

    def _answer(self, state: ConsortiumState, question: str, said: Said) -> QuestionRow:
        asked, settings = said.as_(CountsAsked), self._settings()
        words = asked.model_dump(exclude_none=True)
        row = QuestionRow(
            question=question,
            asker=said.actor,
            asked=said.time,
            seen=time_text(self._clock()),
            words=json.dumps(words, sort_keys=True),
        )
        line: dict[str, Any] = {"question": question, "asker": said.actor, "asked": words}
        if not settings.answer_counts or settings.unusable_policy:
            row.answer = self._seal(state, CountsDeclined(question=question))
            return self._keep(row, "counts.declined", line)
        counts = self._counts(settings)
        told = _of(counts.told(asked), registered(state, str(settings.site)))
        row.answer = self._seal(state, _answered(question, counts.floor, told))
        row.told = json.dumps(told, sort_keys=True)
        return self._keep(row, "counted", line | {"told": words_of(told, counts.floor)})

    def _keep(self, row: QuestionRow, kind: str, line: dict[str, Any]) -> QuestionRow:
        """Keep the answer and its line in the journal together; only then may it leave."""
        with self._sessions.begin() as session:
            table.keep_question(session, row)
            self._journal.within(session, kind, **line)
        return row

    def _seal(self, state: ConsortiumState, body: CountsAnswered | CountsDeclined) -> bytes:
        kind = next(name for name, form in COUNTS.items() if isinstance(body, form))
        key = self._keys.node
        text = write_event(
            kind,
            body,
            time=time_text(self._clock()),
            actor=key.name,
            log=state.agreement_id,
            nonce=self._nonce(),
            kinds=COUNTS,
        )
        return seal(text, key)

    def _send(self, row: QuestionRow) -> bool:
        """Send an answer, or send it again when it was long enough ago; the same bytes always."""
        now, wait = self._clock(), HOUR if row.taken else MINUTE
        if row.answer is None or (row.tried and row.tried > time_text(now - wait)):
            return False
        again, row.tried = row.tried is not None, time_text(now)
        self._note(row)
        try:
            self._hub().answer_question(row.question, row.answer, quietly=again)
        except NotReady:
            return False  # not possible now: again in a minute
        except Refused as error:
            self._refused_by_hub(row, error.rule)
        row.taken = row.taken or time_text(now)
        self._note(row)
        return row.rule is None

    def _refused_by_hub(self, row: QuestionRow, rule: str) -> None:
        if row.rule != rule:
            row.rule = rule
            self._journal.write("refused.by.hub", rule=rule, question=row.question)

    def _note(self, row: QuestionRow) -> None:
        with self._sessions.begin() as session:
            table.keep_question(session, row)


def _id_of(note: bytes) -> str:
    """The id of a question; bytes that are no note are named by their own hash."""
    try:
        return question_id(note)
    except Malformed:
        return sha256_id(note)


def _of(told: Told, names: list[str]) -> Told:
    """Registered datasets only: of others the consortium does not know."""
    return {name: n for name, n in told.items() if name in names}


def _answered(question: str, floor: int, told: Told) -> CountsAnswered:
    rows = [CountTold(dataset=name, patients=n) for name, n in sorted(told.items())][:MOST_TOLD]
    return CountsAnswered(question=question, floor=floor, told=rows)
