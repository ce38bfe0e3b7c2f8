"""What a model's card says in words: read from people's text; the card as it would be made now."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from compliance.canonical import decode
from compliance.errors import Malformed
from compliance.report.card import card
from compliance.report.narrative import Narrative, narrative_of
from compliance.rules.fold import replay
from dashboard.consent import FORM

Plain = dict[str, Any]


def narrative_from(told: Mapping[str, Any]) -> Narrative:
    """Read texts as people write them: a card holds no line break, so lines are joined.

    Raises:
        Malformed: a field that no card has, or a text that is too long; it is named.
    """
    return narrative_of({name: _joined(text) for name, text in told.items()})


def faults(told: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with each field; empty when nothing is."""
    found = {}
    for name, text in told.items():
        try:
            narrative_from({name: text})
        except Malformed as error:
            found[name] = error.rule.partition(": ")[2].partition(";")[0] or error.rule
    return found


def card_now(entries: Sequence[bytes], model_sha256: str, narrative: Narrative) -> bytes:
    """The card that a release would make if the log does not grow, from entries checked here.

    Raises:
        Refused, Malformed: the entries obey no rules.
    """
    return card(replay(entries), model_sha256, FORM, narrative)


def shown(data: bytes) -> Plain:
    """A card as plain data, to be shown."""
    return dict(decode(data))


def _joined(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    return " ".join(unicodedata.normalize("NFC", text).split()) or None
