"""`consilium hub rebuild|resume|successor|backup|restore|hold|rotate-key|renew-certificate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from compliance.errors import NotReady
from compliance.records.charter import StartModel
from hub.federation.aggregation.again import aggregated
from hub.options import Home, Json, say
from hub.services.authority import renew
from hub.services.backups import restore as restore_home
from hub.services.backups import write_backup
from hub.services.clock import text_of
from hub.services.held import EVERY, RESTORED, Mark
from hub.services.logbook import CONSORTIUM
from hub.services.presence import ABSENT, Presence
from hub.services.rebuild import LOST, Outcome
from hub.services.rotation import EVENTS
from hub.settings import load_settings
from hub.wiring import Rooms, clock, rooms_in

From = Annotated[
    list[Path], typer.Option("--from", help="Folder with a hospital's mirror; repeat for each.")
]


GIVE_UP = "No hospital has the log any more, and a copy that turns up later is not taken: give up"


def add_to(app: typer.Typer) -> None:
    """Give these commands to `consilium hub`."""
    app.command("rotate-key")(rotate_key)
    app.command("renew-certificate")(renew_certificate)
    for command in (rebuild, resume, successor, backup, restore, hold):
        app.command()(command)


def rebuild(
    *,
    source: From,
    lost: Annotated[
        str, typer.Option(help="When the old hub answered last, such as 2026-11-29T04:00:00Z.")
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write the logs of a lost hub into a new home, from the hospitals' mirrors.

    Example: consilium hub rebuild --from north --from south --lost 2026-11-29T04:00:00Z
    """
    rooms = rooms_in(home)
    made = rooms.rebuilding.rebuild(source, lost)
    rooms.weights(aggregated).take(source)
    without = rooms.runs.without_model()
    lines = [*_told(made), *_untrained(rooms, without), "What no mirror holds:"]
    lines += [f"  {what}" for what in LOST]
    lines.append("Next: consilium hub sign-bundle, consilium hub serve, consilium hub successor")
    plain = _plain(made) | {"without_model": without, "lost": list(LOST)}
    say(plain, "\n".join(lines), as_json=as_json)


def resume(
    *,
    source: From,
    without: Annotated[
        list[str], typer.Option(help="Study to give up: nobody has its log any more. No way back.")
    ] = [],  # noqa: B006 - typer reads the default and never writes it
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before giving up.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Let a restored or rebuilt hub write again, once enough hospitals' mirrors agree.

    What the mirrors have more of is filled in, models too. Ends with 2 while a log still only
    reads.

    Example: consilium hub resume --from north --from south
    """
    rooms = rooms_in(home)
    weights = rooms.weights(aggregated)
    if rooms.held.mark() is None and not without and rooms.runs.without_model():
        weights.take(source)
        untrained = rooms.runs.without_model()
        say({"without_model": untrained}, "\n".join(_untrained(rooms, untrained)), as_json=as_json)
        return
    if without and not yes:
        typer.confirm(f"{GIVE_UP} {', '.join(without)}?", abort=True, err=True)
    made = rooms.rebuilding.resume(source, without)
    weights.take(source)
    untrained = rooms.runs.without_model()
    lines = [*_told(made), *_untrained(rooms, untrained)]
    plain = _plain(made) | {"without_model": untrained, "given_up": list(without)}
    say(plain, "\n".join(lines), as_json=as_json)
    if made.lacking or made.missing:
        raise typer.Exit(2)


def successor(*, home: Home = None, as_json: Json = False) -> None:
    """Print the code by which hospitals follow this hub, and the keys that wait for signatures.

    Example: consilium hub successor
    """
    rooms = rooms_in(home)
    wanted = rooms.rebuilding.takeover()
    if not wanted:
        raise NotReady(
            "no key of this hub waits for signatures: it is the hub of its logs.",
            "Hospitals join with `consilium hub invite NAME`.",
        )
    code = rooms.members.follow_code()
    lines = ["Tell every hospital by a way that you both know:", code, "Each hospital runs:"]
    lines += ["  consilium site follow CODE", "  consilium site takeover", "Keys that take over:"]
    lines += [f"  {row['log']}: {row['vkey']}" for row in wanted]
    say({"code": code, "keys": wanted}, "\n".join(lines), as_json=as_json)


def backup(
    *,
    out: Annotated[Path, typer.Option(help="File to write; it holds private keys.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write the whole home into one file (mode 0600), also while the hub is served.

    Example: consilium hub backup --out /mnt/safe/hub-2026-11-29.tar.gz
    """
    rooms = rooms_in(home)
    told = write_backup(rooms.database, rooms.settings.home, out, text_of(rooms.clock))
    words = f"Written: {out}, {told['bytes']} bytes. It holds the hub's private keys: keep it as "
    words += "you keep those, and no longer than 35 days."
    say(told, words, as_json=as_json)


def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="What `hub backup` wrote.")],
    *,
    home: Annotated[Path, typer.Option("--home", help="A new folder for the hub.")],
    as_json: Json = False,
) -> None:
    """Make a home from a backup. It only reads until `consilium hub resume` has the mirrors.

    Example: consilium hub restore /mnt/safe/hub-2026-11-29.tar.gz --home /srv/hub-new
    """
    told = restore_home(source, home.resolve(), text_of(clock))
    words = f"{home} is as the hub was at {told['made']}. End the old one for good: two hubs with "
    words += "the same keys make two histories.\nIt only reads now. Ask every hospital for a new "
    words += "mirror (`consilium site mirror --out DIR`), then:\n"
    words += "consilium hub resume --from DIR --from DIR"
    say(told, words, as_json=as_json)


