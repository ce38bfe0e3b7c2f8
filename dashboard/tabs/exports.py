"""Past exports of a study with their receipts, and what must be renewed before it ends."""

from __future__ import annotations

from typing import Any

import streamlit as st

from compliance.errors import NotReady, Refused
from compliance.report.exchange.modelcard import plain
from compliance.report.export import RECEIPT
from compliance.report.renewals import WITHIN_DAYS, Renewal, renewals
from compliance.rules.fold import replay
from dashboard import evidence_words, page, style, tables, words
from dashboard.checking import Checked
from dashboard.evidence import Exported, exported, receipt
from dashboard.hub_client import open_hub

Plain = dict[str, Any]
KEPT_SECONDS = 600


def draw(study: Plain, found: Checked) -> None:
    """Draw the part."""
    names = tables.names_of(study["sites"])
    rows = exported(found.entries)
    st.subheader("Past exports")
    if not rows:
        page.empty(
            "Nothing was exported of this study yet.", "The first one is made under *Export*."
        )
    else:
        _exports(study, rows, names)
        _receipts(study, found, rows)
    st.subheader("To be renewed")
    _renewals(found, names)


def _exports(study: Plain, rows: list[Exported], names: words.Names) -> None:
    number = study["study"]
    people = page.ask(f"people {number}", lambda: _people(number, rows[0].index))
    st.table(
        [
            {
                "Entry": str(row.index),
                "Time": style.moment(row.time),
                "Asked by": _who(row, people, names),
                "For": words.EXPORTS[row.purpose],
                "Entries in it": str(row.size),
                "Manifest (SHA-256)": f"`{style.short(row.manifest_sha256, 16)}`",
            }
            for row in rows
        ],
        border="horizontal",
    )
    st.markdown(
        ":gray[Which laws a bundle answers to stands in its own `controls.json`. Printed names "
        "come from the erasable directory; no entry attests them.]"
    )


@st.cache_data(scope="session", ttl=KEPT_SECONDS, max_entries=10, show_spinner=False)
def _people(study: str, newest: int) -> dict[str, str]:
    """Printed names by directory id; none while the hub could not make a bundle at all."""
    with open_hub() as hub:
        try:
            return dict(hub.attachments(study)["people"])
        except (NotReady, Refused):
            return {}


def _who(row: Exported, people: dict[str, str], names: words.Names) -> str:
    """The printed name, else the id; without a person the machine that said it."""
    if not row.person:
        return f"{words.speaker(row.actor, names)}, on its command line"
    return plain(people[row.person]) if row.person in people else f"`{row.person}`"


def _receipts(study: Plain, found: Checked, rows: list[Exported]) -> None:
    """Receipts are made here, from the checked entries, when they are clicked for."""
    with st.container(horizontal=True, vertical_alignment="center"):
        row = st.selectbox(
            "Receipt of an export", rows, format_func=lambda item: f"Entry {item.index}",
            help="The log itself says in it that this bundle was handed out.",
        )  # fmt: skip
        number = study["study"]
        data = page.ask(f"receipt {number} {row.index}", lambda: _receipt(number, found, row))
        if data is None:
            st.markdown(":gray[Not witnessed by enough hospitals yet; look again in a minute.]")
            return
        name = f"consilium-{number}-{row.size}.zip{RECEIPT}"
        st.download_button(
            "Download the receipt", data, name, on_click="ignore", icon=":material/receipt_long:"
        )


def _receipt(study: str, found: Checked, row: Exported) -> bytes | None:
    with open_hub() as hub:
        return receipt(hub, study, found.entries, row.manifest_sha256)


def _renewals(found: Checked, names: words.Names) -> None:
    with page.problems():
        hour = f"{page.now():%Y-%m-%dT%H:00:00Z}"
        rows = _soon(found.root, hour, _entries=found.entries)
    if not rows:
        st.markdown(f":gray[No document of this study ends within {WITHIN_DAYS} days.]")
        return
    st.table([_renewal(row, names) for row in rows], border="horizontal")
    st.markdown(
        ":gray[An ended document takes its hospital out of the next round; an ended charter ends "
        "all rounds. Renewing is an amendment: proposed by the researcher, signed by the "
        "institution.]"
    )


@st.cache_data(scope="session", ttl=KEPT_SECONDS, max_entries=10, show_spinner=False)
def _soon(root: str, hour: str, *, _entries: tuple[bytes, ...]) -> list[Renewal]:
    """What ends soon; kept a while, since the fold of a long log takes seconds."""
    return renewals(replay(_entries).charter, hour)


def _renewal(row: Renewal, names: words.Names) -> Plain:
    left = f"{row.days_left} days left" if row.days_left >= 0 else "✕ ended"
    who = [words.speaker(key, names) for key in row.renew]
    return {
        "Whose": words.hospital(row.site, names) if row.site else "Everybody's",
        "Document": f"{evidence_words.DOCUMENTS[row.document]}: {plain(row.ref)}",
        "Ends": style.moment(row.expires),
        "Left": left,
        "Who renews": words.listed(who),
    }
