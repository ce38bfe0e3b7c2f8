"""`consilium audit statement BUNDLE --pdf`: the statement of contributions, drawn."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from compliance.errors import NotReady
from compliance.report import statements
from hub.services.statement_pdf import statement as draw


def statement(words: Sequence[str]) -> int:
    """Write the PDF; returns the exit code.

    Raises:
        NotReady: no bundle, or no account of such a hospital in it.
    """
    parser = argparse.ArgumentParser(prog="consilium audit statement")
    statements.add_words(parser)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--home", type=Path, metavar="DIR")
    try:
        asked = parser.parse_args(words)
    except SystemExit as end:
        return int(end.code or 0)
    log = statements.log_of(asked)
    data = draw(log, {}, asked.site)
    if data is None:
        raise NotReady("typst is not installed.", "Leave --pdf out, or install the hub extra.")
    print(statements.write(asked, log, data))  # noqa: T201 - a command line speaks to a person
    return 0
