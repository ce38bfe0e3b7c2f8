"""`consilium site …`: what a hospital's technician and steward type.

Each command does one thing, says what happened in one or a few lines, takes `--home` and `--json`,
and ends with 0 (done), 1 (refused) or 2 (not ready).
"""

from __future__ import annotations

import functools
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import typer

from compliance.errors import ConsiliumError, NotReady
from site_node import (
    backup_cli,
    console_cli,
    consortium_cli,
    counts_cli,
    custody_cli,
    dataset_cli,
    deid_cli,
    following_cli,
    journal_cli,
    may_cli,
    predict_cli,
    privacy_cli,
    recipe_cli,
    steward_cli,
    upkeep_cli,
)
from site_node import settings as site_settings
from site_node.federation.agent import Agent, only_one
from site_node.gate import doctor as examination
from site_node.gate import joining
from site_node.gate.invitation import read_code
from site_node.gate.log import Log
from site_node.gate.model_file import open_model, recipe_told, vector_of, write_scores
from site_node.gate.say import (
    check_lines,
    passphrase_of,
    welcome_lines,
)
from site_node.options import AsJson, Home, Passphrase, speak
from site_node.store.journal import StoreFailed
from site_node.wiring import Rooms, open_site, record_join

P = ParamSpec("P")
R = TypeVar("R")

