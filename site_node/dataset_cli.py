"""`consilium site import` and its kin: from files to a dataset, and what stayed out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from compliance.errors import NotReady
from site_node.gate.say import (
    Progress,
    dataset_lines,
    import_lines,
    plain_summary,
    quarantine_lines,
)
from site_node.options import (
    AsJson,
    DeidProfile,
    DicomQuery,
    FindText,
    Home,
    ListFiles,
    Yes,
    speak,
)
from site_node.wiring import open_site

ImportSource = Annotated[
    str | None,
    typer.Argument(
        metavar="SOURCE",
        help="Folder or .zip with DICOM files; `inbox`; `pacs` with --query.",
        show_default=False,
    ),
]


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give the commands to `consilium site`; `act` words what a full disk would say."""
    app.command("import")(act(import_folder))
    app.command()(act(datasets))
    app.command()(act(quarantine))
    app.command()(act(inbox))


def import_folder(  # noqa: PLR0913 - one option each
    source: ImportSource = None,
    *,
    dataset: Annotated[str, typer.Option(help="Name of the dataset, such as chest.")],
    table: Annotated[
        Path | None,
        typer.Option(help="CSV with clinical variables, in place of SOURCE; --recipe says what."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV with one label per patient, study, series or image.")
    ] = None,
    seg: Annotated[
        bool, typer.Option("--seg", help="Take DICOM Segmentations as masks, instead of --labels.")
    ] = False,
    recipe: Annotated[
        Path | None, typer.Option(help="Import recipe, or a table's columns.")
    ] = None,
    profile: DeidProfile = "training",
    label_key: Annotated[str | None, typer.Option(help="Column that names the case.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column with the label.")] = None,
    classes: Annotated[str | None, typer.Option(help="Labels in order, comma separated.")] = None,
    query: DicomQuery = None,
    find_text: FindText = None,
    list_files: ListFiles = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """De-identify DICOM files and import them into a dataset; only its description may leave.

    `inbox` is what arrived by C-STORE, `pacs` what the settings' PACS holds for the query.
    `--table FILE.csv --recipe COLUMNS.yaml` imports clinical variables in place of images.

    Example: consilium site import /pacs/export --dataset chest --labels labels.csv
    """
    words: dict[str, Any] = {"name": dataset, "recipe": recipe}
    images: dict[str, Any] = {
        "labels": labels,
        "label_key": label_key,
        "label_column": label_column,
    }
    images |= {"seg": seg, "classes": classes, "query": query or [], "find_text": find_text}
    if (source is None) == (table is None) or (table is not None and any(images.values())):
        raise NotReady(
            "an import takes images or a table, and a table takes no option of images.",
            "Name a folder, or a CSV file with --table and its columns with --recipe.",
        )
    with open_site(home, joined=False) as rooms:
        if table is not None:
            told = rooms.reception.run_table(table, **words, list_rows=list_files)
        else:
            with Progress(sys.stderr, quiet=as_json) as progress:
                words |= {"profile": profile, "list_files": list_files, "progress": progress}
                told = rooms.reception.run_import(source or "", **words, **images)
        if rooms.settings.joined:
            rooms.look_at_consortium()
            rooms.registrar.register_new()
            rooms.steward.keep_word()
            told["waiting_for_hub"] = rooms.statements.waiting()
        speak(told, as_json=as_json, lines=import_lines(told))


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
            told = rooms.reception.ward.release(release, dataset)
            lines = [f"Released {told['file']}: the next import looks at it again."]
            speak(told, as_json=as_json, lines=lines)
        elif drop is not None:
            told = rooms.reception.ward.drop(drop, dataset)
            speak(told, as_json=as_json, lines=[f"Deleted {told['file']}."])
        else:
            rows = rooms.catalogue.quarantine(dataset)
            speak(rows, as_json=as_json, lines=quarantine_lines(rows))


def inbox(
    *,
    thin: Annotated[
        bool, typer.Option("--thin", help="Delete received files that a dataset holds already.")
    ] = False,
    yes: Yes = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Say what arrived from the PACS and lies here; --thin makes room.

    After thinning other labels need the files again: let the PACS send them, or fetch them.

    Example: consilium site inbox --thin
    """
    with open_site(home, joined=False) as rooms:
        told = rooms.reception.inbox_told()
        if thin:
            if not yes:
                asked = f"Delete {told['held']} received files that a dataset holds?"
                typer.confirm(asked, abort=True, err=True)
            told |= rooms.reception.thin_inbox()
    held = f"a dataset holds {told['held']} of them ({told['held_bytes'] >> 20} MiB)"
    lines = [f"{told['files']} files ({told['bytes'] >> 20} MiB); {held}."]
    if thin:
        lines.append(f"Deleted: {told['deleted']} files, {told['freed'] >> 20} MiB.")
    speak(told, as_json=as_json, lines=lines)
