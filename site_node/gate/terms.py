"""The terms of an order, one check each: entry, round, dates, own limits, recipe.

Pure questions: what they need is handed in, the answer is silence or a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from compliance.canonical import digest_of, sha256_id
from compliance.errors import Refused
from compliance.records.charter import CharterBody
from compliance.records.envelope import parse_event
from compliance.records.masking import RoundUnmasking
from compliance.records.order import Order
from compliance.records.recipe import Recipe, parse_recipe, shipped
from compliance.records.rounds import RoundClosed, RoundOpened
from compliance.records.types import time_text
from compliance.rules.consortium.charters import check_listed, check_suspended
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.noise import cap_of
from compliance.rules.state import StudyState
from compliance.rules.sweeps import plan_of
from compliance.signing.note import parse
from site_node.settings import Settings

ENTRY = {"unmask": RoundUnmasking, "sweep": RoundClosed}
"""The event that an order names, where it is not the opening of a round."""


def check_entry(leaf: tuple[bytes, bytes] | None, order: Order) -> None:
    """Compare the order with the entry it names, in the site's own mirror.

    A sweep names the close of the last round: whoever has not mirrored it yet waits for it.
    """
    if leaf is None:
        raise Refused("mirror.behind", sentence=f"The mirror does not hold entry {order.entry}.")
    leaf_hash, note = leaf
    if "sha256:" + leaf_hash.hex() != order.leaf:
        raise Refused("mirror.behind", order.leaf, "sha256:" + leaf_hash.hex())
    event = parse_event(parse(note).text)
    wanted = ENTRY.get(order.kind, RoundOpened)
    if not isinstance(event.body, wanted) or event.body.round != order.round:
        raise Refused("round.sequence", event.type, f"{order.kind} {order.round}")


def check_round(state: StudyState, order: Order, site: str, now: str) -> None:
    """Compare the order with the round that this site's fold shows open."""
    if now >= order.deadline:
        raise Refused("round.deadline", now, order.deadline)
    current = state.open_round
    if order.kind == "evaluate" and current is None:
        if order.model_sha256 != state.model_sha256:
            raise Refused("round.model", order.model_sha256, state.model_sha256)
        return
    if current is None or current.number != order.round:
        raise Refused("round.sequence", order.round, current.number if current else None)
    if site not in current.sites:
        raise Refused("round.sites", site)
    if order.model_sha256 != current.model_sha256:
        raise Refused("round.model", order.model_sha256, current.model_sha256)
    if now >= current.deadline:
        raise Refused("round.deadline", now, current.deadline)


def check_step(state: StudyState, order: Order, site: str, now: str) -> None:
    """Compare the order with the sweep that follows from this site's fold, and no other."""
    if now >= order.deadline:
        raise Refused("round.deadline", now, order.deadline)
    plan, step = plan_of(state), order.sweep
    if plan is None or state.open_round is not None or step is None:
        raise Refused("coalition.sweep", order.kind, "no sweep is due in this study")
    if step.name != plan.name:
        raise Refused("coalition.sweep", step.name, plan.name)
    if site not in plan.sites:
        raise Refused("coalition.sweep", site, ", ".join(plan.sites))
    if step.step > plan.rounds + 1:
        raise Refused("coalition.course", step.step, plan.rounds + 1)


def check_time(charter: CharterBody, site: str, now: str) -> None:
    """Check the dates of the charter and of this hospital's own legal documents."""
    if now < charter.starts:
        raise Refused("charter.early", now, charter.starts)
    if now >= charter.expires:
        raise Refused("charter.expired", now, charter.expires)
    row = charter.legal.of(site)
    until = row.first_expiry() if row else None
    if row is None or (until is not None and now >= until):
        raise Refused("legal.expired", now, until)


