"""Noise in a draft: answers of the form into cap and recipe and back, and what it would cost.

The price is an upper bound by the numbers that the researcher reckons with. Each hospital counts
its own patients and charges by its own accountant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from compliance.errors import ConsiliumError
from compliance.records.recipe import Recipe, read_recipe, with_changes
from compliance.records.training import NoiseTerms
from compliance.rules.noise import largest_delta, refused_noise, sample_rate, steps_of
from compliance.rules.pricing import bound_of, least_sigma, most_steps
from dashboard import words
from dashboard.paths import Plain, decimal, inner, put, table

Answers = dict[str, Any]
ON = "noise"
UNITS = {
    "patient": "Patient",
    "image": "Image (only where every patient has one)",
}
DELTAS = {
    "0.00001": "10⁻⁵",
    "0.000001": "10⁻⁶",
    "0.0000001": "10⁻⁷",
}
"""Offered values; delta is at most 10⁻⁵ and a tenth of one patient."""

START: dict[str, float] = {"epsilon": 8.0, "sigma": 1.0, "clip": 1.0, "batch": 64}
TRAIN_SHARE = Decimal("0.7")
"""Share of the patients that an import trains on, unless its recipe says otherwise."""

UNTOLD = 20


@dataclass(frozen=True)
class Cost:
    """What the planned rounds cost one data set, by this form's numbers.

    Args:
        site: the hospital.
        dataset: its data set.
        patients: training patients to reckon with.
        steps: of one round.
        first: epsilon of one round, an upper bound.
        whole: epsilon of all rounds.
        fit: how many rounds fit below the cap, by the bound.
        cap: epsilon that the charter gives this data set.
        problem: why it cannot train at all; None when it can.
    """

    site: str
    dataset: str
    patients: int
    steps: int
    first: float
    whole: float
    fit: int
    cap: Decimal
    problem: str | None = None

    @property
    def key(self) -> str:
        """`site|dataset`."""
        return f"{self.site}|{self.dataset}"


def named(site: str, dataset: str, what: str) -> str:
    """The name of an answer about one data set."""
    return f"{what}|{site}|{dataset}"


def terms_of(answers: Answers) -> Plain:
    """The privacy cap of a draft; nothing without noise."""
    if not answers.get(ON):
        return {}
    return {
        "dp": {
            "unit": answers.get("dp.unit") or "patient",
            "epsilon": decimal(float(answers.get("dp.epsilon") or START["epsilon"])),
            "delta": answers.get("dp.delta") or next(iter(DELTAS)),
            "accountant": answers.get("dp|accountant") or "prv",
        }
    }


def row_of(answers: Answers, site: str, dataset: str) -> Plain:
    """The own, smaller cap of a data set; nothing where it is that of the charter."""
    own, cap = answers.get(named(site, dataset, "cap")), answers.get("dp.epsilon")
    if not answers.get(ON) or own is None or (cap is not None and float(own) >= float(cap)):
        return {}
    return {"epsilon": decimal(float(own))}


def change(changes: Plain, document: Plain, answers: Answers) -> None:
    """Write into a recipe's changes what noise needs, or take the noise of the recipe away."""
    changes.pop("dp", None)
    if not answers.get(ON):
        if document["dp"] is not None and ON in answers:
            changes["dp"] = None
        return
    own = document["dp"] or {}
    asked = {
        "sigma": decimal(
            float(answers.get("recipe.dp.sigma") or own.get("sigma") or START["sigma"])
        ),
        "clip": decimal(float(answers.get("recipe.dp.clip") or own.get("clip") or START["clip"])),
        "batch": int(answers.get("recipe.dp.batch") or own.get("batch") or START["batch"]),
    }
    if asked != own:
        changes["dp"] = asked
    changes.pop("class_weights", None)
    if document["class_weights"] != "none":
        changes["class_weights"] = "none"
    if document["local"]["scaffold"]:
        put(changes, "local.scaffold", value=False)


