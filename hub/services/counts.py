"""Questions how many: asked by people, carried to hospitals, answered by their nodes.

A question enters no log. It is signed by its asker, kept as it was signed, and stands in the record
of what people did at the hub. The hub has no word for a floor and adds nothing that was not told.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from compliance.canonical import sha256_id
from compliance.errors import Malformed, NotReady, Refused
from compliance.records.counts import COUNTS, CountsAnswered, CountsAsked
from compliance.records.envelope import parse_event, write_event
from compliance.records.types import time_text
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.counts import MOST_A_DAY, OPEN, judge_answer, judge_question
from compliance.rules.said import Said
from compliance.rules.verdict import Denied
from compliance.signing.keys import VerifierKey
from compliance.signing.note import assemble, parse
from hub.services.clock import Clock, text_of
from hub.services.keys import KeyStore
from hub.services.ledger import LedgerService, refused
from hub.services.logbook import not_founded
from hub.services.proposals import ProposalService
from hub.storage import accounts
from hub.storage import counts as rows
from hub.storage.database import Database, Transaction

SHOWN, CARRIED = 50, 200
"""Questions that people see, and that a hospital takes at once."""

DAY = timedelta(hours=24)
OWN_KEY = "Your own key signs what you ask: use `consilium study ask`."
Plain = dict[str, Any]


class CountService:
    """Takes questions and answers, and shows both.

    Args:
        database: where they lie.
        ledger: who belongs, which datasets are registered, and the agreement's floor.
        proposals: puts a researcher's key on record before it asks for the first time.
        keys: the keys that the hub holds for researchers.
        offered: the datasets on offer, with their descriptions.
        clock: the time now.
        nonce: 32 hex digits, new each time.
    """

    def __init__(
        self,
        *,
        database: Database,
        ledger: LedgerService,
        proposals: ProposalService,
        keys: KeyStore,
        offered: Callable[[], list[Plain]],
        clock: Clock,
        nonce: Callable[[], str],
    ) -> None:
        self._database, self._ledger, self._proposals = database, ledger, proposals
        self._keys, self._offered = keys, offered
        self._clock, self._nonce = clock, nonce

    def words(self) -> dict[str, list[str]]:
        """Words that a question can have here: those of the datasets on offer."""
        found = self._offered()
        return {
            "modality": sorted({word for row in found for word in row["modality"]}),
            "body_part": sorted({word for row in found for word in row["body_part"]}),
            "label": sorted({word for row in found for word in classes_of(row["description"])}),
        }

    def draft(self, words: Mapping[str, Any], vkey: str, by: Plain | None = None) -> bytes:
        """The text of a question; its asker's key is put on record if it is not there yet.

        Raises:
            Malformed: no question in closed words.
            Refused: no dataset on offer has such a word, or another key of the asker is on record.
            NotReady: the consortium is not founded.
        """
        question = question_of(words)
        self._must_be_known(question)
        self._proposals.admit(vkey, by)
        return write_event(
            "counts.asked",
            question,
            time=text_of(self._clock),
            actor=VerifierKey.parse(vkey).name,
            log=self._ledger.agreement_id(),
            nonce=self._nonce(),
            kinds=COUNTS,
        )

    def ask(self, number: int, words: Mapping[str, Any], own: str | None, by: Plain) -> Plain:
        """Ask in the name of a person whose key the hub holds.

        Args:
            number: of the account.
            words: the question.
            own: the person's own key, if one is registered; then the hub cannot sign.
            by: the person, as an entry names one.

        Raises:
            Refused: the person signs with a key of her own, or has asked enough today.
        """
        if own is not None:
            raise Refused("counts.asker", sentence=OWN_KEY)
        with self._database.reading() as session:
            self._must_have_left(session, number)
        key = self._keys.researcher(number)
        text = self.draft(words, str(key.verifier), by)
        return self.take(number, text, key.line(text))

    def take(self, number: int, text: bytes, line: str) -> Plain:
        """Take a signed question; the same again changes nothing.

        Args:
            number: of the account that hands it in.
            text: the question.
            line: its asker's signature line.

        Raises:
            Refused: a rule says no, it is another person's, or too many of today.
            Malformed: no question in closed words.
        """
        note = assemble(text, [line])
        said = self._judged(lambda state: judge_question(state, note, now=text_of(self._clock)))
        self._must_be_known(said.as_(CountsAsked))
        if said.actor != self._keys.researcher_name(number):
            raise Refused("event.signer", said.actor, self._keys.researcher_name(number))
        question, now = sha256_id(text), text_of(self._clock)
        with self._database.transaction("counts") as session:
            if rows.find_question(session, question) is None:
                self._must_have_left(session, number)
                row = rows.QuestionRow(question=question, account=number, note=note, asked=now)
                rows.add_question(session, row)
                accounts.add_operation(
                    session, time=now, who=str(number), what="counts.asked", about=question
                )
        return self.one(question)

    def open_for(self, site: str) -> list[str]:
        """Questions that this hospital has not answered, as signed, in base64; oldest first."""
        since = time_text(self._clock() - OPEN)
        with self._database.reading() as session:
            found = rows.unanswered(session, site, since, CARRIED)
        return [base64.b64encode(row.note).decode() for row in found]

    def answer(self, site: str, question: str, note: bytes) -> None:
        """Take a hospital's answer; the same again changes nothing, another one is refused.

        Raises:
            NotReady: there is no such question.
            Refused: it is not this hospital's answer to this question in its one form.
        """
        with self._database.reading() as session:
            self._row(rows.find_question(session, question))
            if _same(rows.find_answer(session, question, site), note):
                return
        self._judged(lambda state: judge_answer(state, note, question=question, site=site))
        now = text_of(self._clock)
        with self._database.transaction("counts") as session:
            if not _same(rows.find_answer(session, question, site), note):
                row = rows.AnswerRow(question=question, site=site, note=note, time=now)
                rows.add_answer(session, row)

    def all(self) -> list[Plain]:
        """The newest questions with what is known of each, newest first."""
        with self._database.reading() as session:
            found = rows.newest_questions(session, SHOWN)
            told = {row.question: rows.answers_of(session, row.question) for row in found}
        return [self._plain(row, told[row.question]) for row in found]

    def one(self, question: str) -> Plain:
        """One question with what is known of it.

        Raises:
            NotReady: unknown.
        """
        with self._database.reading() as session:
            row = self._row(rows.find_question(session, question))
            told = rows.answers_of(session, question)
        return self._plain(row, told)

    def _judged(self, judge: Callable[[ConsortiumState], Said | Denied]) -> Said:
        def ask(state: ConsortiumState | None) -> Said | Denied:
            if state is None:
                raise not_founded()
            return judge(state)

        said = self._ledger.ask_consortium(ask)
        if isinstance(said, Denied):
            raise refused(said)
        return said

    def _must_be_known(self, question: CountsAsked) -> None:
        """Refuse a word that no dataset on offer has: a slip of the pen looks like no patients."""
        for name, known in self.words().items():
            word = getattr(question, name)
            if word is not None and word not in known:
                raise Refused("counts.words", word, ", ".join(known) or "none")

    def _must_have_left(self, session: Transaction, number: int) -> None:
        asked = rows.count_asked(session, number, time_text(self._clock() - DAY))
        if asked >= MOST_A_DAY:
            raise Refused("counts.limit", asked, MOST_A_DAY)

    def _row(self, row: rows.QuestionRow | None) -> rows.QuestionRow:
        if row is None:
            raise NotReady("there is no such question.", "List them: consilium study ask --list.")
        return row

    def _plain(self, row: rows.QuestionRow, answers: Iterable[rows.AnswerRow]) -> Plain:
        event = parse_event(parse(row.note).text, kinds=COUNTS)
        question = question_of(event.body.plain())
        told = {answer.site: answer for answer in answers}
        sites = sorted({*self._ledger.consortium().active_members(), *told})
        hospitals = [_hospital(site, told.get(site)) for site in sites]
        return {
            "question": row.question,
            "note_base64": base64.b64encode(row.note).decode(),
            "asker": event.actor,
            "asked": row.asked,
            "open": row.asked >= time_text(self._clock() - OPEN),
            "words": {name: word for name, word in question.plain().items() if word},
            "phrase": question.phrase,
            "hospitals": hospitals,
            "told": sum(told for row in hospitals for told in _numbers(row)),
        }


def question_of(words: Mapping[str, Any]) -> CountsAsked:
    """Read what a person asks.

    Raises:
        Malformed: an unknown field, a floor among them, or a word of no list; it is named.
    """
    try:
        return CountsAsked.model_validate(dict(words))
    except ValidationError as error:
        where = error.errors(include_url=False, include_input=False)[0]["loc"]
        name = str(where[0])[:40] if where else "it"
        raise Malformed("question", f"{name} is none of the words that may be asked") from None


def _same(known: rows.AnswerRow | None, note: bytes) -> bool:
    """Whether this very answer is known; another one is refused."""
    if known is not None and known.note != note:
        raise Refused("counts.twice", known.site)
    return known is not None


def classes_of(description: Mapping[str, Any] | None) -> list[str]:
    """The classes that a dataset's description names."""
    for row in (description or {}).get("variableMeasured", []):
        if row.get("name") == "classes":
            return str(row.get("value", "")).split(", ")
    return []


def _hospital(site: str, row: rows.AnswerRow | None) -> Plain:
    """What a hospital said: `waiting`, `declined`, `told` or `few`, and its signed note."""
    told: Plain = {"site": site, "state": "waiting", "at": None, "note_base64": None}
    told |= {"floor": None, "datasets": []}
    if row is None:
        return told
    body = parse_event(parse(row.note).text, kinds=COUNTS).body
    told |= {"state": "declined", "at": row.time}
    told["note_base64"] = base64.b64encode(row.note).decode()
    if not isinstance(body, CountsAnswered):
        return told
    some = any(one.patients is not None for one in body.told)
    datasets = [one.plain() for one in body.told]
    return told | {"state": "told" if some else "few", "floor": body.floor, "datasets": datasets}


def _numbers(hospital: Plain) -> list[int]:
    """The numbers that were told; what is below a floor is none."""
    return [row["patients"] for row in hospital["datasets"] if row["patients"] is not None]
