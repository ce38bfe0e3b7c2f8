"""A hospital's statement of its contribution, or everybody's, as a report that can be printed.

Source: design/federation.md §10.
"""

from __future__ import annotations

from collections.abc import Sequence

from compliance.report.account import NOT_PROOF, Account, Line, accounts_of
from compliance.report.log import Files, Log
from compliance.report.manifest import root_text
from compliance.report.story import front
from compliance.report.story.pieces import (
    NONE,
    Block,
    Code,
    Entry,
    Facts,
    Items,
    Section,
    Story,
    Table,
    Text,
    Toned,
    paragraph,
    text,
)
from compliance.rules.contribution import short

CLOSING = "Made from the log alone: anybody who has it makes the same statement."
HEAD = ("Hospital", "Share", "Value", "95 % interval", "Deviation", "Rounds", "Training cases")
WIDTHS = (30, 13, 13, 22, 13, 10, 14)


def tell_statement(log: Log, attached: Files, site: str | None = None) -> Story:
    """Tell the account of a study; with `site`, that hospital's part of it."""
    accounts = accounts_of(log.events, log.state, attached)
    sections = [_section(account, site) for account in accounts] or [_none()]
    return Story(
        title=log.state.charter.title,
        summary="",
        lead=_lead(accounts, site),
        banner=front.banner(log),
        facts=front.facts(log),
        sections=(*sections, _limits()),
        groups=(),
        size=log.checkpoint.size,
        root=root_text(log.checkpoint),
        as_of=log.as_of,
        closing=CLOSING,
    )


def _lead(accounts: Sequence[Account], site: str | None) -> Text:
    if site is None:
        return text("Contributions of all hospitals.")
    mine = accounts[-1].of(site) if accounts else None
    if mine is None or not mine.share:
        return text(f"Contribution of {site}: none on record.")
    return text(f"Contribution of {site}: share ", Toned(mine.share, "strong"), ".")


def _section(account: Account, site: str | None) -> Section:
    first, last = account.span
    lines = [line for line in account.lines if site in (None, line.site)]
    facts = [("What it is", text(account.label)), ("Rule of the charter", text(account.rule))]
    if account.seeds:
        facts.append(("Studies of every coalition", text(f"{account.seeds}, one a seed")))
    if account.entry is not None:
        facts.append(("Laid down", text(Entry(account.entry, f"entry {account.entry}"))))
    if account.inputs_sha256:
        facts.append(("Inputs", text(Code(account.inputs_sha256))))
    blocks: list[Block] = [Facts(tuple(facts))]
    if account.missing:
        blocks.append(paragraph(f"No share can be made: {account.missing} is missing."))
    blocks.append(Table("Contributions", HEAD, WIDTHS, tuple(_row(line) for line in lines)))
    return Section("account", f"Rounds {first} to {last}", tuple(blocks))


def _row(line: Line) -> tuple[Text, ...]:
    low, high = line.interval
    value = line.value
    return tuple(
        text(part or NONE)
        for part in (
            line.site,
            line.share,
            "" if value is None else short(value.mean),
            f"{low} to {high}" if low else "",
            "" if value is None else short(value.deviation),
            str(line.rounds),
            f"{line.examples:,}",
        )
    )


def _none() -> Section:
    words = "No account is on record: the charter's rule was not measured, or not yet."
    return Section("account", "Account", (paragraph(words),))


def _limits() -> Section:
    return Section("limits", "What it does not say", (Items(tuple(text(s) for s in NOT_PROOF)),))
