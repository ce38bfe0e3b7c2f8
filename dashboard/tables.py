"""What the hub answered, shaped for charts and tables; no page computes by itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from compliance.records import reasons
from compliance.records.measures import LOCAL, part_of
from dashboard import style, words

Plain = dict[str, Any]
FEW = 10
MEGA = 1e6
WAYS = ("down", "up")


def names_of(sites: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Titles by site name."""
    return {str(row["name"]): str(row.get("title") or row["name"]) for row in sites}


def ages(live: Plain) -> dict[str, int]:
    """How many rounds made each model: the start model is not in here, it is 0 rounds old."""
    return {row["model"]: row["round"] for row in live["rounds"]}


def points(
    metrics: Sequence[Plain], measure: str, names: words.Names, ages: Mapping[str, int]
) -> list[Plain]:
    """The values of one measure on the test cases, by hospital and age of the model.

    The same model measured again counts once, by its newest entry.
    """
    found: dict[tuple[int, str], Plain] = {}
    for row in metrics:
        given = row["values"].get(measure)
        if given is None or row["split"] != "test":
            continue
        age = ages.get(row["model"], 0)
        found[age, row["site"]] = _point(row, given, names) | {"round": age}
    return [found[key] for key in sorted(found)]


def _point(row: Plain, given: Plain, names: words.Names) -> Plain:
    n, positives = given.get("n"), given.get("positives")
    few = too_few(n, positives)
    numbers = {
        part: None if few or given.get(part) is None else float(given[part])
        for part in ("value", "low", "high")
    }
    site = str(row["site"])
    plain = {"site": site, "hospital": words.hospital(site, names), "entry": row["index"]}
    return plain | numbers | {"n": n, "positives": positives, "few": few}


def too_few(n: int | None, positives: int | None) -> bool:
    """Whether a value says nothing: fewer than 10 positive or 10 negative cases, or not told."""
    if n is None:
        return True
    if positives is None:
        return n < FEW
    return positives < FEW or n - positives < FEW


def measures(metrics: Sequence[Plain]) -> list[str]:
    """Measures of all patients that were reported, in the order of the catalogue."""
    seen = {name for row in metrics for name in row["values"]}
    plain = {name for name in seen if not name.startswith(LOCAL) and part_of(name) is None}
    return [
        name for kind in words.METRICS for name in sorted(plain) if name.partition(".")[0] == kind
    ]


def metric_table(rows: Sequence[Plain]) -> list[Plain]:
    """The points as people read them, newest round first."""
    return [
        {
            "Rounds": str(row["round"]),
            "Hospital": row["hospital"],
            "Value": "▨ too few" if row["few"] else style.value(row["value"]),
            "95 % interval": style.interval(row["low"], row["high"]) or style.MINUS,
            "Cases": style.cases(row["n"]),
            "Positive": style.cases(row["positives"]),
            "Log entry": str(row["entry"]),
        }
        for row in sorted(rows, key=lambda row: (-row["round"], row["hospital"]))
    ]


def comparison(
    metrics: Sequence[Plain], measure: str, names: words.Names, ages: Mapping[str, int]
) -> list[Plain]:
    """Newest values of each hospital: trained on its own cases only, and on all hospitals'."""
    kinds = ((LOCAL + measure, "own cases only"), (measure, "all hospitals together"))
    rows = []
    for name, kind in kinds:
        newest = {row["site"]: row for row in points(metrics, name, names, ages)}
        rows += [row | {"kind": kind} for row in newest.values()]
    both = {row["site"] for row in rows if row["kind"] == "own cases only"}
    return [row for row in sorted(rows, key=lambda row: row["hospital"]) if row["site"] in both]


def strip(live: Plain, sites: Sequence[Plain]) -> list[Plain]:
    """A cell for each hospital and round: what became of it."""
    names = names_of(sites)
    cells = []
    for row in live["rounds"]:
        cells += [_closed_cell(row, site, title) for site, title in names.items()]
    if live["asked"]:
        cells += [_open_cell(live, site, title) for site, title in names.items()]
    return cells


def _closed_cell(row: Plain, site: str, title: str) -> Plain:
    state, why = "not in round", "it was not asked"
    if site in row["used"]:
        state, why = "used", "its update is part of the new model"
    elif site in row["excluded"]:
        state, why = "left out", words.reason(reasons.Excluded, row["excluded"][site])
    elif site in row["missing"]:
        state, why = "missing", words.reason(reasons.Missing, row["missing"][site])
    return {"site": site, "hospital": title, "round": row["round"], "state": state, "why": why}


def _open_cell(live: Plain, site: str, title: str) -> Plain:
    state, why = "not in round", "it was not asked"
    if site in live["submitted"]:
        state, why = "submitted", "its update has arrived"
    elif site in live["asked"]:
        state, why = "asked", "it is training; its update has not arrived yet"
    return {"site": site, "hospital": title, "round": live["round"], "state": state, "why": why}


def sentence(live: Plain, closed: str | None) -> str:
    """Where the study is now, in one sentence."""
    number, most = live["round"], live["max_rounds"]
    if live["phase"] == "closed":
        why = words.reason(reasons.Closed, closed) if closed else "for good"
        return f"The study is closed after {_rounds(live)}: {why}."
    if live["phase"] == "stopped":
        return f"The study is stopped after {_rounds(live)}."
    if not live["asked"]:
        return f"{number} of {most} rounds are closed. The next round is about to open."
    waiting = [row["title"] for row in live["waiting"]]
    if not waiting:
        return f"Round {number} of {most}. Every hospital has answered; the new model is made."
    until = str(live["deadline"])[11:16]
    return f"Round {number} of {most}. Waiting for {words.listed(waiting)} (until {until} UTC)."


