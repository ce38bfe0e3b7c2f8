"""The free text of a model's card: written before the release, looked at, and given to the act."""

from __future__ import annotations

from typing import Any

import streamlit as st

from compliance.errors import ConsiliumError
from compliance.report.narrative import FIELDS, MARKER, Narrative
from dashboard import evidence_words, words
from dashboard.drafting import write_draft
from dashboard.narrating import card_now, faults, narrative_from, shown

Plain = dict[str, Any]
MOST, KEPT_SECONDS = 4000, 600
KEPT = "narratives"


def ask(study: str) -> Narrative:
    """Ask for the nine texts; gives those that were looked at last."""
    kept: Plain = st.session_state.setdefault(KEPT, {})
    known: Plain = kept.get(study, {})
    with st.expander("What the card says in words", icon=":material/edit_note:"):
        st.markdown(
            ":gray[Numbers come from the log; only you can say what a model is for. What you leave "
            f"empty is printed as “{MARKER}”. Name no patient. Line breaks become spaces.]"
        )
        with st.form(f"card {study}"):
            told = {name: _field(study, name, known.get(name) or "") for name in FIELDS}
            if st.form_submit_button("Look at the card", icon=":material/visibility:"):
                _keep(kept, study, told)
    return narrative_from(kept.get(study, {}))


def look(entries: tuple[bytes, ...], model: str, narrative: Narrative, names: words.Names) -> None:
    """Show the card as it would be made now; the release makes it again from the log of then."""
    try:
        told = shown(_card(model, narrative.plain(), len(entries), _entries=entries))
    except ConsiliumError as error:
        st.error(f"The card cannot be made: {error}", icon=":material/error:")
        return
    with st.expander("The card", expanded=any(narrative.plain().values())):
        for name in FIELDS:
            st.markdown(f"**{evidence_words.NARRATIVE[name][0]}**")
            st.text(narrative.say(name))
        st.table(_facts(told, names), border="horizontal", hide_header=True)
        st.markdown(f":gray[{told['limits']}]")
        st.download_button(
            "Keep the words as a file", write_draft(narrative.plain()), "narrative.yaml",
            on_click="ignore", icon=":material/download:",
            help="For `consilium study release STUDY --narrative FILE`.",
        )  # fmt: skip


@st.cache_data(scope="session", ttl=KEPT_SECONDS, max_entries=10, show_spinner="Making the card …")
def _card(model: str, said: Plain, size: int, *, _entries: tuple[bytes, ...]) -> bytes:
    """The card of now; kept a while, since the fold of a long log takes seconds."""
    return card_now(_entries, model, narrative_from(said))


def _field(study: str, name: str, known: str) -> str:
    label, what = evidence_words.NARRATIVE[name]
    return st.text_area(
        label, known, key=f"card {study} {name}", max_chars=MOST, placeholder=what, height=90
    )


def _keep(kept: Plain, study: str, told: dict[str, str]) -> None:
    """Keep the texts for the act, or say which of them cannot stand in a card."""
    wrong = faults(told)
    for name, why in wrong.items():
        label = evidence_words.NARRATIVE[name][0]
        st.error(f"**{label}** cannot stand in a card: {why}.", icon=":material/error:")
    if not wrong:
        kept[study] = told


def _facts(told: Plain, names: words.Names) -> Plain:
    agreed = [words.hospital(site, names) for site in told["agreed"]]
    rows = {
        "Model": f"`{str(told['model_sha256']).removeprefix('sha256:')[:16]}`",
        "Rounds": str(len(told["rounds"])),
        "Numbers, each with its entry": str(len(told["numbers"])),
        "Hospitals that agreed": words.listed(agreed),
        "Entries behind it": str(told["size"]),
    }
    return {"What": list(rows), "Card": list(rows.values())}
