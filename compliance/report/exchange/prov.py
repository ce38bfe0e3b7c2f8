"""Where each model came from, as W3C PROV: rounds, updates, models, and the keys behind them.

Every part carries the entry that says so.

Source: design/compliance.md §9.5; PROV-JSON (W3C member submission, 2013).
"""

from __future__ import annotations

import re
from typing import Any

from compliance.records.rounds import RoundOpened, UpdateSubmitted
from compliance.report.exchange.released import short
from compliance.report.log import Log
from compliance.report.write import write_json
from compliance.rules.state import ClosedRound


class Graph:
    """A PROV document that grows statement by statement; its names follow from the log."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, Any]] = {}

    def put(self, kind: str, name: str, told: dict[str, Any]) -> str:
        """An activity, an entity or an agent; what was said of it first stays."""
        self.parts.setdefault(kind, {}).setdefault(f"c:{name}", told)
        return f"c:{name}"

    def relate(self, kind: str, index: int, **ends: str) -> None:
        """A relation between two parts, with the entry that states it."""
        rows = self.parts.setdefault(kind, {})
        told = {f"prov:{end}": name for end, name in ends.items()}
        rows[f"c:{kind}-{len(rows) + 1}"] = told | _entry(index)


def provenance(log: Log) -> bytes:
    """Write the history of every model of a study."""
    graph, state = Graph(), log.state
    initial = state.charter.initial_model_sha256
    graph.put("entity", _model(initial), {"c:sha256": initial} | _entry(0))
    opened = {
        event.body.round: event.time
        for _, event in log.of_kind("round.opened")
        if isinstance(event.body, RoundOpened)
    }
    closed = {row.index: row for row in state.rounds_closed}
    for index, event in enumerate(log.events):
        if isinstance(event.body, UpdateSubmitted):
            _update(graph, index, event.actor or "", event.body)
        elif index in closed:
            _round(graph, event.actor or "", closed[index], opened[closed[index].number])
    names = state.charter_id.removeprefix("sha256:")
    return write_json({"prefix": {"c": f"urn:consilium:{names}:"}} | graph.parts)


def _update(graph: Graph, index: int, actor: str, body: UpdateSubmitted) -> None:
    told = {"c:sha256": body.update_sha256, "c:dataset": body.dataset_version} | _entry(index)
    update = graph.put("entity", f"update-{short(body.update_sha256)}", told)
    key = _key(graph, actor)
    base = f"c:{_model(body.base_model_sha256)}"
    graph.relate("wasAttributedTo", index, entity=update, agent=key)
    graph.relate("wasDerivedFrom", index, generatedEntity=update, usedEntity=base)


def _round(graph: Graph, actor: str, row: ClosedRound, begun: str) -> None:
    told = {"prov:startTime": _time(begun), "prov:endTime": _time(row.time)} | _entry(row.index)
    activity = graph.put("activity", f"round-{row.number}", told)
    named = {"c:sha256": row.model_sha256} | _entry(row.index)
    model = graph.put("entity", _model(row.model_sha256), named)
    graph.relate("wasAssociatedWith", row.index, activity=activity, agent=_key(graph, actor))
    graph.relate("wasGeneratedBy", row.index, entity=model, activity=activity)
    for _, digest in sorted(row.used.items()):
        update = f"c:update-{short(digest)}"
        graph.relate("used", row.index, activity=activity, entity=update)
        graph.relate("wasDerivedFrom", row.index, generatedEntity=model, usedEntity=update)


def _key(graph: Graph, name: str) -> str:
    """The agent behind a key; characters that no name of PROV may hold become hyphens."""
    return graph.put("agent", "key-" + re.sub(r"[^A-Za-z0-9.-]", "-", name), {"c:key": name})


def _model(digest: str) -> str:
    return f"model-{short(digest)}"


def _time(text: str) -> str:
    return text.replace("Z", "+00:00")


def _entry(index: int) -> dict[str, Any]:
    return {"c:entry": {"$": str(index), "type": "xsd:int"}}
