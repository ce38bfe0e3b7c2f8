"""What lies before a steward: charters that wait, studies that run, models that would leave.

All of it is asked of the rooms that the commands use; while the hub is away, what is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from compliance.errors import ConsiliumError, Unreachable
from compliance.records.charter import CharterBody
from compliance.records.types import seconds_of
from compliance.rules.offences import resting
from compliance.rules.state import StudyState
from site_node.gate.at_work import AtWork
from site_node.gate.card import read_draft
from site_node.gate.drafts import Drafts
from site_node.gate.egress import WAYS, Egress
from site_node.gate.journal import Clock
from site_node.gate.mirror import CONSORTIUM, Mirror
from site_node.gate.releasing import Releasing
from site_node.gate.steward import Steward
from site_node.store import studies as decisions
from site_node.store.journal import Sessions
from site_node.store.studies import StudyDecision

DAY = timedelta(days=1)
WAITING = "waiting"


class Overview:
    """Reads; decides nothing.

    Args:
        steward: lists what the hub lays before this hospital.
        drafts: reads charters.
        releasing: reads models that would leave.
        mirror: the site's own copies.
        egress: what left.
        sessions: the site's database.
        clock: the time now.
        site: this hospital's name.
        at_work: the order in hand.
    """

    def __init__(  # noqa: PLR0913 - built by hand in one place, each part named
        self,
        *,
        steward: Steward,
        drafts: Drafts,
        releasing: Callable[[], Releasing],
        mirror: Mirror,
        egress: Egress,
        sessions: Sessions,
        clock: Clock,
        site: str,
        at_work: AtWork,
    ) -> None:
        self._steward, self._drafts, self._releasing = steward, drafts, releasing
        self._mirror, self._egress = mirror, egress
        self._sessions, self._clock, self._site = sessions, clock, site
        self._at_work = at_work

    def inbox(self) -> dict[str, Any]:
        """Charters that name this hospital: those that wait first, then by their end.

        `away` holds the hub's silence in words; then only what was answered here is listed.
        """
        away, rows = "", []
        try:
            rows = [self._told(row) for row in self._steward.studies()]
        except Unreachable as error:
            away = str(error)
        known = {row["charter_id"] for row in rows}
        rows += [self._kept(row) for row in self._decided() if row.charter_id not in known]
        rows.sort(
            key=lambda row: (row["own_answer"] != WAITING, row["expires"] or "", row["title"])
        )
        return {"away": away, "rows": rows}

    def _told(self, row: dict[str, Any]) -> dict[str, Any]:
        """One row of the hub, with what the charter's own text says."""
        charter_id = str(row["charter_id"])
        plain = {
            "study": str(row["study"]),
            "charter_id": charter_id,
            "own_answer": row["own_answer"],
            "believed": row["believed"],
        }
        try:
            draft, signed = self._drafts.find(charter_id)
        except Unreachable:
            raise
        except ConsiliumError as error:
            return plain | _untold(str(error))
        return plain | self._terms(draft.body) | {"signed": signed, "trouble": ""}

    def _kept(self, row: StudyDecision) -> dict[str, Any]:
        draft = read_draft(row.charter_id, row.text)
        plain = {
            "study": row.study,
            "charter_id": row.charter_id,
            "own_answer": row.state,
            "believed": not self._mirror.alarms(row.study),
        }
        return plain | self._terms(draft.body) | {"signed": [], "trouble": ""}

    def _terms(self, body: CharterBody) -> dict[str, Any]:
        left = seconds_of(body.expires) - self._clock()
        return {
            "title": body.title,
            "asked_by": body.researcher.split("+", 1)[0],
            "expires": body.expires,
            "days_left": max(0, left // DAY),
            "expired": left < timedelta(0),
            "sites": body.site_names(),
            "needed": body.signatures_required,
            "max_rounds": body.max_rounds,
        }

    def _decided(self) -> list[StudyDecision]:
        with self._sessions() as session:
            rows = decisions.all_decisions(session)
        return [row for row in rows if row.study != CONSORTIUM]

    def running(self) -> list[dict[str, Any]]:
        """Studies that this hospital signed, left or not: where each is and what left for it."""
        return [self._one(row) for row in self._decided() if row.line]

    def _one(self, row: StudyDecision) -> dict[str, Any]:
        body = read_draft(row.charter_id, row.text).body
        plain = {
            "study": row.study,
            "charter_id": row.charter_id,
            "type_to_confirm": row.charter_id.removeprefix("sha256:")[:8],
            "title": body.title,
            "own_answer": row.state,
            "at": row.at,
            "on_record": row.sent,
            "reason": row.reason,
            "max_rounds": body.max_rounds,
            "noise": body.dp is not None,
            "left": list(self._left(row.study)),
            "order": self._order(row.charter_id),
            "alarms": [alarm.finding for alarm in self._mirror.alarms(row.study)],
        }
        return plain | self._phase(row.study)

    def _order(self, log: str) -> dict[str, Any] | None:
        """The order of this study in hand: how much is done, bytes of its messages so far."""
        told = self._at_work.progress()
        return told if told is not None and told["log"] == log else None

    def _phase(self, study: str) -> dict[str, Any]:
        if self._mirror.head(study) is None:
            return {"phase": "not launched", "rounds": 0, "open_round": None, "rest": None}
        state = self._mirror.state(study)
        running = state.open_round.number if state.open_round else None
        return {
            "phase": str(state.phase),
            "rounds": len(state.rounds_closed),
            "open_round": running,
            "rest": rest_of(state, self._site),
        }

    def _left(self, study: str) -> Iterator[dict[str, Any]]:
        for purpose, row in self._egress.look(study=study).plain()["sums"].items():
            yield {"what": WAYS[purpose].sentence, **row}

    def releases(self) -> list[dict[str, Any]]:
        """The newest model of each study that this hospital has a say in, or why there is none."""
        return [self._release(row) for row in self._decided() if row.state == decisions.SIGNED]

    def _release(self, row: StudyDecision) -> dict[str, Any]:
        try:
            return {"ready": True, **self._releasing().show(row.study)}
        except ConsiliumError as error:
            title = read_draft(row.charter_id, row.text).body.title
            words = getattr(error, "finding", str(error))
            return {"ready": False, "study": row.study, "title": title, "why": words}


def rest_of(state: StudyState, site: str) -> dict[str, Any] | None:
    """Whether this hospital rests in a study, until which round, and why; None if it does not."""
    rest = resting(state).get(site)
    return None if rest is None else {"until": rest.until, "reasons": list(rest.reasons)}


def _untold(trouble: str) -> dict[str, Any]:
    """A charter whose text cannot be believed; nothing the hub says of it is shown."""
    return {
        "title": "A charter that cannot be read",
        "asked_by": "",
        "expires": "",
        "days_left": None,
        "expired": False,
        "sites": [],
        "needed": 0,
        "max_rounds": 0,
        "signed": [],
        "trouble": trouble,
    }
