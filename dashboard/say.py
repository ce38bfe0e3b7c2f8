"""How the researcher's commands speak and ask: JSON or sentences, passwords without echo."""

from __future__ import annotations

import getpass
import json
import stat
import sys
from pathlib import Path
from typing import Any

import typer

from compliance.errors import NotReady, Refused
from dashboard.verdicts import by_hospital, lines_of, sites_of
from dashboard.words import UNKNOWN_TO_THE_HUB


def say(plain: Any, words: str, *, as_json: bool) -> None:
    """Print JSON for machines, or sentences for people."""
    typer.echo(json.dumps(plain, ensure_ascii=False) if as_json else words)


def show_findings(
    findings: list[dict[str, Any]], draft: dict[str, Any], *, err: bool = False
) -> None:
    """Print what each hospital would refuse in a draft, and the rules that are kept."""
    for line in lines_of(by_hospital(findings, sites_of(draft))):
        typer.echo(line, err=err)
    kept = sorted({row["rule"] for row in findings if row["allowed"]})
    if kept:
        typer.echo(f"Kept: {', '.join(kept)}.", err=err)
    typer.echo(f"? {UNKNOWN_TO_THE_HUB}", err=err)


def is_for(name: str, owner: str) -> None:
    """Keep a one-time code for its owner.

    Raises:
        Refused: it is another person's; it was not used.
    """
    if name != owner:
        raise Refused("auth.code", sentence=f"This one-time code is {owner}'s, not {name}'s.")


def password_of(file: Path | None, *, new: bool) -> str:
    """The password from a file, or typed without echo; a new one is typed twice.

    Raises:
        NotReady: nobody can type, or the two differ.
    """
    if file is not None:
        return read_secret(file)
    if not sys.stdin.isatty():
        raise NotReady("nobody is here to type a password.", "Say --password-file FILE.")
    password = getpass.getpass("New password: " if new else "Password: ")
    if new and getpass.getpass("Again: ") != password:
        raise NotReady("the two passwords differ.", "Try again.")
    return password


def passphrase_of(file: Path | None) -> str | None:
    """The passphrase of the own key, where it has one."""
    return read_secret(file) if file is not None else None


def read_secret(path: Path) -> str:
    """The first line of a file with a password or passphrase.

    Raises:
        NotReady: unreadable, or open to others.
    """
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise NotReady(f"{path} is open to others.", f"Run: chmod 600 {path}")
        return path.read_text(encoding="utf-8").split("\n", 1)[0]
    except OSError as error:
        raise NotReady(f"{path} cannot be read ({error.strerror}).", "Check the name.") from None


def remark_of(path: Path | None) -> str | None:
    """A remark of one paragraph from a file; what is typed on a command line stays in its history.

    Raises:
        NotReady: it cannot be read.
    """
    if path is None:
        return None
    try:
        return " ".join(path.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise NotReady(f"{path} cannot be read ({error}).", "Name a text file.") from None
