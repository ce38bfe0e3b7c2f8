"""Performance: what each hospital measured over the rounds, with counts and intervals."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import charts, page, style, tables, words
from dashboard.hub_client import open_hub

Plain = dict[str, Any]


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
    measure = st.selectbox("Measure", known, format_func=words.METRICS.__getitem__)
    label = words.METRICS[measure]
    ages = tables.ages(now)
    rows = tables.points(metrics, measure, names, ages)
    st.subheader(f"{label} of the common model")
    st.markdown(
        ":gray[Each hospital measures on its own test cases. The band is the 95 % interval.]"
    )
    chart = charts.metric_lines(rows, slots, label=label)
    st.altair_chart(chart, alt=charts.metric_alt(rows, label), theme=None)
    _summary(rows, label)
    _comparison(tables.comparison(metrics, measure, names, ages), label)
    with st.expander("All numbers", icon=":material/table:"):
        st.table(tables.metric_table(rows), border="horizontal")
        st.markdown(
            ":gray[▨ too few: fewer than 10 positive or 10 negative cases say nothing; such "
            "a value has no point and no rank.]"
        )


def _summary(rows: list[Plain], label: str) -> None:
    newest = {row["site"]: row for row in rows if row["value"] is not None}
    if not newest:
        st.info("Too few cases everywhere: there is no value to show.", icon=":material/info:")
        return
    few = [row["hospital"] for row in rows if row["few"] and row["site"] not in newest]
    low = min(newest.values(), key=lambda row: row["value"])
    high = max(newest.values(), key=lambda row: row["value"])
    one, two = st.columns(2)
    for column, word, row in ((one, "Lowest", low), (two, "Highest", high)):
        column.metric(f"{word} {label} now", style.value(row["value"]), border=True)
        counts = f"{style.cases(row['n'])} cases, {style.cases(row['positives'])} positive"
        spread = style.interval(row["low"], row["high"])
        column.markdown(f":gray[{row['hospital']} · {spread} · {counts}]")
    if few:
        st.markdown(f":gray[▨ Too few cases to say anything: {words.listed(sorted(set(few)))}.]")


def _comparison(rows: list[Plain], label: str) -> None:
    if not rows:
        return
    st.subheader("Alone and together")
    st.markdown(
        ":gray[The newest value of a model trained on the hospital's own cases only, beside the "
        "common model, both on the hospital's own test cases. Intervals that overlap show no clear "
        "difference.]"
    )
    st.altair_chart(
        charts.comparison(rows, label=label), alt=charts.comparison_alt(rows, label), theme=None
    )
