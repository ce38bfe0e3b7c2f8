"""The card of a released model: what it is for, who made it, how it did, who agreed.

All but the narrative follows from the log, so that anybody can make it again: from the first `size`
entries and the card's own narrative the same card comes out, byte for byte. A card cannot
embellish: every number cites the entry from which it comes.

Source: design/compliance.md §9.1 (card.json).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from compliance.canonical import decode, encode, sha256_id
from compliance.errors import ConsiliumError, Malformed, NotProven
from compliance.records.envelope import parse_event
from compliance.records.releases import ModelReleased
from compliance.records.rounds import MetricReported, MetricValue
from compliance.report.narrative import Narrative, narrative_of
from compliance.rules.fold import advance
from compliance.rules.releases import standing
from compliance.rules.state import ClosedRound, StudyState
from compliance.signing.note import parse

VERSION = 2
LIMITS = (
    "Research use only; not a medical device. The numbers are what the hospitals reported about "
    "their own cases; nobody else has measured them. No number holds for patients of other "
    "hospitals, and the model must not decide about a person."
)
NUMBERS = ("value", "low", "high", "n", "positives")
NOTHING = Narrative()


def card(state: StudyState, model_sha256: str, form: str, narrative: Narrative = NOTHING) -> bytes:
    """Write the card of a model as the log stands now (RFC 8785, one form only).

    Args:
        state: the fold of the first `state.size` entries.
        model_sha256: a model of a closed round.
        form: how it leaves, such as `weights`.
        narrative: what its makers say about it.
    """
    charter = state.charter
    rounds = _rounds_until(state, model_sha256)
    return encode(
        {
            "v": VERSION,
            "origin": charter.origin,
            "charter_id": state.charter_id,
            "size": state.size,
            "model_sha256": model_sha256,
            "form": form,
            "title": charter.title,
            "summary": charter.summary,
            "narrative": narrative.plain(),
            "purpose": charter.purpose.plain(),
            "task": charter.task.plain(),
            "recipe": charter.recipe.plain(),
            "aggregator": charter.aggregator.plain(),
            "rounds": [_round(row) for row in rounds],
            "numbers": list(numbers(state, model_sha256)),
            "agreed": standing(state, model_sha256, form).agreed,
            "limits": LIMITS,
        }
    )


def check_card(path: str, data: bytes, entries: Sequence[bytes]) -> None:
    """Find the card's hash in the log and make the card again from the entries.

    Args:
        path: `…/model/<16 hex>/card.json` in the bundle.
        data: its bytes.
        entries: the whole log, already replayed.

    Raises:
        NotProven: no entry names this card for this model, or the log says something else; of a
            number that differs the entry is named.
    """
    released = _released_with(sha256_id(data), entries)
    if not released:
        raise NotProven("attached", f"{path} is a card that no entry of the log names")
    model, form = released[0].model_sha256, released[0].form
    if path.split("/")[-2:] != [model.removeprefix("sha256:")[:16], "card.json"]:
        raise NotProven("attached", f"{path} is the card of another model")
    try:
        plain = decode(data)
        told = narrative_of(plain["narrative"])
        state = _state_at(entries, int(plain["size"]))
        made = card(state, model, form, told)
    except (ConsiliumError, KeyError, TypeError, ValueError):
        raise NotProven("attached", f"{path} is no card of ours") from None
    if made != data:
        raise NotProven(
            "attached", f"{path} says something else than the log: {_where(plain, made)}"
        )


def numbers(state: StudyState, model_sha256: str) -> Iterator[dict[str, Any]]:
    """Every number of one model as a citation: where it stands in the log, and what stands there.

    What a hospital hid because too few patients are behind it is cited as null.
    """
    for index, site, body in state.metrics:
        if body.model_sha256 == model_sha256:
            for metric, value in sorted(body.values.items()):
                for field in _shown(value):
                    yield {
                        "name": f"{metric} {field}, {measured(site, body)}",
                        "entry": index,
                        "metric": metric,
                        "field": field,
                        "value": getattr(value, field),
                    }


def measured(site: str, body: MetricReported) -> str:
    """Where and when something was measured, in words."""
    when = f"round {body.round} {body.phase}" if body.round is not None else body.phase
    return f"{site} {body.dataset} {body.split}, {when}"


def _shown(value: MetricValue) -> list[str]:
    return [name for name in NUMBERS if name == "value" or getattr(value, name) is not None]


def _where(plain: dict[str, Any], made: bytes) -> str:
    """Name what differs; a number with its entry."""
    true = decode(made)
    if plain.get("numbers") == true["numbers"]:
        names = sorted(key for key in {*plain, *true} if plain.get(key) != true.get(key))
        return ", ".join(names)[:120]
    rows = plain.get("numbers")
    found = rows if isinstance(rows, list) else []
    for index, row in enumerate(true["numbers"]):
        told = found[index] if index < len(found) else None
        if told != row:
            said = told.get("value") if isinstance(told, dict) else None
            return f"{row['name']} is {row['value']} in entry {row['entry']}, not {str(said)[:40]}"
    return "it holds more numbers than the log"


def _state_at(entries: Sequence[bytes], size: int) -> StudyState:
    """The fold of the first entries, which were judged before; no signature is checked again."""
    state: StudyState | None = None
    for index, entry in enumerate(entries[: max(size, 0)]):
        state = advance(state, entry, index)
    if state is None:
        raise Malformed("card", "it was made from no entry")
    return state


def _released_with(card_sha256: str, entries: Sequence[bytes]) -> list[ModelReleased]:
    named = (entry for entry in entries if card_sha256.encode() in entry)
    bodies = (parse_event(parse(entry).text).body for entry in named)
    return [
        body
        for body in bodies
        if isinstance(body, ModelReleased) and body.card_sha256 == card_sha256
    ]


def _rounds_until(state: StudyState, model_sha256: str) -> list[ClosedRound]:
    made = [row.model_sha256 for row in state.rounds_closed]
    last = made.index(model_sha256) if model_sha256 in made else -1
    return state.rounds_closed[: last + 1]


def _round(row: ClosedRound) -> dict[str, Any]:
    left_out = {**row.excluded, **row.missing}
    return {
        "round": row.number,
        "entry": row.index,
        "used": sorted(row.used),
        "left_out": {site: str(reason) for site, reason in sorted(left_out.items())},
        "model_sha256": row.model_sha256,
    }
