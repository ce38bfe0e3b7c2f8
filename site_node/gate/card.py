"""The card: what will happen HERE if this hospital signs; each line has its source.

Numbers come from this site's own catalogue and settings, the rest from the text that would be
signed; nothing is taken from what the hub says about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from compliance.canonical import digest_of, sha256_id
from compliance.errors import ConsiliumError, Malformed, NotReady, Refused
from compliance.ledger.policy import policy_of_charter
from compliance.records.charter import CharterBody
from compliance.records.columns import check_columns
from compliance.records.envelope import parse_event
from compliance.records.families import misfit
from compliance.records.recipe import Recipe, layout_of
from compliance.rules.check import Finding, check_charter
from compliance.rules.consortium.charters import against
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.noise import check_terms
from compliance.rules.quorum import words
from compliance.rules.words import SENTENCES
from site_node.gate.keys import PublicKeys
from site_node.gate.permits import Datasets
from site_node.gate.price import Price, check_price, privacy_words, tried
from site_node.gate.terms import (
    cases,
    check_epsilon,
    check_own_limits,
    check_purpose,
    check_time,
)
from site_node.packages import vouched_for
from site_node.settings import Settings

MIB = 1 << 20
VALUE_BYTES = 4
MASKS = {
    "Masks": "the plain update never leaves; the hub sees only the sum of a round",
    "Lists": "who is in a sum and who is gone stands in the log; we open shares for one list of a "
    "model only",
    "Excluded": "robust rules, sweeps of coalitions, kept updates, recomputing a round; fewer than "
    "three hospitals",
}
"""What a steward signs with masks (docs/decisions/0042)."""

CASES = {2: "images", 3: "volumes"}


@dataclass(frozen=True)
class Draft:
    """A charter's text as it would be signed, and what it says."""

    charter_id: str
    study: str
    text: bytes
    body: CharterBody


@dataclass(frozen=True)
class Here:
    """What this site knows by itself when it judges a charter.

    `consortium` is its own fold of the consortium's log; None before there is one to be believed.
    `priced` works out what a study with noise costs here; it may refuse.
    """

    settings: Settings
    public: PublicKeys
    catalogue: Datasets
    recipe: Recipe | None
    consortium: ConsortiumState | None
    now: str
    priced: Callable[[], Price | None] = lambda: None


def read_draft(charter_id: str, text: bytes) -> Draft:
    """Read the text of a charter and compare it with its id.

    Raises:
        Refused: the text has another hash than the id (`charter.id`).
        Malformed: it is no charter.
    """
    if sha256_id(text) != charter_id:
        raise Refused(
            "charter.id",
            sha256_id(text),
            charter_id,
            "The hub handed out another text than the one with this id; do not sign it.",
        )
    body = parse_event(text).body
    if not isinstance(body, CharterBody):
        raise Malformed("charter", "the text is another kind of statement")
    return Draft(charter_id, body.origin.rsplit("/", 1)[-1], text, body)


def findings(draft: Draft, here: Here) -> list[Finding]:
    """Every charter rule, then the consortium's and this hospital's own questions."""
    found = list(check_charter(draft.body.plain(), here.now))
    found += [_identity(draft.body, here), _bundle(draft.body, here)]
    found += _agreed(draft.body, here.consortium)
    own: dict[str, Callable[[], None]] = {
        "charter.expired": lambda: check_time(
            draft.body, str(here.settings.site), max(here.now, draft.body.starts)
        ),
        "site.purpose": lambda: check_purpose(here.settings, draft.body),
        "site.epsilon": lambda: check_epsilon(here.settings, draft.body),
        "site.policy": lambda: check_own_limits(
            here.settings, draft.body, draft.body.recipe.family
        ),
        "charter.recipe": lambda: _check_recipe(draft.body, here),
        "dataset.version": lambda: _check_data(draft.body, here),
    }
    if draft.body.dp is not None:
        own["dp.budget"] = lambda: check_price(here.priced)
    for name, question in own.items():
        try:
            question()
            found.append(_finding(name, allowed=True))
        except Refused as error:
            bare = error.found is None and error.agreed is None
            words = str(error) if bare else None
            found.append(_finding(error.rule, error.found, error.agreed, words, allowed=False))
    return found


def _finding(
    rule: str,
    found: Any = None,
    agreed: Any = None,
    sentence: str | None = None,
    *,
    allowed: bool,
) -> Finding:
    words = sentence or SENTENCES.get(rule, rule)
    return Finding(rule=rule, allowed=allowed, sentence=words, found=found, agreed=agreed)


