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
from compliance.report.request import parse_request
from site_node import (
    consortium_cli,
    counts_cli,
    custody_cli,
    deid_cli,
    following_cli,
    journal_cli,
    may_cli,
    upkeep_cli,
)
from site_node import settings as site_settings
from site_node.federation.agent import Agent, only_one
from site_node.gate import doctor as examination
from site_node.gate import export as exporting
from site_node.gate import joining
from site_node.gate.invitation import read_code
from site_node.gate.model_file import open_model, recipe_told, vector_of, write_scores
from site_node.gate.model_page import answer_line, model_lines
from site_node.gate.say import (
    Progress,
    card_lines,
    check_lines,
    dataset_lines,
    import_lines,
    passphrase_of,
    plain_summary,
    quarantine_lines,
    study_lines,
    typed_confirmation,
    welcome_lines,
)
from site_node.options import AsJson, Home, ListFiles, Passphrase, Study, Yes, speak
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


@app.command("import")
@act
def import_folder(  # noqa: PLR0913 - one option each
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="Folder or .zip with DICOM files; `inbox`; `pacs` with --query."
        ),
    ],
    *,
    dataset: Annotated[str, typer.Option(help="Name of the dataset, such as chest.")],
    labels: Annotated[Path, typer.Option(help="CSV with one label per patient or image.")],
    recipe: Annotated[Path | None, typer.Option(help="Import recipe, YAML or JSON.")] = None,
    label_key: Annotated[str | None, typer.Option(help="Column that names the case.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column with the label.")] = None,
    classes: Annotated[str | None, typer.Option(help="Labels in order, comma separated.")] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(help="What to fetch from the PACS, KEY=VALUE; may be given again."),
    ] = None,
    list_files: ListFiles = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Import DICOM files into a curated dataset; only its description may leave.

    `inbox` is what arrived by C-STORE, `pacs` what the settings' PACS holds for the query.

    Example: consilium site import /pacs/export --dataset chest --labels labels.csv
    """
    with open_site(home, joined=False) as rooms:
        with Progress(sys.stderr, quiet=as_json) as progress:
            told = rooms.run_import(
                source,
                name=dataset,
                labels=labels,
                recipe=recipe,
                label_key=label_key,
                label_column=label_column,
                classes=classes,
                query=query or [],
                list_files=list_files,
                progress=progress,
            )
        if rooms.settings.joined:
            rooms.look_at_consortium()
            rooms.registrar.register_new()
            rooms.steward.keep_word()
            told["waiting_for_hub"] = rooms.statements.waiting()
        speak(told, as_json=as_json, lines=import_lines(told))


@app.command()
@act
def datasets(
    name: Annotated[str | None, typer.Argument(help="Only this dataset.")] = None,
    *,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """List the curated datasets here, with exact counts that never leave.

    Example: consilium site datasets chest --json
    """
    with open_site(home, joined=False) as rooms:
        rows = [plain_summary(row) for row in rooms.catalogue.datasets()]
    rows = [row for row in rows if name in (None, row["name"])]
    if name is not None and not rows:
        raise NotReady(f"no dataset {name!r} is here.", "List them: consilium site datasets.")
    speak(rows if name is None else rows[0], as_json=as_json, lines=dataset_lines(rows))


@app.command()
@act
def quarantine(
    dataset: Annotated[str | None, typer.Argument(help="Only this dataset.")] = None,
    *,
    release: Annotated[
        str | None, typer.Option(help="Look at this file again at the next import: its digits.")
    ] = None,
    drop: Annotated[
        str | None, typer.Option(help="Delete the bytes of this received file: its digits.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """List what an import left out: reason, count, and the first 12 digits of each file's SHA-256.

    Releasing passes no check by; releasing and dropping are the steward's decision, on record.

    Example: consilium site quarantine chest
    """
    with open_site(home, joined=False) as rooms:
        if release is not None and drop is not None:
            raise NotReady("one file is released or dropped, not both.", "Say one of the two.")
        if release is not None:
            told = rooms.ward.release(release, dataset)
            lines = [f"Released {told['file']}: the next import looks at it again."]
            speak(told, as_json=as_json, lines=lines)
        elif drop is not None:
            told = rooms.ward.drop(drop, dataset)
            speak(told, as_json=as_json, lines=[f"Deleted {told['file']}."])
        else:
            rows = rooms.catalogue.quarantine(dataset)
            speak(rows, as_json=as_json, lines=quarantine_lines(rows))


@app.command()
@act
def studies(*, home: Home = None, as_json: AsJson = False) -> None:
    """List the studies that name this hospital, and our own answer to each.

    Example: consilium site studies --json
    """
    with open_site(home) as rooms:
        rows = rooms.steward.studies()
    speak(rows, as_json=as_json, lines=study_lines(rows))


@app.command()
@act
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


@app.command()
@act
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


@app.command()
@act
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


@app.command()
@act
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


@app.command("release")
@act
def release_model(
    study: Study,
    *,
    model: Annotated[
        str | None, typer.Option(help="Hash of another model than the newest, from 8 characters.")
    ] = None,
    objection: Annotated[
        str | None,
        typer.Option("--object", help="leak_test small_cells performance legal other"),
    ] = None,
    yes: Yes = False,
    passphrase_file: Passphrase = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Look at a study's model and agree that it is handed out, or object with a reason.

    Example: consilium site release 00112233445566aa
    """
    with open_site(home) as rooms:
        ask = not (yes or objection)
        page = model_lines(rooms.releasing.show(study, model)) if ask else []
        typed = typed_confirmation(page, "model") if ask else None
        secret = passphrase_of(passphrase_file, rooms.settings.keys)
        if objection is not None:
            told = rooms.releasing.refuse(study, model, objection, secret)
        else:
            told = rooms.releasing.approve(study, model, passphrase=secret, confirmed=typed)
    speak(told, as_json=as_json, lines=[answer_line(told)])


