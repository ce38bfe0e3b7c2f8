"""What the consortium says to a charter, and what a proposal puts on the consortium's record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from compliance.errors import Malformed, Refused
from compliance.records.charter import CharterBody
from compliance.records.envelope import parse_event
from compliance.records.kinds import CONSORTIUM as CONSORTIUM_KINDS
from compliance.records.recipe import Recipe
from compliance.records.studies import StudyProposed
from compliance.rules.check import Finding, finding_of
from compliance.rules.consortium.charters import against
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.verdict import Denied
from compliance.signing.keys import SigningKey, VerifierKey
from compliance.signing.note import parse, seal
from hub.services.consortium import ConsortiumService
from hub.services.ledger import LedgerService, refused
from hub.services.logbook import CONSORTIUM, not_founded
from hub.storage.database import Transaction

Who = dict[str, Any]


class ProposalService:
    """Charters before the consortium's own log.

    Args:
        ledger: the logs.
        consortium: puts recipes on record.
        who: the directory entry of an account, for statements on its behalf.
        held: the key that the hub keeps for an account.
    """

    def __init__(
        self,
        *,
        ledger: LedgerService,
        consortium: ConsortiumService,
        who: Callable[[int], Who],
        held: Callable[[int], SigningKey],
    ) -> None:
        self._ledger, self._consortium = ledger, consortium
        self._who, self._held = who, held

    def findings(self, body: dict[str, Any], *, ahead: bool) -> list[Finding]:
        """What the consortium has against a charter; a text of another form is judged elsewhere.

        Args:
            body: the charter's body.
            ahead: a new recipe and a new researcher count as registered: the proposal does that.
        """
        try:
            charter = CharterBody.model_validate(body)
        except ValidationError:
            return []

        def said(state: ConsortiumState | None) -> list[Denied]:
            if state is None:
                return []
            denied = against(state, charter)
            return [row for row in denied if not (ahead and _is_new(state, charter, row))]

        if self._ledger.founded() is None:
            error = not_founded()
            return [Finding("charter.members", str(error), None, None, allowed=False)]
        return [finding_of(row) for row in self._ledger.ask_consortium(said)]

    def must_hold(self, charter: CharterBody) -> None:
        """Refuse a charter that the consortium has something against.

        Raises:
            Refused: the first thing.
            NotReady: the consortium is not founded.
        """
        for denied in against(self._ledger.consortium(), charter):
            raise refused(denied)

    def introduce(self, recipe: Recipe, researcher_vkey: str, by: Who | None = None) -> None:
        """Put a new recipe and a new researcher on record; another key of one held here rotates.

        Args:
            recipe: what the draft trains by.
            researcher_vkey: the researcher's key.
            by: the person of the dashboard for whom the hub says so.

        Raises:
            Refused: the researcher's key is not the one on record.
        """
        with self._ledger.writing(CONSORTIUM) as session:
            self._consortium.register(session, recipe, by)
            self._admit(session, researcher_vkey, by)

    def admit(self, researcher_vkey: str, by: Who | None = None) -> None:
        """Put a researcher's key on record, unless it is there; raises as `introduce`."""
        state, key = self._ledger.consortium(), VerifierKey.parse(researcher_vkey)
        if state.keys.current.get(key.name) == key:
            return
        with self._ledger.writing(CONSORTIUM) as session:
            self._admit(session, researcher_vkey, by)

    def _admit(self, session: Transaction, researcher_vkey: str, by: Who | None) -> None:
        key = VerifierKey.parse(researcher_vkey)
        state = self._ledger.state_in(session, CONSORTIUM)
        if not isinstance(state, ConsortiumState):
            raise not_founded()
        if key.name not in state.researchers:
            body = {"name": key.name, "vkey": researcher_vkey, "on_behalf": by}
            self._ledger.say_in(session, CONSORTIUM, "researcher.admitted", body)
        elif state.keys.current.get(key.name) != key:
            self._hand_over(session, state, key)

    def announcement(self, charter_id: str, researcher: str) -> bytes:
        """The text of `study.proposed` that a researcher with an own key signs."""
        body = {"charter": charter_id, "on_behalf": None}
        return self._ledger.draft(CONSORTIUM, "study.proposed", body, researcher)

    def announce(
        self, session: Transaction, charter_id: str, proposer: int, signed: bytes | None
    ) -> None:
        """Put `study.proposed` on record: signed by the researcher, or said on behalf.

        Raises:
            Refused: a rule says no.
            Malformed: the signed note proposes something else.
        """
        if signed is None:
            body = {"charter": charter_id, "on_behalf": self._who(proposer)}
            self._ledger.say_in(session, CONSORTIUM, "study.proposed", body)
            return
        body_said = parse_event(parse(signed).text, kinds=CONSORTIUM_KINDS).body
        if not isinstance(body_said, StudyProposed) or body_said.charter != charter_id:
            raise Malformed("proposal", "it is no study.proposed of this charter")
        self._ledger.append_in(session, CONSORTIUM, signed)

    def _hand_over(self, session: Transaction, state: ConsortiumState, key: VerifierKey) -> None:
        """From a key that the hub kept to the researcher's own: the old one says so itself."""
        account = key.name.rpartition("/r-")[2]
        old = self._held(int(account)) if account.isdigit() else None
        if old is None or state.keys.current.get(key.name) != old.verifier:
            held = str(state.keys.current.get(key.name))
            raise Refused("charter.members", str(key), held, "Another key of yours is on record.")
        body = {"name": key.name, "vkey": str(key), "reason": "planned"}
        text = self._ledger.draft(CONSORTIUM, "key.rotated", body, key.name)
        self._ledger.append_in(session, CONSORTIUM, seal(text, old))


def _is_new(state: ConsortiumState, charter: CharterBody, denied: Denied) -> bool:
    """Whether the proposal itself lifts this: nothing of that name is on record yet."""
    if denied.rule == "charter.recipe":
        return (charter.recipe.id, charter.recipe.version) not in state.recipes
    name = VerifierKey.parse(charter.researcher).name
    return denied.rule == "charter.members" and denied.found in (name, charter.researcher)
