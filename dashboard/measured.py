"""What the hospitals measured, shaped for the performance page: leads, matrix, bins, groups, drift.

No mean over hospitals and no rank is made anywhere in here. What is hidden stays hidden: a cell
without a count says so, whether there was nobody, too few, or another part would have told it.

Source: design/dashboard.md §6.3, design/federation.md §9.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compliance.records.measures import BINS, GAIN, GROUPS, LOCAL, MOVED, POINT
from dashboard import style, tables, words

Plain = dict[str, Any]
MOST = 0.25
"""Population stability index above which data have moved; as the hospitals' own programs judge."""

STAYS = "stays there"
COMMON, OWN = "Common model", "Own model of "
FEW, ANOTHER = "▨ too few", "not this model"


@dataclass(frozen=True)
class Asked:
    """What is looked at.

    Args:
        metrics: as the hub tells them.
        names: titles of the hospitals.
        ages: how many rounds made each model.
    """

    metrics: Sequence[Plain]
    names: words.Names
    ages: Mapping[str, int]

    def age(self, name: str) -> int:
        """The model to compare hospitals by: the newest of those that most of them measured.

        Two hospitals beside each other with two models would compare the rounds, not the hospitals.
        """
        ages = Counter(row["round"] for row in self.points(name))
        return max(ages, key=lambda age: (ages[age], age), default=0)

    def newest(self, name: str, age: int | None = None) -> list[Plain]:
        """A point of each hospital for a measure, by hospital: of this age, else its newest."""
        found: dict[str, Plain] = {}
        for row in self.points(name):
            if age is None or found.get(row["site"], {}).get("round") != age:
                found[row["site"]] = row
        return sorted(found.values(), key=lambda row: str(row["hospital"]))

    def points(self, name: str) -> list[Plain]:
        """All points of a measure on test cases, oldest model first."""
        return tables.points(self.metrics, name, self.names, self.ages)

    def cells(self, name: str, split: str = "test") -> list[Plain]:
        """The newest value of each hospital as it was told, with its entry; no rule of ten."""
        found: dict[str, Plain] = {}
        for row in sorted(self.metrics, key=lambda row: self.ages.get(row["model"], 0)):
            if name in row["values"] and row["split"] == split:
                title = words.hospital(str(row["site"]), self.names)
                told = {"site": str(row["site"]), "hospital": title, "entry": row["index"]}
                found[told["site"]] = {**told, **_numbers(row["values"][name])}
        return sorted(found.values(), key=lambda row: str(row["hospital"]))


def _numbers(given: Mapping[str, Any]) -> Plain:
    told = {part: given.get(part) for part in ("value", "low", "high")}
    numbers = {part: None if text is None else float(text) for part, text in told.items()}
    return numbers | {"n": given.get("n"), "positives": given.get("positives")}


def leads(asked: Asked, measure: str) -> list[str]:
    """For each hospital in a sentence whether joining helped, on its own test cases."""
    return [_lead(row) for row in asked.newest(GAIN + measure)]


def _lead(row: Plain) -> str:
    if row["value"] is None:
        return f"{row['hospital']}: too few cases to say whether joining helped."
    spread = f"{row['value']:+.3f} (95 % interval {row['low']:+.3f} to {row['high']:+.3f})"
    if row["low"] > 0:
        return f"{row['hospital']}: joining helped. {spread}."
    if row["high"] < 0:
        return f"{row['hospital']}: the own model does better here. {spread}."
    return f"{row['hospital']}: no clear difference. {spread}."


def matrix(asked: Asked, measure: str) -> list[Plain]:
    """Every model on every hospital's test cases: a cell for each pair.

    Returns:
        `model`, `hospital`, `value` or None, `shown` and `below`: what stands in the cell; `known`
        is false where a model never came to that hospital.
    """
    age, own = asked.age(measure), asked.newest(LOCAL + measure)
    common = [_of_age(row, age) for row in asked.newest(measure, age)]
    name = f"{COMMON}, {age} {'round' if age == 1 else 'rounds'}"
    alone = {row["site"]: row for row in own}
    cells = [_cell(row, name) for row in common]
    for owner in own:
        model = OWN + str(owner["hospital"])
        for row in common:
            if row["site"] == owner["site"]:
                cells.append(_cell(alone[row["site"]], model))
            else:
                away = {"value": None, "shown": STAYS, "below": "", "known": False}
                cells.append({"model": model, "hospital": row["hospital"], **away})
    return cells


def _of_age(row: Plain, age: int) -> Plain:
    """A value of this very model; a hospital that measured only another one says so."""
    return row if row["round"] == age else {**row, "other": row["round"]}