@app.command()
@act
def serve(*, home: Home = None, as_json: AsJson = False) -> None:
    """Run the site: mirror, witness, train when permitted, receive images; ends with Ctrl-C.

    Opens no port, unless `scp_allow` names who may send images.

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
        refused = threading.Event()
        supervisor = SuperNodeSupervisor(rooms.settings, bundle_refused=refused.set)
        agent = Agent(
            rooms=rooms,
            supervisor=supervisor,
            say=say,
            bundle_refused=refused,
            workshop=Workshop(rooms.settings),
            receiver=Receiver(rooms.settings),
        )
        agent.run(stop)
    speak({"ended": True}, as_json=as_json, lines=["Ended."])


@app.command()
@act
def doctor(*, home: Home = None, as_json: AsJson = False) -> None:
    """Look at everything that must be well; each finding carries its fix. Ends with 2 if not well.

    Example: consilium site doctor --json
    """
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

    Example: consilium site evaluate model.safetensors --dataset chest --out scores.csv
    """
    from site_node.training.pooled import evaluate_scores

    with open_site(home, joined=False) as rooms:
        file = open_model(model)
        recipe = rooms.recipe_of(*recipe_told(file))
        summary = rooms.catalogue.get(dataset)
        scores, labels = evaluate_scores(
            vector_of(file, recipe), Path(summary.dir), split, recipe=recipe
        )
        write_scores(out, scores, labels)
        told = {"out": str(out), "patients": len(scores), "split": split, "recipe": recipe.id}
        speak(told, as_json=as_json, lines=[f"{len(scores)} patients scored; {out} stays here."])


consortium_cli.add_to(app, act)
counts_cli.add_to(app, act)
custody_cli.add_to(app, act)
deid_cli.add_to(app, act)
following_cli.add_to(app, act)
journal_cli.add_to(app, act)
may_cli.add_to(app, act)
upkeep_cli.add_to(app, act)


def export_bundle(argv: list[str]) -> int:
    """`audit export` at a site: the bundle from the own mirror, for which nobody is needed."""
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
