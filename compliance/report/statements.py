"""`consilium audit statement BUNDLE`: the account of contributions of a bundle, as a file.

CSV here; PDF by the hub's program, which draws (`--pdf`, the extra `hub`). Both are made from the
log alone, by the function from which the dashboard has its numbers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from compliance.errors import NotReady
from compliance.report.account import accounts_of
from compliance.report.compare import read_evidence
from compliance.report.contributions import table
from compliance.report.log import Log
from compliance.report.reading import read_log


def add_words(parser: argparse.ArgumentParser) -> None:
    """Every option of `consilium audit statement`; the page of commands is made from it too."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--site", metavar="SITE", help="one hospital; default: all of them")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where it goes; default: beside the bundle"
    )
    parser.add_argument(
        "--pdf", action="store_true", help="as PDF instead of CSV (needs the hub extra)"
    )


def log_of(asked: argparse.Namespace) -> Log:
    """The log of the bundle that was named.

    Raises:
        NotReady: no bundle, or no account of such a hospital in it.
        Refused, NotProven: an entry breaks a rule, or the checkpoint lacks its quorum.
    """
    evidence = read_evidence(asked.bundle)
    if not evidence.entries:
        raise NotReady(f"{asked.bundle} holds no log.", "Name a bundle of `audit export`.")
    log = read_log(evidence.entries, evidence.note)
    found = accounts_of(log.events, log.state)
    if not found:
        raise NotReady(
            "this log has no account of contributions yet.",
            "A Shapley rule is measured after the last round; export again when the study ended.",
        )
    if asked.site is not None and all(account.of(asked.site) is None for account in found):
        known = ", ".join(line.site for line in found[-1].lines)
        raise NotReady(f"no contribution of {asked.site} is on record.", f"Name one of: {known}.")
    return log


def write(asked: argparse.Namespace, log: Log, data: bytes | None = None) -> str:
    """Write the statement; returns what is told of it.

    Args:
        asked: the words of the command line.
        log: of the bundle.
        data: a PDF; without it the CSV is made.
    """
    kind = "csv" if data is None else "pdf"
    made = table(accounts_of(log.events, log.state), asked.site) if data is None else data
    path = asked.out or asked.bundle.with_name(
        f"statement-{log.checkpoint.origin.rpartition('/')[2]}-{asked.site or 'all'}.{kind}"
    )
    path.write_bytes(made)
    told = {"file": str(path), "bytes": len(made), "size": log.checkpoint.size}
    if asked.json:
        return json.dumps(told)
    return (
        f"{path}: from {log.checkpoint.size} entries. Whether this is the log that the hospitals "
        "witnessed says `consilium audit verify`."
    )
