"""The question how updates become one model, with the default that this many hospitals can bear."""

from __future__ import annotations

import streamlit as st

from compliance.rules.honest import default_f, default_rule, what_may_be_said
from compliance.rules.methods import AGGREGATORS, ROOT
from dashboard import aggregating, choices
from dashboard.asking import Asking


def draw(asking: Asking, most: int) -> int:
    """Ask; returns the fewest hospitals of a round that the answer allows.

    Args:
        asking: the form.
        most: hospitals of the study.
    """
    for name in ("aggregator", "f"):
        asking.follow(name, most)
    proposed = default_rule(most)
    rule = asking.choice(
        "aggregator", "How updates become one model", choices.AGGREGATORS, proposed.rule
    )
    rule = rule or proposed.rule
    if "f" in AGGREGATORS[rule]:
        highest = max((most - 1) // 2, 1)
        asking.count("f", "Hospitals that may lie", 1, highest, min(default_f(most), highest))
    if rule == "fltrust":
        st.markdown(f":gray[One hospital brings a data set named `{ROOT}`; its update is no vote.]")
    _server(asking)
    _masks(asking, rule)
    asking.yes("keep_updates", "The hub keeps every update, so that an auditor can recompute")
    return aggregating.least_of(asking.answers, most)


def say(asking: Asking) -> None:
    """Say what the chosen rule bears with the fewest hospitals of a round."""
    rule = str(asking.answers.get("aggregator") or "fedavg")
    f = asking.answers.get("f") if "f" in AGGREGATORS[rule] else None
    said = what_may_be_said(rule, int(asking.answers.get("min_sites") or 1), f)
    st.markdown(f":gray[{said}]")


def _masks(asking: Asking, rule: str) -> None:
    if rule != "fedavg":  # a rule that looks at single updates
        asking.answers["masked"] = False
        return
    if asking.yes("masked", "The hub sees only the sum of the updates (masks)"):
        asking.count("n_ref", "Most training cases of a hospital", 1, 1_000_000_000, 1000)
        st.markdown(f":gray[{aggregating.MASKED}]")


def _server(asking: Asking) -> None:
    server = asking.choice("server", "Step of the hub", choices.SERVERS, aggregating.NONE)
    if server and server != aggregating.NONE:
        start = aggregating.STEP_RATES[server]
        asking.number("server_lr", "Rate of the hub's step", "%.5f", (0.00001, 100.0), start)
