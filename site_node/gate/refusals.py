"""Refusals that others may read: a rule id from the closed list, never a sentence."""

from __future__ import annotations

from compliance.errors import ConsiliumError
from compliance.records.order import Order
from compliance.rules.state import StudyState
from compliance.rules.words import SENTENCES
from site_node.gate.journal import Journal
from site_node.gate.keys import Keys
from site_node.gate.mirror import Mirror
from site_node.gate.statements import Statements
from site_node.store import outbox
from site_node.store.journal import Sessions

STORM = 20
UNNAMED = "site.failed"
"""What the log says of a refusal that has no public name; the journal keeps the precise one."""
SPEECH = {
    "train": "update.submitted",
    "evaluate": "metric.reported",
    "sweep": "coalition.measured",
    "unmask": "round.unmasking",
}


def named(rule: str) -> str:
    """The rule as the log may say it: a word of the closed list, whoever thought of the rule."""
    if rule not in SENTENCES:
        return UNNAMED
    return rule


class Refusals:
    """Says no in the log; a storm of refusals is counted, not logged.

    Args:
        keys: the node key signs.
        mirror: names the study of an order.
        statements: seals and keeps notes.
        sessions: the site's database.
        journal: the site's own record.
    """

    def __init__(
        self,
        *,
        keys: Keys,
        mirror: Mirror,
        statements: Statements,
        sessions: Sessions,
        journal: Journal,
    ) -> None:
        self._keys, self._mirror, self._statements = keys, mirror, statements
        self._sessions, self._journal = sessions, journal

    def refuse(self, order: Order, rule: str) -> bytes:
        """Make the `decision.denied` for an order; above 20 an hour it is only counted.

        The next one that is logged carries the count in `suppressed`.
        """
        study, who = self._known(order.log)
        storm = self._journal.count("denied", study=study, hours=1) >= STORM
        suppressed = self._journal.count_since("denied.counted", "denied", study=study)
        body = {
            "action": SPEECH.get(order.kind, "round.opened"),
            "who": who,
            "rule": named(rule),
            "round": order.round,
            "suppressed": suppressed,
        }
        note = self._statements.seal("decision.denied", body, log=order.log, key=self._keys.node)
        with self._sessions.begin() as session:
            if not storm:
                self._statements.keep(session, note, study=study, way=outbox.RELAY)
            self._journal.within(
                session,
                "denied.counted" if storm else "denied",
                study=study,
                rule=rule,
                order=order.kind,
                round=order.round,
            )
        return note

    def refuse_bundle(self) -> int:
        """Put on record that a bundle was refused before it ran; returns in how many studies.

        Flower does not say for which study it was: every open round that waits for this site is
        meant, each once.
        """
        said = 0
        for head in self._mirror.heads():
            state = self._mirror.state(head.study)
            running = state.open_round
            site = self._keys.node.name.split("/", 1)[0]
            if running is None or site not in running.sites or site in running.submitted:
                continue
            said += self._refuse_round(head.study, state, running.number)
        self._journal.write("bundle.refused", rule="round.bundle", studies=said)
        return said

    def _refuse_round(self, study: str, state: StudyState, number: int) -> int:
        if any(
            denial.actor == self._keys.node.name and denial.body.round == number
            for denial in state.denials
        ):
            return 0
        body = {
            "action": "round.opened",
            "who": state.charter.hub_key.split("+", 1)[0],
            "rule": "round.bundle",
            "round": number,
            "suppressed": 0,
        }
        node = self._keys.node
        note = self._statements.seal("decision.denied", body, log=state.charter_id, key=node)
        with self._sessions.begin() as session:
            self._statements.keep(session, note, study=study, way=outbox.ENTRIES)
            self._journal.within(session, "denied", study=study, rule="round.bundle", round=number)
        return 1

    def _known(self, log: str) -> tuple[str | None, str | None]:
        for head in self._mirror.heads():
            if head.charter_id == log:
                try:
                    charter = self._mirror.state(head.study).charter
                except ConsiliumError:
                    return head.study, None
                return head.study, charter.hub_key.split("+", 1)[0]
        return None, None
