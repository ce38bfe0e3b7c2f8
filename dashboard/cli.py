"""`consilium study …`, what a researcher types, and `consilium dashboard serve`.

Each command says what happened, takes `--home` and `--json`, and ends with 0 (done), 1 (refused) or
2 (not ready).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from compliance.errors import NotReady, Refused
from compliance.records.reasons import Stopped
from dashboard import amend_cli, counts_cli, records_cli, rules_cli
from dashboard.desk import read_draft, read_narrative
from dashboard.hub_client import HubClient
from dashboard.options import AsJson, Charter, Home, Passphrase, Password, Study, desk_of
from dashboard.say import is_for, passphrase_of, password_of, remark_of, say, show_findings
from dashboard.settings import load_settings, private_surroundings
from dashboard.starting import read_start
from dashboard.watch import PATIENCE, Teller, Watcher, exit_code, metric_lines

app = typer.Typer(
    help="The dashboard: what people see in a browser.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
study = typer.Typer(
    help="A researcher's studies: propose, launch, watch, stop.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _dashboard() -> None:
    """Keep `serve` a command of its own."""


@app.command()
def serve(  # noqa: PLR0913 - one option each
    *,
    home: Home = None,
    hub_url: Annotated[str | None, typer.Option(help="The hub's address, https.")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="The hub's ca.pem.")] = None,
    bind: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    public_url: Annotated[str | None, typer.Option(help="Address that browsers use.")] = None,
    policy_file: Annotated[
        Path | None, typer.Option(help="Witness policy from outside the hub, or a folder of them.")
    ] = None,
    site: Annotated[
        bool, typer.Option("--site", help="The console of the site in this home; no hub is asked.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Serve the dashboard until ended; on loopback, behind the reverse proxy.

    Example: consilium dashboard serve --hub-url https://hub.example --ca-file ca.pem
    """
    files = {"ca_file": ca_file, "policy_file": policy_file}
    settings = load_settings(
        home,
        **{name: path.resolve() if path else None for name, path in files.items()},
        **{"hub_url": hub_url, "bind": bind, "port": port, "public_url": public_url},
        mode="site" if site else None,
    )
    words = f"The dashboard answers at {settings.origin} (hub: {settings.hub_url})."
    with private_surroundings():  # before Streamlit is loaded: it looks around when it is
        if settings.mode == "site":
            from dashboard.console_serve import serve_console

            serve_console(settings, lambda link: say(link, _console_words(link), as_json=as_json))
            return
        from dashboard.serve import serve as run

        run(settings, lambda: say({"address": settings.origin}, words, as_json=as_json))


def _console_words(told: dict[str, str]) -> str:
    return (
        f"Open within 10 minutes; the link works once:\n  {told['link']}\n"
        "It ends by itself after 60 minutes without a click, or with Ctrl-C."
    )


