"""`consilium site studies`, `show`, `approve` and their kin: what a data steward decides."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from site_node.gate.model_page import answer_line, model_lines
from site_node.gate.say import (
    Progress,
    card_lines,
    passphrase_of,
    study_lines,
    typed_confirmation,
)
from site_node.options import AsJson, Home, Passphrase, Study, Yes, speak
from site_node.wiring import open_site


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give the commands to `consilium site`; `act` words what a full disk would say."""
    app.command()(act(studies))
    app.command()(act(show))
    app.command()(act(approve))
    app.command()(act(refuse))
    app.command()(act(withdraw))
    app.command("release")(act(release_model))


def studies(*, home: Home = None, as_json: AsJson = False) -> None:
    """List the studies that name this hospital, and our own answer to each.

    Example: consilium site studies --json
    """
    with open_site(home) as rooms:
        rows = rooms.steward.studies()
    speak(rows, as_json=as_json, lines=study_lines(rows))


def show(
    study: Study,
    *,
    policy: Annotated[bool, typer.Option("--policy", help="Print the log's policy only.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Show what will happen HERE if this hospital signs; nothing is sent.

    Example: consilium site show 00112233445566aa
    """
    with open_site(home) as rooms:
        rooms.look_at_consortium()
        card = rooms.steward.show(study)
    if policy:
        speak({"policy": card["policy"]}, as_json=as_json, lines=[card["policy"].rstrip("\n")])
        return
    speak(card, as_json=as_json, lines=card_lines(card))


def approve(
    study: Study,
    *,
    yes: Yes = False,
    passphrase_file: Passphrase = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Sign a charter with the hospital's key, after every rule and the own policy said yes.

    Example: consilium site approve 00112233445566aa
    """
    with open_site(home) as rooms:
        rooms.look_at_consortium()
        page = [] if yes else card_lines(rooms.steward.show(study))
        typed = None if yes else typed_confirmation(page, "charter id")
        secret = passphrase_of(passphrase_file, rooms.settings.keys)
        told = rooms.steward.approve(study, secret, typed)
    how = "handed to the hub" if told["sent"] else "kept until the hub answers"
    speak(told, as_json=as_json, lines=[f"Signed as {told['signed']}: {how}."])


def refuse(
    study: Study,
    *,
    reason: Annotated[str, typer.Option(help="purpose privacy capacity legal data other")],
    passphrase_file: Passphrase = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a charter; the reason, a word of the list, is on record.

    Example: consilium site refuse 00112233445566aa --reason privacy
    """
    with open_site(home) as rooms:
        secret = passphrase_of(passphrase_file, rooms.settings.keys)
        told = rooms.steward.refuse(study, reason, secret)
        speak(told, as_json=as_json, lines=[f"Refused study {told['study']}: {reason}."])


def withdraw(
    study: Study,
    *,
    reason: Annotated[str, typer.Option(help="consent policy legal technical other")] = "other",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Leave a study at once: nothing is trained here any more, whatever the hub does.

    Example: consilium site withdraw 00112233445566aa --reason consent
    """
    with open_site(home, strict=False) as rooms:
        told = rooms.steward.withdraw(study, reason)
    record = "It is on record." if told["on_record"] else "The hub is told when it answers."
    speak(told, as_json=as_json, lines=[f"Left study {told['study']}. {record}"])


def release_model(  # noqa: PLR0913 - one option each
    study: Study,
    *,
    model: Annotated[
        str | None, typer.Option(help="Hash of another model than the newest, from 8 characters.")
    ] = None,
    objection: Annotated[
        str | None,
        typer.Option("--object", help="leak_test small_cells performance legal other"),
    ] = None,
    despite: Annotated[
        str | None, typer.Option(help="leak_test: agree although the model gives members away.")
    ] = None,
    yes: Yes = False,
    passphrase_file: Passphrase = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Look at a study's model and agree that it is handed out, or object with a reason.

    First the model is tested here for whether it gives away who it was trained on.

    Example: consilium site release 00112233445566aa
    """
    with open_site(home) as rooms:
        if objection is None:
            with Progress(sys.stderr, quiet=as_json) as progress:
                rooms.leak_testing.attempt(study, model, progress)
        ask = not (yes or objection)
        page = model_lines(rooms.releasing.show(study, model)) if ask else []
        typed = typed_confirmation(page, "model") if ask else None
        secret = passphrase_of(passphrase_file, rooms.settings.keys)
        if objection is not None:
            told = rooms.releasing.refuse(study, model, objection, secret)
        else:
            told = rooms.releasing.approve(
                study, model, passphrase=secret, confirmed=typed, despite=despite
            )
    speak(told, as_json=as_json, lines=[answer_line(told)])
