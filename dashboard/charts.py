"""Data in, Altair chart out: pure functions, each with its text alternative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from dashboard import style, words

Row = Mapping[str, Any]
Layers = alt.LayerChart | alt.FacetChart
HEIGHT, STRIP_ROW, AXES = 340, 36, 80
"""Pixels: a line chart, one hospital in a strip, and what axes and legend take."""

FONT = "Source Sans, sans-serif"


def metric_lines(rows: Sequence[Row], slots: Mapping[str, int], *, label: str) -> Layers:
    """One line for each hospital over the rounds, with its 95 % band; too few cases are no point.

    Args:
        rows: `hospital`, `site`, `round`, `value`, `low`, `high`, `n`, `positives`.
        slots: colour slot by site.
        label: name of the measure, for the axis.
    """
    drawn = [dict(row) for row in rows if row["value"] is not None]
    base = alt.Chart(_data(drawn)).encode(x=_rounds(rows))
    scale = alt.Scale(zero=False, nice=True)
    y = alt.Y("value:Q", title=label, scale=scale, axis=alt.Axis(format=".2f"))
    colour = alt.Color("hospital:N", scale=_colours(rows, slots), legend=_legend())
    band = base.mark_area(opacity=0.10).encode(
        y=alt.Y("low:Q", title=label, scale=scale), y2="high:Q",
        color=colour,
    )  # fmt: skip
    line = base.mark_line(strokeWidth=2).encode(
        y=y, color=colour, strokeDash=_dashes(rows, slots), tooltip=_tooltip(label)
    )
    point = base.mark_point(size=70, filled=True, opacity=1).encode(
        y=y, color=colour, shape=_shapes(rows, slots), tooltip=_tooltip(label)
    )
    return _finished(alt.layer(band, line, point), HEIGHT)


def metric_alt(rows: Sequence[Row], label: str) -> str:
    """What the line chart says, in words."""
    newest = max((row["round"] for row in rows), default=0)
    parts = [
        f"{row['hospital']} {style.value(row['value'])}"
        for row in rows
        if row["round"] == newest and row["value"] is not None
    ]
    return f"{label} by hospital. After {newest} rounds: {'; '.join(parts) or 'nothing yet'}."


def participation(rows: Sequence[Row]) -> Layers:
    """Who took part in which round: a cell with glyph, word and colour.

    Args:
        rows: `hospital`, `round`, `state`, `why`.
    """
    cells = [dict(row) | {"cell": f"{words.GLYPHS[row['state']]} {row['state']}"} for row in rows]
    states = list(style.STATE_COLOURS)
    scale = alt.Scale(domain=states, range=[style.STATE_COLOURS[state] for state in states])
    base = alt.Chart(_data(cells)).encode(
        x=alt.X("round:O", title="Round", axis=alt.Axis(labelAngle=0, orient="top")),
        y=alt.Y("hospital:N", title=None, axis=alt.Axis(labelLimit=220, ticks=False)),
        tooltip=[
            alt.Tooltip("hospital:N", title="Hospital"),
            alt.Tooltip("round:O", title="Round"),
            alt.Tooltip("why:N", title="What happened"),
        ],
    )
    box = base.mark_rect(opacity=0.14, stroke=style.PAPER, strokeWidth=3, cornerRadius=6).encode(
        color=alt.Color("state:N", scale=scale, legend=None)
    )
    text = base.mark_text(fontSize=12, fontWeight="bold").encode(
        text="cell:N", color=alt.Color("state:N", scale=scale, legend=None)
    )
    hospitals = {row["hospital"] for row in rows}
    return _finished(alt.layer(box, text), STRIP_ROW * max(1, len(hospitals)) + AXES)


def participation_alt(rows: Sequence[Row]) -> str:
    """What the strip says, in words."""
    used = sum(row["state"] == "used" for row in rows)
    odd = [
        f"{row['hospital']} in round {row['round']}: {row['why']}"
        for row in rows
        if row["state"] in {"left out", "missing"}
    ]
    tail = f" Not used: {'; '.join(odd)}." if odd else ""
    return f"Hospitals by round; {used} updates were used.{tail}"


def comparison(rows: Sequence[Row], *, label: str) -> Layers:
    """Each hospital's value with its own cases only against the common model, with intervals.

    Args:
        rows: `hospital`, `kind` (own cases only, all hospitals together), `value`, `low`, `high`.
        label: name of the measure, for the axis.
    """
    drawn = [dict(row) for row in rows if row["value"] is not None]
    kinds = ["own cases only", "all hospitals together"]
    scale = alt.Scale(domain=kinds, range=[style.GREY, style.LIGHT[0]])
    y = alt.Y("hospital:N", title=None, axis=alt.Axis(labelLimit=220, ticks=False))
    base = alt.Chart(_data(drawn)).encode(
        y=y,
        yOffset=alt.YOffset("kind:N", scale=alt.Scale(domain=kinds)),
        color=alt.Color("kind:N", scale=scale, legend=_legend(title=None)),
    )
    axis = alt.X("value:Q", title=f"{label} with 95 % interval", scale=alt.Scale(zero=False))
    rule = base.mark_rule(strokeWidth=3, opacity=0.55).encode(
        x=alt.X("low:Q", title=f"{label} with 95 % interval", scale=alt.Scale(zero=False)),
        x2="high:Q",
    )
    point = base.mark_point(size=110, filled=True, opacity=1).encode(
        x=axis,
        shape=alt.Shape(
            "kind:N", scale=alt.Scale(domain=kinds, range=["square", "circle"]), legend=None
        ),
        tooltip=[
            alt.Tooltip("hospital:N", title="Hospital"),
            alt.Tooltip("kind:N", title="Trained on"),
            *_tooltip(label)[2:],
        ],
    )
    hospitals = {row["hospital"] for row in drawn}
    return _finished(alt.layer(rule, point), 2 * STRIP_ROW * max(1, len(hospitals)) + AXES)


def comparison_alt(rows: Sequence[Row], label: str) -> str:
    """What the comparison says, in words."""
    parts = [
        f"{row['hospital']}, {row['kind']}: {style.value(row['value'])}"
        for row in rows
        if row["value"] is not None
    ]
    return f"{label} by hospital. {'; '.join(parts) or 'Nothing yet'}."


def _data(rows: Sequence[Row]) -> alt.InlineData:
    return alt.InlineData(values=list(rows))


def _finished(chart: Layers, height: int) -> Layers:
    finished: Layers = (
        chart.properties(height=height, width="container", background=style.PAPER)
        .configure_axis(
            labelColor=style.QUIET, titleColor=style.INK, gridColor="#E5E7EB",
            domainColor=style.LINE, labelFontSize=12, titleFontSize=12, titleFontWeight=600,
            titlePadding=10, labelFont=FONT, titleFont=FONT,
        )
        .configure_legend(labelFontSize=12, labelColor=style.INK, labelFont=FONT, titleFont=FONT)
        .configure_view(strokeWidth=0)
    )  # fmt: skip
    return finished


def _rounds(rows: Sequence[Row]) -> alt.X:
    numbers = sorted({int(row["round"]) for row in rows})
    axis = alt.Axis(labelAngle=0, grid=False)
    return alt.X("round:O", title="Rounds of training", sort=numbers, axis=axis)


def _names(rows: Sequence[Row], slots: Mapping[str, int]) -> list[tuple[str, int]]:
    pairs = {(str(row["hospital"]), slots.get(str(row["site"]), 0)) for row in rows}
    return sorted(pairs, key=lambda pair: (pair[1], pair[0]))


def _colours(rows: Sequence[Row], slots: Mapping[str, int]) -> alt.Scale:
    pairs = _names(rows, slots)
    return alt.Scale(domain=[n for n, _ in pairs], range=[style.colour(s) for _, s in pairs])


def _dashes(rows: Sequence[Row], slots: Mapping[str, int]) -> alt.StrokeDash:
    pairs = _names(rows, slots)
    scale = alt.Scale(domain=[n for n, _ in pairs], range=[style.dash(s) for _, s in pairs])
    return alt.StrokeDash("hospital:N", scale=scale, legend=None)


def _shapes(rows: Sequence[Row], slots: Mapping[str, int]) -> alt.Shape:
    pairs = _names(rows, slots)
    scale = alt.Scale(domain=[n for n, _ in pairs], range=[style.shape(s) for _, s in pairs])
    return alt.Shape("hospital:N", scale=scale, legend=_legend())


def _legend(title: str | None = None) -> alt.Legend:
    return alt.Legend(
        title=title, orient="top", symbolOpacity=1, symbolStrokeWidth=2, labelLimit=240
    )


def _tooltip(label: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("hospital:N", title="Hospital"),
        alt.Tooltip("round:O", title="Rounds"),
        alt.Tooltip("value:Q", title=label, format=".3f"),
        alt.Tooltip("low:Q", title="95 % from", format=".3f"),
        alt.Tooltip("high:Q", title="to", format=".3f"),
        alt.Tooltip("n:Q", title="Cases"),
        alt.Tooltip("positives:Q", title="Positive"),
    ]
