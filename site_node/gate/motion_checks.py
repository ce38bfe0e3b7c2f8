"""What this hospital asks before it signs a text of several: by its own copy, with its own rules.

The signatures that are still missing are no reason against a text; everything else is.
"""

from __future__ import annotations

from collections.abc import Callable

from compliance.errors import NotReady, Refused
from compliance.records.agreement import Agreement
from compliance.records.decisions import CharterAmended
from compliance.records.envelope import Event
from compliance.records.kinds import ENTRY0
from compliance.records.members import MemberAdmitted
from compliance.rules.check import Finding
from compliance.rules.consortium.agreement import check_text
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.logs import LIFTED_BY_SIGNATURES, State, family_of
from compliance.rules.verdict import Denied
from site_node.gate.card import Draft
from site_node.gate.keys import PublicKeys
from site_node.gate.mirror import CONSORTIUM


class Questions:
    """Judges a text before the hospital's key is asked for.

    Args:
        site: this hospital.
        public: its public keys.
        hub_name: the hub it joined; an agreement of another one is not signed.
        events_vkey: the key by which that hub signs events.
        findings: what this hospital has to say to a charter.
    """

    def __init__(
        self,
        *,
        site: str,
        public: PublicKeys,
        hub_name: str,
        events_vkey: str,
        findings: Callable[[Draft], list[Finding]],
    ) -> None:
        self._site, self._public, self._hub_name = site, public, hub_name
        self._events_vkey, self._findings = events_vkey, findings

    def ask(self, log: str, text: bytes, event: Event, state: State | None) -> None:
        """Say why this text is not signed here, or say nothing.

        Args:
            log: where it would stand.
            text: the text as it would be signed.
            event: the same, read.
            state: that log by this site's own fold; None before there is one here.

        Raises:
            Refused: the rule that speaks against it.
            NotReady: the log it belongs to is not mirrored here.
        """
        body = event.body
        if isinstance(body, Agreement):
            self._founding(body, state)
            return
        if state is None:
            raise NotReady(
                "the log that this text belongs to is not mirrored here.",
                "Run `consilium site serve`, then try again.",
            )
        if event.type in ENTRY0 or event.log != state.charter_id:
            raise Refused("event.log", event.log, state.charter_id)
        if isinstance(body, MemberAdmitted) and body.site == self._site:
            self._check_own(body.institution, body.node, body.witness, "The admission")
        verdict = family_of(log).may(state, event.type, body.plain(), event.actor or "", event.time)
        if isinstance(verdict, Denied) and verdict.rule not in LIFTED_BY_SIGNATURES:
            raise Refused(verdict.rule, verdict.found, verdict.agreed, verdict.sentence)
        if isinstance(body, CharterAmended) and not isinstance(state, ConsortiumState):
            self._check_charter(Draft(state.charter_id, log, text, body.charter))

    def _founding(self, body: Agreement, state: State | None) -> None:
        if state is not None:
            raise Refused("agreement.signatures", sentence="The consortium is founded already.")
        mine = next((row for row in body.members if row.name == self._site), None)
        if mine is None:
            raise Refused("member.known", sentence="The agreement does not name this hospital.")
        self._check_own(mine.institution, mine.node, mine.witness, "The agreement")
        origin = f"{self._hub_name}/{CONSORTIUM}"
        if (body.origin, body.hub) != (origin, self._events_vkey):
            sentence = "The agreement is of another hub than the one this hospital joined."
            raise Refused("checkpoint.origin", body.origin, origin, sentence)
        denied = check_text(body)
        if denied is not None:
            raise Refused(denied.rule, denied.found, denied.agreed, denied.sentence)

    def _check_own(self, institution: str, node: str, witness: str, what: str) -> None:
        public = self._public
        own = (str(public.institution), str(public.node), str(public.witness))
        if (institution, node, witness) != own:
            sentence = f"{what} names other keys than this hospital's own; do not sign it."
            raise Refused("member.known", sentence=sentence)

    def _check_charter(self, draft: Draft) -> None:
        for row in self._findings(draft):
            if not row.allowed:
                raise Refused(row.rule, row.found, row.agreed, row.sentence)
