"""The question of noise: what is promised to each patient, what it costs, how many rounds fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import streamlit as st

from compliance.records.recipe import Recipe
from compliance.rules.noise import refused_noise
from dashboard import drafting, noise, style
from dashboard.asking import Asking

Plain = dict[str, Any]
Titles = Mapping[str, str]
MEANS = (
    "Each hospital clips what one patient would change in a step, and adds noise before anything "
    "leaves. ε bounds how much more likely any result becomes because one patient was there: the "
    "smaller, the less can be learned of a patient, and the less the model learns."
)
EXCLUDES = (
    "With noise there are no rare-class weights, no SCAFFOLD, no model trained alone to compare "
    "with, no tasks that draw masks, and no shares by the Shapley rule."
)
BOUND = (
    "Upper bounds (Rényi accountant) for the numbers of patients written here. Each hospital "
    "counts its own training patients, charges by its own tighter accountant (PRV) over all "
    "studies, and stops before the step that would overspend."
)


def draw(asking: Asking, recipes: list[Plain], rows: list[Plain]) -> None:
    """Ask whether to train with noise; with it, caps and numbers, and what they cost.

    Args:
        asking: the form.
        recipes: of the hub.
        rows: the chosen data sets.
    """
    st.markdown("**Noise (differential privacy)**")
    name = asking.answers.get("recipe")
    document = drafting.document_of(recipes, name)
    asking.follow(noise.ON, str(name))
    why = _why_not(document)
    if why:
        asking.answers[noise.ON] = False
        st.markdown(f":gray[This recipe cannot train with noise: {why}.]")
    elif document is not None:
        own = document["dp"] is not None
        asking.yes(noise.ON, "Train with noise, under a cap for each patient", default=own)
    _capable(recipes)
    if document is None or not asking.answers.get(noise.ON):
        return
    st.markdown(f":gray[{MEANS}]")
    _cap(asking)
    _numbers(asking, document)
    st.markdown(f":gray[{EXCLUDES}]")
    _price(asking, recipes, rows)


def _why_not(document: Plain | None) -> str | None:
    recipe = noise.recipe_of(document, {})
    return None if recipe is None else refused_noise(recipe)


def _capable(recipes: list[Plain]) -> None:
    told = noise.capable(recipes)
    able = sum(why is None for _, why in told)
    with st.expander(f"{able} of {len(told)} recipes can train with noise"):
        st.table(
            [
                {"Recipe": name, "With noise": "✓ yes" if why is None else f"✕ no: {why}"}
                for name, why in told
            ],
            border="horizontal",
        )


def _cap(asking: Asking) -> None:
    one, two, three = st.columns(3, vertical_alignment="bottom")
    with one:
        start = noise.START["epsilon"]
        asking.number("dp.epsilon", "ε, the cap of the study", "%.2f", (0.01, 1000.0), start)
    with two:
        asking.choice("dp.delta", "δ, chance that it fails", _deltas(asking), _first(noise.DELTAS))
    with three:
        asking.choice("dp.unit", "What ε protects", noise.UNITS, "patient")


def _deltas(asking: Asking) -> dict[str, str]:
    """The offered values, and that of a kept draft."""
    kept = str(asking.answers.get("dp.delta") or _first(noise.DELTAS))
    return noise.DELTAS if kept in noise.DELTAS else {kept: kept, **noise.DELTAS}


def _first(options: dict[str, str]) -> str:
    return next(iter(options))


def _numbers(asking: Asking, document: Plain) -> None:
    own = {**noise.START, **(document["dp"] or {})}
    one, two, three = st.columns(3, vertical_alignment="bottom")
    with one:
        asking.number("recipe.dp.sigma", "Noise (sigma)", "%.2f", (0.3, 100.0), float(own["sigma"]))
    with two:
        asking.number("recipe.dp.clip", "Clip of a patient", "%.2f", (0.01, 1000.0),
                      float(own["clip"]))  # fmt: skip
    with three:
        asking.count("recipe.dp.batch", "Patients a step, expected", 1, 4096, int(own["batch"]))


def _price(asking: Asking, recipes: list[Plain], rows: Sequence[Plain]) -> None:
    st.markdown("**What the planned rounds cost, at most**")
    if not rows:
        st.markdown(":gray[Choose data sets first (step 2): each hospital pays by its patients.]")
        return
    titles = noise.titles(rows, {row["site"]: row["title"] for row in rows})
    patients = _patients(asking, rows, titles)
    draft = drafting.draft_of(asking.answers, recipes)
    document = drafting.document_of(recipes, asking.answers.get("recipe"))
    recipe = noise.recipe_of(document, draft["recipe"]["changes"])
    if recipe is None:
        st.markdown(":gray[The numbers of the recipe are not allowed yet.]")
        return
    costs = noise.costs(draft, recipe, patients)
    _verdict(costs, recipe, draft, titles)
    st.table([_row(cost, draft["max_rounds"], titles) for cost in costs], border="horizontal")
    st.markdown(f":gray[{BOUND}]")


def _patients(asking: Asking, rows: Sequence[Plain], titles: Titles) -> dict[str, int]:
    """Ask for each data set with how many patients to reckon, and for its own smaller cap."""
    cap = float(asking.answers["dp.epsilon"])
    found = {}
    for row in rows:
        site, name = row["site"], row["dataset"]
        title = titles[f"{site}|{name}"]
        one, two = st.columns(2, vertical_alignment="bottom")
        with one:
            label = f"Training patients of {title} (registered: {row['patients']})"
            count = asking.count(
                noise.named(site, name, "patients"), label, 1, 10_000_000,
                noise.fewest(row["patients"]),
            )  # fmt: skip
        with two:
            key = noise.named(site, name, "cap")
            if (asking.answers.get(key) or 0) > cap:
                asking.answers[key] = None
            asking.follow(key, str(cap))
            asking.number(key, f"ε of {title}", "%.2f", (0.01, cap), cap)
        found[f"{site}|{name}"] = count
    return found


def _verdict(costs: Sequence[noise.Cost], recipe: Recipe, draft: Plain, titles: Titles) -> None:
    """The one sentence: whether all rounds fit, who pays most, and what noise would be enough."""
    rounds, dearest = draft["max_rounds"], costs[0]
    for cost in costs:
        if cost.problem:
            st.error(f"{titles[cost.key]}: {cost.problem}; it would refuse the charter "
                     "(dp.delta).", icon=":material/block:")  # fmt: skip
    pays = f"{_payer(costs, titles)}: ε {style.epsilon(dearest.whole)} for {_rounds(rounds)}"
    short = [cost for cost in costs if cost.fit < rounds]
    if not short:
        st.success(f"{_rounds(rounds)} fit everywhere. {pays}.", icon=":material/check_circle:")
        return
    first = min(short, key=lambda cost: cost.fit)
    delta = Decimal(draft["dp"]["delta"])
    needed = [noise.enough_noise(cost, recipe, rounds, delta) for cost in short]
    tip = (
        "No noise up to sigma 100 would be enough."
        if None in needed
        else f"All rounds would fit with sigma {max(n for n in needed if n is not None)}."
    )
    st.warning(
        f"{pays}. The cap of {titles[first.key]} is reached in round {first.fit + 1}: it trains "
        f"the steps that fit, then refuses (dp.budget). {tip}",
        icon=":material/hourglass_bottom:",
    )


def _payer(costs: Sequence[noise.Cost], titles: Titles) -> str:
    same = len(costs) > 1 and costs[0].whole == costs[-1].whole
    return "Each hospital pays" if same else f"{titles[costs[0].key]} pays most"


def _row(cost: noise.Cost, rounds: int, titles: Titles) -> dict[str, str]:
    return {
        "Hospital": titles[cost.key],
        "Patients": style.cases(cost.patients),
        "Steps a round": style.cases(cost.steps),
        "ε, first round": style.epsilon(cost.first),
        f"ε, {_rounds(rounds)}": style.epsilon(cost.whole),
        "Cap": style.epsilon(cost.cap),
        "Rounds that fit": f"{'✓' if cost.fit >= rounds else '!'} {cost.fit} of {rounds}",
    }


def _rounds(count: int) -> str:
    return "1 round" if count == 1 else f"{count} rounds"
