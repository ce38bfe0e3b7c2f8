"""`consilium study watch`: a study as it goes on, told to a person or line by line to a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from compliance.errors import Unreachable
from compliance.records.measures import DRAWN, LOCAL
from dashboard.hub_client import HubClient
from dashboard.tables import rests

PATIENCE = 600.0
COMPLETED = "completed"
Plain = dict[str, Any]


@dataclass
class Watcher:
    """Asks the hub again and again and tells what changed.

    Args:
        hub: the hub in the researcher's name.
        study: id of the study.
        sleep: waits so many seconds.
        every: seconds between two looks.
        patience: seconds of silence of the hub before giving up.
    """

    hub: HubClient
    study: str
    sleep: Callable[[float], None]
    every: float = 1.0
    patience: float = PATIENCE
    silent: float = field(default=0.0, init=False)

    def changes(self) -> Iterator[Plain]:
        """Each change of the study, until it is closed or stopped.

        Raises:
            Unreachable: the hub was silent for longer than the patience.
            Refused: the session has ended.
        """
        last: Plain = {}
        while True:
            now = self._look()
            if now and now != last:
                yield now
                last = now
            if last and ended(last):
                return
            self.sleep(self.every)

    def _look(self) -> Plain | None:
        try:
            row = self.hub.study(self.study)
            told = _proposal(row) if row["state"] != "launched" else self._running(row)
        except Unreachable:
            self.silent += self.every
            if self.silent > self.patience:
                raise
            return None
        self.silent = 0.0
        return told

    def _running(self, row: Plain) -> Plain:
        live = self.hub.live(self.study)
        plain = _proposal(row) | {
            "phase": live["phase"],
            "round": live["round"],
            "rounds_closed": len(live["rounds"]),
            "asked": live["asked"],
            "submitted": live["submitted"],
            "waiting": [item["site"] for item in live["waiting"]],
            "deadline": live["deadline"],
            "rounds": live["rounds"],
            "resting": live.get("resting", []),
            "closed": row.get("closed"),
            "stopped": row.get("stopped"),
        }
        return plain | {"metrics": self.hub.metrics(self.study)}


def ended(told: Plain) -> bool:
    """Whether nothing more will come."""
    return told["closed"] is not None or told["stopped"] is not None or told["state"] == "refused"


def exit_code(told: Plain) -> int:
    """0 when the study was completed, 1 when it was stopped, refused or abandoned."""
    return 0 if told["closed"] == COMPLETED else 1


def _proposal(row: Plain) -> Plain:
    return {
        "study": row["study"],
        "title": row["title"],
        "state": row["state"],
        "phase": row["phase"],
        "sites": row["sites"],
        "required": row["required"],
        "round": 0,
        "max_rounds": row["max_rounds"],
        "rounds_closed": 0,
        "rounds": [],
        "closed": None,
        "stopped": None,
    }


class Teller:
    """Says each change once, in sentences."""

    def __init__(self, primary: str = "auroc") -> None:
        self._primary = primary
        self._said: set[str] = set()

    def lines(self, told: Plain) -> list[str]:
        """The sentences that are new since the last change."""
        names = {row["name"]: row["title"] for row in told["sites"]}
        lines = _signatures(told) if told["state"] != "launched" else []
        for row in told["rounds"]:
            lines += _closed_round(row, names)
        lines += _open_round(told, names)
        lines += [
            f"     {line}"
            for line in metric_lines(told.get("metrics", []), told["rounds"], names, self._primary)
        ]
        lines += _end(told)
        return [line for line in lines if self._new(line)]

    def _new(self, line: str) -> bool:
        fresh = line not in self._said
        self._said.add(line)
        return fresh


def metric_lines(
    metrics: list[Plain], rounds: list[Plain], names: dict[str, str], primary: str
) -> list[str]:
    """What each hospital measured on its test cases, by the round that made the model."""
    made = {row["model"]: f"after round {row['round']}" for row in rounds}
    return [
        f"{names.get(row['site'], row['site']):<24} {made.get(row['model'], 'at the start'):<16} "
        + measured(primary, row["values"][primary])
        for row in metrics
        if row["split"] == "test" and primary in row["values"]
    ]


def measured(name: str, value: Plain) -> str:
    """One measured value with its interval and the counts behind it."""
    counts = f"n {_or_few(value.get('n'))}"
    if name.removeprefix(LOCAL).partition(".")[0] not in DRAWN:  # these have no negative side
        counts += f", {_or_few(value.get('positives'))} positive"
    if value.get("value") is None:
        return f"{name.upper()} — (too few cases)  {counts}"
    text = f"{name.upper()} {float(value['value']):.3f}"
    if value.get("low") is not None and value.get("high") is not None:
        text += f" ({float(value['low']):.3f}–{float(value['high']):.3f})"  # noqa: RUF001 - a range
    return f"{text}  {counts}"


def _or_few(count: object) -> str:
    return "below the floor" if count is None else str(count)


def _signatures(told: Plain) -> list[str]:
    lines = []
    for site in told["sites"]:
        if site["refused"]:
            lines.append(f"  ✕ {site['title']} refused the charter.")
        elif site["signed"]:
            lines.append(f"  ✓ {site['title']} signed the charter.")
    if told["state"] == "signed":
        lines.append("Enough hospitals signed. Next: consilium study launch " + told["study"])
    elif told["state"] == "refused":
        lines.append("Too many hospitals refused; this charter will not run.")
    else:
        missing = [site["title"] for site in told["sites"] if not site["signed"]]
        lines.append(f"Waiting for the signature of {_list(missing)}.")
    return lines


def _open_round(told: Plain, names: dict[str, str]) -> list[str]:
    if not told.get("asked"):
        return []
    number, asked = told["round"], told["asked"]
    until = told["deadline"][11:16]
    opened = f"Round {number} of {told['max_rounds']}: {_hospitals(len(asked))} were asked,"
    lines = [f"{opened} they have until {until} UTC."]
    lines += [f"  … {sentence}" for sentence in rests(told)]
    lines += [
        f"  ✓ {names.get(site, site)} answered in round {number}." for site in told["submitted"]
    ]
    if told["submitted"] and told["waiting"]:
        waiting = [names.get(site, site) for site in told["waiting"]]
        lines.append(f"  … round {number} waits for {_list(waiting)}.")
    return lines


def _closed_round(row: Plain, names: dict[str, str]) -> list[str]:
    used, number = row["used"], row["round"]
    lines = [f"Round {number} closed: {_hospitals(len(used))} made the new model."]
    for kind, words in (("excluded", "was left out of"), ("missing", "was missing in")):
        lines += [
            f"  ✕ {names.get(site, site)} {words} round {number}: {reason.replace('_', ' ')}."
            for site, reason in row[kind].items()
        ]
    return lines


def _end(told: Plain) -> list[str]:
    if told["stopped"] is not None:
        rounds, entry = told["rounds_closed"], told["stopped"]
        return [f"The study was stopped after {rounds} closed rounds (log entry {entry})."]
    if told["closed"] is not None:
        return [f"The study is closed: {told['closed']}, {told['rounds_closed']} rounds."]
    return []


def _hospitals(count: int) -> str:
    return "1 hospital" if count == 1 else f"{count} hospitals"


def _list(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
