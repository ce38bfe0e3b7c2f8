"""`consilium site follow|takeover`: the hub is lost, another one carries the same logs on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from site_node.gate.following import Code, Looked, read_code
from site_node.gate.joining import Connections
from site_node.gate.say import passphrase_of
from site_node.options import AsJson, Home, Passphrase, Yes, speak
from site_node.wiring import open_site


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give these commands to `consilium site`; `act` words what a full disk would say."""
    for command in (follow, takeover):
        app.command()(act(command))


def follow(
    code: Annotated[str, typer.Argument(help="The code from the successor's administrator.")],
    *,
    yes: Yes = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Go over to a successor of a lost hub, if its logs begin with what is mirrored here.

    Example: consilium site follow consilium-follow1-…
    """
    found = read_code(code)

    def ask(code: Code, looked: list[Looked]) -> None:
        if yes:
            return
        for line in _shown(code, looked):
            typer.echo(line, err=True)
        typer.confirm("Did people you know tell you this code, and this fingerprint?", abort=True,
                      err=True)  # fmt: skip

    with open_site(home) as rooms:
        looked = rooms.following.follow(found, Connections(), ask)
    told = {"hub": found.address, "logs": {row.log: row.there for row in looked}}
    lines = [
        f"This hospital follows {found.hub} to {found.address}.",
        "The old settings are kept in site.toml.before. Restart `consilium site serve`.",
        "Then, unless the takeover stands already: consilium site takeover",
    ]
    speak(told, as_json=as_json, lines=lines)


def takeover(
    *,
    yes: Yes = False,
    passphrase_file: Passphrase = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Sign that the keys of the successor take the place of the lost hub's, in every log.

    Example: consilium site takeover
    """
    with open_site(home) as rooms:
        rooms.look_at_consortium()
        here = {head.study for head in rooms.mirror.all_heads()}
        wanted = [row for row in rooms.hub.takeover() if row["log"] in here]
        if wanted and not yes:
            for row in wanted:
                typer.echo(f"{row['log']}: {row['vkey']}", err=True)
            typer.confirm("Do these keys take over from the lost hub?", abort=True, err=True)
        secret = passphrase_of(passphrase_file, rooms.settings.keys) if wanted else None
        told = rooms.rotation.takeover(wanted, secret, str(rooms.settings.events_vkey))
    lines = [f"{row['log']} {row['name']}: {row['state']}" for row in told]
    nothing = "No key waits: the takeover stands, or this hub is no successor."
    speak(told, as_json=as_json, lines=lines or [nothing])


def _shown(code: Code, looked: list[Looked]) -> list[str]:
    lines = [
        f"Successor of {code.hub} at {code.address}",
        f"certificate {code.ca_sha256}",
        f"key {code.events_vkey}",
    ]
    lines += [f"{row.log}: {row.here} entries here, {row.there} there" for row in looked]
    return [*lines, "Every log there begins with this hospital's own mirror."]
