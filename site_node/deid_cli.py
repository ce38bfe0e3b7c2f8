"""`consilium site deidentify`: copies of DICOM files that name nobody."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from site_node.gate.say import Progress
from site_node.options import AsJson, Home, ListFiles, speak
from site_node.wiring import open_site

SHOWN = 12


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give the command to `consilium site`; `act` words what a full disk would say."""
    app.command()(act(deidentify))


def deidentify(
    source: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder with DICOM files.")],
    *,
    out: Annotated[Path, typer.Option(help="New or empty folder for the copies.")],
    profile: Annotated[
        str, typer.Option(help="training, strict, or a YAML file with name and codes.")
    ] = "training",
    accept_burned_in: Annotated[
        bool,
        typer.Option("--accept-burned-in", help="Copy pictures that may carry a name as pixels."),
    ] = False,
    list_files: ListFiles = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Write copies of DICOM images that name nobody; originals stay as they are, nothing is sent.

    A second run goes on where the first stopped. Text that is drawn into the pixels is not seen:
    look at the copies before you hand them out.

    Example: consilium site deidentify /pacs/export --out /srv/copies --profile strict
    """
    quiet = Progress(sys.stderr, quiet=as_json)
    with open_site(home, joined=False) as rooms, quiet as progress:
        told = rooms.run_deidentify(
            source,
            out,
            profile=profile,
            accept_burned_in=accept_burned_in,
            list_files=list_files,
            progress=progress,
        )
    speak(told, as_json=as_json, lines=copied_lines(told))


def copied_lines(told: dict[str, Any]) -> list[str]:
    """What came of it: counts, reasons, and what was done most often; no value, no file name."""
    counts = ("profile", "files", "written", "quarantined", "skipped")
    lines = [f"{name}: {told[name]}" for name in counts]
    for name in ("reasons", "skipped_because"):
        if told[name]:
            lines.append(f"{name}: " + ", ".join(f"{key} {n}" for key, n in told[name].items()))
    done: dict[str, Mapping[str, int]] = told["actions"]
    codes = ", ".join(f"{code} {n}" for code, n in done.get("codes", {}).items())
    lines.append(f"codes (CID 7050): {codes}")
    places = sorted(done.items(), key=lambda row: (-sum(row[1].values()), row[0]))
    for place, words in [row for row in places if row[0] != "codes"][:SHOWN]:
        lines.append(f"  {place:<20} " + ", ".join(f"{word} {n}" for word, n in words.items()))
    report = Path(told["out"]) / "deidentification.json"
    return [*lines, f"The whole list: {report}. Look at the copies before you hand them out."]
