"""`consilium site deidentify`: copies of DICOM files that name nobody."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from site_node.gate.say import Progress
from site_node.options import (
    AsJson,
    DeidProfile,
    DicomQuery,
    DicomSource,
    FindText,
    Home,
    ListFiles,
    speak,
)
from site_node.wiring import open_site

SHOWN = 12


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give the command to `consilium site`; `act` words what a full disk would say."""
    app.command()(act(deidentify))


def deidentify(  # noqa: PLR0913 - one option each
    source: DicomSource,
    *,
    out: Annotated[Path, typer.Option(help="New or empty folder for the copies.")],
    profile: DeidProfile = "training",
    query: DicomQuery = None,
    accept_burned_in: Annotated[
        bool,
        typer.Option("--accept-burned-in", help="Copy pictures that may carry a name as pixels."),
    ] = False,
    find_text: FindText = None,
    list_files: ListFiles = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Write copies of DICOM images that name nobody; originals stay as they are, nothing is sent.

    A second run goes on where the first stopped. Text that is drawn into the pixels is seen with
    --find-text only, and not all of it: look at the copies before you hand them out.

    Example: consilium site deidentify /pacs/export --out /srv/copies --profile strict
    """
    quiet = Progress(sys.stderr, quiet=as_json)
    with open_site(home, joined=False) as rooms, quiet as progress:
        told = rooms.reception.run_deidentify(
            source,
            out,
            profile=profile,
            query=query or [],
            accept_burned_in=accept_burned_in,
            find_text=find_text,
            list_files=list_files,
            progress=progress,
        )
    speak(told, as_json=as_json, lines=copied_lines(told))


def copied_lines(told: dict[str, Any]) -> list[str]:
    """What came of it: counts, reasons, and what was done most often; no value, no file name."""
    counts = ("profile", "files", "written", "quarantined", "skipped")
    lines = [f"{name}: {told[name]}" for name in counts]
    for name in ("pacs", "reasons", "skipped_because"):
        if told.get(name):
            lines.append(f"{name}: " + ", ".join(f"{key} {n}" for key, n in told[name].items()))
    done: dict[str, Mapping[str, int]] = told["actions"]
    codes = ", ".join(f"{code} {n}" for code, n in done.get("codes", {}).items())
    lines.append(f"codes (CID 7050): {codes}")
    places = sorted(done.items(), key=lambda row: (-sum(row[1].values()), row[0]))
    for place, words in [row for row in places if row[0] not in ("codes", "pixels")][:SHOWN]:
        lines.append(f"  {place:<20} " + ", ".join(f"{word} {n}" for word, n in words.items()))
    lines.append(_text_line(done.get("pixels")))
    report = Path(told["out"]) / "deidentification.json"
    return [*lines, f"The whole list: {report}. Look at the copies before you hand them out."]


def _text_line(pixels: Mapping[str, int] | None) -> str:
    if pixels is None:
        return "text in pictures: not looked for (--find-text)"
    return f"text in pictures: {pixels['read']} frames read, {pixels['blanked']} places blanked"
