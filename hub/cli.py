"""`consilium hub`: init, serve, invite, user, status, upgrade, sign-bundle, model, export."""

from __future__ import annotations

import functools
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from compliance.errors import NotReady
from compliance.report.request import parse_request
from compliance.signing.certificate import GOOD
from compliance.signing.keyfile import read_key, write_key
from compliance.signing.keys import NOTE, SigningKey
from hub import people_cli, records_cli
from hub.consortium_cli import add_to
from hub.federation import bundle
from hub.federation.runner import build_supervisor
from hub.main import port_is_free
from hub.main import serve as serve_hub
from hub.options import Home, Json, say
from hub.recovery_cli import add_to as add_recovery_to
from hub.services.authority import make_authority
from hub.services.presence import ABSENT, Presence
from hub.settings import (
    FILE,
    Settings,
    default_home,
    load_settings,
    process_environment,
    write_settings,
)
from hub.wiring import Rooms, hub_rooms

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The hub between the hospitals. It keeps order and never sees an image.",
)
add_to(app)
people_cli.add_to(app)
records_cli.add_to(app)
add_recovery_to(app)

PARTS = ("tls", "keys", "hub.sqlite", "hub.sqlite-wal", "hub.sqlite-shm", FILE)
"""What `hub init` makes, and takes away again when it fails."""


def _rooms(home: Path | None) -> Rooms:
    return hub_rooms(load_settings(home))


@app.command()
def init(
    *,
    home: Home = None,
    name: Annotated[
        str, typer.Option(help="Name of the hub, such as hub.example.")
    ] = "hub.example",
    address: Annotated[
        str, typer.Option(help="Public address, https only.")
    ] = "https://127.0.0.1:8443",
    title: Annotated[str, typer.Option(help="Name of the consortium.")] = "Consilium",
    admin: Annotated[str, typer.Option(help="Name of the first administrator.")] = "admin",
    dashboard_url: Annotated[str, typer.Option(help="Address of the dashboard.")] = "",
    as_json: Json = False,
) -> None:
    """Make keys, certificate authority, database and the first admin's one-time link.

    Example: consilium hub init --name hub.example --address https://hub.example
    """
    folder = (home or default_home()).resolve()
    if (folder / FILE).exists():
        raise NotReady(f"{folder} is the home of a hub already.", "Name another with --home.")
    for part in PARTS:
        if (folder / part).exists():
            raise NotReady(f"{folder / part} is there already.", "Name another folder with --home.")
    settings = load_settings(
        folder, name=name, address=address, title=title, dashboard_url=dashboard_url
    )
    made = not folder.exists()
    try:
        link, code = _init(settings, admin)
    except BaseException:
        _undo(folder, whole=made)
        raise
    words = f"The hub's home is {folder}.\nOne-time link of the first admin (24 h): {link}\nNext: "
    words += "consilium hub sign-bundle, then consilium hub serve; when the hospitals have joined: "
    words += "consilium hub found"
    say({"home": str(folder), "link": link, "code": code}, words, as_json=as_json)


def _init(settings: Settings, admin: str) -> tuple[str, str]:
    folder, name, title = settings.home, settings.name, settings.title
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        make_authority(folder / "tls", name, settings.host, datetime.now(UTC))  # noqa: TID251 - the begin of a certificate
    except OSError as error:
        raise NotReady(
            f"{folder} cannot be written ({error.strerror}).", "Give write access, or free space."
        ) from error
    events = SigningKey.generate(f"{name}/events")
    write_key(folder / "keys" / "events.key", events)
    values = {
        "name": name,
        "address": settings.address,
        "title": title,
        "dashboard_url": settings.dashboard_url,
    }
    write_settings(folder / FILE, values)
    rooms = hub_rooms(load_settings(folder))
    rooms.upgrade()
    code = rooms.accounts.add(admin, "admin")
    return rooms.enrol_link(code), code


def _undo(folder: Path, *, whole: bool) -> None:
    if whole:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for part in PARTS:
        if (folder / part).is_dir():
            shutil.rmtree(folder / part, ignore_errors=True)
        else:
            (folder / part).unlink(missing_ok=True)


@app.command("sign-bundle")
def sign_bundle(
    *,
    home: Home = None,
    key: Annotated[
        Path | None, typer.Option(help="Signer's key file; made if it is not there.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of a new signer.")] = "signer",
    as_json: Json = False,
) -> None:
    """Build the Flower bundle (settings only) and sign it; sites trust it by its signer.

    Example: consilium hub sign-bundle --key /media/usb/signer.key
    """
    settings = load_settings(home)
    path = key or settings.keys / "signer.key"
    if not path.exists():
        write_key(path, SigningKey.generate(f"{settings.name}/{name}", NOTE))
    moment = int(datetime.now(UTC).timestamp())  # noqa: TID251 - Flower wants the time of signing
    made = bundle.sign(settings.home / "bundle", read_key(path), moment, process_environment())
    words = f"Bundle {made.sha256} is signed by {', '.join(made.signers)}."
    say({"bundle_sha256": made.sha256, "signers": made.signers}, words, as_json=as_json)