def _agreed(body: CharterBody, consortium: ConsortiumState | None) -> list[Finding]:
    """What members, recipes, floors and suspensions of the consortium say, by the own mirror."""
    if consortium is None:
        sentence = "The consortium's log is not mirrored here, so nothing can be compared with it."
        return [_finding("charter.members", sentence=sentence, allowed=False)]
    denied = [
        _finding(row.rule, row.found, row.agreed, row.sentence, allowed=False)
        for row in against(consortium, body)
    ]
    refused = {row.rule for row in denied}
    rules = ("charter.members", "charter.recipe", "charter.floors", "site.suspended")
    sentence = "By this hospital's own copy of the consortium's log."
    passed = [rule for rule in rules if rule not in refused]
    return denied + [_finding(rule, sentence=sentence, allowed=True) for rule in passed]


def _hub_key(here: Here) -> str | None:
    """The key by which the hub speaks now, by the own mirror; before there is one, as joined."""
    if here.consortium is None:
        return here.settings.events_vkey
    return str(here.consortium.keys.current[f"{here.settings.hub_name}/events"])


def _identity(body: CharterBody, here: Here) -> Finding:
    mine, public = body.site(str(here.settings.site)), here.public
    same = mine is not None and (mine.institution, mine.node, mine.witness) == (
        str(public.institution),
        str(public.node),
        str(public.witness),
    )
    same = same and body.hub_key == _hub_key(here)
    same = same and body.origin.startswith(f"{here.settings.hub_name}/study/")
    return _finding(
        "charter.members",
        sentence="The charter names this hospital's own keys and the hub it joined."
        if same
        else "The charter names other keys than this hospital's, or another hub.",
        allowed=same,
    )


def _bundle(body: CharterBody, here: Here) -> Finding:
    asked, trusted = body.bundle_sha256, here.settings.bundle_sha256
    return _finding("round.bundle", asked, trusted, allowed=asked == trusted)


def _check_recipe(body: CharterBody, here: Here) -> None:
    recipe = here.recipe
    if recipe is None or recipe.sha256 != body.recipe.sha256:
        raise Refused("charter.recipe", sentence="The recipe's document is not known here.")
    named = (body.recipe.id, body.recipe.version, body.recipe.family)
    if named != (recipe.id, recipe.version, recipe.family):
        raise Refused("charter.recipe", named, (recipe.id, recipe.version, recipe.family))
    task = (body.task.label_map_sha256, body.task.preprocessing_sha256)
    made = (digest_of(list(recipe.classes)), digest_of(recipe.preprocessing.plain()))
    if task != made or list(body.task.labels) != list(recipe.classes):
        raise Refused("charter.recipe", sentence="Labels or preprocessing are not the recipe's.")
    check_terms(body.dp, recipe)
    if recipe.package is not None:
        vouched_for(here.settings.home, recipe.package, recipe.network.name)
    try:
        layout_of(recipe)
    except (Malformed, NotReady) as error:
        raise Refused("charter.recipe", sentence=str(error)) from error


def _check_data(body: CharterBody, here: Here) -> None:
    named = body.datasets_of(str(here.settings.site))
    if not named:
        raise Refused("dataset.unknown", here.settings.site)
    for row in named:
        summary = summary_of(here.catalogue, row.id, row.version)
        if summary is None:
            raise Refused("dataset.version", row.id, row.version)
        if summary.description_sha256 != row.description_sha256:
            raise Refused("dataset.version", summary.description_sha256, row.description_sha256)
        _check_task(summary, here)
        floor = max(body.min_examples, here.settings.min_examples)
        have = cases(summary.n_by_split, "train")
        if have < floor:
            raise Refused("update.min_examples", have, floor)


def _check_task(summary: Any, here: Here) -> None:
    """What training would refuse is said before the steward signs."""
    said, recipe = getattr(summary, "description", {}), here.recipe
    if recipe is None or "task" not in said:
        return
    found = (said["task"]["kind"], list(said["task"]["classes"]))
    if found != (recipe.task, list(recipe.classes)):
        raise Refused("dataset.task", found, (recipe.task, list(recipe.classes)))
    if recipe.tabular or len(said["shape"]) == 1:
        table = said["intensity"] if len(said["shape"]) == 1 else None
        check_columns(recipe, said["shape"], table)
        return
    wanted = misfit(said["shape"], dims=recipe.dims, channels=recipe.preprocessing.channels)
    if wanted is not None:
        raise Refused("dataset.shape", said["shape"], wanted)


def summary_of(catalogue: Datasets, name: str, version: str | None = None) -> Any | None:
    """The dataset of this name and version, or None when it is not here."""
    try:
        summary = catalogue.get(name, version)
    except ConsiliumError:
        return None
    return summary if summary and version in (None, summary.version) else None


