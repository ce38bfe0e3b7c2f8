"""Contribution: each hospital's share with what it rests on, and the statement as a file."""

from __future__ import annotations

from typing import Any

import streamlit as st

from compliance.errors import ConsiliumError
from compliance.records.envelope import parse_event
from compliance.report.account import NOT_PROOF, Account, accounts_of
from compliance.report.contributions import table
from compliance.rules.contribution import short
from compliance.rules.state import StudyState
from compliance.signing.note import parse
from dashboard import choices, page, session, tables, words
from dashboard.checking import Checked
from dashboard.hub_client import open_hub

Plain = dict[str, Any]
EVERYBODY = "All hospitals"
WAITS = (
    "A Shapley rule is measured after the last round. Until then, and where a hospital did not "
    "answer, there is no account."
)


def draw(study: Plain, found: Checked | None) -> None:
    """Draw the tab."""
    told = _accounts(found)
    if not told or found is None:
        page.empty("There is no account of contributions yet.", WAITS)
        return
    names = tables.names_of(study["sites"])
    for account in told:
        _account(account, names)
    st.subheader("What it does not say")
    for sentence in NOT_PROOF:
        st.markdown(f"- {sentence}")
    _statement(study, told, names)


def _accounts(found: Checked | None) -> list[Account]:
    """The accounts of the entries that were checked here; a refuted log tells nothing."""
    if found is None or found.standing == "refuted" or not isinstance(found.state, StudyState):
        return []
    try:
        events = [parse_event(parse(entry).text) for entry in found.entries]
        return accounts_of(events, found.state)
    except ConsiliumError:
        return []


def _account(account: Account, names: words.Names) -> None:
    first, last = account.span
    st.subheader(f"Rounds {first} to {last}")
    rule = choices.SHARES.get(account.rule, account.rule)
    seeds = f" Every coalition was trained with {account.seeds} seeds." if account.seeds else ""
    st.markdown(f"**{rule}**: {account.label}.{seeds}")
    if account.missing:
        st.info(f"No share can be made: {account.missing} is missing.", icon=":material/info:")
    st.table([_row(account, site, names) for site in _sites(account)], border="horizontal")
    st.markdown(
        ":gray[Recomputed here from the log's entries. A share follows from the value by the "
        "charter's split; a value at or below zero gives the least share.]"
    )


def _sites(account: Account) -> list[str]:
    return [line.site for line in account.lines]


def _row(account: Account, site: str, names: words.Names) -> Plain:
    line = account.of(site)
    if line is None:
        return {}
    told = {
        "Hospital": words.hospital(site, names),
        "Share": line.share or "-",
        "Rounds": str(line.rounds),
        "Training cases, all rounds": f"{line.examples:,}",
    }
    if line.value is not None:
        low, high = line.interval
        told["Value"] = short(line.value.mean)
        told["95 % interval"] = f"{low} to {high}" if low else "-"
    return told


def _statement(study: Plain, told: list[Account], names: words.Names) -> None:
    """Offer the statement: of everybody, and of each hospital its own."""
    st.subheader("Statement")
    sites, own = _sites(told[-1]), session.identity().site
    options = [EVERYBODY, *sites]
    chosen = st.selectbox(
        "Statement of", options, index=options.index(own) if own in options else 0,
        format_func=lambda one: one if one == EVERYBODY else words.hospital(one, names),
    )  # fmt: skip
    site = None if chosen == EVERYBODY else chosen
    name = f"statement-{study['study']}-{site or 'all'}"
    with st.container(horizontal=True):
        st.download_button(
            "Download as CSV", table(told, site), f"{name}.csv", "text/csv",
            on_click="ignore", icon=":material/table:",
        )  # fmt: skip
        drawn = page.ask(f"statement {name}", lambda: _pdf(study["study"], site))
        if drawn is not None:
            st.download_button(
                "Download as PDF", drawn, f"{name}.pdf", "application/pdf",
                on_click="ignore", icon=":material/picture_as_pdf:",
            )  # fmt: skip


@st.cache_data(scope="session", ttl=60, max_entries=20, show_spinner=False)
def _pdf(study: str, site: str | None) -> bytes | None:
    """The same statement, drawn by the hub; None where it cannot draw."""
    with open_hub() as hub:
        try:
            return hub.statement(study, site)
        except ConsiliumError:
            return None
