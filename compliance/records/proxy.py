"""The small network that stands for a study's own in a sweep, made from the study's recipe alone.

Task, classes and preparation are the study's; network, optimiser and length of training are those
of a small shipped recipe. So everybody derives the same document.

Source: design/federation.md §10 (`cnn2d_small`, `logistic`).
"""

from __future__ import annotations

from compliance.errors import Refused
from compliance.records.families import FLAT
from compliance.records.recipe import Recipe, network_layout, read_recipe, shipped

TABLES, IMAGES = "logistic-table", "cnn2d-small"


def proxy_of(recipe: Recipe) -> Recipe:
    """The recipe of the small network.

    Raises:
        Refused: no small network answers the study's question (`charter.terms`).
    """
    if recipe.draws or recipe.dims > FLAT:
        raise Refused(
            "charter.terms",
            f"a proxy for {recipe.task} in {recipe.dims}D",
            "equal, cases, or shapley_exact with a network that is small enough",
        )
    small = shipped()[TABLES if recipe.tabular else IMAGES]
    plain = recipe.plain()
    for name in ("family", "network", "optimiser", "local", "augment"):
        plain[name] = getattr(small, name) if name == "family" else getattr(small, name).plain()
    plain |= {"id": f"proxy-{recipe.id}"[:64], "baseline": False, "dp": None}
    made = read_recipe(plain)
    return made.model_copy(update={"layout_sha256": network_layout(made).sha256})
