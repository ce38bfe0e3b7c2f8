"""`consilium site rotate-key|replace-key|leave|evidence|mirror|destroy-mirror`: keys and copies."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from compliance.errors import NotReady
from compliance.records.types import time_text
from site_node.gate.evidence import write_evidence, write_mirror
from site_node.gate.say import passphrase_of
from site_node.options import AsJson, Home, Passphrase, Study, Yes, speak
from site_node.wiring import open_site

Out = Annotated[Path, typer.Option("--out", help="Folder to write into.")]


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give these commands to `consilium site`; `act` words what a full disk would say."""
    app.command("rotate-key")(act(rotate_key))
    app.command("replace-key")(act(replace_key))
    app.command("destroy-mirror")(act(destroy_mirror))
    for command in (leave, evidence, mirror):
        app.command()(act(command))


def rotate_key(
    role: Annotated[str, typer.Argument(metavar="ROLE", help="node, witness or institution.")],
    *,
    reason: Annotated[str, typer.Option(help="planned lost stolen")] = "planned",
    passphrase_file: Passphrase = None,
    new_passphrase_file: Annotated[
        Path | None, typer.Option(help="File with the passphrase of a new institution key.")
    ] = None,
    no_passphrase: Annotated[
        bool, typer.Option("--no-passphrase", help="Leave a new institution key unprotected.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Replace a key of this hospital in every log that knows it.

    Example: consilium site rotate-key node --reason planned
    """
    with open_site(home) as rooms:
        rooms.look_at_consortium()
        lost = role == "institution" and reason != "planned"
        folder = rooms.settings.keys
        secret = None if lost else passphrase_of(passphrase_file, folder)
        fresh = None
        if role == "institution" and not no_passphrase:
            fresh = passphrase_of(new_passphrase_file, folder, new=True)
        told = rooms.rotation.rotate(
            role, reason, passphrase=secret, new_passphrase=fresh, random=secrets.token_bytes
        )
    speak(told, as_json=as_json, lines=_rotated(told))


def replace_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as south.example/institution.")],
    vkey: Annotated[str, typer.Argument(metavar="VKEY", help="The new key, as told by telephone.")],
    *,
    reason: Annotated[str, typer.Option(help="lost stolen takeover")] = "lost",
    passphrase_file: Passphrase = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Agree that another one's lost or stolen key is replaced; most of the others must.

    Example: consilium site replace-key south.example/institution VKEY --reason lost
    """
    with open_site(home) as rooms:
        rooms.look_at_consortium()
        secret = passphrase_of(passphrase_file, rooms.settings.keys)
        told = rooms.rotation.replace(name, vkey, reason, secret)
    lines = [f"{row['log']}: {row['state']}" for row in told]
    speak(told, as_json=as_json, lines=lines)


def leave(
    *,
    reason: Annotated[str, typer.Option(help="own_wish policy security inactive")] = "own_wish",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Leave the consortium: every signed study is left first. Data and records stay here.

    Example: consilium site leave --reason own_wish
    """
    with open_site(home) as rooms:
        if not yes:
            typer.confirm(f"{rooms.settings.site} leaves the consortium?", abort=True, err=True)
        rooms.look_at_consortium()
        told = rooms.steward.leave(reason)
        rooms.look_at_consortium()
    record = "It is on record." if told["on_record"] else "The hub is told when it answers."
    lines = [f"Left {len(told['studies'])} studies and the consortium. {record}"]
    speak(told, as_json=as_json, lines=lines)


def evidence(*, out: Out, home: Home = None, as_json: AsJson = False) -> None:
    """Write what every alarm rests on, as files that `consilium audit compare` can read.

    Example: consilium site evidence --out /media/usb/evidence
    """
    with open_site(home) as rooms:
        told = write_evidence(rooms.mirror, out)
        rooms.journal.write("evidence.written", alarms=len(told), out=str(out))
    lines = [
        f"{row['log']} {row['rule']}: consilium audit compare {' '.join(row['compare'])}"
        for row in told
    ]
    speak(told, as_json=as_json, lines=lines or ["No alarm: there is no evidence to write."])


def mirror(
    *,
    out: Out,
    weights: Annotated[
        bool,
        typer.Option("--weights", help="Also what a successor needs to train on: for it alone."),
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Write every mirrored log as static tiles, complete and checkable by anybody.

    With --weights also recipes, newest models and this hospital's last updates.

    Example: consilium site mirror --out /srv/copies/logs
    """
    with open_site(home) as rooms:
        now, unsaid = time_text(rooms.clock()), rooms.restored.rests
        told = write_mirror(rooms.mirror, out, rooms.keys.node, now, unsaid)
        added = {row["study"]: row for row in rooms.weights.write(out)} if weights else {}
        told = [row | added.get(row["log"], {}) for row in told]
        rooms.journal.write("mirror.written", logs=len(told), out=str(out), weights=weights)
    if not told:
        raise NotReady("no log is mirrored here yet.", "Run `consilium site serve` first.")
    lines = [
        f"{row['log']}: {row['size']} entries, {row['witnessed']} under the checkpoint; "
        f"{row['folder']}"
        for row in told
    ]
    speak(told, as_json=as_json, lines=lines)


def destroy_mirror(
    study: Study,
    *,
    yes: Yes = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask the hub for newer entries before.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Destroy this hospital's copy of a study after the end of retention; datasets stay.

    Example: consilium site destroy-mirror 00112233445566aa
    """
    with open_site(home) as rooms:
        if not offline:
            rooms.look_at_consortium()
            rooms.look_again(rooms.destruction.look(study)["study"])
        told = rooms.destruction.look(study)
        if not yes:
            typer.echo("\n".join(_going(told)), err=True)
            typer.confirm("Destroy it for ever?", abort=True, err=True)
        told = rooms.destruction.destroy(study)
    record = "It is on record." if told["on_record"] else "The hub is told when it answers."
    line = f"The copy of study {told['study']} is destroyed: {told['entries']} entries. {record}"
    speak(told, as_json=as_json, lines=[line])


def _going(told: dict[str, Any]) -> list[str]:
    return [
        f"Study {told['study']}: {told['title']}",
        f"Kept until {told['retention_until']}; no case is open.",
        f"What goes: {told['entries']} entries of the log and {told['updates']} updates,",
        f"  the charter with this hospital's answer, {told['alarms']} alarms with their evidence.",
        "What stays: datasets, the journal, and one line with the size and root of the log.",
    ]


def _rotated(told: dict[str, Any]) -> list[str]:
    if told["peers"]:
        command = f"consilium site replace-key {told['name']} '{told['vkey']}'"
        return [
            f"A new key for {told['name']} lies here. Nothing was sent: the lost key cannot speak.",
            "Tell the other hospitals by telephone; most of them must run:",
            f"  {command} --reason {told['reason']}",
            f"It counts in {len(told['logs'])} logs.",
            "`consilium site serve` puts the key into use when the consortium's log says so.",
        ]
    when = "It is in use." if told["in_force"] else "It is put into use when the logs say so."
    return [f"{told['name']} is replaced in {len(told['logs'])} logs. {when}", told["vkey"]]
