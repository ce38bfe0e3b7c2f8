"""`consilium site may`: would this be allowed, by this hospital's own copy of a study's log?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from compliance.rules.questions import Question, lines_of, read_given
from site_node.gate.asking import ask_mirror
from site_node.options import AsJson, Home, Study, speak
from site_node.wiring import open_site


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give the command to `consilium site`; `act` words what a full disk would say."""
    app.command()(act(may))


def may(
    study: Study,
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="Such as update.submitted.")],
    *,
    body: Annotated[
        str, typer.Option(help="Fields as JSON; what is left out is what one would say now.")
    ] = "{}",
    actor: Annotated[
        str, typer.Option(help="Key that would sign, if not the first of this hospital that may.")
    ] = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Say whether an act would be allowed now, by the own copy of the log; the hub is not asked.

    Nothing is said or stored by it. Ends with 0 when it would be allowed, with 1 when a rule is
    against it.

    Example: consilium site may 00112233445566aa update.submitted --body '{"n": 12}'
    """
    given = read_given(body)
    with open_site(home) as rooms:
        question = Question(kind, given, actor, str(rooms.settings.site))
        told = ask_mirror(rooms.mirror, study, question, rooms.clock()).plain()
    lines = [*lines_of(told), "By this hospital's own copy of the log; the hub was not asked."]
    speak(told, as_json=as_json, lines=lines)
    if not told["allowed"]:
        raise typer.Exit(1)
