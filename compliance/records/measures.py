"""What is measured: the closed list of names, by the task of a recipe.

A charter names a part of these; with `local.` before it a name means the hospital's own model, with
`gain.` the common model less the own one on the same cases, with `.label` behind it one class, with
`.sex.f` and the like one group of patients.

Source: design/dashboard.md §6.3, design/federation.md §9.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from compliance.records.types import MAX_METRICS

RATED = ("auroc", "accuracy", "sensitivity", "specificity")
BINS = tuple(f"cal.b{number:02d}" for number in range(1, 11))
"""Ten equal parts of the scores from 0 to 1: share that was positive, with n and positives."""

CALIBRATION = "cal"
POINT = "threshold"
"""From which score on a case counts as positive: chosen once on validation cases, then frozen."""

MOVED = ("drift.labels", "drift.light")
"""How far the dataset lies from the one that was registered: population stability indices."""

SCORED = (*RATED, "loss", "brier", "ece", POINT, *BINS, *MOVED)
DRAWN = ("dice", "detected", "left_empty")
"""Of masks: overlap, patients in whom the class was met, patients without it left alone."""

LOCAL, GAIN = "local.", "gain."
GAINED = ("auroc", "accuracy", "dice")
"""Measures of which the common model's lead over the own one is told."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "sex": ("f", "m"),
    "age": ("under-40", "40-59", "60-79", "80-up"),
    "scanner": ("canon", "fujifilm", "ge", "philips", "siemens", "other"),
}
"""Dimensions by which patients are told apart, and the closed words of each."""

GROUPED = ("auroc", "sensitivity", "specificity", "dice")
"""Measures that may be told by group."""

LONGEST = 64


@dataclass(frozen=True)
class Part:
    """A name that speaks of a part of the patients: a group, or a bin of the scores.

    Args:
        family: what the parts are parts of: `sex`, `age`, `scanner` or `cal`.
        word: which part.
        measure: what is measured of it, `local.` included.
    """

    family: str
    word: str
    measure: str


def part_of(name: str) -> Part | None:
    """Which part of the patients a name speaks of; None when of all."""
    own = name.removeprefix(LOCAL)
    if own in BINS:
        return Part(CALIBRATION, own.partition(".")[2], name)
    measure, _, rest = own.partition(".")
    family, _, word = rest.partition(".")
    if measure in GROUPED and word in GROUPS.get(family, ()):
        return Part(family, word, name.removesuffix(f".{family}.{word}"))
    return None


def measures_of(task: str) -> tuple[str, ...]:
    """Name what is measured of a task; the first is what counts."""
    return DRAWN if task == "segmentation" else SCORED


def groups_of(subgroups: Iterable[str]) -> list[tuple[str, str]]:
    """The groups that a charter's words name: `sex` stands for all of it, `sex.f` for one."""
    named = set(subgroups)
    return [
        (family, word)
        for family, words in GROUPS.items()
        for word in words
        if named & {family, f"{family}.{word}"}
    ]


def grouped_names(task: str, subgroups: Iterable[str]) -> list[str]:
    """Name what may be told of groups."""
    measured = [name for name in GROUPED if name in measures_of(task)]
    return [f"{name}.{family}.{word}" for family, word in groups_of(subgroups) for name in measured]


def folded(names: Sequence[str]) -> list[str]:
    """Names as people choose and read them: one word for all ten bins, groups left out."""
    bins = [CALIBRATION] if set(BINS) <= set(names) else [name for name in names if name in BINS]
    return [name for name in names if part_of(name) is None] + bins


def shortened(names: Sequence[str]) -> list[str]:
    """Every name that a charter has, the ten bins as one span."""
    if not set(BINS) <= set(names):
        return list(names)
    return [name for name in names if name not in BINS] + [f"{BINS[0]} to {BINS[-1]}"]


def unfolded(chosen: Sequence[str], subgroups: Iterable[str]) -> list[str]:
    """What a charter says for what was chosen: every bin, and each group of what may be told so."""
    plain = [name for name in chosen if name != CALIBRATION and name not in BINS]
    bins = [name for name in BINS if name in chosen or CALIBRATION in chosen]
    groups = [
        f"{name}.{family}.{word}"
        for family, word in groups_of(subgroups)
        for name in GROUPED
        if name in plain
    ]
    return [*plain, *bins, *groups]


def names_of(
    task: str, classes: Sequence[str], *, baseline: bool, subgroups: Sequence[str] = ()
) -> list[str]:
    """Name everything that a charter allows where its draft does not say.

    Masks of several classes are measured class by class as well, as far as a charter has room.
    """
    names = list(measures_of(task))
    if task == "segmentation" and len(classes) > 1:
        names += [f"{name}.{label}" for name in DRAWN for label in classes]
    compared = [name for name in names if name not in (*BINS, *MOVED, "loss", "brier", "ece")]
    own = [LOCAL + name for name in compared] + [GAIN + n for n in GAINED if n in names]
    names += own if baseline else []
    names += grouped_names(task, subgroups)
    names += [name for name in MOVED if name not in names]
    fitting = [name for name in names if len(name) <= LONGEST]
    return fitting if len(fitting) <= MAX_METRICS else [n for n in fitting if "." not in n]
