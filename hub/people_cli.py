"""`consilium hub user`: add people, list them, show what is held of one, erase one."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from compliance.errors import NotReady
from hub.options import Home, Json, say
from hub.wiring import rooms_in

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the account.")]


def add_to(app: typer.Typer) -> None:
    """Give these commands to `consilium hub`."""
    users = typer.Typer(no_args_is_help=True, help="People who use the dashboard.")
    users.command("add")(add)
    users.command("list")(everybody)
    users.command("show")(show)
    users.command("erase")(erase)
    app.add_typer(users, name="user")


def add(  # noqa: PLR0913 - one option each
    name: Name,
    *,
    role: Annotated[str, typer.Option(help="researcher, steward, auditor or admin.")],
    site: Annotated[str, typer.Option(help="The site of a steward.")] = "",
    display: Annotated[str, typer.Option(help="Name to print in reports.")] = "",
    contact: Annotated[str, typer.Option(help="How to reach the person; kept here only.")] = "",
    number: Annotated[
        int | None,
        typer.Option(min=1, help="N of a researcher whom the logs of a lost hub call HUB/r-N."),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Give a person a role and print a one-time link: 24 hours, one use.

    Example: consilium hub user add celine --role researcher --display "Celine Martin"
    """
    rooms = rooms_in(home)
    code = rooms.accounts.add(name, role, site, display=display, contact=contact, number=number)
    link = rooms.enrol_link(code)
    plain = {"name": name, "role": role, "link": link, "code": code}
    say(plain, f"One-time link of {name} (24 h): {link}", as_json=as_json)


def everybody(*, home: Home = None, as_json: Json = False) -> None:
    """List the people and their roles.

    Example: consilium hub user list
    """
    found = rooms_in(home).accounts.everybody()
    lines = [f"{row['name']}: {_roles(row['roles'])}" for row in found]
    say(found, "\n".join(lines), as_json=as_json)


def show(name: Name, *, home: Home = None, as_json: Json = False) -> None:
    """Show everything that this hub holds about a person, to answer who asks for it (GDPR Art. 15).

    Example: consilium hub user show celine
    """
    held = rooms_in(home).people.held(name)
    lines = [f"{key}: {held[key]}" for key in ("name", "display", "contact", "created")]
    lines.append(f"roles: {_roles(held['roles'])}")
    lines.append(f"in the logs: {held['directory']}, as a researcher {held['key']}")
    lines += [f"open session since {row['created']}" for row in held["sessions"]]
    lines += [f"{row['time']} {row['what']} {row['about']}" for row in held["operations"]]
    say(held, "\n".join(lines), as_json=as_json)


def erase(
    name: Name,
    *,
    now: Annotated[bool, typer.Option("--now", help="Do not ask before.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Erase a person: name, contact, password, roles, sessions. There is no way back.

    What the person did stays in the logs under an id that leads nowhere; every proof holds.

    Example: consilium hub user erase celine
    """
    people = rooms_in(home).people
    people.held(name)
    if not now:
        words = f"Erase {name}? There is no way back. Bundles in the hub's exports folder go too."
        if not typer.confirm(words, err=True):
            raise NotReady("nothing was erased.", "Say yes, or --now in a script.")
    done = people.forget(name, "hub")
    where = f", on record as entry {done['index']}" if done["index"] is not None else ""
    sentence = f"{name} is erased{where}. Backups hold the name until they expire: keep none for "
    say(done, f"{sentence}more than 35 days.", as_json=as_json)


def _roles(grants: Any) -> str:
    names = [f"{row['role']} of {row['site']}" if row["site"] else row["role"] for row in grants]
    return ", ".join(names) or "no role"