def _cell(row: Plain, model: str) -> Plain:
    told = {"model": model, "hospital": row["hospital"], "value": row["value"], "known": True}
    if "other" in row:
        below = f"measured after {row['other']} rounds"
        return {**told, "value": None, "shown": ANOTHER, "below": below}
    counts = f"n {style.cases(row['n'])}"
    if row["positives"] is not None:
        counts += f" · {style.cases(row['positives'])} pos"
    if row["value"] is None:
        below = "below the floor, or none" if row["n"] is None else counts
        return {**told, "shown": FEW, "below": below}
    spread = style.interval(row["low"], row["high"])
    return {**told, "shown": style.value(row["value"]), "below": f"{spread} · {counts}"}


def bins(asked: Asked) -> list[Plain]:
    """The bins of the newest common model: middle of the scores, share that was positive."""
    found: list[Plain] = []
    for number, name in enumerate(BINS):
        middle = (number + 0.5) / len(BINS)
        rows = [row for row in asked.cells(name) if row["value"] is not None]
        found += [{**row, "score": middle} for row in rows]
    return found


def has_bins(asked: Asked) -> bool:
    """Whether calibration was measured at all, told or hidden."""
    return any(name in row["values"] for row in asked.metrics for name in BINS)


def errors(asked: Asked) -> list[str]:
    """The calibration error of each hospital in a sentence."""
    return [_error(row) for row in asked.cells("ece")]


def _error(row: Plain) -> str:
    if row["value"] is None:
        return f"{row['hospital']}: too few cases for a calibration error."
    spread = f"{style.value(row['low'])} to {style.value(row['high'])}"
    return (
        f"{row['hospital']}: calibration error {style.value(row['value'])} (95 % interval "
        f"{spread}, {style.cases(row['n'])} cases)."
    )


def groups(asked: Asked, measure: str) -> list[Plain]:
    """The newest value of each group of patients, hospital by hospital; hidden ones without value.

    Returns:
        Points with `family` (sex, age, scanner) and `group` in words, in the order of the lists.
    """
    return [
        {**row, "family": words.FAMILIES[family], "group": words.group(family, word)}
        for family, listed in GROUPS.items()
        for word in listed
        for row in asked.newest(f"{measure}.{family}.{word}")
    ]


def hidden(rows: Sequence[Plain]) -> list[str]:
    """Which groups are not told, hospital by hospital, in sentences."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["value"] is None:
            found.setdefault(str(row["hospital"]), []).append(str(row["group"]))
    return [f"{hospital}: {words.listed(names)}." for hospital, names in sorted(found.items())]


def group_table(rows: Sequence[Plain]) -> list[Plain]:
    """The groups as people read them."""
    return [
        {
            "By": row["family"],
            "Group": row["group"],
            "Hospital": row["hospital"],
            "Value": FEW if row["value"] is None else style.value(row["value"]),
            "95 % interval": style.interval(row["low"], row["high"]) or style.MINUS,
            "Cases": "hidden or none" if row["n"] is None else style.cases(row["n"]),
            "Positive": style.MINUS if row["positives"] is None else style.cases(row["positives"]),
            "Log entry": str(row["entry"]),
        }
        for row in rows
    ]


def thresholds(asked: Asked) -> list[Plain]:
    """The frozen threshold of each hospital, and the entry that fixed it."""
    first: dict[str, int] = {}
    for row in asked.metrics:
        if (row["values"].get(POINT) or {}).get("value") is not None:
            first.setdefault(str(row["site"]), row["index"])
    return [
        {
            "Hospital": row["hospital"],
            "Threshold": "▨ none: 0.5 is used" if row["value"] is None else f"{row['value']:.2f}",
            "Validation cases": style.cases(row["n"]),
            "Positive": style.cases(row["positives"]),
            "Frozen since entry": str(first.get(row["site"], style.MINUS)),
        }
        for row in asked.cells(POINT, "validation")
    ]


def drift(asked: Asked) -> list[Plain]:
    """How far each hospital's data lie from the version that the charter names, if they moved."""
    return list(_drift(asked))


def _drift(asked: Asked) -> Iterator[Plain]:
    found: dict[str, Plain] = {}
    for split in ("test", "validation"):
        for name in MOVED:
            for row in asked.cells(name, split):
                told = found.setdefault(row["site"], {"hospital": row["hospital"]})
                told.setdefault(name, row["value"])
    for told in found.values():
        indices = [told.get(name) for name in MOVED]
        far = any(index is not None and index > MOST for index in indices)
        yield {
            "Hospital": told["hospital"],
            "Balance of classes": style.value(indices[0]),
            "Brightness": style.value(indices[1]),
            "Verdict": "moved: look before you compare" if far else "as registered",
        }
