"""A picture of values by group, written as SVG by hand: no library, readable in any browser."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from html import escape

WIDTH, LEFT, RIGHT, ROW, TOP = 760, 190, 30, 46, 46
DOT, BAND, MEAN, GREY = "#1f5f8b", "#d9e6ef", "#b3441e", "#555"
MOST_TICKS = 8
Place = Callable[[float], float]


def dots(
    points: Mapping[str, Sequence[float]],
    bands: Mapping[str, tuple[float, float]],
    axis: str,
    band: str,
    intervals: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> str:
    """One row a group: a dot for each value with its interval, a bar at their mean, a band behind.

    Args:
        points: values of each group.
        bands: low and high of what is drawn behind a group.
        axis: what the values are.
        band: what the bands are.
        intervals: low and high of each value, in the order of `points`.
    """
    told = intervals or {}
    every = [value for row in points.values() for value in row]
    every += [edge for pair in bands.values() for edge in pair]
    every += [edge for row in told.values() for pair in row for edge in pair]
    ticks = _ticks(min(every), max(every))
    low, high = ticks[0], ticks[-1]
    height = TOP + ROW * len(points) + 64

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low)

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'aria-label="{escape(axis)}" font-family="system-ui, sans-serif" font-size="14">'
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        *_axis(ticks, x, height, axis),
        *_legend(band, intervals=bool(told)),
    ]
    for place, (name, values) in enumerate(points.items()):
        y = TOP + ROW * place + ROW / 2
        parts.append(
            f'<text x="{LEFT - 12}" y="{y + 5:.0f}" text-anchor="end" fill="#222">'
            f"{escape(name)}</text>"
        )
        if name in bands:
            begin, end = x(bands[name][0]), x(bands[name][1])
            parts.append(
                f'<rect x="{begin:.1f}" y="{y - 16:.0f}" width="{end - begin:.1f}" height="32" '
                f'fill="{BAND}"/>'
            )
        parts += _row(values, told.get(name, ()), y, x)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _row(
    values: Sequence[float], pairs: Sequence[tuple[float, float]], y: float, x: Place
) -> list[str]:
    parts = []
    step = 24 / max(len(values), 1)
    for place, value in enumerate(values):
        at = y - 12 + step * (place + 0.5)
        if pairs:
            low, high = pairs[place]
            parts.append(
                f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{at:.1f}" y2="{at:.1f}" '
                f'stroke="{DOT}" stroke-opacity="0.45" stroke-width="2"/>'
            )
        parts.append(f'<circle cx="{x(value):.1f}" cy="{at:.1f}" r="3.6" fill="{DOT}"/>')
    mean = x(statistics.fmean(values))
    parts.append(
        f'<line x1="{mean:.1f}" x2="{mean:.1f}" y1="{y - 17:.0f}" y2="{y + 17:.0f}" '
        f'stroke="{MEAN}" stroke-width="2.5"/>'
    )
    return parts


def _axis(ticks: Sequence[float], x: Place, height: int, axis: str) -> list[str]:
    bottom = height - 54
    parts = []
    for value in ticks:
        parts += [
            (
                f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{TOP - 6}" y2="{bottom}" '
                'stroke="#e4e4e4"/>'
            ),
            (
                f'<text x="{x(value):.1f}" y="{bottom + 18}" text-anchor="middle" fill="{GREY}">'
                f"{value:.2f}</text>"
            ),
        ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    return [
        *parts,
        (
            f'<text x="{middle:.0f}" y="{bottom + 42}" text-anchor="middle" fill="#222">'
            f"{escape(axis)}</text>"
        ),
    ]


def _legend(band: str, *, intervals: bool) -> list[str]:
    one = "one seed, 95 % interval" if intervals else "one seed"
    words = [(DOT, "●", one), (MEAN, "┃", "mean")] + ([(BAND, "■", band)] if band else [])
    parts, at = [], LEFT
    for colour, sign, text in words:
        parts.append(
            f'<text x="{at}" y="24" fill="{GREY}"><tspan fill="{colour}" font-size="17">{sign}'
            f"</tspan> {escape(text)}</text>"
        )
        at += 40 + 8 * len(text)
    return parts


def _ticks(low: float, high: float) -> list[float]:
    """At most eight round values from below all values to above them; a share ends at 1."""
    for step in (0.01, 0.02, 0.05, 0.1, 0.2):
        first, last = math.floor(low / step), math.ceil(min(high, 1.0) / step)
        if last - first < MOST_TICKS:
            break
    return [round(step * number, 2) for number in range(first, last + 1)]