def rests(live: Plain) -> list[str]:
    """Who is not asked for a while, and why, in sentences."""
    return [
        f"{row['title']} rests until round {row['until']} is over: "
        + words.listed(sorted({words.reason(reasons.Excluded, one) for one in row["reasons"]}))
        + "."
        for row in live.get("resting", [])
    ]


def unlike(live: Plain, sites: Sequence[Plain]) -> list[Plain]:
    """How unlike the others each hospital's updates were, the most conspicuous first."""
    found = (live.get("scores") or {}).get("sites", {})
    titles = {row["name"]: row["title"] for row in sites}
    rows = sorted(found.items(), key=lambda row: (-row[1], row[0]))
    return [{"Hospital": titles.get(site, site), "Unlike the others": f"{x:.2f}"}
            for site, x in rows]  # fmt: skip


def progress_of(row: Plain, size: int = 0) -> str:
    """How far the messages of a hospital are that is waited for, and what it says of its work."""
    order = (row["health"] or {}).get("order")
    carried = row.get("carried") or {}
    whole = f" of {size / MEGA:.1f}" if size else ""
    way = [f"{carried[key] / MEGA:.1f}{whole} MB {key}" for key in WAYS if carried.get(key)]
    if not isinstance(order, dict):
        return ", ".join(way)
    verbs = {"evaluate": "measuring", "unmask": "unmasking"}
    verb = verbs.get(str(order.get("kind")), "training")
    return ", ".join([*way, f"{verb}, {float(order.get('share') or 0):.0%} done"])


def _rounds(live: Plain) -> str:
    count = len(live["rounds"])
    return "1 round" if count == 1 else f"{count} rounds"


def outcome(live: Plain, sites: Sequence[Plain]) -> tuple[str, str]:
    """How a closed study went: a colour word and a sentence; from the fold, never a process."""
    rounds, signed = live["rounds"], [row["name"] for row in sites if row["signed"]]
    if not rounds:
        return "red", "No round gave a model."
    full = [row for row in rounds if set(row["used"]) >= set(signed)]
    count = f"{len(rounds)} rounds" if len(rounds) > 1 else "the one round"
    if len(full) == len(rounds):
        return "green", f"Trained on {len(signed)} of {len(signed)} hospitals in all {count}."
    partial = len(rounds) - len(full)
    lost_last = rounds[-1] not in full
    colour = "red" if lost_last or 3 * partial >= len(rounds) else "orange"
    fewest = min(len(row["used"]) for row in rounds)
    word = "round" if partial == 1 else "rounds"
    which = words.listed([str(row["round"]) for row in rounds if row not in full])
    return (
        colour,
        f"At least {fewest} of {len(signed)} hospitals took part; not all in {word} {which}.",
    )


def approvals(study: Plain, charter: Plain, verified: Collection[str]) -> list[Plain]:
    """For each hospital whether it signed, refused and why, or has not answered since when.

    Args:
        study: as the hub lists it.
        charter: with signatures and refusals.
        verified: hospitals whose signature was verified here; all of them after the launch.
    """
    signed = {row["name"].split("/", 1)[0]: row["time"] for row in charter["signatures"]}
    refused = {row["site"]: row for row in charter["refusals"]}
    rows = []
    for site in study["sites"]:
        name = site["name"]
        if site["withdrawn"]:
            state, note = "left", "It left the study."
        elif site["signed"] and name not in verified:
            state, note = "forged", "The hub shows a signature that does not verify. It counts not."
        elif site["signed"]:
            state, note = "signed", f"Signed {style.moment(signed.get(name))}"
        elif name in refused:
            why = words.reason(reasons.StudyRefused, refused[name]["reason"])
            state, note = "refused", f"Refused {style.moment(refused[name]['time'])}: {why}"
        else:
            state, note = "waiting", f"Asked {style.moment(charter['created'])}, no answer yet"
        rows.append({"hospital": site["title"], "state": state, "note": note})
    return rows


def progress(study: Plain) -> str:
    """How far a study is, for a list."""
    if study["state"] != "launched":
        signed = sum(row["signed"] for row in study["sites"])
        return f"{signed} of {study['required']} needed signatures"
    return f"Round {study['round']} of {study['max_rounds']}"


def main_measure(study: Plain) -> str:
    """What the charter of a study calls the measure that counts."""
    return words.measure(str(study.get("primary") or "auroc"))


def spread(study: Plain) -> str:
    """Lowest and highest main value of the hospitals; never a mean."""
    found = study.get("auroc")
    if not found:
        return style.MINUS
    low, high = style.value(found["low"]), style.value(found["high"])
    return low if low == high else f"{low}{style.DASH}{high}"


def hospitals(sites: Sequence[Plain], studies: Sequence[Plain], now: datetime) -> list[Plain]:
    """Every hospital as a card: state, last sign of life, versions, keys, studies."""
    rows = []
    for site in sites:
        named = [
            study["title"]
            for study in studies
            if study["phase"] != "refused"
            and any(row["name"] == site["name"] and row["signed"] for row in study["sites"])
        ]
        state = words.site_state(site["health"])
        rows.append(
            {
                "title": site["title"],
                "name": site["name"],
                "state": state,
                "seen": style.since(site["last_seen"], now),
                "since": style.moment(site["member_since"]),
                "versions": site.get("versions") or {},
                "keys": {role: style.key_name(key) for role, key in site["keys"].items()},
                "studies": named,
            }
        )
    return rows
