"""`consilium site motions|sign|admit|suspend|resume|agreement`: what several hospitals decide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from compliance.errors import NotReady
from compliance.rules.policies import agreed_policy_in_force
from site_node.gate.joining import UNSAID
from site_node.gate.mirror import find_mirrored
from site_node.gate.motion_page import agreement_lines, list_lines, motion_lines
from site_node.gate.motions import Motion
from site_node.gate.say import passphrase_of, typed_confirmation
from site_node.options import AsJson, Home, Passphrase, Study, Yes, speak
from site_node.wiring import Rooms, open_site


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give these commands to `consilium site`; `act` words what a full disk would say."""
    for command in (motions, sign, admit, suspend, resume, agreement):
        app.command()(act(command))


def motions(*, home: Home = None, as_json: AsJson = False) -> None:
    """List the texts that wait for the signatures of several hospitals.

    Example: consilium site motions
    """
    with open_site(home) as rooms:
        rows = rooms.motions.all()
    speak([row.plain() for row in rows], as_json=as_json, lines=list_lines(rows))


def sign(
    motion: Annotated[str, typer.Argument(help="Id of the text, at least 6 characters.")],
    *,
    yes: Yes = False,
    passphrase_file: Passphrase = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Read a text that waits, and sign it with the hospital's key.

    Example: consilium site sign 4f1c22ab90d1
    """
    with open_site(home) as rooms:
        told = _sign(rooms, rooms.motions.find(motion), yes=yes, passphrase_file=passphrase_file)
    speak(told, as_json=as_json, lines=[_outcome(told)])


def admit(
    site: Annotated[str, typer.Argument(metavar="NAME", help="Such as lake.example.")],
    *,
    country: Annotated[str, typer.Option(help="For the own admission: two letters.")] = "",
    yes: Yes = False,
    passphrase_file: Passphrase = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Sign the admission of a hospital that asks for it; with the own name, ask for it.

    Example: consilium site admit lake.example
    """
    with open_site(home) as rooms:
        rooms.look_at_consortium()
        if site == rooms.settings.site:
            secret = passphrase_of(passphrase_file, rooms.settings.keys)
            told = rooms.motions.ask_admission(country.upper() or _country(rooms), secret)
        else:
            found = rooms.motions.admission(site)
            told = _sign(rooms, found, yes=yes, passphrase_file=passphrase_file)
    speak(told, as_json=as_json, lines=[_outcome(told)])


def suspend(
    site: Annotated[str, typer.Argument(metavar="NAME", help="Such as lake.example.")],
    *,
    reason: Annotated[str, typer.Option(help="policy security inactive")] = "security",
    passphrase_file: Passphrase = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Propose that a hospital is suspended; the other hospitals sign or do not.

    Example: consilium site suspend lake.example --reason security
    """
    with open_site(home) as rooms:
        rooms.look_at_consortium()
        secret = passphrase_of(passphrase_file, rooms.settings.keys)
        told = rooms.motions.suspend(site, reason, secret)
    speak(told, as_json=as_json, lines=[_outcome(told)])


def resume(
    study: Study,
    *,
    passphrase_file: Passphrase = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Agree that a stopped study goes on; all active hospitals must.

    Example: consilium site resume 00112233445566aa
    """
    with open_site(home) as rooms:
        full = find_mirrored(rooms.mirror, study)
        secret = passphrase_of(passphrase_file, rooms.settings.keys)
        told = rooms.motions.resume(full, secret)
    speak(told, as_json=as_json, lines=[_outcome(told)])


def agreement(
    *,
    policy: Annotated[bool, typer.Option("--policy", help="Print the log's policy only.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Show the agreement in force by this hospital's own copy of the consortium's log.

    Example: consilium site agreement --policy > consortium-policy.txt
    """
    with open_site(home) as rooms:
        rooms.look_at_consortium()
        state = rooms.mirror.consortium()
    if state is None:
        raise NotReady(
            "the consortium is not founded yet, or its log is not mirrored here.",
            "See which texts wait: `consilium site motions`.",
        )
    if policy:
        text = agreed_policy_in_force(state)
        speak({"policy": text}, as_json=as_json, lines=[text.rstrip("\n")])
        return
    standing = {site: str(row.standing) for site, row in state.members.items()}
    told = {
        "agreement_id": state.agreement_id,
        "agreement": state.agreement.plain(),
        "members": standing,
        "size": state.size,
    }
    lines = [
        f"Agreement id, to compare by telephone: {state.agreement_id}",
        *agreement_lines(state.agreement, standing),
    ]
    speak(told, as_json=as_json, lines=lines)


def _country(rooms: Rooms) -> str:
    """What the log says already; a new hospital that tells none is of `ZZ`."""
    state = rooms.mirror.consortium()
    known = state.members.get(str(rooms.settings.site)) if state else None
    return known.country if known else UNSAID


def _sign(
    rooms: Rooms, motion: Motion, *, yes: bool, passphrase_file: Path | None
) -> dict[str, Any]:
    """Show the page, ask, sign the very text that was shown, and look at the log."""
    page = [] if yes else motion_lines(motion, rooms.motions.in_force(motion))
    typed = None if yes else typed_confirmation(page, "id of this text")
    secret = passphrase_of(passphrase_file, rooms.settings.keys)
    told = rooms.motions.sign(motion, secret, typed)
    rooms.look_at_consortium()
    return told


def _outcome(told: dict[str, Any]) -> str:
    if told["state"] == "carried":
        return f"Signed as {told['by']}: with this signature it stands in the log."
    if told["state"] == "kept":
        return f"Signed as {told['by']}: kept until the hub answers."
    wanting = ", ".join(told["wanting"]) or "nobody"
    return f"Signed as {told['by']}; it waits. Could still sign: {wanting}."
