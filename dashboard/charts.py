"""Data in, Altair chart out: pure functions, each with its text alternative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from dashboard import style, words

Row = Mapping[str, Any]
Layers = alt.LayerChart | alt.FacetChart
HEIGHT, SHORT, STRIP_ROW, AXES, MATRIX_ROW = 340, 240, 36, 80, 62
"""Pixels: a line chart, a low one, a hospital in a strip, axes and legend, one row of a matrix."""

APART = 0.012
"""Between the points of two hospitals in one bin, in score: they would hide each other."""

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


def calibration(rows: Sequence[Row], slots: Mapping[str, int]) -> Layers:
    """For each hospital what share of the cases with a score was positive, against the score.

    Args:
        rows: `hospital`, `site`, `score` (middle of a bin), `value`, `low`, `high`, `n`.
        slots: colour slot by site.
    """
    whole = alt.Scale(domain=[0, 1], nice=False)
    percent = alt.Axis(format=".0%")
    ideal = (
        alt.Chart(_data([{"score": 0, "value": 0}, {"score": 1, "value": 1}]))
        .mark_line(color=style.GREY, strokeDash=[4, 4], strokeWidth=1.5)
        .encode(x="score:Q", y="value:Q")
    )
    colour = alt.Color("hospital:N", scale=_colours(rows, slots), legend=_legend())
    sites = sorted({str(row["site"]) for row in rows})
    beside = {site: APART * (place - (len(sites) - 1) / 2) for place, site in enumerate(sites)}
    drawn = [dict(row) | {"at": row["score"] + beside[str(row["site"])]} for row in rows]
    base = alt.Chart(_data(drawn)).encode(
        x=alt.X("at:Q", title="Score that the model gave", scale=whole, axis=percent), color=colour
    )
    y = alt.Y("value:Q", title="Share that was positive", scale=whole, axis=percent)
    rule = base.mark_rule(strokeWidth=2, opacity=0.5).encode(
        y=alt.Y("low:Q", title="Share that was positive", scale=whole, axis=percent), y2="high:Q"
    )
    point = base.mark_point(size=80, filled=True, opacity=1).encode(
        y=y, shape=_shapes(rows, slots),
        tooltip=[
            alt.Tooltip("hospital:N", title="Hospital"),
            alt.Tooltip("score:Q", title="Score about", format=".2f"),
            *_tooltip("Positive share")[2:],
        ],
    )  # fmt: skip
    return _finished(alt.layer(ideal, rule, point), HEIGHT)


def calibration_alt(rows: Sequence[Row]) -> str:
    """What the calibration plot says, in words."""
    parts = [
        f"{row['hospital']}, score about {row['score']:.2f}: {row['value']:.0%} positive"
        for row in rows
    ]
    return f"Share of positive cases by score. {'; '.join(parts) or 'Nothing to show'}."


def groups(rows: Sequence[Row], slots: Mapping[str, int], *, label: str) -> Layers:
    """A value with its interval for each group of patients and hospital.

    Args:
        rows: `group`, `hospital`, `site`, `value`, `low`, `high`, `n`, `positives`.
        slots: colour slot by site.
        label: name of the measure, for the axis.
    """
    drawn = [dict(row) for row in rows if row["value"] is not None]
    order = list(dict.fromkeys(str(row["group"]) for row in drawn))
    title = f"{label} with 95 % interval"
    base = alt.Chart(_data(drawn)).encode(
        y=alt.Y("group:N", title=None, sort=order, axis=alt.Axis(labelLimit=220, ticks=False)),
        yOffset=alt.YOffset("hospital:N"),
        color=alt.Color("hospital:N", scale=_colours(drawn, slots), legend=_legend()),
    )
    scale = alt.Scale(zero=False)
    rule = base.mark_rule(strokeWidth=3, opacity=0.55).encode(
        x=alt.X("low:Q", title=title, scale=scale), x2="high:Q"
    )
    point = base.mark_point(size=90, filled=True, opacity=1).encode(
        x=alt.X("value:Q", title=title, scale=scale),
        shape=_shapes(drawn, slots),
        tooltip=[alt.Tooltip("group:N", title="Group"), *_tooltip(label)],
    )
    each = 18 * max(1, len({row["hospital"] for row in drawn})) + 14
    return _finished(alt.layer(rule, point), each * max(1, len(order)) + AXES)


def groups_alt(rows: Sequence[Row], label: str) -> str:
    """What the chart of groups says, in words."""
    parts = [
        f"{row['group']}, {row['hospital']}: {style.value(row['value'])}"
        for row in rows
        if row["value"] is not None
    ]
    return f"{label} by group of patients. {'; '.join(parts) or 'Nothing to show'}."


def matrix(rows: Sequence[Row], *, label: str) -> Layers:
    """Every model at every hospital: the value large, interval and counts below it.

    Args:
        rows: `model`, `hospital`, `value` or None, `shown`, `below`, `known`.
        label: name of the measure, for the tooltip.
    """
    plain = [dict(row) for row in rows]
    models = list(dict.fromkeys(str(row["model"]) for row in plain))
    top = alt.Axis(orient="top", labelAngle=0, labelLimit=200, ticks=False, domain=False)
    base = alt.Chart(_data(plain)).encode(
        x=alt.X("hospital:N", title="Test cases of", axis=top),
        y=alt.Y(
            "model:N", title=None, sort=models,
            axis=alt.Axis(labelLimit=260, labelPadding=8, ticks=False, domain=False),
        ),
        tooltip=[
            alt.Tooltip("model:N", title="Model"),
            alt.Tooltip("hospital:N", title="Test cases of"),
            alt.Tooltip("shown:N", title=label),
            alt.Tooltip("below:N", title="Interval and counts"),
        ],
    )  # fmt: skip
    known, told = alt.datum.known, alt.datum.value != None  # noqa: E711 - an expression of Vega
    box = base.mark_rect(stroke=style.LINE, strokeWidth=1, cornerRadius=6).encode(
        color=alt.when(known & told).then(alt.value("#E8EFFC")).otherwise(alt.value(style.WASH))
    )
    number = base.mark_text(dy=-8, fontWeight=600, font=FONT).encode(
        text="shown:N",
        size=alt.when(told).then(alt.value(17)).otherwise(alt.value(12)),
        color=alt.when(told).then(alt.value(style.INK)).otherwise(alt.value(style.QUIET)),
    )
    below = base.mark_text(dy=12, fontSize=11, color=style.QUIET, font=FONT).encode(text="below:N")
    return _finished(alt.layer(box, number, below), MATRIX_ROW * max(1, len(models)) + AXES)


def matrix_alt(rows: Sequence[Row], label: str) -> str:
    """What the matrix says, in words."""
    parts = [
        f"{row['model']} on test cases of {row['hospital']}: {row['shown']} {row['below']}".strip()
        for row in rows
        if row["known"]
    ]
    return f"{label} of every model at every hospital. {'; '.join(parts) or 'Nothing yet'}."


def spending(rows: Sequence[Row], slots: Mapping[str, int]) -> Layers:
    """How epsilon of each data set grows over the rounds.

    Args:
        rows: `hospital`, `site`, `round`, `value` (the sum so far).
        slots: colour slot by site.
    """
    base = alt.Chart(_data(rows)).encode(
        x=_rounds(rows),
        y=alt.Y("value:Q", title="ε so far", scale=alt.Scale(zero=True, nice=True)),
        color=alt.Color("hospital:N", scale=_colours(rows, slots), legend=_legend()),
        tooltip=[
            alt.Tooltip("hospital:N", title="Hospital"),
            alt.Tooltip("round:O", title="Round"),
            alt.Tooltip("value:Q", title="ε so far", format=".3f"),
        ],
    )
    line = base.mark_line(strokeWidth=2, interpolate="step-after").encode(
        strokeDash=_dashes(rows, slots)
    )
    point = base.mark_point(size=70, filled=True, opacity=1).encode(shape=_shapes(rows, slots))
    return _finished(alt.layer(line, point), SHORT)


def spending_alt(rows: Sequence[Row]) -> str:
    """What the chart of epsilon says, in words."""
    newest = {str(row["hospital"]): row["value"] for row in rows}
    parts = [f"{name} {style.epsilon(value)}" for name, value in sorted(newest.items())]
    return f"Epsilon so far by hospital: {'; '.join(parts) or 'nothing yet'}."


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
