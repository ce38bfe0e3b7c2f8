"""Whether a dataset's columns are those that a recipe trains on.

Source: design/federation.md §7.
"""

from __future__ import annotations

from collections.abc import Sequence

from compliance.errors import Refused
from compliance.records.linear import ANY_COLUMNS
from compliance.records.recipe import Recipe


def check_columns(recipe: Recipe, shape: Sequence[int], columns: str | None) -> None:
    """Refuse a table for images, images for a table's recipe, and other columns.

    A model for other columns, or for the same ones in another order, gives numbers that look
    right: so a recipe names the columns by their hash (`preprocessing.intensity: table-…`).
    `table` alone takes any columns of the right number.

    Args:
        recipe: what would be trained.
        shape: of a case.
        columns: the dataset's name for its columns; None for images.

    Raises:
        Refused: they do not fit.
    """
    wanted, named = list(recipe.preprocessing.size), recipe.preprocessing.intensity
    if not recipe.tabular or columns is None:
        sentence = "Tables train networks for tables, images train networks for images."
        raise Refused("dataset.shape", list(shape), recipe.network.name, sentence)
    if list(shape) != wanted:
        sentence = "The table has another number of columns than the recipe."
        raise Refused("dataset.shape", list(shape), wanted, sentence)
    if named not in (ANY_COLUMNS, columns):
        sentence = "The table was imported with other columns than the recipe names."
        raise Refused("dataset.shape", columns, named, sentence)