app = typer.Typer(
    help="A hospital's node: join, import, decide, serve.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def act(command: Callable[P, R]) -> Callable[P, R]:
    """Turn a full disk or a locked database into one sentence."""

    @functools.wraps(command)
    def run(*given: P.args, **named: P.kwargs) -> R:
        try:
            return command(*given, **named)
        except (OSError, StoreFailed) as error:
            reason = getattr(error, "strerror", None) or str(getattr(error, "orig", error))
            raise NotReady(
                f"this machine did not do its part ({reason}); nothing half-done was kept.",
                "Free space or give write access, then run `consilium site doctor`.",
            ) from error

    return run


@app.command()
@act
def join(
    code: Annotated[str, typer.Argument(help="The invitation code from the hub.")],
    *,
    home: Home = None,
    title: Annotated[str | None, typer.Option(help="Name for people.")] = None,
    no_passphrase: Annotated[
        bool, typer.Option("--no-passphrase", help="Leave the hospital's key unprotected.")
    ] = False,
    passphrase_file: Passphrase = None,
    country: Annotated[
        str, typer.Option(help="Two letters of this hospital's country, such as SE.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Join a consortium: keys are made here, only their public halves leave.

    Example: consilium site join consilium1-… --title "North Hospital"
    """
    folder = home or site_settings.default_home()
    invitation = read_code(code)
    secret = None if no_passphrase else passphrase_of(passphrase_file, folder / "keys", new=True)
    applicant = joining.Applicant(title, secret, secrets.token_bytes, country.upper())
    answer = joining.join(folder, invitation, applicant, joining.Connections(), record_join)
    with open_site(folder) as rooms:
        rooms.journal.write("joined", hub=invitation.address, sent="public keys and the invitation")
        waits = _ask_admission(rooms, country.upper(), secret) if answer.get("consortium") else None
    told = {"site": invitation.site, "hub": str(answer["hub_name"]), "home": str(folder)}
    lines = welcome_lines(told, protected=secret is not None, waits=waits)
    speak(told, as_json=as_json, lines=lines)


def _ask_admission(rooms: Rooms, country: str, secret: str | None) -> int:
    """Ask the members for admission while the passphrase is at hand; how many must agree.

    0 when it could not be asked now: the hospital has joined in any case and asks later.
    """
    try:
        rooms.look_at_consortium()
        rooms.motions.ask_admission(country or joining.UNSAID, secret)
    except ConsiliumError as error:
        rooms.journal.write("trouble", what="admission", said=str(error))
        return 0
    state = rooms.mirror.consortium()
    return state.agreement.admit_k if state else 0


@app.command()
@act
def serve(*, home: Home = None, as_json: AsJson = False) -> None:
    """Run the site: mirror, witness, train when permitted, receive images; ends with Ctrl-C.

    Opens no port, unless `scp_allow` names who may send images. The steward's console asks it over
    a socket in the home. With --json each line of the journal is printed as it is written, without
    anything that names a person, a file or a folder.

    Example: consilium site serve --home /srv/consilium
    """
    from site_node.federation.supernode import SuperNodeSupervisor
    from site_node.federation.workshop import Workshop
    from site_node.imaging.receiver import Receiver

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    say = functools.partial(print, file=sys.stderr, flush=True)
    with open_site(home) as rooms, only_one(rooms.settings.home):
        say(f"{rooms.settings.site} serves; hub {rooms.settings.hub_address}.")
        if rooms.settings.scp_allow:
            where = f"{rooms.settings.scp_bind}:{rooms.settings.scp_port}"
            say(f"Images are received on {where} as {rooms.settings.scp_aet}.")
        log = [Log(rooms.store, functools.partial(print, flush=True))] if as_json else []
        refused = threading.Event()
        supervisor = SuperNodeSupervisor(rooms.settings, bundle_refused=refused.set)
        agent = Agent(
            rooms=rooms,
            supervisor=supervisor,
            say=say,
            bundle_refused=refused,
            workshop=Workshop(rooms.settings),
            receiver=Receiver(rooms.settings),
            beside=[console_cli.door_of(rooms.settings.home), *log],
        )
        agent.run(stop)
    speak({"ended": True}, as_json=as_json, lines=["Ended."])


@app.command()
@act
def doctor(
    *,
    privacy: Annotated[
        bool,
        typer.Option("--privacy", help="Put training with noise to the test, on made-up data."),
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Look at everything that must be well; each finding carries its fix. Ends with 2 if not well.

    With --privacy, train with noise on made-up patients and guess who was among them: the guesses
    must not be better than the stated epsilon allows. Ends with 1 when they are.

    Example: consilium site doctor --json
    """
    if privacy:
        privacy_cli.test_noise(home, as_json=as_json)
        return
    with open_site(home, joined=False, strict=False) as rooms:
        told = examination.as_plain(examination.examine(rooms.patient))
    speak(told, as_json=as_json, lines=check_lines(told["checks"]))
    if not told["well"]:
        raise typer.Exit(2)


@app.command()
@act
def evaluate(
    model: Annotated[Path, typer.Argument(help="A model file, .safetensors.")],
    *,
    dataset: Annotated[str, typer.Option(help="Name of a dataset here.")],
    out: Annotated[Path, typer.Option(help="CSV to write: score and label per patient.")],
    split: Annotated[str, typer.Option(help="validation or test")] = "test",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Score a dataset of this hospital with a model; the scores stay here.

    Where the study keeps layers at the hospitals, this hospital's own ones complete the model.

    Example: consilium site evaluate model.safetensors --dataset chest --out scores.csv
    """
    from site_node.prediction.owned import whole_of
    from site_node.training.pooled import evaluate_scores

    with open_site(home, joined=False) as rooms:
        file = open_model(model)
        recipe = rooms.runnable_recipe(*recipe_told(file))
        summary = rooms.catalogue.get(dataset)
        vector = vector_of(file, recipe)
        own = rooms.released_models.own_layers(file.metadata.get("model_sha256", ""), recipe)
        scores, labels = evaluate_scores(
            whole_of(vector, own, recipe), Path(summary.dir), split, recipe=recipe
        )
        write_scores(out, scores, labels)
        told = {"out": str(out), "patients": len(scores), "split": split, "recipe": recipe.id}
        told |= {} if own is None else {"layers": own.words}
        lines = [] if own is None else [f"with the {own.words}"]
        lines.append(f"{len(scores)} patients scored; {out} stays here.")
        speak(told, as_json=as_json, lines=lines)


backup_cli.add_to(app, act)
console_cli.add_to(app, act)
consortium_cli.add_to(app, act)
counts_cli.add_to(app, act)
custody_cli.add_to(app, act)
dataset_cli.add_to(app, act)
deid_cli.add_to(app, act)
following_cli.add_to(app, act)
journal_cli.add_to(app, act)
may_cli.add_to(app, act)
predict_cli.add_to(app, act)
privacy_cli.add_to(app, act)
recipe_cli.add_to(app, act)
steward_cli.add_to(app, act)
upkeep_cli.add_to(app, act)


def export_bundle(argv: list[str]) -> int:
    """`audit export` at a site: the bundle from the own mirror, for which nobody is needed."""
    from compliance.report.request import parse_request
    from site_node.gate import export as exporting

    try:
        asked = parse_request(argv)
    except SystemExit as end:
        return int(end.code or 0)
    with open_site(asked.home) as rooms:
        told = exporting.export(
            rooms.mirror, rooms.keys, asked, record=rooms.recorder, tell=_progress
        )
        written = [f"Receipt: {path}" for path in told["receipts"]]
        lines = [f"{told['bundle']} ({told['size']} entries)", *written]
        speak(told, as_json=asked.json, lines=lines)
        return 0


def _progress(text: str) -> None:
    sys.stderr.write(f"{text}\n")