def card(draft: Draft, here: Here, signed: list[str], decision: str | None) -> dict[str, Any]:
    """Everything a steward reads before signing, as plain values."""
    body, site = draft.body, str(here.settings.site)
    legal, price = body.legal.of(site), tried(here.priced)
    return {
        "study": draft.study,
        "charter_id": draft.charter_id,
        "type_to_confirm": draft.charter_id.removeprefix("sha256:")[:8],
        "title": body.title,
        "summary": body.summary,
        "asked_by": body.researcher.split("+", 1)[0],
        "purpose": body.purpose.plain(),
        "datasets": [_own_data(here.catalogue, row) for row in body.datasets_of(site)],
        "leaves": _leaves(body, here),
        "rounds": {"most": body.max_rounds, "seconds_each": body.round_seconds},
        "epsilon": privacy_words(body, price),
        "privacy": price and price.plain(),
        "floors": {"min_examples": body.min_examples, "min_cell": body.min_cell},
        "own_floors": {
            "min_examples": here.settings.min_examples,
            "min_cell": here.settings.min_cell,
        },
        "own_policy": here.settings.policy.said(),
        "recipe": body.recipe.plain(),
        "trains": _trains(body, here),
        "begins": None if body.start_model is None else body.start_model.words,
        "masks": masks_words(body),
        "quorum": words(len(body.quorum.witnesses), body.quorum.k),
        "sites": body.site_names(),
        "signed": signed,
        "signatures_required": body.signatures_required,
        "outputs": body.release.plain(),
        "starts": body.starts,
        "expires": body.expires,
        "retention_until": body.retention_until,
        "legal": legal.plain() if legal else None,
        "bundle": {
            "charter": body.bundle_sha256,
            "trusted": here.settings.bundle_sha256,
            "same": body.bundle_sha256 == here.settings.bundle_sha256,
        },
        "policy": policy_of_charter(body),
        "own_answer": decision,
        "verdicts": [_verdict(row) for row in findings(draft, here)],
    }


def _verdict(row: Finding) -> dict[str, Any]:
    return {
        "rule": row.rule,
        "allowed": row.allowed,
        "sentence": row.sentence,
        "found": row.found if row.found is None else str(row.found),
        "agreed": row.agreed if row.agreed is None else str(row.agreed),
    }


def _own_data(catalogue: Datasets, row: Any) -> dict[str, Any]:
    summary = summary_of(catalogue, row.id, row.version)
    told = {"id": row.id, "version": row.version, "duo": list(row.duo), "here": summary is not None}
    if summary is not None:
        told["cases"] = {split: cases(summary.n_by_split, split) for split in summary.n_by_split}
        told["patients"] = summary.patients
        told["positives"] = {split: int(n) for split, n in summary.positives.items()}
    return told


def _trains(body: CharterBody, here: Here) -> str | None:
    """What is learned, by the recipe's own document; None while that is not known here."""
    recipe = here.recipe
    if recipe is None or recipe.sha256 != body.recipe.sha256:
        return None
    kind = "masks of" if recipe.draws else f"{recipe.task} classes"
    told = recipe.preprocessing
    cases = f"{CASES.get(recipe.dims, 'cases')} of {' x '.join(map(str, told.size))}"
    pieces = f" in pieces of {' x '.join(map(str, told.patch))}" if told.patch else ""
    terms = recipe.local
    length = f"{terms.epochs} epochs" if terms.epochs else f"{terms.steps} steps"
    if recipe.personal is not None:
        length += f"; the {recipe.personal.layers} layers stay here and never leave"
        if recipe.personal.finetune_steps:
            length += f", fine-tuned at the end by {recipe.personal.finetune_steps} steps"
    return (
        f"{kind} {', '.join(recipe.classes)}; {recipe.network.name} on {cases}{pieces}; "
        f"{length} a round, {terms.batch} at a time"
    )


def masks_words(body: CharterBody) -> dict[str, str] | None:
    """What masks hide, what they need and what they exclude; None in a study without them."""
    return dict(MASKS) if body.aggregator.masked else None


def _leaves(body: CharterBody, here: Here) -> dict[str, Any]:
    size = None
    if here.recipe is not None and here.recipe.sha256 == body.recipe.sha256:
        try:
            size = round(layout_of(here.recipe).count * VALUE_BYTES / MIB, 3)
        except ConsiliumError:
            size = None
    total = None if size is None else round(size * body.max_rounds, 3)
    return {
        "model_change_mib_per_round": size,
        "model_change_mib_in_total": total,
        "metrics": body.evaluation.metrics,
        "counts_not_below": max(body.min_cell, here.settings.min_cell),
        "nothing_else": True,
    }
