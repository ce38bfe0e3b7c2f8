"""Terms of a draft: the legal block, one part for each hospital; nothing is filled in by itself."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dashboard import choices, drafting, legal_block, words
from dashboard.asking import Asking


def draw(asking: Asking, titles: dict[str, str]) -> None:
    """Ask the legal block of the chosen hospitals."""
    asking.yes("joint_controllers", "The hospitals are joint controllers")
    one, two, three = st.columns((3, 2, 3), vertical_alignment="bottom")
    with one:
        asking.text("processor", "Processor, if there is one")
    with two:
        asking.text("processing_agreement.ref", "Agreement: reference")
    with three:
        asking.text("processing_agreement.sha256", "SHA-256 of the agreement")
    asking.several("purposes", "Legal purpose", words.PURPOSES)
    _transfers(asking)
    chosen = asking.answers.get("datasets") or []
    sites = sorted({name.split("|", 1)[0] for name in chosen})
    if not sites:
        st.markdown(":gray[Choose data sets first: each hospital has its own part here.]")
    for site in sites:
        with st.expander(titles.get(site, site), icon=":material/gavel:"):
            _hospital(asking, site)
    with st.expander("Fingerprint of a document", icon=":material/fingerprint:"):
        st.markdown(":gray[The charter names documents by their SHA-256. The file is not kept.]")
        given = st.file_uploader("Document", key="document")
        if given is not None:
            st.code(drafting.fingerprint(given.getvalue()), language=None)


def _transfers(asking: Asking) -> None:
    """Countries outside that data about the study go to; each has its ground."""
    hint = "Two letters each, with commas, such as US, JP. Leave it empty if there are none."
    asking.text("transfer_countries", "Transfers to other countries", help_=hint)
    for row in legal_block.transfers_of(asking.answers):
        country = row["country"]
        asking.choice(f"transfer|{country}", f"{country}: permitted by", choices.TRANSFERS, None)


def _hospital(asking: Asking, site: str) -> None:
    def name(path: str) -> str:
        return f"legal|{site}|{path}"

    asking.text(name("controller"), "Controller", placeholder="Full name of the institution")
    asking.choice(name("lawful_basis"), "Lawful basis", words.BASES, None)
    asking.choice(
        name("special_category_basis"), "Basis for health data", words.SPECIAL_BASES, None
    )
    asking.choice(name("ethics.status"), "Ethics committee", words.ETHICS, None)
    for part, title in (("ethics", "Ethics vote"), ("dua", "Data use agreement")):
        one, two, three = st.columns((2, 3, 2), vertical_alignment="bottom")
        with one:
            asking.text(name(f"{part}.ref"), f"{title}: reference")
        with two:
            asking.text(name(f"{part}.sha256"), "SHA-256 of the document")
        with three:
            asking.day(name(f"{part}.expires"), "Good until")
    asking.yes(name("dpia.required"), "An impact assessment is required", default=True)
    one, two = st.columns((2, 5), vertical_alignment="bottom")
    with one:
        asking.text(name("dpia.ref"), "Impact assessment: reference")
    with two:
        asking.text(name("dpia.sha256"), "SHA-256 of the assessment")
    _where_the_law_asks(asking, name)


def _where_the_law_asks(asking: Asking, name: Callable[[str], str]) -> None:
    st.markdown(":gray[Where the law asks for it:]")
    one, two, three = st.columns((2, 3, 2), vertical_alignment="bottom")
    with one:
        asking.text(name("permit.ref"), "Data permit (EHDS): reference")
    with two:
        asking.text(name("permit.sha256"), "SHA-256 of the permit")
    with three:
        asking.day(name("permit.expires"), "Permit good until")
    one, two = st.columns((2, 5), vertical_alignment="bottom")
    with one:
        asking.day(name("objections_checked"), "Objections checked on")
    with two:
        asking.choice(name("us_basis"), "Basis in the USA (HIPAA)", choices.US_BASES, None)
