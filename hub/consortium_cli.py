"""`consilium hub found`, `suspend`, `motions`: what the hub's operator does for the consortium."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from compliance.canonical import sha256_id
from compliance.errors import NotReady
from compliance.rules.quorum import words
from hub.options import Home, Json, say
from hub.services.consortium import Terms
from hub.wiring import rooms_in

PARTS = 3


def add_to(app: typer.Typer) -> None:
    """Give these commands to `consilium hub`."""
    app.command("found")(found)
    app.command("suspend")(suspend)
    app.command("motions")(motions)


def found(  # noqa: PLR0913 - every term of an agreement is an option
    *,
    home: Home = None,
    title: Annotated[str, typer.Option(help="Name of the consortium; default: the hub's.")] = "",
    min_examples: Annotated[int, typer.Option(help="No charter asks for fewer examples.")] = 5,
    min_cell: Annotated[int, typer.Option(help="No charter shows a smaller count.")] = 5,
    min_sites: Annotated[int, typer.Option(help="No charter trains with fewer hospitals.")] = 2,
    signatures_required: Annotated[
        int | None, typer.Option(help="Founders that must sign; default: all.")
    ] = None,
    admit_k: Annotated[
        int | None, typer.Option(help="Members that admit or suspend one; default: most.")
    ] = None,
    amend_k: Annotated[
        int | None, typer.Option(help="Members that change the agreement; default: most.")
    ] = None,
    quorum_k: Annotated[
        int | None, typer.Option(help="Cosignatures that make a quorum; default: a safe number.")
    ] = None,
    retention_years: Annotated[int, typer.Option(help="Years for which the log is kept.")] = 15,
    profiles: Annotated[str, typer.Option(help="Laws, such as gdpr,hipaa.")] = "gdpr",
    document: Annotated[
        list[str] | None,
        typer.Option(help="A paper: KIND=REF=FILE; KIND contract, processing, "
                     "joint_controllers or other."),
    ] = None,
    country: Annotated[
        list[str] | None, typer.Option(help="Country of a hospital: NAME=XX.")
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="Do not ask before.")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Lay the agreement before all hospitals that have joined; with their signatures it begins.

    Example: consilium hub found --title "Radiology of four towns" --min-examples 20
    """
    rooms = rooms_in(home)
    terms = Terms(
        title=title or rooms.settings.title,
        min_examples=min_examples,
        min_cell=min_cell,
        min_sites=min_sites,
        signatures_required=signatures_required,
        admit_k=admit_k,
        amend_k=amend_k,
        quorum_k=quorum_k,
        retention_years=retention_years,
        profiles=tuple(filter(None, profiles.split(","))),
        documents=tuple(_paper(text) for text in document or []),
        countries=dict(_pair(text) for text in country or []),
    )
    if not (now or as_json):
        typer.echo(_told(rooms.consortium.body(terms)))
        typer.confirm("Lay this before the hospitals?", abort=True)
    motion = rooms.consortium.found(terms)
    lines = [f"The agreement {motion['id']} waits for signatures. At each hospital:"]
    lines += [f"  {name}: consilium site sign {motion['id']}" for name in motion["wanting"]]
    say(motion, "\n".join(lines), as_json=as_json)


def suspend(
    site: Annotated[str, typer.Argument(metavar="NAME", help="Such as north.example.")],
    *,
    lift: Annotated[bool, typer.Option("--lift", help="Serve it again.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Refuse to serve a hospital at once. This is not on record: the hospitals decide by motion.

    Example: consilium hub suspend north.example
    """
    rooms_in(home).members.suspend(site, suspended=not lift)
    state = "is served again" if lift else "is not served any more"
    sentence = f"{site} {state}. This stands in no log: it is a service refusal of this hub."
    if not lift:
        sentence += f"\nWhether {site} stays a member is decided by the other hospitals: "
        sentence += f"consilium site suspend {site} --reason security"
    say({"site": site, "served": lift}, sentence, as_json=as_json)


def motions(*, home: Home = None, as_json: Json = False) -> None:
    """List the texts that wait for signatures, and who can still sign.

    Example: consilium hub motions
    """
    found_ = rooms_in(home).motions.all()
    waiting = [row for row in found_ if row["state"] == "open"]
    lines = [
        f"{row['kind']} ({row['log']}) {row['id']}: {len(row['signatures'])} signed, "
        f"wanting {', '.join(row['wanting'])}"
        for row in waiting
    ]
    say(found_, "\n".join(lines) or "No text waits for signatures.", as_json=as_json)


def _told(body: dict[str, Any]) -> str:
    quorum, floors = body["quorum"], body["floors"]
    names = ", ".join(row["name"] for row in body["members"])
    return "\n".join(
        [
            f"Agreement “{body['title']}” of {names}.",
            f"Signatures that begin it: {body['signatures_required']}.",
            f"To admit or suspend: {body['admit_k']}; to change it: {body['amend_k']}.",
            f"Witnesses: {words(len(quorum['witnesses']), quorum['k'])}",
            "No charter below: " + ", ".join(f"{name} {value}" for name, value in floors.items()),
            f"Kept until {body['retention_until']}. Profiles: {', '.join(body['profiles'])}.",
        ]
    )


def _paper(text: str) -> dict[str, str]:
    parts = text.split("=", PARTS - 1)
    if len(parts) != PARTS:
        raise NotReady(f"{text!r} is no paper.", "Write KIND=REF=FILE.")
    kind, ref, name = parts
    try:
        return {"kind": kind, "ref": ref, "sha256": sha256_id(Path(name).read_bytes())}
    except OSError as error:
        raise NotReady(
            f"{name} cannot be read ({error.strerror}).", "Name the paper's file."
        ) from error


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not value:
        raise NotReady(f"{text!r} names no country.", "Write NAME=XX, such as north.example=SE.")
    return name, value
