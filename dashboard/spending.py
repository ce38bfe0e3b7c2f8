"""What a study with noise has spent, by this process's own fold over the entries it checked."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from compliance.records.envelope import parse_event
from compliance.records.rounds import UpdateSubmitted
from compliance.rules.state import StudyState
from compliance.signing.note import parse
from dashboard import style, words

Plain = dict[str, Any]
MARK = b'"type":"update.submitted"'


def stated(entries: Sequence[bytes]) -> list[Plain]:
    """Every stated cost in the order of the log, with the sum of its data set so far.

    Args:
        entries: of the study's log, checked.

    Returns:
        `entry`, `site`, `dataset`, `round`, `epsilon`, `sum`, `steps`, `sigma`, `rate`, `delta`.
    """
    sums: dict[tuple[str, str], Decimal] = {}
    rows = []
    for index, entry in enumerate(entries):
        if MARK not in entry:
            continue
        event = parse_event(parse(entry).text)
        body, site = event.body, (event.actor or "").rpartition("/")[0]
        if not isinstance(body, UpdateSubmitted) or body.dp is None:
            continue
        pair = site, body.dataset
        sums[pair] = sums.get(pair, Decimal(0)) + Decimal(body.dp.epsilon)
        rows.append(
            {
                "entry": index, "site": site, "dataset": body.dataset, "round": body.round,
                "epsilon": Decimal(body.dp.epsilon), "sum": sums[pair], "steps": body.dp.steps,
                "sigma": body.dp.sigma, "rate": body.dp.sample_rate, "delta": body.dp.delta,
            }
        )  # fmt: skip
    return rows


def accounts(state: StudyState, rows: Sequence[Plain]) -> list[Plain]:
    """What each data set has spent of its cap: `site`, `dataset`, `spent`, `cap`, `rounds`.

    Args:
        state: the fold of the checked entries.
        rows: what they stated.
    """
    return [
        {
            "site": site,
            "dataset": dataset,
            "spent": state.spent(site, dataset),
            "cap": cap,
            "rounds": sum((row["site"], row["dataset"]) == (site, dataset) for row in rows),
        }
        for (site, dataset), cap in sorted(state.epsilon_cap.items())
    ]


def table(rows: Sequence[Plain], names: words.Names) -> list[dict[str, str]]:
    """The accounts as people read them, the fullest first."""
    ordered = sorted(rows, key=lambda row: (-share(row), row["site"]))
    return [
        {
            "Hospital": f"{words.hospital(row['site'], names)}, {row['dataset']}",
            "ε spent": style.epsilon(row["spent"]),
            "Cap": style.epsilon(row["cap"]),
            "Left": style.left(row["cap"] - row["spent"]),
            "Used": f"{share(row):.0%}",
            "Answers with noise": str(row["rounds"]),
        }
        for row in ordered
    ]


def share(row: Plain) -> float:
    """How much of its cap a data set has used."""
    return float(row["spent"] / row["cap"]) if row["cap"] else 0.0


def by_round(rows: Sequence[Plain], names: words.Names) -> list[dict[str, str]]:
    """Every stated cost as people read it, newest first."""
    return [
        {
            "Round": str(row["round"]),
            "Hospital": f"{words.hospital(row['site'], names)}, {row['dataset']}",
            "ε of this answer": style.epsilon(row["epsilon"]),
            "ε so far": style.epsilon(row["sum"]),
            "Steps": style.cases(row["steps"]),
            "Sigma": str(row["sigma"]),
            "Chance a step": str(row["rate"]),
            "Log entry": str(row["entry"]),
        }
        for row in reversed(rows)
    ]


def points(rows: Sequence[Plain], names: words.Names) -> list[Plain]:
    """The sums as a chart reads them."""
    return [
        {
            "site": row["site"],
            "hospital": f"{words.hospital(row['site'], names)}, {row['dataset']}",
            "round": row["round"],
            "value": float(row["sum"]),
        }
        for row in rows
    ]
