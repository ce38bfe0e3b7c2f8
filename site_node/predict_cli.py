"""`consilium site predict`, `predictions`, `check-release`: a released model at this hospital."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from compliance.errors import NotReady, Refused
from site_node.gate.leaks import judged, leak_rows
from site_node.gate.predictions import DAYS, prediction_lines
from site_node.gate.say import Progress
from site_node.options import (
    AsJson,
    DicomQuery,
    DicomSource,
    FindText,
    Home,
    ListFiles,
    Study,
    Yes,
    speak,
)
from site_node.wiring import open_site

TYPED = "send"


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give the commands to `consilium site`; `act` words what a full disk would say."""
    app.command()(act(predict))
    app.command()(act(predictions))
    app.command("check-release")(act(check_release))


def predict(  # noqa: PLR0913 - one option each
    source: DicomSource,
    *,
    out: Annotated[Path, typer.Option(help="New or empty folder for the results.")],
    study: Annotated[
        str | None, typer.Option(help="Use the newest released model of this study.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Use the released model of this .safetensors file.")
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="Import recipe, where no dataset of the study is here."),
    ] = None,
    query: DicomQuery = None,
    send: Annotated[
        bool, typer.Option("--send", help="Send the results to the PACS of the settings.")
    ] = False,
    yes: Yes = False,
    find_text: FindText = None,
    list_files: ListFiles = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Let a released model answer for local images or series, in DICOM, for this hospital.

    Research use only, not for clinical use. Only a model whose release stands in the log that this
    site mirrors is used. Nothing leaves; the same command again goes on where it stopped.

    Example: consilium site predict /pacs/export --study 00112233445566aa --out /srv/results
    """
    if study is None and model is None:
        raise NotReady("no model is named.", "Say --study STUDY or --model FILE.")
    with open_site(home) as rooms:
        if send:
            _ask(rooms.using.goes_to(), yes=yes)
        with Progress(sys.stderr, quiet=as_json) as progress:
            told = rooms.using.predict(
                source,
                out,
                study=study,
                model=model,
                recipe=recipe,
                query=query or [],
                find_text=find_text,
                list_files=list_files,
                progress=progress,
            )
            if send:
                told |= rooms.using.send(out, told, progress)
    speak(told, as_json=as_json, lines=predicted_lines(told))


def predictions(
    *,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How far back.")] = DAYS,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Show how many images each model put into which class, and whether the images have moved.

    Nothing of it leaves by itself.

    Example: consilium site predictions --days 90
    """
    with open_site(home) as rooms:
        rows = rooms.predictions.told(days)
    speak(rows, as_json=as_json, lines=prediction_lines(rows, days))


def check_release(
    study: Study,
    *,
    model: Annotated[
        str | None, typer.Option(help="Hash of another model than the newest, from 8 characters.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="The model, .safetensors, if it did not come here.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Test whether a model gives away who it was trained on here; the steward's page shows it.

    Example: consilium site check-release 00112233445566aa
    """
    with open_site(home) as rooms, Progress(sys.stderr, quiet=as_json) as progress:
        told = rooms.leak_testing.run(study, model, file, progress)
    speak(told, as_json=as_json, lines=tested_lines(told))


def _ask(where: str, *, yes: bool) -> None:
    """Let a person type the yes before anything is sent."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise NotReady("nobody can type the yes to sending here.", "Use --yes after reading.")
    sys.stderr.write(f"Results will be sent to {where}. Type {TYPED} to agree: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() != TYPED:
        raise Refused("confirm.typed", sentence="Something else was typed: nothing was done.")


def predicted_lines(told: dict[str, Any]) -> list[str]:
    """What came of it; no value, no file name."""
    counts = ("files", "predicted", "written", "counted", "quarantined", "skipped")
    lines = [f"model: {told['model_sha256']} of study {told['study']}", *_with_layers(told)]
    lines += [f"{name}: {told[name]}" for name in counts]
    for name in ("reasons", "skipped_because", "classes", "not_taken"):
        if told.get(name):
            lines.append(f"{name}: " + ", ".join(f"{key} {n}" for key, n in told[name].items()))
    lines += [f"left out: {row['file']} {row['reason']}" for row in told["left_out"]]
    points = ", ".join(f"{name} {value:.6f}" for name, value in told["thresholds"].items())
    lines.append(f"threshold: {points or 'none frozen here: reports give scores, no decision'}")
    if not told["log_asked"]:
        lines.append("The hub was not reached: a recall since the last look would not be known.")
    if "sent" in told:
        lines.append(f"sent to the PACS: {told['sent']}")
    return [*lines, f"Results in {told['out']}: research use only, not for clinical use."]


def tested_lines(told: dict[str, Any]) -> list[str]:
    """The test for people."""
    checks = {"membership_test": judged(told["datasets"]), "leak_tests": told["datasets"]}
    lines = [f"{told['model_sha256']}  (study {told['study']})", *_with_layers(told)]
    return lines + [f"{name:<12}{words}" for name, words in leak_rows(checks)]


def _with_layers(told: dict[str, Any]) -> list[str]:
    return [f"with the {told['layers']}"] if "layers" in told else []
