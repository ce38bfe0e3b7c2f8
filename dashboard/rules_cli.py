"""`consilium study check` and `may`: what the rules say before anything is done or stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from compliance.rules.questions import lines_of, read_given
from dashboard.desk import Desk, read_draft
from dashboard.options import AsJson, Charter, Home, Study
from dashboard.say import say, show_findings

DeskOf = Callable[[Path | None], Desk]


def add_to(study: typer.Typer, desk_of: DeskOf) -> None:
    """Give these commands to `consilium study`; `desk_of` opens a researcher's desk."""
    _add_check(study, desk_of)
    _add_may(study, desk_of)


def _add_check(study: typer.Typer, desk_of: DeskOf) -> None:
    @study.command()
    def check(charter: Charter, *, home: Home = None, as_json: AsJson = False) -> None:
        """Say what each hospital would refuse in a draft, and what to change; nothing is stored.

        Example: consilium study check charter.yaml
        """
        draft = read_draft(charter)
        with desk_of(home).open_hub() as hub:
            findings = hub.check(draft)
        if as_json:
            say(findings, "", as_json=True)
        else:
            show_findings(findings, draft)
        if not all(row["allowed"] for row in findings):
            raise typer.Exit(1)


def _add_may(study: typer.Typer, desk_of: DeskOf) -> None:
    @study.command()
    def may(
        asked: Study,
        kind: Annotated[str, typer.Argument(metavar="TYPE", help="Such as update.submitted.")],
        *,
        body: Annotated[
            str, typer.Option(help="Fields as JSON; what is left out is what one would say now.")
        ] = "{}",
        site: Annotated[str, typer.Option(help="Hospital that would say it.")] = "",
        actor: Annotated[
            str, typer.Option(help="Key that would sign, if not the first that may.")
        ] = "",
        home: Home = None,
        as_json: AsJson = False,
    ) -> None:
        """Say whether an act would be allowed now, by the very rules that judge it.

        Nothing is said or stored by it. Ends with 0 when it would be allowed, with 1 when a rule
        is against it.

        Example: consilium study may 00112233445566aa update.submitted --site north.example
        """
        given, desk = read_given(body), desk_of(home)
        with desk.open_hub() as hub:
            found = desk.find(hub, asked)["study"]
            reply = hub.may(found, kind, given, site=site, actor=actor)
        say(reply, "\n".join(lines_of(reply)), as_json=as_json)
        if not reply["allowed"]:
            raise typer.Exit(1)