@app.command()
def serve(*, home: Home = None, as_json: Json = False) -> None:
    """Serve API, gateway and SuperLink until ended.

    Example: consilium hub serve
    """
    rooms = _rooms(home)
    settings, presence = rooms.settings, Presence(rooms.settings.home)
    if presence.state() != ABSENT:
        raise NotReady(f"{settings.home} is served by another process.", "Use that one, or end it.")
    if rooms.rotation.settle():
        rooms = _rooms(home)  # its parts held the old key
    rooms.ready()
    port_is_free(settings.bind, settings.listen_port)
    plain = {"address": settings.address}
    say(plain, f"The hub starts at {settings.address}.", as_json=as_json)
    with presence.hold():
        supervisor = build_supervisor(rooms, functools.partial(typer.echo, err=True))
        rooms.superlink = supervisor.status
        serve_hub(rooms, supervisor)


@app.command()
def invite(
    site: Annotated[str, typer.Argument(metavar="NAME", help="Such as north.example.")],
    *,
    title: Annotated[str, typer.Option(help="Name for people.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Print a hospital's invitation code: 72 hours, one use.

    Example: consilium hub invite north.example --title "North Hospital"
    """
    code, expires = _rooms(home).members.invite(site, title)
    words = f"Invitation of {site}, good until {expires}, one use:\n{code}\n"
    words += "The hospital runs: consilium site join CODE"
    say({"site": site, "code": code, "expires": expires}, words, as_json=as_json)


@app.command()
def status(*, home: Home = None, as_json: Json = False) -> None:
    """Say whether the hub is up, which hospitals and studies there are. Ends with 2 if not ready.

    Example: consilium hub status --json
    """
    rooms = _rooms(home)
    rooms.check_database()
    answer = bundle_state(rooms.settings.home)
    state, certificate = Presence(rooms.settings.home).state(), rooms.certificate()
    plain = {
        "ready": state == "up",
        "state": state,
        "address": rooms.settings.address,
        "bundle": answer,
        "certificate": certificate.code,
        "members": rooms.members.members(),
        "studies": rooms.studies.all(),
        "without_model": rooms.runs.without_model(),
    }
    lines = [f"Hub {rooms.settings.name} at {rooms.settings.address}: {state}; bundle: {answer}"]
    if certificate.code != GOOD:
        lines.append(f"  TLS certificate {certificate.code}, until {certificate.until}: renew it.")
    lines += [line for row in rooms.members.members() for line in _hospital(row)]
    lines += [
        f"  study {row['study']}: {row['title']}, {row['phase']}" for row in rooms.studies.all()
    ]
    lines += [
        f"  study {study}: its newest model is not here, so no round is opened"
        for study in rooms.runs.without_model()
    ]
    say(plain, "\n".join(lines), as_json=as_json)
    if not plain["ready"]:
        raise typer.Exit(2)


def _hospital(row: dict[str, Any]) -> list[str]:
    """A hospital's state, and each log that it believes no more."""
    warning = row["health"].get("warning")
    words = f" ({warning})" if warning else ""
    lines = [f"  {row['title']}: {row['health']['state']}{words}"]
    for alarm in row["health"].get("alarmed", []):
        said = f"{alarm['rule']}, heard {alarm['heard']}"
        lines.append(f"    ALARM in log {alarm['log']}: {said}. Call the auditor.")
    return lines


def bundle_state(home: Path) -> str:
    """The hash of the signed bundle, or what to do."""
    try:
        return bundle.read(home / "bundle").sha256
    except NotReady as error:
        return str(error)


@app.command()
def upgrade(*, home: Home = None, as_json: Json = False) -> None:
    """Bring the database to this release's revision.

    Example: consilium hub upgrade
    """
    revision = _rooms(home).upgrade()
    say({"revision": revision}, f"The database is of revision {revision}.", as_json=as_json)


@app.command()
def model(
    study: Annotated[str, typer.Argument(metavar="STUDY")],
    *,
    out: Annotated[Path, typer.Option(help="File to write.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write a study's released model as a safetensors file, with the papers that go with it.

    Beside it: its card, the model card, the bill of materials (CycloneDX) and the terms of use,
    as soon as the release is witnessed.

    Example: consilium hub model 00112233445566aa --out model.safetensors
    """
    rooms = _rooms(home)
    data, name = rooms.exports.model_file(study)
    try:
        papers = rooms.papers.of(study)
    except NotReady:
        papers = {}  # the model is released; its papers follow when the release is witnessed
    try:
        out.write_bytes(data)
        beside = {paper: out.with_name(f"{out.stem}.{paper}") for paper in papers}
        for paper, path in beside.items():
            path.write_bytes(papers[paper])
    except OSError as error:
        raise NotReady(
            f"{out} cannot be written ({error.strerror}).", "Name another file with --out."
        ) from error
    told = {"model": str(out), "name": name, "papers": [str(path) for path in beside.values()]}
    lines = [f"Written: {path}" for path in (out, *beside.values())]
    if not beside:
        lines.append("Its papers follow: the release is not witnessed yet. Run it again later.")
    say(told, "\n".join(lines), as_json=as_json)


def _progress(text: str) -> None:
    print(text, file=sys.stderr)


def export_bundle(words: list[str]) -> int:
    """`consilium audit export STUDY --out DIR` on the hub's host."""
    try:
        asked = parse_request(words)
    except SystemExit as end:
        return int(end.code or 0)
    made = _rooms(asked.home).exports.export(asked, tell=_progress)
    receipt = made["receipt"] or "not witnessed yet; the next export into this folder writes it"
    sentence = f"Written: {made['bundle']}\nReceipt: {receipt}\nSHA-512 {made['sha512']}"
    say(made, sentence, as_json=asked.json)
    return 0
