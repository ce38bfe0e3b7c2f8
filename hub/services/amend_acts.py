"""The act that lays a changed charter before the hospitals; it decides nothing by itself."""

from __future__ import annotations

from typing import Any

from compliance.errors import Malformed
from compliance.rules.amending import amended
from hub.services.accounts import Person
from hub.services.intents import Act
from hub.services.keys import KeyStore
from hub.services.ledger import LedgerService
from hub.services.motions import MotionService

Body = dict[str, Any]
AMEND = "charter.amend"


def amend_acts(ledger: LedgerService, motions: MotionService, keys: KeyStore) -> dict[str, Act]:
    """The act by its name."""

    def amend(person: Person, study: str, body: Body) -> Body:
        changes = body.get("changes")
        if not isinstance(changes, dict):
            raise Malformed("act", "its body holds no changes")
        state, key = ledger.state(study), keys.researcher(person.number)
        new = amended(state.charter, changes)
        said = {"charter": new.plain(), "previous": state.version_id}
        text = ledger.draft(study, "charter.amended", said, key.name)
        told = motions.propose(study, text, key.line(text))
        return {name: told[name] for name in ("id", "state", "wanting")}

    return {
        AMEND: Act(
            ("researcher",),
            "Lay a changed charter of study {object} before its hospitals.",
            (
                "Nothing changes yet: each hospital reads the difference and signs it or does not.",
                "With enough signatures the new text is in force, as an entry of the log.",
                "A hospital that does not sign is outside from then on: nothing is trained there.",
                "Your signature is made with a key that the hub keeps for you (hub-attested).",
            ),
            step_up=True,
            typed=True,
            do=amend,
        )
    }
