"""The act of asking how many, as a person prepares it in the dashboard and confirms it."""

from __future__ import annotations

from typing import Any

from compliance.errors import Malformed
from hub.services.accounts import AccountService, Person
from hub.services.counts import CountService, question_of
from hub.services.intents import Act

Body = dict[str, Any]
ASK = "counts.ask"


def count_acts(counts: CountService, accounts: AccountService) -> dict[str, Act]:
    """The act by its name."""

    def ask(person: Person, subject: str, body: Body) -> Body:
        question = question_of(body)
        if question.phrase != subject:  # what the page said is what is asked
            raise Malformed("act", "its words are not those that were shown")
        own = accounts.own_key(person)
        return counts.ask(person.number, question.plain(), own, person.who)

    return {
        ASK: Act(
            ("researcher",),
            "Ask every hospital how many patients it has: {object}.",
            (
                "Each hospital answers by itself, above its own floor, or says that it does not.",
                "Your question is signed with a key that the hub keeps for you (hub-attested).",
                "Every hospital's steward sees who asked what, and when.",
            ),
            step_up=False,
            typed=False,
            do=ask,
        )
    }