def check_consortium(
    known: ConsortiumState | None, state: StudyState, entry0: bytes, site: str
) -> None:
    """Ask the consortium's own log, as mirrored here, whether this study may touch data here.

    The hub cannot run a hidden study, and no study goes on with a hospital that the others
    suspended.

    Args:
        known: the consortium by this site's own fold.
        state: the study by this site's own fold.
        entry0: leaf hash of the study's first entry.
        site: this hospital.

    Raises:
        Refused: `mirror.behind`, `study.unlisted`, `site.suspended` or `member.known`.
    """
    if known is None:
        raise Refused("mirror.behind", sentence="The consortium's log is not mirrored here.")
    running = state.open_round
    sites = sorted({site, *(running.sites if running else ())})
    denied = next(check_listed(known, state.charter_id, entry0), None)
    denied = denied or next(check_suspended(known, sites), None)
    if denied is not None:
        raise denied.refusal()
    if site not in known.active_members():
        raise Refused("member.known", site, "an active member")


def check_identity(charter: CharterBody, recipe: Recipe) -> None:
    """Refuse a recipe that names its classes or prepares images otherwise than the charter says.

    Another label map or preparation gives plausible numbers of another question: two false
    publications came of it elsewhere (MediSwarm E2). Nothing is opened or measured before this.

    Raises:
        Refused: `recipe.terms`.
    """
    pairs = (
        (digest_of(list(recipe.classes)), charter.task.label_map_sha256),
        (digest_of(recipe.preprocessing.plain()), charter.task.preprocessing_sha256),
    )
    for found, agreed in pairs:
        if found != agreed:
            raise Refused("recipe.terms", found, agreed)


def check_own_limits(settings: Settings, charter: CharterBody, family: str) -> None:
    """Check the hospital's own limits, which no charter can loosen."""
    for name in ("min_examples", "min_cell"):
        asked, own = getattr(charter, name), getattr(settings, name)
        if asked < own:
            raise Refused(
                "site.floor", f"{name} {asked}", own, "The charter is below this hospital's floor."
            )
    if settings.families and family not in settings.families:
        raise Refused("site.policy", family, ", ".join(settings.families))
    if charter.max_rounds > settings.max_rounds:
        raise Refused("site.policy", charter.max_rounds, settings.max_rounds)


def check_purpose(settings: Settings, charter: CharterBody) -> None:
    """Check the charter's purpose against the site's policy."""
    policy, purpose = settings.policy, charter.purpose
    if policy.purposes is not None and purpose.use not in policy.purposes:
        raise Refused("site.purpose", purpose.use, ", ".join(policy.purposes))
    if not policy.for_profit and (purpose.for_profit or purpose.commercial):
        raise Refused("site.purpose", "for profit or trade", "neither")


def check_epsilon(settings: Settings, charter: CharterBody) -> None:
    """Check this hospital's part of the privacy budget against its policy.

    Without noise there is no bound. What all studies together have spent is asked when steps are
    reserved (`budget`).
    """
    most = settings.policy.max_epsilon
    if most is None:
        return
    if charter.dp is None:
        raise Refused("site.epsilon", "no noise, so no bound", most)
    cap = cap_of(charter, str(settings.site))
    if cap is None or cap > most:
        raise Refused("site.epsilon", cap, most)


def check_hours(settings: Settings, now: datetime) -> None:
    """Check whether data may be worked on now, by the site's policy."""
    policy = settings.policy
    if not policy.open_at(now):
        raise Refused(
            "site.hours", time_text(now), f"{', '.join(policy.hours or ())} ({policy.time_zone})"
        )


def check_usable(settings: Settings) -> None:
    """Refuse everything while the site's policy cannot be read: it may forbid just this."""
    if settings.unusable_policy:
        raise Refused("site.policy", sentence=settings.unusable_policy)


def known_recipe(sha256: str, data: bytes | None) -> Recipe:
    """The recipe with this hash: the kept document, or one that came with this release.

    Raises:
        Refused: nobody here knows it, or the kept bytes have another hash.
    """
    if data is not None:
        if sha256_id(data) != sha256:
            raise Refused("charter.recipe", sha256_id(data), sha256)
        return parse_recipe(data)
    for recipe in shipped().values():
        if recipe.sha256 == sha256:
            return recipe
    raise Refused("charter.recipe", sha256, sentence="This recipe is not known here.")


def cases(n_by_split: Mapping[str, Any], split: str) -> int:
    """Cases of a split, whether they are counted together or per class."""
    counts = n_by_split.get(split, 0)
    return int(counts) if isinstance(counts, int) else sum(int(n) for n in counts.values())
