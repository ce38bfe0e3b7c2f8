"""How well masks were drawn on a hospital's held-out patients, in numbers that may be shown.

The unit is the patient: voxels of all of a patient's images are added before the Dice value is
taken. It is defined where the reference holds the class; patients whose reference is empty are
counted apart (`left_empty`), so that "nothing found where nothing is" never lifts the overlap.

Source: design/federation.md §9; Efron 1979 (bootstrap), percentiles of 1,000 draws of patients.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compliance.records.measures import DRAWN, GAIN, Part, part_of
from compliance.records.recipe import Recipe
from site_node.training.claims import NOTHING, Claim, Claims, written
from site_node.training.datasets import Split
from site_node.training.evaluation import by_patient
from site_node.training.patches import answer
from site_node.training.statistics import Doubles, Estimate, proportion

Counts: TypeAlias = NDArray[np.int64]

DRAWS = 1000
ENDS = (2.5, 97.5)


@dataclass(frozen=True)
class Overlaps:
    """Voxels of every patient and class, int64 (n, K): drawn, true, and both.

    `groups` has a word for each patient by dimension (`sex`, `age`, `scanner`), empty if unknown.
    """

    drawn: Counts
    true: Counts
    both: Counts
    groups: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.true)

    def dice(self) -> Doubles:
        """Dice value of every patient and class (n, K); not a number where none is to be drawn."""
        with np.errstate(invalid="ignore", divide="ignore"):
            value = 2 * self.both / (self.drawn + self.true)
        return np.where(self.true > 0, value, np.nan)

    def of(self, part: Part) -> Overlaps:
        """The patients of one group."""
        inside = self.groups.get(part.family, np.full(len(self), "")) == part.word
        return Overlaps(self.drawn[inside], self.true[inside], self.both[inside])


def overlap_patients(network: nn.Module, split: Split, recipe: Recipe) -> Overlaps:
    """Let a network draw on every image of a split; count voxels by patient.

    Returns:
        Patients in the order of their pseudonyms, without the pseudonyms.
    """
    names, places = np.unique(np.asarray(split.patients(), dtype=str), return_inverse=True)
    found = np.zeros((3, len(names), len(recipe.classes)), np.int64)
    for total, counted in zip(found, _count_images(network, split, recipe), strict=True):
        np.add.at(total, places, counted)
    drawn, true, both = found
    return Overlaps(drawn, true, both, by_patient(split.groups(), places, len(names)))


def _count_images(network: nn.Module, split: Split, recipe: Recipe) -> Counts:
    """Count drawn, true and common voxels of every image, (3, images, K)."""
    network.eval()
    parts = [np.zeros((3, 0, len(recipe.classes)), np.int64)]
    with torch.no_grad():
        for images, masks in split.batches():
            said = answer(network, images, recipe.preprocessing.patch).argmax(dim=1)
            parts.append(_counts(said, masks, len(recipe.classes)))
    return np.concatenate(parts, axis=1)


def _counts(said: Tensor, masks: Tensor, classes: int) -> Counts:
    sides = tuple(range(1, masks.dim()))
    pairs = [(said == label, masks == label) for label in range(1, classes + 1)]
    rows = [
        torch.stack([part.sum(sides) for part in (drawn, true, drawn & true)])
        for drawn, true in pairs
    ]
    counted: Counts = torch.stack(rows, dim=2).numpy()
    return counted


def measure_masks(
    found: Overlaps, recipe: Recipe, *, min_cell: int, names: Collection[str], prefix: str = ""
) -> Claims:
    """Return the agreed values of one model on one split.

    Args:
        found: voxels by patient and class.
        recipe: its classes.
        min_cell: smallest count that may be shown; below it all of a value is null.
        names: the names the charter allows; no other value is made.
        prefix: `local.` for a hospital's own model.

    Returns:
        name to {value, low, high: Decimal with six places or null, n}; n counts the patients that
        the value speaks of: those who have the class, for `left_empty` those who have not.
    """
    plain = [*DRAWN, *(f"{name}.{label}" for name in DRAWN for label in recipe.classes)]
    wanted = [name for name in plain if prefix + name in names]
    claims = {prefix + name: _claim(found, recipe, name, min_cell) for name in wanted}
    for name in sorted(names):
        part = part_of(name)
        if part is not None and part.measure == prefix + "dice":
            claims[name] = _claim(found.of(part), recipe, "dice", min_cell)
    return claims


def leads(
    common: Overlaps, own: Overlaps, recipe: Recipe, *, min_cell: int, names: Collection[str]
) -> Claims:
    """Return by how much the common model's Dice leads over the own one's, patient by patient.

    Returns:
        `gain.dice`, in [-1, 1], if the charter names it; as `measure_masks` returns values.
    """
    if GAIN + "dice" not in names:
        return {}
    ahead = common.dice() - own.dice()
    told = ~np.isnan(ahead)
    if not len(ahead) or told.sum(axis=0).min() < max(1, min_cell):
        return {GAIN + "dice": dict(NOTHING)}
    half = bootstrap((ahead + 1) / 2, recipe.seed)
    found = Estimate(2 * half.value - 1, 2 * half.low - 1, 2 * half.high - 1)
    return {GAIN + "dice": written(found, int(told.any(axis=1).sum()), None)}


def _claim(found: Overlaps, recipe: Recipe, name: str, min_cell: int) -> Claim:
    kind, _, label = name.partition(".")
    columns = [recipe.classes.index(label)] if label else list(range(len(recipe.classes)))
    values = _values(found, kind)[:, columns]
    told = ~np.isnan(values)
    if not len(values) or told.sum(axis=0).min() < max(1, min_cell):
        return dict(NOTHING)
    n = int(told.any(axis=1).sum())
    if kind == "dice" or len(columns) > 1:
        return written(bootstrap(values, recipe.seed), n, None)
    return written(proportion(int(np.nansum(values)), n), n, None)


def _values(found: Overlaps, kind: str) -> Doubles:
    """Value of every patient and class; not a number where a patient does not speak to it."""
    if kind == "dice":
        return found.dice()
    if kind == "detected":
        return np.where(found.true > 0, found.both > 0, np.nan)
    return np.where(found.true == 0, found.drawn == 0, np.nan)


def bootstrap(values: Doubles, seed: int) -> Estimate:
    """Return the mean over classes of the means over patients, with its interval.

    Args:
        values: (n, K) in [0, 1], not a number where a patient does not count; a column has some.
        seed: of the draws of patients.

    Where all draws agree the interval is Wilson's: "1.00 to 1.00" from twelve patients is a lie.
    """
    told = ~np.isnan(values)
    filled = np.where(told, values, 0.0)
    value = float((filled.sum(axis=0) / told.sum(axis=0)).mean())
    random = np.random.default_rng(seed)
    times = random.multinomial(len(values), np.full(len(values), 1 / len(values)), DRAWS)
    counts = times @ told.astype(np.float64)
    means = np.divide(times @ filled, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    drawn = np.array([np.nanmean(row) for row in means if not np.isnan(row).all()])
    low, high = (float(end) for end in np.percentile(drawn, ENDS))
    if high - low == 0:
        smallest = int(told.sum(axis=0).min())
        bound = proportion(round(value * smallest), smallest)
        low, high = min(bound.low, value), max(bound.high, value)
    return Estimate(value, max(0.0, min(low, value)), min(1.0, max(high, value)))
