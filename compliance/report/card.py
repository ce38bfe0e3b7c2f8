"""The card of a released model: what it is for, who made it, how it did, who agreed.

Everything in it follows from the log, so that anybody can make it again: from the first `size`
entries the same card comes out, byte for byte.

Source: design/compliance.md §9 (card.json).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compliance.canonical import decode, encode, sha256_id
from compliance.errors import ConsiliumError, NotProven
from compliance.records.envelope import parse_event
from compliance.records.releases import ModelReleased
from compliance.rules.fold import replay
from compliance.rules.releases import standing
from compliance.rules.state import ClosedRound, StudyState
from compliance.signing.note import parse

VERSION = 1
LIMITS = (
    "Research use only; not a medical device. The numbers are what the hospitals reported about "
    "their own cases; nobody else has measured them. No number holds for patients of other "
    "hospitals, and the model must not decide about a person."
)


def card(state: StudyState, model_sha256: str, form: str) -> bytes:
    """Write the card of a model as the log stands now (RFC 8785, one form only).

    Args:
        state: the fold of the first `state.size` entries.
        model_sha256: a model of a closed round.
        form: how it leaves, such as `weights`.
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
            "intended_use": charter.purpose.plain(),
            "task": charter.task.plain(),
            "recipe": charter.recipe.plain(),
            "aggregator": charter.aggregator.plain(),
            "rounds": [_round(row) for row in rounds],
            "numbers": _numbers(state, model_sha256),
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
        NotProven: no entry names this card for this model, or the log says something else.
    """
    released = _released_with(sha256_id(data), entries)
    if not released:
        raise NotProven("attached", f"{path} is a card that no entry of the log names")
    model, form = released[0].model_sha256, released[0].form
    if path.split("/")[-2:] != [model.removeprefix("sha256:")[:16], "card.json"]:
        raise NotProven("attached", f"{path} is the card of another model")
    try:
        size = int(decode(data)["size"])
        made = card(replay(entries[:size]), model, form)
    except (ConsiliumError, KeyError, TypeError, ValueError):
        raise NotProven("attached", f"{path} is no card of ours") from None
    if made != data:
        raise NotProven("attached", f"{path} says something else than the log")


def _released_with(card_sha256: str, entries: Sequence[bytes]) -> list[ModelReleased]:
    bodies = (parse_event(parse(entry).text).body for entry in entries)
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


def _numbers(state: StudyState, model_sha256: str) -> list[dict[str, Any]]:
    return [
        {
            "entry": index,
            "site": site,
            "phase": str(body.phase),
            "dataset": body.dataset,
            "split": str(body.split),
            "values": body.plain()["values"],
        }
        for index, site, body in state.metrics
        if body.model_sha256 == model_sha256
    ]
