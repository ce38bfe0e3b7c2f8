"""What people see of studies: list, live round, metrics; everything follows from the fold."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from compliance.records.rounds import MetricReported, MetricValue
from compliance.report.summary import summary
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.offences import resting
from compliance.rules.releases import RELEASED
from compliance.rules.state import StudyState
from hub.services.charters import CharterService
from hub.services.ledger import LedgerService
from hub.services.logbook import CONSORTIUM, not_founded
from hub.services.members import MemberService

PRIMARY_SPLIT = "test"
FEW = 10


class StudyService:
    """Reads studies.

    Args:
        charters: proposals and their signatures.
        ledger: the logs.
        members: names and signs of life of the hospitals.
    """

    def __init__(
        self, *, charters: CharterService, ledger: LedgerService, members: MemberService
    ) -> None:
        self._charters, self._ledger, self._members = charters, ledger, members

    def all(self, sites: Collection[str] | None = None) -> list[dict[str, Any]]:
        """Every study, proposals included; of these hospitals only, if they are named."""
        titles = self._titles()
        return [
            self._row(charter, titles)
            for charter in self._charters.all()
            if sites is None or names_of(charter) & set(sites)
        ]

    def one(self, study: str) -> dict[str, Any]:
        """One study as in the list.

        Raises:
            NotReady: unknown.
        """
        return self._row(self._charters.of_study(study), self._titles())

    def names(self, study: str) -> set[str]:
        """The hospitals that a study's charter names.

        Raises:
            NotReady: unknown.
        """
        return names_of(self._charters.of_study(study))

    def state(self, study: str) -> dict[str, Any]:
        """The fold result with the size and root it belongs to."""
        if study == CONSORTIUM:
            return self._ledger.ask_consortium(_consortium)
        return self._ledger.ask(
            study, lambda state: summary(state) | {"root": state.tree.root().hex()}
        )

    def live(self, study: str) -> dict[str, Any]:
        """Who answered in the open round, and who we wait for."""
        members = {row["name"]: row for row in self._members.members()}
        return self._ledger.ask(study, lambda state: _live(state, members))

    def metrics(self, study: str) -> list[dict[str, Any]]:
        """Every metric that a hospital reported, with its entry in the log."""
        return self._ledger.ask(study, _metrics)

    def _titles(self) -> dict[str, str]:
        return {row["name"]: row["title"] for row in self._members.members()}

    def _row(self, charter: dict[str, Any], titles: dict[str, str]) -> dict[str, Any]:
        signed = {item["name"].split("/", 1)[0] for item in charter["signatures"]}
        refused = {item["site"] for item in charter["refusals"]}
        body = charter["body"]
        row: dict[str, Any] = {
            "study": charter["study"],
            "charter_id": charter["charter_id"],
            "title": charter["title"],
            "state": charter["state"],
            "phase": charter["state"],
            "round": 0,
            "max_rounds": body["max_rounds"],
            "created": charter["created"],
            "last_event": charter["created"],
            "used": 0,
            "released": False,
            "auroc": None,
            "primary": body["evaluation"]["primary"],
            "required": charter["required"],
        }
        withdrawn: set[str] = set()
        if charter["state"] == "launched":
            told, signed, withdrawn = self._ledger.ask(charter["study"], _progress)
            row |= told
        row["sites"] = [
            {
                "name": item["name"],
                "title": titles.get(item["name"], item["name"]),
                "signed": item["name"] in signed,
                "refused": item["name"] in refused - signed,
                "withdrawn": item["name"] in withdrawn,
            }
            for item in body["sites"]
        ]
        return row


def _consortium(state: ConsortiumState | None) -> dict[str, Any]:
    if state is None:
        raise not_founded()
    told = {"size": state.size, "root": state.root().hex(), "agreement_id": state.agreement_id}
    return state.summary() | told


def _progress(state: StudyState) -> tuple[dict[str, Any], set[str], set[str]]:
    primary = state.charter.evaluation.primary

    def told_in(body: MetricReported) -> float | None:
        value = body.values.get(primary) if str(body.split) == PRIMARY_SPLIT else None
        return float(value.value) if value and value.value and _tells(value) else None

    values = list(state.metrics.newest(told_in).values())
    told = {
        "phase": str(state.phase),
        "round": len(state.rounds_closed),
        "used": len(state.rounds_closed[-1].used) if state.rounds_closed else 0,
        "released": RELEASED in state.released.values(),
        "auroc": {"low": min(values), "high": max(values)} if values else None,
        "last_event": state.newest_time,
        "closed": state.closed,
        "stopped": state.stopped,
    }
    return told, set(state.signed), set(state.withdrawn)


def _tells(value: MetricValue) -> bool:
    """Whether a value may be ranked: 10 positive and 10 negative cases at least."""
    n, positives = value.n or 0, value.positives
    enough = n >= FEW if positives is None else FEW <= positives <= n - FEW
    return value.value is not None and enough


def _closed(row: Any) -> dict[str, Any]:
    return {
        "round": row.number,
        "index": row.index,
        "time": row.time,
        "used": sorted(row.used),
        "excluded": {site: str(reason) for site, reason in row.excluded.items()},
        "missing": {site: str(reason) for site, reason in row.missing.items()},
        "weights": {site: str(weight) for site, weight in row.weights.items()},
        "model": row.model_sha256,
    }


def _live(state: StudyState, members: dict[str, dict[str, Any]]) -> dict[str, Any]:
    now = state.open_round
    plain: dict[str, Any] = {
        "phase": str(state.phase),
        "round": now.number if now else len(state.rounds_closed),
        "max_rounds": state.charter.max_rounds,
        "deadline": now.deadline if now else None,
        "asked": list(now.sites) if now else [],
        "submitted": sorted(now.submitted) if now else [],
        "waiting": [],
        "rounds": [_closed(row) for row in state.rounds_closed],
        "resting": [
            {
                "site": rest.site,
                "title": members.get(rest.site, {}).get("title", rest.site),
                "since": rest.since,
                "until": rest.until,
                "reasons": list(rest.reasons),
            }
            for rest in resting(state).values()
        ],
    }
    for site in (set(now.sites) - set(now.submitted)) if now else ():
        member = members.get(site, {})
        plain["waiting"].append(
            {
                "site": site,
                "title": member.get("title", site),
                "health": member.get("health", {}),
                "last_seen": member.get("last_seen"),
            }
        )
    plain["waiting"].sort(key=lambda row: row["site"])
    return plain


def _metrics(state: StudyState) -> list[dict[str, Any]]:
    return [
        {
            "index": index,
            "site": site,
            "round": body["round"],
            "phase": body["phase"],
            "split": body["split"],
            "dataset": body["dataset"],
            "model": body["model_sha256"],
            "values": body["values"],
        }
        for index, site, body in state.metrics.plain()
    ]


def names_of(charter: dict[str, Any]) -> set[str]:
    """The hospitals that a charter names."""
    return {row["name"] for row in charter["body"]["sites"]}
