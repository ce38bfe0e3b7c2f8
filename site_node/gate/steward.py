"""The steward's acts: read a charter, sign it, refuse it, leave a study.

A signature is this hospital's permit: it is given with the institution's key over the text itself,
remembered here before it is sent, and never taken from what the hub claims.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from compliance.canonical import digest_of
from compliance.errors import ConsiliumError, NotReady, Refused, Unreachable
from compliance.records.reasons import Departure, Leaving, StudyRefused
from compliance.records.types import time_text
from compliance.rules.policies import policy_in_force
from compliance.signing.keys import SigningKey
from site_node.gate.card import Draft, card, findings, read_draft
from site_node.gate.drafts import Drafts
from site_node.gate.hub_client import HubClient
from site_node.gate.journal import Clock, Journal
from site_node.gate.keys import Keys
from site_node.gate.mirror import CONSORTIUM, Mirror
from site_node.gate.statements import NOT_HEARD, Statements
from site_node.store import outbox
from site_node.store import studies as decisions
from site_node.store.journal import Sessions
from site_node.store.studies import StudyDecision


class Steward:
    """Does what a steward decides, with this hospital's own key.

    Args:
        consortium: returns the id of the agreement, for refusals.
        keys: the institution key is unlocked for one act at a time.
        hub: the way out.
        mirror: the site's own copies.
        statements: seals and keeps notes.
        drafts: finds and judges charters.
        sessions: the site's database.
        journal: every decision is written down.
        clock: the time now.
    """

    def __init__(  # noqa: PLR0913 - built by hand in one place, each part named
        self,
        *,
        consortium: Callable[[], str],
        keys: Keys,
        hub: Callable[[], HubClient],
        mirror: Mirror,
        statements: Statements,
        drafts: Drafts,
        sessions: Sessions,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._consortium, self._keys, self._hub = consortium, keys, hub
        self._mirror, self._statements, self._drafts = mirror, statements, drafts
        self._sessions, self._journal, self._clock = sessions, journal, clock

    def studies(self) -> list[dict[str, Any]]:
        """Studies that name this hospital, with its own answer and how far its mirror is."""
        with self._sessions() as session:
            own = {row.study: row.state for row in decisions.all_decisions(session)}
        sizes = {head.study: head.size for head in self._mirror.heads()}
        return [
            {
                **told,
                "own_answer": own.get(str(told.get("study")), "waiting"),
                "mirrored": sizes.get(str(told.get("study")), 0),
                "believed": not self._mirror.alarms(str(told.get("study"))),
            }
            for told in self._hub().studies()
        ]

    def show(self, study: str) -> dict[str, Any]:
        """The card of one study: what will happen here, and the policy with the keys of now."""
        draft, signed = self._drafts.find(study)
        mine = self._decision(draft.charter_id)
        told = card(draft, self._drafts.here(draft), signed, mine.state if mine else None)
        if self._mirror.head(draft.study) is not None:
            told["policy"] = policy_in_force(self._mirror.state(draft.study))
        return told

    def approve(self, study: str, passphrase: str | None, confirmed: str | None) -> dict[str, Any]:
        """Sign a charter after every rule and the hospital's own policy said yes.

        Args:
            study: id of the study or the charter.
            passphrase: of the institution's key; None when it has none.
            confirmed: the first 8 characters of the charter id as typed, None if not asked.

        Raises:
            Refused: a rule, the own policy, the typed characters or the passphrase.
            NotReady: there is no consortium yet, by this hospital's own copy of its log.
        """
        draft, _ = self._drafts.find(study)
        _check_typed(draft, confirmed, "nothing signed")
        self._judge(draft)
        key = self._keys.institution(passphrase)
        line = key.line(draft.text)
        launched = self._launched(draft.study)
        self._remember(draft, decisions.SIGNED, line, sent=False)
        if launched:
            self._join_late(draft, key, line)
        return {
            "study": draft.study,
            "charter_id": draft.charter_id,
            "signed": key.name,
            "sent": self._send(draft, line, launched=launched),
        }

    def _judge(self, draft: Draft) -> None:
        here = self._drafts.here(draft)
        if here.consortium is None:
            raise NotReady(
                "the consortium is not founded yet, or its log is not believed here.",
                "See `consilium site motions` and `consilium site doctor`; then try again.",
            )
        for row in findings(draft, here):
            if not row.allowed:
                self._journal.write(
                    "not.signed", study=draft.study, rule=row.rule, said=row.sentence
                )
                raise Refused(row.rule, row.found, row.agreed, row.sentence)

    def _join_late(self, draft: Draft, key: SigningKey, line: str) -> None:
        body = {"charter": digest_of(draft.body.plain())}
        note = self._statements.seal("site.joined", body, log=draft.charter_id, key=key)
        self._queue(note, draft.study)
        self._remember(draft, decisions.SIGNED, line, sent=True)

    def _send(self, draft: Draft, line: str, *, launched: bool) -> bool:
        try:
            if launched:
                self._statements.deliver(self._hub())
                return self._statements.waiting() == 0
            self._hub().sign_charter(draft.charter_id, line)
        except Unreachable:
            return False
        self._remember(draft, decisions.SIGNED, line, sent=True)
        return True

    def refuse(self, study: str, reason: str, passphrase: str | None) -> dict[str, Any]:
        """Say no to a charter; the refusal and its reason are on record.

        Raises:
            NotReady: the reason is not in the list, or the study is signed and must be left.
        """
        check_reason(reason, StudyRefused)
        draft, _ = self._drafts.find(study)
        mine = self._decision(draft.charter_id)
        if mine is not None and mine.state == decisions.SIGNED:
            raise NotReady(
                "this hospital has signed that study.",
                f"Leave it with `consilium site withdraw {draft.study}`.",
            )
        note = self._statements.seal(
            "study.refused",
            {"charter": draft.charter_id, "reason": reason},
            log=self._agreement(),
            key=self._keys.institution(passphrase),
        )
        self._remember(draft, decisions.REFUSED, "", sent=False, reason=reason)
        self._hub().refuse_charter(draft.charter_id, note)
        self._remember(draft, decisions.REFUSED, "", sent=True, reason=reason)
        return {"study": draft.study, "charter_id": draft.charter_id, "refused": reason}

    def _agreement(self) -> str:
        if agreement := self._consortium():
            return agreement
        raise NotReady(
            "the consortium's log is not mirrored here yet.", "Let `consilium site serve` run."
        )

    def withdraw(self, study: str, reason: str, confirmed: str | None = None) -> dict[str, Any]:
        """Leave a study at once: nothing is trained here any more, whatever the hub does.

        Args:
            study: id of the study or the charter.
            reason: a word of the closed list.
            confirmed: the first 8 characters of the charter id as typed, None if not asked.

        Raises:
            Refused: other characters were typed.
            NotReady: the reason is not in the list, or nothing was signed.
        """
        check_reason(reason, Leaving)
        draft, _ = self._drafts.find(study)
        _check_typed(draft, confirmed, "this hospital stays in the study")
        mine = self._decision(draft.charter_id)
        if mine is None or not mine.line:
            raise NotReady("this hospital has not signed that study.", "There is nothing to leave.")
        self._remember(draft, decisions.WITHDRAWN, mine.line, sent=False, reason=reason)
        self.keep_word()
        told = self._decision(draft.charter_id)
        return {
            "study": draft.study,
            "withdrawn": reason,
            "on_record": bool(told and told.sent) and not self._statements.waiting(draft.study),
        }

    def leave(self, reason: str) -> dict[str, Any]:
        """Leave every signed study, then the consortium, at once and alone.

        Raises:
            NotReady: the reason is not in the list, or there is no consortium to leave.
        """
        check_reason(reason, Departure)
        agreement = self._agreement()
        with self._sessions() as session:
            signed = [row for row in decisions.all_decisions(session)
                      if row.state == decisions.SIGNED and row.study != CONSORTIUM]  # fmt: skip
        for row in signed:
            self._remember(
                read_draft(row.charter_id, row.text),
                decisions.WITHDRAWN,
                row.line,
                sent=False,
                reason="policy",
            )
        self.keep_word()
        node = self._keys.node
        body = {"site": node.name.partition("/")[0], "reason": reason}
        note = self._statements.seal("member.left", body, log=agreement, key=node)
        with self._sessions.begin() as session:
            self._statements.keep(session, note, study=CONSORTIUM, way=outbox.ENTRIES)
            self._journal.within(session, "member.left", rule=reason)
        self._statements.deliver(self._hub())
        return {
            "left": reason,
            "studies": [row.study for row in signed],
            "on_record": self._statements.waiting() == 0,
        }

    def keep_word(self) -> None:
        """Hand over what was decided here and not yet told: signatures, departures, statements."""
        with self._sessions() as session:
            waiting = [row for row in decisions.all_decisions(session) if not row.sent]
        for row in waiting:
            try:
                self._tell(row)
            except Unreachable:
                return
            except NotReady:
                continue  # not yet possible: it waits
            except Refused as error:
                if error.rule in NOT_HEARD:
                    continue
                self._journal.write(
                    "refused.by.hub", study=row.study, what=f"charter.{row.state}", said=str(error)
                )
                self._told(row)
        self._statements.deliver(self._hub())

    def _tell(self, row: StudyDecision) -> None:
        if row.state == decisions.SIGNED:
            self._hub().sign_charter(row.charter_id, row.line)
            self._told(row)
        elif row.state == decisions.WITHDRAWN:
            if not self._launched(row.study):
                return  # said as soon as there is a log to say it in
            note = self._statements.seal(
                "site.withdrawn",
                {"reason": row.reason or "other"},
                log=row.charter_id,
                key=self._keys.node,
            )
            with self._sessions.begin() as session:
                if decisions.claim_telling(session, row):
                    self._statements.keep(session, note, study=row.study, way=outbox.ENTRIES)

    def _told(self, row: StudyDecision) -> None:
        with self._sessions.begin() as session:
            decisions.claim_telling(session, row)

    def _launched(self, study: str) -> bool:
        if self._mirror.head(study) is not None:
            return True
        try:
            self._hub().checkpoint(study)
        except ConsiliumError:  # no log yet, or the hub is away: it is asked again later
            return False
        return True

    def _decision(self, charter_id: str) -> StudyDecision | None:
        with self._sessions() as session:
            return decisions.find_decision(session, charter_id)

    def _queue(self, note: bytes, study: str) -> None:
        with self._sessions.begin() as session:
            self._statements.keep(session, note, study=study, way=outbox.ENTRIES)

    def _remember(
        self, draft: Draft, state: str, line: str, *, sent: bool, reason: str | None = None
    ) -> None:
        row = StudyDecision(
            charter_id=draft.charter_id,
            study=draft.study,
            state=state,
            text=draft.text,
            line=line,
            at=time_text(self._clock()),
            sent=sent,
            reason=reason,
        )
        with self._sessions.begin() as session:
            decisions.decide(session, row)
            kind = f"charter.{state}" + (".sent" if sent else "")
            self._journal.within(
                session, kind, study=draft.study, rule=reason, charter=draft.charter_id
            )


def _check_typed(draft: Draft, confirmed: str | None, then: str) -> None:
    expected = draft.charter_id.removeprefix("sha256:")[:8]
    if confirmed is not None and confirmed.strip().lower() != expected:
        raise Refused("confirm.typed", sentence=f"Other characters were typed: {then}.")


def check_reason(reason: str, words: type[StrEnum]) -> None:
    """Refuse a reason that is not in the closed list."""
    allowed = [str(word) for word in words]
    if reason not in allowed:
        raise NotReady(f"{reason!r} is no reason of the list.", f"Choose: {', '.join(allowed)}.")
