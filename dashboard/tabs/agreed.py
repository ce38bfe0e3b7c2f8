"""What the hospitals agree on in a draft: quorum, release, shares, dates, documents, measures."""

from __future__ import annotations

from typing import Any

import streamlit as st

from compliance.records.measures import LOCAL, folded, names_of
from compliance.rules.quorum import default_k
from dashboard import agreeing, choices, words
from dashboard.asking import Asking

Plain = dict[str, Any]
QUORUM = (
    "How many hospitals must have cosigned a checkpoint of the log before a model is released or "
    "evidence is exported. Training goes on meanwhile."
)
KEY = "One a line: a name, a space, and its verifier key (C2SP)."


def quorum(asking: Asking, sites: list[str], titles: words.Names) -> None:
    """Ask who cosigns and how many must; the sentence below says what that bears."""
    st.markdown("**Witnesses of the log**")
    if not sites:
        st.markdown(":gray[Choose data sets first (step 2): their hospitals are the witnesses.]")
        return
    above = st.container()  # what it shows follows from the questions below it
    with st.expander("Other witnesses", icon=":material/visibility:"):
        names = {site: words.hospital(site, titles) for site in sites}
        asking.several("no_witness", "Hospitals that train but do not cosign", names)
        asking.text("external", "Witnesses from outside the study", area=True, help_=KEY)
    outside = agreeing.outside_of(asking.answers)
    count = len(agreeing.witnesses_of(asking.answers, sites)) + len(outside)
    asking.follow("quorum_k", count)
    with above:
        asking.slide("quorum_k", "Cosignatures needed", 1, count, default_k(count), QUORUM)
        found = agreeing.quorum_of(asking.answers, sites)
        st.info(agreeing.quorum_words(found), icon=":material/diversity_3:")


def release(asking: Asking, count: int) -> None:
    """Ask what may be handed out, and how many hospitals must agree."""
    st.markdown("**Handing the model out**")
    asking.several("outputs", "What may be handed out", choices.OUTPUTS, ["weights"])
    asking.follow("release_k", count)
    most = max(count, 1)
    one, two = st.columns(2, vertical_alignment="bottom")
    with one:
        asking.count("release_k", "Hospitals that must agree", 1, most, most // 2 + 1)
    with two:
        asking.yes("veto", "One hospital alone can say no", default=True)


def shares(asking: Asking, count: int) -> None:
    """Ask by which rule contributions are measured, and its numbers."""
    st.markdown("**Shares of contribution**")
    rule = asking.choice("contribution", "Rule", choices.SHARES, "cases")
    if rule not in agreeing.MEASURED:
        return
    one, two = st.columns(2)
    with one:
        asking.count("seeds", "Repetitions (seeds)", agreeing.SEEDS, 100, agreeing.SEEDS)
    with two:
        most = round(1 / max(count, 1), 4)
        asking.number("share_floor", "Least share of each hospital", "%.4f", (0.0, most), 0.0)


def dates(asking: Asking) -> None:
    """Ask from when until when, and how long the records are kept."""
    st.markdown("**Dates**")
    labels = {
        "starts": "Starts (else at once)",
        "expires": "Good until (else one year)",
        "retention_until": "Records kept until (else six years)",
    }
    for column, (name, label) in zip(
        st.columns(3, vertical_alignment="bottom"), labels.items(), strict=True
    ):
        with column:
            asking.day(name, label)


def measures(asking: Asking, *, task: str, classes: list[str], baseline: bool) -> None:
    """Ask what may be measured at all; nothing else may leave a hospital as a number."""
    st.markdown("**What is measured**")
    every = folded(names_of(task, classes, baseline=baseline))
    names = {name: _measure(name) for name in every}
    asking.follow("metrics", len(names))
    asking.several("metrics", "Only these numbers may leave a hospital", names, list(names))
    asked = asking.answers.get("subgroups") or []
    groups = words.FAMILIES | {
        word: words.GROUP_WORDS.get(word, word) for word in asked if word not in words.FAMILIES
    }
    asking.several("subgroups", "Told by group of patients too", groups)
    lines = [name for name in asking.answers["metrics"] if name.partition(".")[0] in words.METRICS]
    chosen = {name: names[name] for name in lines}
    asking.choice("primary", "The one that counts", chosen, next(iter(chosen), None))


def _measure(name: str) -> str:
    own = name.removeprefix(LOCAL)
    return words.measure(own) if own == name else f"{words.measure(own)}, trained alone"


def documents(asking: Asking) -> None:
    """Ask for the documents that everybody agrees on, by reference and hash."""
    st.markdown("**Documents that belong to the charter**")
    for kind in asking.several("documents", "Kinds of documents", choices.DOCUMENTS):
        title = choices.DOCUMENTS[kind]
        one, two = st.columns((2, 3), vertical_alignment="bottom")
        with one:
            asking.text(f"document|{kind}|ref", f"{title}: reference")
        with two:
            asking.text(f"document|{kind}|sha256", f"{title}: SHA-256")