def hold(*, home: Home = None, as_json: Json = False) -> None:
    """Let this hub only read: its database was put back by other means than `hub restore`.

    Example: consilium hub hold
    """
    rooms = rooms_in(home)
    since = text_of(rooms.clock)
    rooms.held.keep(Mark(RESTORED, since, (EVERY,)))
    words = "This hub only reads now. With new mirrors: consilium hub resume --from DIR"
    say({"since": since}, words, as_json=as_json)


def rotate_key(
    role: Annotated[str, typer.Argument(metavar="ROLE", help="events, or log.")],
    *,
    study: Annotated[
        str, typer.Option(help="Whose log's key; the consortium's own without it.")
    ] = CONSORTIUM,
    reason: Annotated[str, typer.Option(help="planned lost stolen")] = "planned",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Replace the key by which this hub speaks, or the key that signs one log.

    Example: consilium hub rotate-key log --study 00112233445566aa
    """
    rooms = rooms_in(home)
    if role == EVENTS and Presence(rooms.settings.home).state() != ABSENT:
        raise NotReady("this hub is being served, by the old key.", "End `consilium hub serve`.")
    told = rooms.rotation.rotate(role, study, reason)
    key = f"{told['name']} {told['vkey']}"
    if told["in_force"]:
        words = f"In force in {len(told['logs'])} log(s): {told['vkey']}\nHospitals take it in by "
        words += "themselves. Auditors need a new policy: `consilium site show STUDY --policy`."
    else:
        words = f"Prepared: {told['vkey']}\nTell every hospital by a way that you both know. Most "
        words += f"of them run:\nconsilium site replace-key {key} --reason {reason}\n"
        words += "Then start the hub again."
    say(told, words, as_json=as_json)


def renew_certificate(*, home: Home = None, as_json: Json = False) -> None:
    """Give this hub a new TLS certificate by its own authority; hospitals notice nothing.

    Example: consilium hub renew-certificate
    """
    settings = load_settings(home)
    until = renew(settings.tls, settings.host, clock())
    words = f"The certificate counts until {until:%Y-%m-%d}. Restart `consilium hub serve`; give a "
    words += "proxy before it a copy of server.pem and server.key."
    say({"until": until.date().isoformat()}, words, as_json=as_json)


def _plain(made: Outcome) -> dict[str, Any]:
    return {
        "agreement": made.agreement,
        "hospitals": made.hospitals,
        "logs": [
            {"log": log, "size": size, "added": made.added[log], "root": made.roots[log]}
            for log, size in made.sizes.items()
        ],
        "lacking": made.lacking,
        "missing": made.missing,
    }


def _untrained(rooms: Rooms, without: list[str]) -> list[str]:
    """What is said of models: an open study without one can be read, not trained on."""
    if not without:
        return ["The newest model of every open study is here."]
    return [
        f"{study}: its newest model is not here, so no round is opened. Ask every hospital for "
        "`consilium site mirror --out DIR --weights`, then run `consilium hub resume --from DIR`. "
        "If nobody has it any more, stop this study and begin a new one."
        + _began(rooms.ledger.state(study).charter.start_model, study)
        for study in without
    ]


def _began(start: StartModel | None, study: str) -> str:
    """What would help a study that began with a given model."""
    if start is None:
        return ""
    if start.source == "file":
        return (
            f" It began with a given model: lay the file with {start.sha256} "
            f"(.safetensors or .f32) into DIR/{study}."
        )
    return f" It began with the released model of the study with charter {start.sha256}."


def _told(made: Outcome) -> list[str]:
    lines = [
        f"Agreement {made.agreement}: compare it with a hospital's `consilium site agreement`.",
        f"Mirrors of {', '.join(made.hospitals) or 'no hospital'} were checked.",
    ]
    lines += [
        f"{log}: {size} entries, {made.added[log]} of them new here, root {made.roots[log]}"
        for log, size in made.sizes.items()
    ]
    lines += [
        f"{log} only reads: newer mirrors are needed of {words}; run `consilium hub resume`"
        for log, words in made.lacking.items()
    ]
    lines += [
        f"{study} is listed, and no mirror holds it: nothing is served. Ask every hospital for "
        f"it; if nobody has it any more: consilium hub resume --from DIR --without {study}"
        for study in made.missing
    ]
    return lines
