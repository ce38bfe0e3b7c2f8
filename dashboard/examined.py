"""What was examined before a model leaves: by the hospitals, as they told it, and by the log.

A hospital's part is sealed beside its yes. It counts here only if it is the one that the checked
entry commits to; what it says is the hospital's word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compliance import canonical
from compliance.errors import ConsiliumError, NotProven, NotReady, Refused
from compliance.records.checks import ChecksTold, ClassLeak, read_checks
from compliance.records.envelope import Event, parse_event
from compliance.records.reasons import Excluded
from compliance.records.releases import ReleaseApproved
from compliance.records.sealed import open_sealed
from compliance.rules.state import StudyState
from compliance.signing.note import parse
from dashboard import style, words

Plain = dict[str, Any]
Opener = Callable[[int], Plain]
MARK = b'"type":"release.approved"'
LEAKS: dict[str, str] = {
    "not_tested": "○ not tested: fewer than 100 patients on one side of every class",
    "no_leak_found": "✓ no leak found",
    "leak_test": "! tells who was trained on; the hospital agreed all the same",
    "kept_here": "○ not told: no ε covers it in a study with noise",
    "nothing": "○ nothing was told of it",
    "shut": "○ sealed: the study's researcher and auditors open it",
    "gone": "○ erased, or never handed in",
    "false": "✕ the hub shows another text than the hospital signed for",
}
"""What a hospital told of its leak test."""

SHUT: dict[type[ConsiliumError], str] = {Refused: "shut", NotReady: "gone", NotProven: "false"}
SAME, OTHER, UNTOLD = "✓ the charter's", "✕ another than the charter's", style.MINUS
BOUND = (Excluded.NORM_BOUND, Excluded.NOT_FINITE, Excluded.WRONG_SHAPE, Excluded.BAD_HASH)


@dataclass(frozen=True)
class Said:
    """What one hospital told of its checks.

    Args:
        site: the hospital.
        leak: a word of `LEAKS`.
        told: its sealed part, where it could be opened and is the one that was signed for.
    """

    site: str
    leak: str
    told: ChecksTold | None = None


def approvals(entries: Sequence[bytes], model: str) -> dict[str, tuple[int, Event]]:
    """The newest yes of each hospital to this model: its entry and the statement."""
    found = {}
    for index, entry in enumerate(entries):
        if MARK not in entry:
            continue
        event = parse_event(parse(entry).text)
        if isinstance(event.body, ReleaseApproved) and event.body.model_sha256 == model:
            found[(event.actor or "").rpartition("/")[0]] = index, event
    return found


def said(entries: Sequence[bytes], model: str, sites: Sequence[str], ask: Opener) -> list[Said]:
    """What these hospitals told with their yes.

    Args:
        entries: of the log, checked.
        model: its hash.
        sites: who agreed.
        ask: opens the sealed detail of an entry at the hub.
    """
    found = approvals(entries, model)
    return [_said(site, *found[site], model, ask) for site in sites if site in found]


def _said(site: str, index: int, event: Event, model: str, ask: Opener) -> Said:
    if event.sealed is None:
        return Said(site, "nothing")
    try:
        row = ask(index)
    except (Refused, NotReady, NotProven) as error:
        return Said(site, SHUT[type(error)])
    told = _opened(event.sealed, row)
    if told is None or told.model_sha256 != model:
        return Said(site, "false")
    return Said(site, told.leak, told)


def _opened(commitment: str, row: Plain) -> ChecksTold | None:
    """The sealed part, if it is the one of this commitment and has the form of one."""
    try:
        data = canonical.encode(row["payload"])
        return read_checks(open_sealed(commitment, bytes.fromhex(row["salt"]), data))
    except (ConsiliumError, KeyError, TypeError, ValueError):
        return None


def table(rows: Sequence[Said], state: StudyState, names: words.Names) -> list[dict[str, str]]:
    """What the hospitals told as people read it."""
    return [
        {
            "Hospital": words.hospital(row.site, names),
            "Leak test": leak_words(row),
            "Network, label map, preparation": _identity(row.told, rows, state),
            "Counts": UNTOLD if row.told is None else _floor(holds=row.told.floor_holds),
        }
        for row in rows
    ]


def leak_words(row: Said) -> str:
    """A leak test in words, with the interval of each class that was tested."""
    parts = [_class_words(one) for one in row.told.classes] if row.told else []
    return f"{LEAKS[row.leak]}. {'; '.join(parts)}" if parts else LEAKS[row.leak]


def _class_words(one: ClassLeak) -> str:
    name = one.name.replace("_", " ")
    auc = f"{style.value(one.auc.value)} ({style.interval(one.auc.low, one.auc.high)})"
    tpr = f"{style.value(one.tpr.value)} ({style.interval(one.tpr.low, one.tpr.high)})"
    return f"{name}: AUC {auc}, found at 1 % false {tpr}"


def _identity(told: ChecksTold | None, rows: Sequence[Said], state: StudyState) -> str:
    if told is None:
        return UNTOLD
    task = state.charter.task
    layouts = {row.told.layout_sha256 for row in rows if row.told is not None}
    same = (told.label_map_sha256, told.preprocessing_sha256) == (
        task.label_map_sha256,
        task.preprocessing_sha256,
    )
    return SAME if same and len(layouts) == 1 else OTHER


def _floor(*, holds: bool) -> str:
    return "✓ none below the floor" if holds else "✕ one below the floor"


def facts(state: StudyState, model: str, names: words.Names) -> dict[str, str]:
    """What the log itself says of a model: which rounds made it, what was left out of them."""
    until = []
    for row in state.rounds_closed:
        until.append(row)
        if row.model_sha256 == model:
            break
    left = [
        f"{words.hospital(site, names)} in round {row.number}: "
        + words.reason(Excluded, str(reason))
        for row in until
        for site, reason in sorted(row.excluded.items())
        if reason in BOUND
    ]
    used = {site for row in until for site in row.used}
    return {
        "Model": style.short(model, 16),
        "Made by": f"{_rounds(len(until))}, each from the model of the one before",
        "Learned from": words.listed([words.hospital(site, names) for site in sorted(used)]),
        "Left out by norm, form or hash": "; ".join(left) or "no update",
    }


def _rounds(count: int) -> str:
    return "1 round" if count == 1 else f"{count} rounds"


def spent_words(rows: Sequence[Mapping[str, Any]], names: words.Names) -> str:
    """What each data set has spent of its cap, in one line; without noise it says so."""
    if not rows:
        return "no noise was agreed: no ε is spent, and none bounds what the model tells"
    return "; ".join(
        f"{words.hospital(row['site'], names)} {style.epsilon(row['spent'])} of "
        f"{style.epsilon(row['cap'])}"
        for row in rows
    )
