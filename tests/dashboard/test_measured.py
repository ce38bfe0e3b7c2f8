"""The performance page: interval and counts beside each number, a sentence where none may be."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard import charts, measured, style, tables, words
from dashboard.measured import Asked

TITLES = {"east": "East Clinic", "north": "North Hospital", "south": "South Hospital"}
SLOTS = {name: place for place, name in enumerate(TITLES)}
OLD, NEW = "sha256:" + "1" * 64, "sha256:" + "2" * 64
NOTHING = dict.fromkeys(("value", "low", "high", "n", "positives"))


def value(number: float, half: float = 0.03, n: int = 200, positives: int = 60) -> dict[str, Any]:
    """A value as the log has it."""
    ends = {"low": f"{number - half:.3f}", "high": f"{number + half:.3f}"}
    return {"value": f"{number:.3f}", **ends, "n": n, "positives": positives}


def row(site: str, values: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A report as the hub tells it."""
    told = {"index": 9, "site": site, "round": 3, "phase": "before_training", "split": "test",
            "dataset": "cxr", "model": NEW, "values": values}  # fmt: skip
    return told | changes


def asked(*rows: dict[str, Any]) -> Asked:
    """These reports, of models of one and of three rounds."""
    return Asked(list(rows), TITLES, {OLD: 1, NEW: 3})


@pytest.mark.parametrize(
    ("lead", "said"),
    [
        (value(0.041), "East Clinic: joining helped. +0.041"),
        (value(-0.052), "East Clinic: the own model does better here. -0.052"),
        (value(0.012), "East Clinic: no clear difference. +0.012"),
        (value(0.4, n=90, positives=9), "East Clinic: too few cases"),
        (NOTHING, "East Clinic: too few cases"),
    ],
)
def test_whether_joining_helped_is_a_sentence(lead: dict[str, Any], said: str) -> None:
    """The interval decides the words; nine positives decide nothing."""
    (line,) = measured.leads(asked(row("east", {"gain.auroc": lead})), "auroc")

    assert line.startswith(said)
    assert ("95 % interval" in line) == (lead["value"] is not None and lead["positives"] > 9)


def test_the_matrix_says_of_every_pair_what_is_known() -> None:
    """Own models stay at their hospital; nobody is ranked, and no cell is a mean."""
    told = asked(
        row("east", {"auroc": value(0.81), "local.auroc": value(0.7)}),
        row("north", {"auroc": value(0.9), "local.auroc": value(0.8, positives=9)}),
        row("south", {"auroc": value(0.99)}, model=OLD),
    )

    cells = {(c["model"], c["hospital"]): c for c in measured.matrix(told, "auroc")}

    common = "Common model, 3 rounds"
    assert cells[common, "East Clinic"]["shown"] == "0.810"
    assert cells[common, "East Clinic"]["below"] == f"0.780{style.DASH}0.840 · n 200 · 60 pos"
    assert cells[common, "South Hospital"]["value"] is None
    assert cells[common, "South Hospital"]["shown"] == "not this model"
    own = cells["Own model of East Clinic", "North Hospital"]
    assert (own["shown"], own["known"]) == ("stays there", False)
    assert cells["Own model of North Hospital", "North Hospital"]["shown"] == "▨ too few"
    assert not any("mean" in str(cell).lower() for cell in cells.values())


def test_a_group_that_is_hidden_has_no_point_and_no_number() -> None:
    """None and too few look the same, in the chart, the sentence and the table."""
    told = asked(
        row("east", {"auroc.sex.f": value(0.8), "auroc.sex.m": NOTHING, "auroc.age.80-up": NOTHING})
    )
    rows = measured.groups(told, "auroc")

    (drawn,) = charts.groups(rows, SLOTS, label="AUROC").to_dict()["datasets"].values()

    assert [point["group"] for point in drawn] == ["women"]
    assert measured.hidden(rows) == ["East Clinic: men and 80 years and more."]
    table = measured.group_table(rows)
    assert table[1]["Cases"] == table[2]["Cases"] == "hidden or none"
    assert table[1]["Value"] == table[2]["Value"] == "▨ too few"
    assert "women, East Clinic: 0.800" in charts.groups_alt(rows, "AUROC")
    assert measured.groups(told, "sensitivity") == []


def test_bins_are_drawn_where_they_are_told() -> None:
    """A gap with its reason, never a zero; the newest model of each hospital."""
    old = row("east", {"cal.b01": value(0.9)}, model=OLD)
    told = asked(
        old, row("east", {"cal.b01": value(0.06), "cal.b02": NOTHING, "ece": value(0.04, 0.01)})
    )

    rows = measured.bins(told)

    assert [(point["score"], point["value"]) for point in rows] == [(0.05, 0.06)]
    spec = charts.calibration(rows, SLOTS).to_dict()
    assert spec["layer"][1]["encoding"]["y"]["title"] == "Share that was positive"
    assert charts.calibration_alt(rows).endswith("score about 0.05: 6% positive.")
    assert measured.errors(told) == [
        "East Clinic: calibration error 0.040 (95 % interval 0.030 to 0.050, 200 cases)."
    ]
    assert measured.errors(asked(row("east", {"ece": NOTHING})))[0].endswith("calibration error.")
    assert not measured.has_bins(asked(row("east", {"auroc": value(0.8)})))


def test_a_threshold_is_told_with_the_entry_that_fixed_it() -> None:
    """Later reports repeat it; a hospital with too few patients says that 0.5 is used."""
    point = value(0.46) | {"low": None, "high": None}
    told = asked(
        row("east", {"threshold": point}, split="validation", index=4, model=OLD),
        row("east", {"threshold": point}, split="validation", index=9),
        row("south", {"threshold": NOTHING}, split="validation"),
    )

    east, south = measured.thresholds(told)

    assert (east["Threshold"], east["Frozen since entry"]) == ("0.46", "4")
    assert (south["Threshold"], south["Frozen since entry"]) == ("▨ none: 0.5 is used", "—")


def test_data_that_moved_are_named() -> None:
    """Above 0.25 of either index; who measures on the registered version is not listed."""
    index = {"low": None, "high": None, "n": 200, "positives": None}
    far = {"drift.labels": {"value": "0.031", **index}, "drift.light": {"value": "0.251", **index}}
    near = {"drift.labels": {"value": "0.25", **index}}

    rows = measured.drift(asked(row("east", far), row("north", near), row("south", {})))

    assert [r["Verdict"] for r in rows] == ["moved: look before you compare", "as registered"]
    assert rows[1]["Brightness"] == "—"


def test_parts_are_no_measures_of_their_own() -> None:
    """The choice of a measure does not offer a bin, a group, a lead or a threshold."""
    values = dict.fromkeys(
        ("auroc", "auroc.sex.f", "cal.b01", "gain.auroc", "threshold", "drift.light", "brier"),
        NOTHING,
    )

    assert tables.measures([row("east", values)]) == ["auroc", "brier"]
    assert words.measure("auroc.sex.f") == "AUROC, women"
    assert words.measure("gain.auroc") == "AUROC, lead of the common model"
    assert words.measure("dice.lesion") == "Dice, lesion"