@study.command()
def login(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Account name.")],
    *,
    address: Annotated[str | None, typer.Option(help="The hub's address, https.")] = None,
    ca: Annotated[Path | None, typer.Option(help="The hub's ca.pem.")] = None,
    enrol: Annotated[str | None, typer.Option(help="One-time code; chooses the password.")] = None,
    password_file: Password = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Sign in at the hub; address, certificate and session are kept in the home.

    Example: consilium study login celine --address https://hub.example --ca ca.pem
    """
    desk = desk_of(home)
    with desk.stranger(address, ca) as hub:
        if enrol is not None:
            is_for(name, str(hub.enrolment(enrol)["name"]))
        password = password_of(password_file, new=enrol is not None)
        if enrol is not None:
            hub.enrol(enrol, password)
        told = hub.sign_in(name, password)
    desk.keep(address, ca, name, told["token"])
    roles = [row["role"] for row in told["user"]["roles"]]
    plain = {"name": name, "roles": roles, "expires": told["expires"], "home": str(desk.home)}
    words = f"Signed in as {name} ({', '.join(roles)}) until {told['expires']} at the latest."
    say(plain, words, as_json=as_json)


@study.command()
def logout(*, home: Home = None, as_json: AsJson = False) -> None:
    """End the session, here and at the hub.

    Example: consilium study logout
    """
    desk = desk_of(home)
    try:
        with desk.open_hub() as hub:
            hub.sign_out()
    except Refused as error:
        if error.rule != "auth.session":
            raise
    desk.forget()
    say({"state": "ended"}, "Signed out.", as_json=as_json)


@study.command()
def key(*, passphrase_file: Passphrase = None, home: Home = None, as_json: AsJson = False) -> None:
    """Make your own key and register its public half: from now on your charters are self-signed.

    Example: consilium study key --passphrase-file secret.txt
    """
    desk = desk_of(home)
    with desk.open_hub() as hub:
        vkey = desk.make_key(hub, passphrase_of(passphrase_file))
    words = f"Your key {vkey.split('+', 1)[0]} lies in {desk.key_path}; keep a copy elsewhere."
    say({"vkey": vkey, "file": str(desk.key_path)}, words, as_json=as_json)


@study.command()
def propose(
    charter: Charter,
    *,
    start: Annotated[
        Path | None, typer.Option(help="First weights: a .safetensors file, or bare .f32 values.")
    ] = None,
    passphrase_file: Passphrase = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Propose a charter to the hospitals; each rule that refuses is named.

    Example: consilium study propose charter.yaml --start pretrained.safetensors
    """
    desk, draft = desk_of(home), read_draft(charter)
    given = None if start is None else read_start(start)
    with desk.open_hub() as hub:
        if given is not None:
            draft["start_model"] = {"file": hub.hand_in_start(given)}
        refused = [row for row in hub.check(draft) if not row["allowed"]]
        if refused:
            if as_json:
                say({"refused": refused}, "", as_json=True)
            show_findings(refused, draft, err=True)
            typer.echo("Nothing was proposed. Correct these points, then propose again.", err=True)
            raise typer.Exit(1)
        made = desk.propose(hub, draft, passphrase_of(passphrase_file), given)
    plain = {name: made[name] for name in ("study", "charter_id", "signed")}
    words = (
        f"Proposed as study {made['study']} ({made['signed']}).\nCharter {made['charter_id']}\n"
        f"Next: each hospital reads and signs it: consilium site approve {made['study']}\n"
        f"Then: consilium study launch {made['study']}"
    )
    say(plain, words, as_json=as_json)


@study.command()
def launch(asked: Study, *, home: Home = None, as_json: AsJson = False) -> None:
    """Launch a signed study: the charter becomes entry 0 of its log, and rounds begin.

    Example: consilium study launch 00112233445566aa
    """
    desk = desk_of(home)
    with desk.open_hub() as hub:
        told = hub.launch(desk.find(hub, asked)["charter_id"])
    words = f"Launched; the log is {told['log']}.\nNext: consilium study watch {told['study']}"
    say(told, words, as_json=as_json)


@study.command()
def watch(
    asked: Study,
    *,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds that the hub may be silent.")
    ] = PATIENCE,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Follow a study until it ends: 0 when it was completed, 1 when stopped or abandoned.

    Example: consilium study watch 00112233445566aa
    """
    desk = desk_of(home)
    last: dict[str, Any] = {}
    with desk.open_hub() as hub:
        row = desk.find(hub, asked)
        teller = Teller(_primary(hub, row))
        if not as_json:
            typer.echo(f"{row['title']}  (study {row['study']})")
        watcher = Watcher(hub, row["study"], time.sleep, every, patience)
        for last in watcher.changes():
            for line in [json.dumps(last)] if as_json else teller.lines(last):
                typer.echo(line)
    raise typer.Exit(exit_code(last))


@study.command()
def stop(
    asked: Study,
    *,
    reason: Annotated[Stopped, typer.Option(help="Why.")] = Stopped.OPERATOR,
    remark_file: Annotated[
        Path | None, typer.Option(help="File with a remark of one paragraph; it is sealed.")
    ] = None,
    passphrase_file: Passphrase = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Stop a study at once; only all hospitals together can resume it.

    Example: consilium study stop 00112233445566aa --reason safety
    """
    desk, remark = desk_of(home), remark_of(remark_file)
    with desk.open_hub() as hub:
        row = desk.find(hub, asked)
        told = desk.stop(hub, row, str(reason), passphrase_of(passphrase_file), remark)
    words = f"Stopped; it is entry {told['index']} of the log ({told['signed']})."
    words += f" The remark is sealed as {told['sealed']}." if told["sealed"] else ""
    say({"study": row["study"], **told}, words, as_json=as_json)


@study.command()
def release(
    asked: Study,
    *,
    model: Annotated[str | None, typer.Option(help="Hash in full, if not the newest.")] = None,
    narrative: Annotated[Path | None, typer.Option(help="YAML: the card in words.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Release a study's model after the hospitals agreed; the refusal says who has not.

    The narrative has the fields intended_use, users, population, out_of_scope, risks, biases,
    maintenance, funding, stakeholders; what is left out is printed as not written.

    Example: consilium study release 00112233445566aa --narrative card.yaml
    """
    desk, written = desk_of(home), read_narrative(narrative) if narrative else None
    with desk.open_hub() as hub:
        told = hub.release(desk.find(hub, asked)["study"], model, written)
    words = (
        f"Released {told['model_sha256']}; it is entry {told['index']} of the log.\n"
        f"Agreed: {', '.join(told['agreed'])}. Card {told['card_sha256']}"
    )
    say(told, words, as_json=as_json)


@study.command()
def metrics(asked: Study, *, home: Home = None, as_json: AsJson = False) -> None:
    """Print what the hospitals measured, with the counts behind each number.

    Example: consilium study metrics 00112233445566aa --json
    """
    desk = desk_of(home)
    with desk.open_hub() as hub:
        row = desk.find(hub, asked)
        rows, primary = hub.metrics(row["study"]), _primary(hub, row)
        rounds = hub.live(row["study"])["rounds"]
    names = {site["name"]: site["title"] for site in row["sites"]}
    lines = metric_lines(rows, rounds, names, primary)
    say(rows, "\n".join(lines) or "No hospital has reported yet.", as_json=as_json)


@study.command()
def recipe(
    asked: Study,
    *,
    out: Annotated[Path, typer.Option(help="File to write.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Write the recipe that the charter names, checked against its hash.

    Example: consilium study recipe 00112233445566aa --out recipe.json
    """
    desk = desk_of(home)
    with desk.open_hub() as hub:
        data = desk.recipe(hub, desk.find(hub, asked))
    try:
        out.write_bytes(data)
    except OSError as error:
        raise NotReady(f"{out} cannot be written ({error.strerror}).", "Name another.") from None
    say({"recipe": str(out)}, f"Written: {out}", as_json=as_json)


@study.command("bring-recipe")
def bring_recipe(
    document: Annotated[Path, typer.Argument(help="A recipe made with `consilium recipe`.")],
    *,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Bring a recipe to the hub, which has no code for it: the document says all it needs.

    Example: consilium study bring-recipe recipe.json
    """
    try:
        data = document.read_bytes()
    except OSError as error:
        raise NotReady(f"{document} cannot be read ({error.strerror}).", "Name it.") from None
    with desk_of(home).open_hub() as hub:
        made = hub.bring_recipe(data)
    named = f"{made['document']['id']} {made['document']['version']}"
    words = (
        f"Recipe {named}, {made['sha256']}. In a draft: recipe: {{id: {made['document']['id']}}}"
    )
    say(made, words, as_json=as_json)


@study.command("list")
def list_studies(*, home: Home = None, as_json: AsJson = False) -> None:
    """List every study with where it stands.

    Example: consilium study list
    """
    with desk_of(home).open_hub() as hub:
        rows = hub.studies()
    lines = [
        f"{row['study']}  {row['phase']:<10} round {row['round']} of {row['max_rounds']}  "
        f"signed {sum(site['signed'] for site in row['sites'])} of {row['required']}  "
        f"{row['title']}"
        for row in rows
    ]
    words = "\n".join(lines) or "There is no study yet: consilium study propose CHARTER.yaml"
    say(rows, words, as_json=as_json)


records_cli.add_to(study)


counts_cli.add_to(study)


rules_cli.add_to(study, desk_of)


amend_cli.add_to(study)


def _primary(hub: HubClient, row: dict[str, Any]) -> str:
    return str(hub.charter(row["charter_id"])["body"]["evaluation"]["primary"])
