"""Shares of contribution as tables: `contribution.csv` of a bundle, and a hospital's statement.

Source: design/compliance.md §1.2, design/federation.md §10.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from compliance.report.account import Account, accounts_of
from compliance.report.log import Files, Log
from compliance.report.write import write_csv
from compliance.rules.contribution import short

HEAD = ["from_round", "to_round", "rule", "site", "rounds_used", "examples", "share", "entry",
        "missing_input", "value", "deviation", "low", "high", "seeds", "label"]  # fmt: skip


def files(log: Log, attached: Files) -> dict[str, bytes]:
    """`contribution.csv`: one block for each account."""
    return {"data/contribution.csv": table(accounts_of(log.events, log.state, attached))}


def table(accounts: Sequence[Account], site: str | None = None) -> bytes:
    """The accounts as CSV; a hospital's statement is its own lines of the same table."""
    return write_csv(HEAD, (row for account in accounts for row in _rows(account, site)))


def _rows(account: Account, site: str | None) -> Iterator[list[Any]]:
    for line in account.lines:
        if site in (None, line.site):
            value = line.value
            yield [
                *account.span, account.rule, line.site, line.rounds, line.examples, line.share,
                "" if account.entry is None else account.entry, account.missing,
                *map(_number, ("", "") if value is None else (value.mean, value.deviation)),
                *map(_number, line.interval), account.seeds or "", account.label,
            ]  # fmt: skip


def _number(value: Fraction | Decimal | str | None) -> Decimal | str:
    """A number of the table: no text, so that a spreadsheet may read a minus sign."""
    told = value if isinstance(value, str) else short(value)
    return Decimal(told) if told else ""
