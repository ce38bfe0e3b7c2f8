"""The cards of the console: what will happen here if this hospital says yes, line by line.

Each line names its source: the charter, this hospital's own catalogue, settings and policy, or what
was computed here. Pure, so it can be tested without a page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from compliance.records.measures import shortened
from dashboard import console_words as told
from dashboard import style, words

Plain = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One line of the card: what, here, and where it is from."""

    name: str
    text: str
    source: str


@dataclass(frozen=True)
class Part:
    """A part of the card."""

    title: str
    lines: tuple[Line, ...]


def card_parts(card: Plain) -> list[Part]:
    """What will happen here, every line with its source."""
    return [
        Part("Who asks, and for what", tuple(_asking(card))),
        Part("What happens here", tuple(_here(card))),
        Part("What leaves this hospital", tuple(_leaving(card))),
        Part("Who decides", tuple(_deciding(card))),
        Part("Law and time", tuple(_law(card))),
    ]


def _asking(card: Plain) -> Iterable[Line]:
    purpose = card["purpose"]
    gain = "for profit" if purpose["for_profit"] else "not for profit"
    use = words.USES.get(purpose["use"], purpose["use"])
    yield Line("Asked by", card["asked_by"], told.CHARTER)
    yield Line("Purpose", f"{use}, {gain}", told.CHARTER)
    if purpose["disease"]:
        yield Line("Diseases", ", ".join(purpose["disease"]), told.CHARTER)
    yield Line("Hospitals", words.listed(card["sites"]), told.CHARTER)


def _here(card: Plain) -> Iterable[Line]:
    for row in card["datasets"]:
        yield Line("Our data", _data(row), told.CATALOGUE)
    recipe, rounds = card["recipe"], card["rounds"]
    yield Line("Recipe", f"{recipe['id']} {recipe['version']} ({recipe['family']})", told.CHARTER)
    if card["trains"] is not None:
        yield Line("Trained here", str(card["trains"]), told.CHARTER)
    if card["begins"] is not None:
        yield Line("Begins with", f"a given model: {card['begins']}", told.CHARTER)
    each = duration(rounds["seconds_each"])
    yield Line("Rounds", f"at most {rounds['most']}, each up to {each}", told.CHARTER)
    same = card["bundle"]["same"]
    trust = "the one that we trust" if same else "NOT the one that we trust: do not sign"
    shown = style.short(str(card["bundle"]["charter"]))
    yield Line("Flower bundle", f"{trust} ({shown})", told.SETTINGS)
    for name, said in card["own_policy"].items():
        yield Line(f"Our limit: {name.replace('_', ' ')}", str(said), told.POLICY)


def _data(row: Plain) -> str:
    if not row["here"]:
        return f"{row['id']}: this version is NOT here"
    counts = ", ".join(f"{style.cases(n)} {split}" for split, n in row["cases"].items())
    found = ", ".join(f"{style.cases(n)} {split}" for split, n in row["positives"].items())
    positive = f"; positive: {found}" if found else ""
    return f"{row['id']}: {style.cases(row['patients'])} patients; {counts}{positive}"


def _leaving(card: Plain) -> Iterable[Line]:
    leaves = card["leaves"]
    size = leaves["model_change_mib_per_round"]
    total = leaves["model_change_mib_in_total"]
    change = "size unknown" if size is None else f"{size} MiB a round, {total} MiB in total"
    yield Line("Change of the model", change, told.COMPUTED)
    for name, said in (card["masks"] or {}).items():
        yield Line(name, said, told.CHARTER)
    yield Line("Measured values", ", ".join(shortened(leaves["metrics"])), told.CHARTER)
    floor, own = card["floors"], card["own_floors"]
    counts = f"none below {leaves['counts_not_below']}"
    which = f"the charter says {floor['min_cell']}, we say {own['min_cell']}"
    yield Line("Counts", f"{counts} ({which})", f"{told.CHARTER}, {told.SETTINGS.lower()}")
    least = max(floor["min_examples"], own["min_examples"])
    yield Line("Fewest cases of an update", str(least), f"{told.CHARTER}, {told.SETTINGS.lower()}")
    yield Line("Signatures", "of what is said, with this hospital's keys", told.FIXED)
    yield Line("Nothing else", "no image, header, file name or text", told.FIXED)
    yield Line("Privacy budget", card["epsilon"], f"{told.CHARTER}, {told.COMPUTED.lower()}")


