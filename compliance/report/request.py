"""The words of `consilium audit export`: one list for hub and hospital."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compliance.errors import NotReady
from compliance.report.export import PURPOSES

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Request:
    """What is to be exported, and how.

    Args:
        study: study or charter id.
        out: folder for the bundle and its receipt.
        as_of: size of an older cosigned checkpoint; None: the newest.
        site: leave out what other hospitals wrote about their data.
        documents: folder with the charter's documents to add; None: only their hashes.
        names: whether printed names are in the bundle.
        profiles: laws that `controls.json` answers to; empty: those of the consortium's agreement,
            or all.
        purpose: what it is for; stands in the log.
        wait: seconds to wait for witnesses.
        home: whose home.
        json: print JSON.
    """

    study: str
    out: Path
    as_of: int | None = None
    site: str | None = None
    documents: Path | None = None
    names: bool = True
    profiles: tuple[str, ...] = ()
    purpose: str = "audit"
    wait: float = PATIENCE_SECONDS
    home: Path | None = None
    json: bool = False


def add_words(parser: argparse.ArgumentParser) -> None:
    """Every option of an export; the page of commands is made from it too."""
    parser.add_argument("study", metavar="STUDY", help="study or charter id")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--as-of", type=int, metavar="SIZE", help="an older cosigned checkpoint")
    parser.add_argument("--site", metavar="NAME", help="leave out other hospitals' own files")
    parser.add_argument(
        "--documents", type=Path, metavar="DIR", help="add the charter's documents from a folder"
    )
    parser.add_argument("--without-names", action="store_true", help="leave out printed names")
    parser.add_argument(
        "--profiles",
        default="",
        metavar="LIST",
        help="laws that controls.json answers to: gdpr,hipaa",
    )
    parser.add_argument("--purpose", choices=PURPOSES, default="audit", help="stands in the log")
    parser.add_argument(
        "--wait", type=float, default=PATIENCE_SECONDS, metavar="S", help="seconds for witnesses"
    )


def parse_request(words: Sequence[str]) -> Request:
    """Read the words after `consilium audit export`.

    Raises:
        NotReady: an option is wrong.
        SystemExit: help was asked for.
    """
    parser = argparse.ArgumentParser(prog="consilium audit export", exit_on_error=False)
    add_words(parser)
    parser.add_argument("--home", type=Path, metavar="DIR", help="home of the hub or the site")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    try:
        asked = parser.parse_args(words)
    except argparse.ArgumentError as error:
        raise NotReady(f"{error}.", "See: consilium audit export --help") from None
    return Request(
        study=asked.study,
        out=asked.out,
        as_of=asked.as_of,
        site=asked.site,
        documents=asked.documents,
        names=not asked.without_names,
        profiles=tuple(filter(None, asked.profiles.split(","))),
        purpose=asked.purpose,
        wait=asked.wait,
        home=asked.home,
        json=asked.json,
    )