def answers_of(plain: Mapping[str, Any]) -> Answers:
    """The answers that make a draft's noise."""
    dp, recipe = table(plain, "dp"), table(plain, "recipe")
    own = inner(recipe, "changes.dp") or {}
    answers: Answers = {ON: bool(dp), f"{ON}|of": recipe.get("id")}
    if not dp:
        return answers if not recipe.get("id") or "dp" in table(recipe, "changes") else {}
    answers |= {"dp.epsilon": float(dp["epsilon"])} if dp.get("epsilon") else {}
    answers |= {f"dp.{name}": dp[name] for name in ("delta", "unit") if dp.get(name)}
    answers |= {"dp|accountant": dp["accountant"]} if dp.get("accountant") else {}
    answers |= {f"recipe.dp.{name}": float(own[name]) for name in ("sigma", "clip") if name in own}
    return answers | ({"recipe.dp.batch": int(own["batch"])} if "batch" in own else {})


def fewest(bucket: object) -> int:
    """The fewest training patients behind a registered size: its lower end, of these the share.

    A size that is not told in numbers reckons with 20.
    """
    digits = str(bucket or "").removeprefix("≥")
    return int(int(digits) * TRAIN_SHARE) if digits.isdecimal() else UNTOLD


def told(draft: Plain) -> str:
    """The noise of a draft in one line."""
    dp = draft.get("dp")
    if not dp:
        return "none"
    unit = UNITS.get(str(dp["unit"]), str(dp["unit"])).split(" (")[0].lower()
    return f"ε at most {dp['epsilon']} at δ {dp['delta']}, for each {unit}"


def recipe_of(document: Plain | None, changes: Plain) -> Recipe | None:
    """The recipe as it would be trained; None where its numbers are not allowed yet."""
    if document is None:
        return None
    try:
        return with_changes(read_recipe(document), changes)
    except ConsiliumError:
        return None  # the rules beside the form say what is wrong


def capable(recipes: Sequence[Plain]) -> list[tuple[str, str | None]]:
    """Every recipe with the reason why it cannot train with noise; None where it can."""
    newest = {row["id"]: row["document"] for row in recipes}
    return [
        (name, refused_noise(read_recipe(document))) for name, document in sorted(newest.items())
    ]


def costs(draft: Plain, recipe: Recipe, patients: Mapping[str, int]) -> list[Cost]:
    """What each data set of a draft pays, the dearest first.

    Args:
        draft: with its cap.
        recipe: as it would be trained, with noise.
        patients: training patients by `site|dataset`.
    """
    terms = draft["dp"]
    if recipe.dp is None:
        return []
    rows = []
    for row in draft["datasets"]:
        count = patients[f"{row['site']}|{row['id']}"]
        cap = Decimal(row.get("epsilon") or terms["epsilon"])
        rows.append(_cost(row, recipe, recipe.dp, Decimal(terms["delta"]), cap, count,
                          draft["max_rounds"]))  # fmt: skip
    return sorted(rows, key=lambda row: (-row.whole, row.site))


def _cost(
    row: Plain, recipe: Recipe, noise: NoiseTerms, delta: Decimal, cap: Decimal, count: int,
    rounds: int,
) -> Cost:  # fmt: skip
    sigma, rate = Decimal(noise.sigma), sample_rate(noise.batch, count)
    steps, most = steps_of(recipe.local, noise.batch, count), largest_delta(count)
    fit = (most_steps(sigma, rate, delta, cap) or 0) // steps
    return Cost(
        site=str(row["site"]),
        dataset=str(row["id"]),
        patients=count,
        steps=steps,
        first=bound_of(sigma, rate, steps, delta),
        whole=bound_of(sigma, rate, steps * rounds, delta),
        fit=min(fit, rounds),
        cap=cap,
        problem=f"δ is above {most:f} for {count} patients" if delta > most else None,
    )


def titles(rows: Sequence[Mapping[str, Any]], names: words.Names) -> dict[str, str]:
    """A title for each `site|dataset`; the data set stands in it where a hospital has several."""
    sites = [row["site"] for row in rows]
    told = {}
    for row in rows:
        name, title = str(row["dataset"]), words.hospital(str(row["site"]), names)
        several = sites.count(row["site"]) > 1
        told[f"{row['site']}|{name}"] = f"{title}, {name}" if several else title
    return told


def enough_noise(row: Cost, recipe: Recipe, rounds: int, delta: Decimal) -> Decimal | None:
    """The least sigma with which all rounds fit at this data set; None where 100 is not enough."""
    if recipe.dp is None:
        return None
    rate = sample_rate(recipe.dp.batch, row.patients)
    return least_sigma(rate, row.steps * rounds, delta, row.cap)