def _deciding(card: Plain) -> Iterable[Line]:
    signed = words.listed(card["signed"])
    need = f"{card['signatures_required']} of {len(card['sites'])} are needed"
    yield Line("Signed so far", f"{signed}; {need}", told.SIGNED)
    yield Line("Witnesses", card["quorum"], told.CHARTER)
    outputs = card["outputs"]
    veto = "one objection stops it" if outputs["veto"] else "an objection does not stop it"
    what = f"{words.listed(outputs['outputs'])} after {outputs['k']} hospitals agreed; {veto}"
    yield Line("Handed out", what, told.CHARTER)


def _law(card: Plain) -> Iterable[Line]:
    legal = card["legal"]
    if legal is None:
        yield Line("Legal block", "NO ROW FOR THIS HOSPITAL", told.CHARTER)
    else:
        basis = f"{legal['lawful_basis']}, {legal['special_category_basis']}"
        yield Line("Controller", f"{legal['controller']}: {basis}", told.CHARTER)
        ethics, dua = legal["ethics"], legal["dua"]
        vote = f"{ethics['status']} ({ethics['ref']}) until {day(ethics['expires'])}"
        yield Line("Ethics", vote, told.CHARTER)
        yield Line("Data use", f"{dua['ref']} until {day(dua['expires'])}", told.CHARTER)
    yield Line("Valid", f"{day(card['starts'])} to {day(card['expires'])}", told.CHARTER)
    yield Line("Records kept until", day(card["retention_until"]), told.CHARTER)
    leave = "at any time, at once, without the hub; what was learned by then stays in the models"
    yield Line("Leaving", leave, told.FIXED)


def verdicts(card: Plain) -> tuple[list[str], int]:
    """What the rules that say no say, and how many were asked."""
    rows = card["verdicts"]
    against = [f"{row['sentence']} ({row['rule']})" for row in rows if not row["allowed"]]
    return against, len(rows)


def charter_text(text: str) -> str:
    """A charter as people can read it: the same words, one below the other."""
    first, _, rest = text.partition("\n")
    try:
        return f"{first}\n{json.dumps(json.loads(rest), indent=2, ensure_ascii=False)}"
    except ValueError:
        return text


def day(text: object) -> str:
    """A day as people write it; no end where there is none."""
    return style.moment(str(text)).partition(",")[0] if text else "no end"


def duration(seconds: int) -> str:
    """How long: 1 h, 10 min, 45 s."""
    for span, word in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= span and seconds % span == 0:
            return f"{seconds // span} {word}"
    return f"{seconds} s"


def model_lines(row: Plain) -> list[Line]:
    """A model as it would leave."""
    checks = row["checks"]
    smallest = "none shown" if checks["smallest_count"] is None else str(checks["smallest_count"])
    left_out = ", ".join(f"{site} ({why})" for site, why in row["left_out"].items()) or "nobody"
    most = f"{row['rounds_closed']} of at most {row['max_rounds']} are closed"
    return [
        Line("Made in", f"round {row['round']}; {most}", told.LOG),
        Line("Hospitals used", words.listed(row["used"]), told.LOG),
        Line("Left out", left_out, told.LOG),
        *[Line("Our numbers", text, told.LOG) for text in _numbers(row["numbers"])],
        Line("Leaves as", words.listed(row["outputs"]), told.CHARTER),
        Line("Agreed", f"{words.listed(row['agreed'])}; {row['needed']} are needed", told.LOG),
        Line("Objected", words.listed(row["refused"]), told.LOG),
        Line("Not yet answered", words.listed(row["silent"]), told.LOG),
        Line("Smallest count", f"{smallest} (our floor is {checks['floor']})", told.COMPUTED),
        Line("Leak test", told.LEAKS[str(checks["membership_test"])], told.COMPUTED),
        Line("Told with a yes", told.TOLD[row["told"]["leak"] != "kept_here"], told.FIXED),
    ]


def _numbers(rows: Sequence[Plain]) -> list[str]:
    return [f"{row['dataset']}, {row['split']}: {_values(row['values'])}" for row in rows] or [
        "this hospital has measured nothing on this model"
    ]


def _values(values: Plain) -> str:
    shown = [
        f"{words.measure(name)} {style.value(value['value'])} (n {value['n']})"
        for name, value in sorted(values.items())
        if value["value"] is not None
    ]
    return ", ".join(shown) or "every count is below the floor"
