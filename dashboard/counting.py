"""Questions how many and their answers, in words; nothing that was not told becomes a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compliance.errors import Malformed
from compliance.records.counts import COUNTS, CountsDeclined
from compliance.records.envelope import Event, parse_event
from compliance.rules.consortium.state import ConsortiumState
from compliance.signing.note import parse, verified
from dashboard import style, words
from dashboard.answers import decoded

Plain = dict[str, Any]
FIELDS = {
    "modality": "Modality",
    "body_part": "Body part",
    "label": "Class of the labels",
    "age": "Age",
    "sex": "Sex",
}
STATES = {
    "told": "told",
    "few": "fewer than its floor, or none",
    "waiting": "no answer yet",
    "declined": "answers no such question",
    "silent": "gave no answer in seven days",
}


def lines_of(row: Plain, names: words.Names) -> list[Plain]:
    """One line for each dataset that was told about, and one for a hospital that told of none.

    Args:
        row: a question as the hub lists it.
        names: titles of hospitals by name.
    """
    return [line for told in row["hospitals"] for line in _lines(told, names, open_=row["open"])]


def _lines(told: Plain, names: words.Names, *, open_: bool) -> list[Plain]:
    title, floor = words.hospital(told["site"], names), told["floor"]
    if told["datasets"]:
        return [_line(title, row["dataset"], number(row["patients"], floor), floor)
                for row in told["datasets"]]  # fmt: skip
    state = "silent" if told["state"] == "waiting" and not open_ else told["state"]
    said = "no registered data set" if state == "few" else STATES[state]
    return [_line(title, style.MINUS, said, floor)]


def _line(title: str, dataset: str, said: str, floor: int | None) -> Plain:
    steps = style.MINUS if floor is None else f"steps of {floor}"
    return {"Hospital": title, "Data set": dataset, "Patients": said, "Rounded": steps}


def number(patients: int | None, floor: int) -> str:
    """A number that was told; zero and too few look the same."""
    return f"fewer than {floor}, or none" if patients is None else f"{patients:,}"


def summary(row: Plain) -> str:
    """What is known together, in one sentence: a sum of what was told, and who did not tell."""
    found = [told["state"] for told in row["hospitals"]]
    told, silent = found.count("told"), len(found) - found.count("told")
    if not told:
        return f"None of {hospitals(len(found))} told a number."
    more = f" {hospitals(silent)} told no number." if silent else ""
    return (
        f"{row['told']:,} patients as told by {hospitals(told)}, rounded down in small groups; "
        f"a person in two data sets is told twice.{more}"
    )


def hospitals(count: int) -> str:
    """How many hospitals, in words."""
    return "1 hospital" if count == 1 else f"{count} hospitals"


def forged(row: Plain, state: ConsortiumState) -> list[str]:
    """Hospitals whose answer, as the page shows it, is not what their node signed.

    Args:
        row: a question as the hub lists it.
        state: the consortium as it was folded here; a node's earlier keys count too.
    """
    answered = [told for told in row["hospitals"] if told["state"] != "waiting"]
    return [told["site"] for told in answered if not _signed(told, row["question"], state)]


def _signed(told: Plain, question: str, state: ConsortiumState) -> bool:
    """Whether some key of this hospital's node signed exactly what is shown, to this question."""
    name = f"{told['site']}/node"
    keys = [key for _, key in state.keys.history.get(name, [])]
    try:
        note = parse(decoded(told["note_base64"], "an answer"))
        event = parse_event(note.text, kinds=COUNTS)
        return bool(verified(note, keys)) and _says(event, name, state, told | {"to": question})
    except Malformed:
        return False


def _says(event: Event, name: str, state: ConsortiumState, told: Plain) -> bool:
    if (event.actor, event.log) != (name, state.agreement_id):
        return False
    if told["state"] == "declined":
        return event.body == CountsDeclined(question=told["to"])
    shown = {"question": told["to"], "floor": told["floor"], "told": told["datasets"]}
    return event.type == "counts.answered" and event.body.plain() == shown


def asked_line(row: Plain) -> str:
    """Who asked what, and when."""
    return f"{style.moment(row['asked'])} · {row['asker']} · {row['phrase']}"


def text_lines(rows: Sequence[Plain], names: Mapping[str, str]) -> list[str]:
    """Questions and answers for a terminal."""
    found = []
    for row in rows:
        found += [asked_line(row), f"  {summary(row)}"]
        found += [
            f"  {line['Hospital']:<28} {line['Data set']:<20} {line['Patients']}"
            for line in lines_of(row, names)
        ]
    return found
