"""`consilium audit recompute BUNDLE`: every round's model once more, where updates were kept."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from compliance.errors import NotReady
from compliance.report import made
from compliance.report.bag import read_zip
from compliance.report.compare import read_evidence
from compliance.report.reading import read_log
from hub.federation.aggregation.recompute import Evidence, Told
from hub.federation.aggregation.recompute import recompute as again
from hub.federation.aggregation.recount import recount
from hub.settings import load_settings

MARKS = {"agrees": "PASS", "differs": "FAIL", "cannot tell": "CANNOT TELL"}
ENDS = {
    0: "Every round gives the model of the log, and every step of a sweep its models.",
    1: "Refuted: a round or a sweep does not give the models of the log; keep these files.",
    2: "Cannot tell: something that a round was made of is missing; see above.",
}
NEXT = "Whether this is the log that the hospitals witnessed says `consilium audit verify`."


def recompute(words: Sequence[str]) -> int:
    """Recompute and tell; returns the exit code.

    Raises:
        NotReady: a file cannot be read, or no round was closed yet.
    """
    parser = argparse.ArgumentParser(prog="consilium audit recompute")
    made.add_words(parser)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--home", type=Path, metavar="DIR")
    try:
        asked = parser.parse_args(words)
    except SystemExit as end:
        return int(end.code or 0)
    told, swept = _told(asked)
    results = {row.result for row in told} | {result for result, _ in swept}
    code = 1 if "differs" in results else 2 if "cannot tell" in results else 0
    if asked.json:
        rows = [{"result": result, "detail": words} for result, words in swept]
        _say(json.dumps({"code": code, "rounds": [asdict(row) for row in told], "sweep": rows}))
        return code
    for row in told:
        _say(f"{MARKS[row.result]:<12}round {row.round}: {row.detail}")
    for result, detail in swept:
        _say(f"{MARKS[result]:<12}sweep of coalitions: {detail}")
    _say(f"{ENDS[code]} {NEXT}")
    return code


def _told(asked: argparse.Namespace) -> tuple[list[Told], list[tuple[str, str]]]:
    evidence = read_evidence(asked.bundle)
    if not evidence.entries:
        raise NotReady(f"{asked.bundle} holds no log.", "Name a bundle of `audit export`.")
    _, inside = read_zip(asked.bundle.read_bytes())
    log = read_log(evidence.entries, evidence.note)
    kept = (
        asked.folder
        or load_settings(asked.home).home / "studies" / log.state.origin.rpartition("/")[2]
    )
    with tempfile.TemporaryDirectory(prefix="consilium-recompute-") as folder:
        told = list(again(Evidence(log, inside, kept, Path(folder))))
    if not told:
        raise NotReady("no round was closed in this log.", "Export again after the first round.")
    return told, list(recount(log, kept))


def _say(text: str) -> None:
    print(text)  # noqa: T201 - a command line speaks to a person
