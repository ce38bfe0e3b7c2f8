"""Question and data of a draft: what is asked, of which data, and what their terms say to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboard import choices, drafting, purposes, words
from dashboard.asking import Asking

Plain = dict[str, Any]
SHOWN = {"approve": (":green", "✓"), "deny": (":red", "✕"), "abstain": (":orange", "?")}
CODES = "A code such as MONDO:0005249, without its name; several with commas."
ANCESTORS = (
    "The wider diseases that yours is a kind of, up to the root (MONDO or DOID). Data for research "
    "on lung disease fit a study of pneumonia only if lung disease is named here: no ontology is "
    "fetched while a study runs."
)


def question(asking: Asking, datasets: Sequence[Plain]) -> None:
    """Ask what the study is about and what the data are used for."""
    asking.text("title", "Title", placeholder="Pneumonia on chest radiographs")
    asking.text("summary", "Summary: what is asked, and of what use is the answer", area=True)
    use = asking.choice("use", "Use of the data", words.USES, "HMB")
    if use in drafting.WITH_DISEASE or asking.answers.get("disease"):
        one, two = st.columns(2)
        with one:
            asking.text("disease", "Disease codes", placeholder="MONDO:0005249", help_=CODES)
        with two:
            asking.text("ancestors", "Wider diseases", placeholder="MONDO:0005275", help_=ANCESTORS)
    one, two = st.columns(2)
    with one:
        asking.yes("commercial", "For a commercial purpose")
    with two:
        asking.yes("for_profit", "By an organisation for profit")
    asking.several("flags", "What a data access committee should see", choices.FLAGS)
    _answers(asking, datasets)


def _answers(asking: Asking, datasets: Sequence[Plain]) -> None:
    """What the terms of every offered data set say to this purpose, while it is written."""
    st.markdown("**What the terms of the data say to this purpose**")
    said = purposes.said(drafting.purpose_of(asking.answers), datasets)
    if not said:
        st.markdown(f":red[✕ {purposes.UNREADABLE}]")
    titles = {row["site"]: row["title"] for row in datasets}
    for row in said:
        st.markdown(_line(row, titles))


def _line(row: purposes.Said, titles: words.Names) -> str:
    colour, glyph = SHOWN[str(row.answer)]
    answer = choices.DUO_ANSWERS[str(row.answer)]
    terms = ", ".join(row.duo) or "no terms"
    return (
        f"{colour}-badge[{glyph} {answer}] **{words.hospital(row.site, titles)}** · {row.dataset} "
        f"· {terms}  \n:gray[{row.reason[:1].upper()}{row.reason[1:]}.]"
    )


def data(asking: Asking, datasets: Sequence[Plain]) -> None:
    """Ask which data are used; where a committee decides, its decision is asked too."""
    labels = {f"{row['site']}|{row['dataset']}": _dataset(row) for row in datasets}
    asking.several("datasets", "Data sets, one or more for each hospital", labels)
    st.markdown(":gray[Sizes are told in steps only; a size below a hospital's floor is not told.]")
    st.page_link(
        "views/counts.py", label="Ask the hospitals how many patients they have",
        icon=":material/groups:",
    )  # fmt: skip
    titles = {row["site"]: row["title"] for row in datasets}
    rows = chosen(asking, datasets)
    for said in purposes.said(drafting.purpose_of(asking.answers), rows):
        st.markdown(_line(said, titles))
        if said.asks:
            _decision(asking, f"dac|{said.site}|{said.dataset}", titles[said.site])


def chosen(asking: Asking, datasets: Sequence[Plain]) -> list[Plain]:
    """The data sets that were chosen."""
    names = set(asking.answers["datasets"])
    return [row for row in datasets if f"{row['site']}|{row['dataset']}" in names]


def _decision(asking: Asking, name: str, title: str) -> None:
    st.markdown(
        f":gray[Ask {title}'s data access committee, and name its decision; without it the "
        "charter is refused.]"
    )
    one, two = st.columns((2, 3), vertical_alignment="bottom")
    with one:
        asking.text(f"{name}|ref", f"Decision of {title}: reference", placeholder="DAC-2026-12")
    with two:
        asking.text(f"{name}|sha256", f"SHA-256 of the decision of {title}")


def _dataset(row: Plain) -> str:
    kinds = ", ".join(word.upper() for word in row["modality"])
    return f"{row['title']} · {row['dataset']} · {kinds} · {row['examples']} cases"
