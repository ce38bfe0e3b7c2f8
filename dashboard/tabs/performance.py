"""Performance: what each hospital measured, with counts and intervals, and what may not be said."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import charts, measured, page, style, tables, words
from dashboard.hub_client import open_hub
from dashboard.measured import Asked

Plain = dict[str, Any]
MOST_COLUMNS = 8
"""With more hospitals the matrix is a table."""


def draw(study: Plain, now: Plain) -> None:
    """Draw the tab."""
    number = study["study"]
    with open_hub() as hub:
        metrics = page.ask(f"metrics {number}", lambda: hub.metrics(number))
        sites = page.ask("sites", hub.sites)
    names, slots = tables.names_of(sites), style.slots(sites)
    known = tables.measures(metrics)
    if not known:
        page.empty("No hospital has measured anything yet.", "The first numbers come with round 1.")
        return
    asked = Asked(metrics, names, tables.ages(now))
    _drift(asked)
    measure = st.selectbox("Measure", known, format_func=words.measure)
    label = words.measure(measure)
    rows = asked.points(measure)
    st.subheader(f"{label} of the common model")
    _quiet("Each hospital measures on its own test cases. The band is the 95 % interval.")
    chart = charts.metric_lines(rows, slots, label=label)
    st.altair_chart(chart, alt=charts.metric_alt(rows, label), theme=None)
    _summary(asked, measure, label)
    _comparison(asked, measure, label)
    _matrix(asked, measure, label)
    _groups(asked, measure, label, slots)
    _calibration(asked, slots)
    _thresholds(asked)
    with st.expander("All numbers", icon=":material/table:"):
        st.table(tables.metric_table(rows), border="horizontal")
        _quiet(
            "▨ too few: fewer than 10 positive or 10 negative cases say nothing; such a value has "
            "no point and no rank."
        )


def _quiet(sentence: str) -> None:
    st.markdown(f":gray[{sentence}]")


def _drift(asked: Asked) -> None:
    """First of all: numbers of data that moved mean something else."""
    rows = measured.drift(asked)
    if not rows:
        return
    moved = [row["Hospital"] for row in rows if row["Verdict"].startswith("moved")]
    if moved:
        st.warning(
            f"The data of {words.listed(moved)} have moved from the version that the charter "
            "names: compare with care.", icon=":material/gpp_maybe:",
        )  # fmt: skip
    with st.expander("Data against their registration", icon=":material/compare_arrows:"):
        st.table(rows, border="horizontal")
        _quiet(
            "Population stability index against the version that the charter names; above 0.25 the "
            "data have moved. A hospital that is not listed measures on that very version."
        )


def _summary(asked: Asked, measure: str, label: str) -> None:
    """Lowest and highest hospital by one and the same model; never a mean."""
    age = asked.age(measure)
    rows = asked.newest(measure, age)
    newest = {row["site"]: row for row in rows if row["value"] is not None and row["round"] == age}
    if not newest:
        st.info("Too few cases everywhere: there is no value to show.", icon=":material/info:")
        return
    few = [row["hospital"] for row in rows if row["few"]]
    when = "round" if age == 1 else "rounds"
    low = min(newest.values(), key=lambda row: row["value"])
    high = max(newest.values(), key=lambda row: row["value"])
    one, two = st.columns(2)
    for column, word, row in ((one, "Lowest", low), (two, "Highest", high)):
        column.metric(f"{word} {label} after {age} {when}", style.value(row["value"]), border=True)
        counts = f"{style.cases(row['n'])} cases"
        if row["positives"] is not None:
            counts += f", {style.cases(row['positives'])} positive"
        spread = style.interval(row["low"], row["high"])
        column.markdown(f":gray[{row['hospital']} · {spread} · {counts}]")
    if few:
        st.markdown(f":gray[▨ Too few cases to say anything: {words.listed(sorted(set(few)))}.]")


def _comparison(asked: Asked, measure: str, label: str) -> None:
    rows = tables.comparison(asked.metrics, measure, asked.names, asked.ages)
    if not rows:
        return
    st.subheader("Alone and together")
    _quiet(
        "The newest value of a model trained on the hospital's own cases only, beside the common "
        "model, both on the hospital's own test cases. Intervals that overlap show no clear "
        "difference."
    )
    st.altair_chart(
        charts.comparison(rows, label=label), alt=charts.comparison_alt(rows, label), theme=None
    )
    told = measured.leads(asked, measure)
    if told:
        st.markdown("**Did joining help?**")
        _quiet("The common model less the own one, case by case on the same test cases.")
        st.markdown("\n".join(f"- {line}" for line in told))


def _matrix(asked: Asked, measure: str, label: str) -> None:
    rows = measured.matrix(asked, measure)
    hospitals = {row["hospital"] for row in rows}
    if not rows:
        return
    st.subheader("Every model at every hospital")
    if len(hospitals) <= MOST_COLUMNS:
        chart = charts.matrix(rows, label=label)
        st.altair_chart(chart, alt=charts.matrix_alt(rows, label), theme=None)
    else:
        told = [row for row in rows if row["known"]]
        st.table(
            [
                {"Model": row["model"], "Test cases of": row["hospital"], label: row["shown"],
                 "Interval and counts": row["below"]}
                for row in told
            ],
            border="horizontal",
        )  # fmt: skip
    _quiet(
        "A model that a hospital trained alone never leaves it: what it would do elsewhere is "
        "measured only in a sweep of single coalitions, if the charter names one. No mean is made "
        "over hospitals."
    )


def _groups(asked: Asked, measure: str, label: str, slots: dict[str, int]) -> None:
    rows = measured.groups(asked, measure)
    if not rows:
        return
    st.subheader("By group of patients")
    if any(row["value"] is not None for row in rows):
        chart = charts.groups(rows, slots, label=label)
        st.altair_chart(chart, alt=charts.groups_alt(rows, label), theme=None)
    else:
        st.info("No group is large enough anywhere to be told.", icon=":material/info:")
    lines = measured.hidden(rows)
    if lines:
        _quiet(
            "▨ Not told: fewer than the floor, nobody at all, or large enough but a smaller group "
            "could be worked out from it; these look the same."
        )
        st.markdown("\n".join(f"- :gray[{line}]" for line in lines))
    with st.expander("Groups in numbers", icon=":material/table:"):
        st.table(measured.group_table(rows), border="horizontal")


def _calibration(asked: Asked, slots: dict[str, int]) -> None:
    if not measured.has_bins(asked):
        return
    st.subheader("Calibration")
    _quiet(
        "Does a score of 80 % mean four of five? On the dashed line it does. A bin with too few "
        "positive or negative cases is not drawn, nor one from which it could be worked out."
    )
    rows = measured.bins(asked)
    if rows:
        chart = charts.calibration(rows, slots)
        st.altair_chart(chart, alt=charts.calibration_alt(rows), theme=None)
    else:
        st.info("No bin holds enough cases anywhere.", icon=":material/info:")
    lines = measured.errors(asked)
    if lines:
        st.markdown("\n".join(f"- {line}" for line in lines))


def _thresholds(asked: Asked) -> None:
    rows = measured.thresholds(asked)
    if not rows:
        return
    st.subheader("Threshold")
    _quiet(
        "From this score on a case counts as positive in sensitivity, specificity and accuracy. "
        "Each hospital chose it once on its validation cases, never on the test cases; the log "
        "refuses another."
    )
    st.table(rows, border="horizontal")
