"""The page a steward reads before a model leaves the study: what, how good, who agreed so far."""

from __future__ import annotations

from typing import Any

from site_node.gate.leaks import leak_rows
from site_node.gate.model_checks import KEPT_HERE

NAMES = 4


def model_lines(page: dict[str, Any]) -> list[str]:
    """One model as it would leave, from plain values."""
    left_out = ", ".join(f"{site} ({why})" for site, why in page["left_out"].items())
    veto = "one refusal stops it" if page["veto"] else "a refusal does not stop it"
    checks = page["checks"]
    smallest = "none shown" if checks["smallest_count"] is None else checks["smallest_count"]
    rows = [
        ("Model", page["model_sha256"]),
        ("Made in", f"round {page['round']}; {page['rounds_closed']} rounds are closed"),
        ("Used", f"{', '.join(page['used'])}; left out: {left_out or 'nobody'}"),
        *_number_rows(page["numbers"]),
        ("Leaves as", f"{', '.join(page['outputs'])} after {page['needed']} hospitals; {veto}"),
        ("Agreed", ", ".join(page["agreed"]) or "nobody yet"),
        ("Refused", ", ".join(page["refused"]) or "nobody"),
        ("Not yet", ", ".join(page["silent"]) or "nobody"),
        ("Smallest count", f"{smallest} (floor {checks['floor']})"),
        *leak_rows(checks),
        ("Told with a yes", told_words(page["told"])),
        ("Our answer", page["own_answer"] or "none yet"),
    ]
    if page["released"]:
        rows.append(("State", f"{page['released']} already: objecting does not call it back"))
    lines = [f"{page['title']}  (study {page['study']})", ""]
    return [*lines, *(f"{name:<16}{words}" for name, words in rows)]


def told_words(told: dict[str, Any]) -> str:
    """What the researcher and auditors can open after a yes, in one line."""
    what = "the leak test by class, no count"
    if told["leak"] == KEPT_HERE:
        what = "not the leak test, since no epsilon covers it"
    return f"sealed, for the researcher and auditors: {what}; that the three hashes are ours"


def answer_line(told: dict[str, Any]) -> str:
    """What was said, and whether the hub has it."""
    how = "handed to the hub" if told["sent"] else "kept until the hub answers"
    verb = "Agreed to the release of" if told["answer"] == "agreed" else "Objected to"
    return f"{verb} {told['model_sha256'][:19]}… as {told['signed']}: {how}."


def _number_rows(numbers: list[dict[str, Any]]) -> list[tuple[str, str]]:
    if not numbers:
        return [("My numbers", "this hospital has measured nothing on this model")]
    return [
        ("My numbers", f"{row['dataset']}, {row['split']}: {_values(row['values'])}")
        for row in numbers
    ]


def _values(values: dict[str, Any]) -> str:
    shown = [
        f"{name} {value['value']} (n {value['n']})"
        for name, value in sorted(values.items())
        if value["value"] is not None
    ]
    more = f" and {len(shown) - NAMES} more" if len(shown) > NAMES else ""
    return (", ".join(shown[:NAMES]) + more) or "every count is below the floor"
