"""Masked rounds: which keys count, which lists may be unmasked, and what a hospital answers.

The lists stand in the log, so that a hub cannot show one hospital other lists than another. A model
is unmasked from once: the sums of two lists over the same base subtract to one hospital's update.

Source: design/federation.md §11 and §16; Bell et al. 2020 (doi 10.1145/3372297.3417885).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from compliance.records.charter import CharterBody
from compliance.records.masking import MaskKey, RoundUnmasking, UnmaskOrder
from compliance.records.recipe import Recipe
from compliance.rules.datasets import check_not_withdrawn
from compliance.rules.said import Said
from compliance.rules.state import OpenRound, StudyState, Unmasking
from compliance.rules.verdict import ALLOWED, Denied, Verdict

LEAST, MOST = 3, 31
"""Sites of a masked round. 31 numbers of 27 bits and sign still fit into 32 bits."""

DEFAULT_RANGE = "8"
FIELD = (1 << 255) - 19
_ORDER_8 = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
WEAK = frozenset({0, 1, FIELD - 1, *_ORDER_8})
"""Points of small order: with one of them every shared secret is zero (RFC 7748 §6.1)."""


def threshold(sites: int) -> int:
    """How many hospitals of a round must open their shares: max(3, floor(2n/3) + 1)."""
    return max(LEAST, 2 * sites // 3 + 1)


def terms(body: CharterBody) -> Iterator[tuple[str, str]]:
    """Name what a charter with masks cannot have."""
    rule, params = body.aggregator.name.partition(".")[0], body.aggregator.params
    if rule != "fedavg":
        yield f"masked updates with {rule}", "masking only with fedavg"
    if params.get("keep_updates", "0") != "0":
        yield "masked updates that are kept", "keep_updates = 0"
    if "weight_cap" in params:
        yield "masked updates with weight_cap", "no weight_cap: every hospital weighs itself"
    if "n_ref" not in params:
        yield "masked updates without n_ref", "n_ref, the most cases that a hospital trains on"
    if not LEAST <= len(body.sites) <= MOST:
        yield f"masked updates of {len(body.sites)} sites", f"{LEAST} to {MOST}"
    if body.min_sites < LEAST:
        yield f"min_sites = {body.min_sites} with masked updates", f"at least {LEAST}"


def fits(recipe: Recipe) -> Denied | None:
    """Refuse a recipe whose memory needs the plain update that counted."""
    if recipe.local.scaffold:
        return Denied("recipe.scaffold", "SCAFFOLD with masked updates", "another recipe")
    return None


# ------------------------------------------------------------------------------------- the log


def may_publish(state: StudyState, said: Said) -> Verdict:
    """Say whether this mask key may come into force."""
    key = said.as_(MaskKey).public
    if not state.charter.aggregator.masked:
        return Denied("mask.key", "a mask key", "a study with masks")
    if state.closed is not None:
        return Denied("study.closed")
    if state.open_round is not None:
        return Denied("mask.key", f"round {state.open_round.number} is open", "between two rounds")
    number = int.from_bytes(base64.b64decode(key), "little")
    if number >= FIELD or number in WEAK:
        return Denied("mask.key", "a point of small order or in another form", "RFC 7748")
    if key in state.mask_keys_seen:
        return Denied("mask.key", "a key that was published before", "a new one")
    return ALLOWED


def publish(state: StudyState, said: Said) -> None:
    """Put the key into force for the rounds that are opened from now on."""
    key = said.as_(MaskKey).public
    state.mask_keys[said.site] = key
    state.mask_keys_seen.add(key)


def check_opening(state: StudyState, sites: Sequence[str]) -> Denied | None:
    """Refuse to open a masked round in which somebody has no key, or that nobody could unmask."""
    if not state.charter.aggregator.masked:
        return None
    without = [site for site in sites if site not in state.mask_keys]
    if without:
        return Denied("mask.key", f"{without[0]} has published none", "one key for each hospital")
    if not LEAST <= len(sites) <= MOST:
        return Denied("mask.threshold", len(sites), f"{LEAST} to {MOST}")
    if state.model_sha256 in state.unmasked:
        return Denied("mask.once", state.model_sha256)
    return None


def may_unmask(state: StudyState, said: Said) -> Verdict:
    """Say whether these lists end the uploads of the open round."""
    body = said.as_(RoundUnmasking)
    running = state.open_round
    if running is None or running.number != body.round:
        return Denied("round.sequence", body.round, running.number if running else None)
    if not state.charter.aggregator.masked:
        return Denied("mask.lists", "an unmasking", "a study with masks")
    if running.unmasking is not None or running.model_sha256 in state.unmasked:
        return Denied("mask.once", body.round)
    sent = {site: update.update_sha256 for site, update in running.submitted.items()}
    return (
        check_lists(running.sites, body.alive, body.gone, state.charter.min_sites)
        or _sent(body.alive, sent)
        or _still_there(state, running, body)
        or ALLOWED
    )


def unmask(state: StudyState, said: Said) -> None:
    """From now on no update is taken, and these are used."""
    body, running = said.as_(RoundUnmasking), state.running
    running.unmasking = Unmasking(said.index, dict(body.alive), tuple(body.gone))
    state.unmasked.add(running.model_sha256)


def check_lists(
    sites: Sequence[str], alive: Mapping[str, str], gone: Sequence[str], min_sites: int
) -> Denied | None:
    """Refuse lists that are not the round, each hospital in exactly one; or too few alive.

    Args:
        sites: hospitals of the round, sorted.
        alive: update hash by hospital.
        gone: the others, sorted.
        min_sites: of the charter.
    """
    if sorted([*alive, *gone]) != list(sites) or list(gone) != sorted(gone):
        return Denied("mask.lists", sorted([*alive, *gone]), list(sites))
    least = max(threshold(len(sites)), min_sites)
    if len(alive) < least:
        return Denied("mask.threshold", len(alive), least)
    return None


def check_closing(running: OpenRound, used: Mapping[str, str]) -> Denied | None:
    """Refuse a model of other updates than those that were unmasked together.

    Nobody can be taken out of a sum: whoever withdraws after the lists stays in this one model.
    """
    lists = running.unmasking
    if lists is None or dict(used) != lists.alive:
        return Denied("mask.lists", sorted(used), sorted(lists.alive) if lists else "no unmasking")
    return None


def _sent(alive: Mapping[str, str], sent: Mapping[str, str]) -> Denied | None:
    for site, update in alive.items():
        if sent.get(site) != update:
            return Denied("mask.lists", update, sent.get(site))
    return None


def _still_there(state: StudyState, running: OpenRound, body: RoundUnmasking) -> Denied | None:
    active = state.active_sites()
    for site in body.alive:
        if site not in active:
            return Denied("mask.lists", f"{site} is alive", "it has left")
        gone = check_not_withdrawn(state, site, running.submitted[site].dataset)
        if gone is not None:
            return gone
    return None


# ------------------------------------------------------------------------------ at a hospital


@dataclass(frozen=True)
class Own:
    """What a hospital remembers of its own masked update.

    Args:
        site: its name.
        update_sha256: of what it sent in this round; None if it sent nothing.
        keys: the mask keys that it masked with, by hospital.
        answered: leaf of the unmasking that it answered for this base model; None if none.
    """

    site: str
    update_sha256: str | None
    keys: Mapping[str, str]
    answered: str | None


def may_answer(state: StudyState, order: UnmaskOrder, own: Own) -> Verdict:
    """Say whether this hospital opens its shares; conditions 1 to 7 of design/federation.md §11.

    That `order.leaf` is the leaf at `order.entry` was compared by the caller, with its own mirror.

    Args:
        state: the study by the hospital's own fold.
        order: what the hub asks; no authority.
        own: what the hospital remembers.
    """
    if state.stopped is not None or state.closed is not None:
        return Denied("study.stopped" if state.closed is None else "study.closed")
    if own.site in state.withdrawn:
        return Denied("site.withdrawn", own.site)
    running = state.open_round
    lists = running.unmasking if running else None
    if running is None or running.number != order.round:
        return Denied("round.sequence", order.round, running.number if running else None)
    if lists is None or lists.index != order.entry:
        return Denied("mask.lists", order.entry, lists.index if lists else "no unmasking")
    if order.model_sha256 != running.model_sha256:
        return Denied("round.model", order.model_sha256, running.model_sha256)
    return (
        check_lists(running.sites, lists.alive, lists.gone, state.charter.min_sites)
        or _own(own, running, lists)
        or _asked(order, lists)
        or _once(own, order)
        or ALLOWED
    )


def _own(own: Own, running: OpenRound, lists: Unmasking) -> Denied | None:
    if own.update_sha256 is None or lists.alive.get(own.site) != own.update_sha256:
        return Denied("mask.own", lists.alive.get(own.site), own.update_sha256)
    if dict(own.keys) != running.mask_keys:
        return Denied("mask.key", "other keys than those in force when the round was opened")
    return None


def _asked(order: UnmaskOrder, lists: Unmasking) -> Denied | None:
    """Only the alive have shares to open, and all of them: a hub gets no part of an answer."""
    if sorted(order.shares) != sorted(lists.alive):
        return Denied("mask.lists", sorted(order.shares), sorted(lists.alive))
    return None


def _once(own: Own, order: UnmaskOrder) -> Denied | None:
    if own.answered not in (None, order.leaf):
        return Denied("mask.once", order.leaf, own.answered)
    return None
