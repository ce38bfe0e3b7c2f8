"""Charts as JSON: what is drawn, what is not, and that colours can be told apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dashboard import charts, style, tables

NAMES = {"north.example": "North Hospital", "south.example": "South Hospital"}
SLOTS = {"north.example": 0, "south.example": 1}
MODEL = "sha256:" + "1" * 64


def measured(site: str, n: int, positives: int | None, number: str = "0.9") -> dict[str, Any]:
    """A row as the hub tells it."""
    value = {"value": number, "low": "0.85", "high": "0.94", "n": n, "positives": positives}
    return {
        "index": 7, "site": site, "round": 2, "phase": "before_training", "split": "test",
        "dataset": "cxr", "model": MODEL, "values": {"auroc": value, "local.auroc": value},
    }  # fmt: skip


def points(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    """Points of the common model after one round."""
    return tables.points(list(rows), "auroc", NAMES, {MODEL: 1})


def test_each_hospital_keeps_its_colour_and_shape() -> None:
    """The slot decides, not the order of the rows."""
    rows = points(measured("south.example", 200, 60), measured("north.example", 300, 90))

    spec = charts.metric_lines(rows, SLOTS, label="AUROC").to_dict()

    line = spec["layer"][1]["encoding"]["color"]["scale"]
    assert line["domain"] == ["North Hospital", "South Hospital"]
    assert line["range"] == [style.colour(0), style.colour(1)]
    assert spec["layer"][2]["encoding"]["shape"]["scale"]["range"] == ["circle", "square"]


def test_every_axis_has_a_title() -> None:
    """A number without its unit says nothing."""
    rows = points(measured("north.example", 300, 90))
    spec = charts.metric_lines(rows, SLOTS, label="AUROC").to_dict()

    for layer in spec["layer"][1:]:
        assert layer["encoding"]["x"]["title"] == "Rounds of training"
        assert layer["encoding"]["y"]["title"] == "AUROC"


@pytest.mark.parametrize(("positives", "few"), [(9, True), (10, False), (191, True), (190, False)])
def test_a_hospital_with_nine_positives_is_not_drawn(positives: int, *, few: bool) -> None:
    """Below 10 positive or negative cases there is no point and no rank; at 10 there is."""
    rows = points(measured("north.example", 200, positives))

    spec = charts.metric_lines(rows, SLOTS, label="AUROC").to_dict()

    assert rows[0]["few"] is few
    drawn = json.dumps(spec["datasets"] if "datasets" in spec else spec["layer"][0]["data"])
    assert ("North Hospital" in drawn) is not few
    assert (tables.metric_table(rows)[0]["Value"] == "▨ too few") is few


def test_the_strip_says_glyph_word_and_reason() -> None:
    """Nobody needs to see colours to read who was used."""
    live = {
        "rounds": [
            {"round": 1, "used": ["north.example"], "excluded": {"south.example": "late"},
             "missing": {}, "model": MODEL}
        ],
        "asked": ["north.example", "south.example"], "submitted": ["south.example"], "round": 2,
    }  # fmt: skip
    sites = [{"name": name, "title": title} for name, title in NAMES.items()]
    cells = tables.strip(live, sites)

    spec = json.dumps(charts.participation(cells).to_dict(), ensure_ascii=False)

    for cell in ("● used", "✕ left out", "… asked", "◐ submitted"):
        assert cell in spec
    assert "South Hospital in round 1: its update came after" in charts.participation_alt(cells)


def test_alone_and_together_stand_side_by_side() -> None:
    """Both values of a hospital, with intervals, and the same in words."""
    rows = tables.comparison([measured("north.example", 300, 90)], "auroc", NAMES, {MODEL: 1})

    assert [row["kind"] for row in rows] == ["own cases only", "all hospitals together"]
    assert "North Hospital, own cases only: 0.900" in charts.comparison_alt(rows, "AUROC")
    assert charts.comparison(rows, label="AUROC").to_dict()["layer"]


def test_the_palette_is_readable_on_white() -> None:
    """WCAG 1.4.11 asks for 3 : 1; every site colour and state colour has it."""
    for shade in (*style.LIGHT, style.ALL, *style.STATE_COLOURS.values()):
        assert contrast(shade, style.PAPER) >= 3.0, shade
    assert contrast(style.QUIET, style.PAPER) >= 4.5


def test_a_hospital_keeps_its_slot_and_a_newcomer_gets_a_free_one() -> None:
    """Six colours, then another dash."""
    rows = [{"name": "b", "slot": 1}, {"name": "a", "slot": None}, {"name": "c", "slot": 0}]

    assert style.slots(rows) == {"c": 0, "b": 1, "a": 2}
    assert style.colour(6) == style.colour(0)
    assert style.dash(6) != style.dash(0)


def test_numbers_are_written_in_one_way() -> None:
    """Three decimals, thin spaces, KiB, and a dash where there is nothing."""
    assert style.value("0.91234") == "0.912"
    assert style.value(None) == "—"
    assert style.cases(12345) == "12\u2009345"
    assert style.cases(None) == "fewer than the floor"
    assert style.size(280_000) == "273 KiB"
    assert style.size(28_000_000) == "26.7 MiB"
    assert style.moment("2026-11-22T09:31:00Z") == "22 Nov 2026, 09:31 UTC"


def contrast(one: str, other: str) -> float:
    """Contrast of two colours (WCAG 2.2, relative luminance)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(shade: str) -> float:
    parts = [int(shade[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
