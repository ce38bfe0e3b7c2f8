"""Export of an evidence bundle: what is asked, what will be in it, the act that waits for a yes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboard import evidence_words, page, style, words
from dashboard.checking import Checked
from dashboard.evidence import Preview, grouped, preview
from dashboard.hub_client import open_hub

Plain = dict[str, Any]
KEPT_SECONDS = 600
SHOWN = 6


def ask() -> Plain:
    """Ask what the export is for and what is in it; gives the body of the act."""
    kinds, laws = words.EXPORTS, evidence_words.PROFILES
    one, two = st.columns((2, 3))
    purpose = one.selectbox("For", list(kinds), format_func=kinds.__getitem__)
    chosen = two.multiselect(
        "Laws that the list of clauses answers to", list(laws), format_func=laws.__getitem__,
        placeholder="Those of the consortium's agreement, else all",
    )  # fmt: skip
    names = st.checkbox("With printed names of persons (`people.csv`)", value=True)
    return {"purpose": purpose, "profiles": sorted(chosen), "names": names}


def act(study: Plain, body: Plain) -> None:
    """Prepare the export; the person confirms it with the password."""
    st.markdown(
        ":gray[One file with every entry, checkpoint and charter. It is built, verified by the "
        "verifier, and put on record before it is handed out. After your yes you get its SHA-512 "
        "and a link that works once, within a minute.]"
    )
    page.act(
        "Export", "export.create", study["study"], body,
        icon=":material/inventory_2:", primary=True,
    )  # fmt: skip


def look(study: Plain, found: Checked, body: Plain) -> None:
    """Show files and clauses of the bundle before anybody exports it."""
    number, laws, names = study["study"], tuple(body["profiles"]), bool(body["names"])
    told = page.ask(
        f"preview {number} {laws} {names}",
        lambda: _preview(number, found.root, laws, names=names, _entries=found.entries),
        loading=f"Making the files of a bundle of {found.size} entries …",
    )
    one, two, three = st.columns((3, 3, 8))
    one.metric("Entries in the bundle", told.size, border=True)
    two.metric("Files", len(told.files), border=True)
    three.metric("Newest cosignature", style.moment(told.as_of), border=True)
    _clauses(told)
    _files(told)


@st.cache_data(scope="session", ttl=KEPT_SECONDS, max_entries=10, show_spinner=False)
def _preview(
    study: str, root: str, laws: tuple[str, ...], *, names: bool, _entries: tuple[bytes, ...]
) -> Preview:
    with open_hub() as hub:
        return preview(hub, study, _entries, profiles=laws, names=names)


def _clauses(told: Preview) -> None:
    st.subheader("Clauses")
    st.markdown(f":gray[What this log holds for each law that was chosen. {told.statement}]")
    for law in told.profiles:
        rows = [row for row in told.clauses if row["id"].startswith(f"{law}-")]
        with st.expander(f"**{evidence_words.PROFILES[law]}**: {counted(rows)}"):
            st.table([_clause(row) for row in rows], border="horizontal")


def counted(rows: list[Plain]) -> str:
    """How many clauses stand where; not a score, for none is better than another."""
    found = Counter(str(row["status"]) for row in rows)
    words_of = evidence_words.STATUSES
    return " · ".join(f"{found[name]} {words_of[name]}" for name in words_of if found[name])


def _clause(row: Mapping[str, Any]) -> Plain:
    return {
        "Clause": row["clause"],
        "About": row["subject"],
        "In this log": evidence_words.STATUSES[row["status"]],
        "Entries": ranges(row["entries"]),
        "What the log cannot say": row["outside"] or style.MINUS,
    }


def ranges(pairs: list[list[int]]) -> str:
    """Ranges of entries as people read them; of many the first ones."""
    told = [str(a) if a == b else f"{a}{style.DASH}{b}" for a, b in pairs]
    more = len(told) - SHOWN
    return ", ".join(told[:SHOWN]) + (f" and {more} more" if more > 0 else "") or style.MINUS


def _files(told: Preview) -> None:
    st.subheader("Files")
    st.markdown(f"`{told.name}`")
    rows = [
        {"File": f"`{path}`", "Why it can be believed": evidence_words.FILES[kind]}
        for path, kind in grouped(told.files)
    ]
    with st.expander(f"All {len(told.files)} files", icon=":material/folder_open:"):
        st.table(rows, border="horizontal")
        st.markdown(
            ":gray[The list is made here from the entries that were checked; which attached files "
            "are there is the hub's word.]"
        )
