"""The egress ledger: every body is written down before it leaves, or it does not leave.

A line says when, by which channel, why (a word of a closed list), for which study, how many bytes
and their SHA-256; never what they said. Each line is chained to the one before, so that a line that
was changed, taken out or put in later is found. Whoever can rewrite the whole file can rewrite the
chain too: a head that was written down elsewhere finds that as well.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import NotReady
from compliance.records.types import time_text
from site_node.gate.journal import Clock
from site_node.store import egress as table
from site_node.store.egress import EgressRow
from site_node.store.journal import Sessions, StoreFailed

HUB, FLEET = "hub", "fleet"


@dataclass(frozen=True)
class Way:
    """One way out: channel, method and path without a value, and what travels on it."""

    channel: str
    method: str
    path: str
    sentence: str


WAYS: dict[str, Way] = {
    "join": Way(HUB, "POST", "/join", "the invitation and this site's public keys"),
    "follow": Way(HUB, "POST", "/sites/follow", "this site's public Flower key"),
    "heartbeat": Way(HUB, "POST", "/sites/heartbeat", "signs of life: states and versions"),
    "charter.signature": Way(
        HUB, "POST", "/charters/{charter}/signatures", "signatures of charters"
    ),
    "study.refused": Way(HUB, "POST", "/charters/{charter}/refusals", "refusals of charters"),
    "motion": Way(HUB, "POST", "/motions", "texts laid before the other members"),
    "motion.signature": Way(HUB, "POST", "/motions/{motion}/signatures", "signatures of texts"),
    "log.entry": Way(HUB, "POST", "/logs/{log}/entries", "signed statements for a log"),
    "log.sealed": Way(
        HUB, "POST", "/logs/{log}/sealed", "sealed parts of the checks of a model, without counts"
    ),
    "cosignature": Way(HUB, "POST", "/logs/{log}/cosignatures", "cosignatures of checkpoints"),
    "dataset.registered": Way(HUB, "POST", "/datasets", "registrations of datasets"),
    "dataset.description": Way(
        HUB, "PUT", "/datasets/{site}/{dataset}/{version}/description", "descriptions in buckets"
    ),
    "counts.answer": Way(
        HUB, "POST", "/counts/{question}/answers", "answers how many, in steps of the floor"
    ),
    "model.change": Way(FLEET, "reply", "arrays/vector", "changes of a model"),
    "mask.share": Way(FLEET, "reply", "words/shares", "sealed or opened shares of masks"),
    "statement": Way(FLEET, "reply", "words/notes", "signed statements beside an answer"),
}
"""The closed list of reasons; what has none cannot leave."""


@dataclass(frozen=True)
class Leaving:
    """A body that is about to leave."""

    purpose: str
    data: bytes
    study: str | None = None


class Egress:
    """Writes and reads the ledger of what left.

    Args:
        sessions: the site's database.
        clock: the time now.
    """

    def __init__(self, *, sessions: Sessions, clock: Clock) -> None:
        self._sessions, self._clock = sessions, clock

    def write(self, *bodies: Leaving) -> None:
        """Write down what is about to leave, all of it or nothing; only then may it be sent.

        Raises:
            KeyError: a purpose is not in the closed list.
            NotReady: it cannot be written (disk full, file closed): nothing may leave.
        """
        at = time_text(self._clock())
        try:
            with self._sessions.begin() as session:
                last = table.lock(session)
                table.add_rows(session, list(_chained(last, at, bodies)))
        except StoreFailed as error:
            reason = getattr(error, "orig", None) or type(error).__name__
            raise NotReady(
                f"the egress ledger cannot be written ({reason}); so nothing was sent.",
                "Free space or give write access, then run `consilium site doctor`.",
            ) from error

    def look(self, *, study: str | None = None, since: str = "", limit: int = 200) -> Looked:
        """Read the whole ledger once: prove the chain, add up and keep the newest lines asked for.

        Args:
            study: only this study's lines count.
            since: only lines from this time on, as records write times.
            limit: how many of the newest lines are kept.
        """
        looked = Looked(limit)
        with self._sessions() as session:
            for row in table.all_rows(session):
                looked.follow(row)
                if row.at >= since and study in (None, row.study):
                    looked.count(row)
            looked.end(table.highest(session))
        return looked


def _chained(last: EgressRow | None, at: str, bodies: tuple[Leaving, ...]) -> Iterator[EgressRow]:
    number, link = (last.id, last.chain) if last else (0, "")
    for body in bodies:
        way, number = WAYS[body.purpose], number + 1
        row = EgressRow(
            id=number,
            at=at,
            channel=way.channel,
            purpose=body.purpose,
            study=body.study,
            path=f"{way.method} {way.path}",
            bytes=len(body.data),
            sha256=sha256_id(body.data),
        )
        row.chain = link = link_of(link, row)
        yield row


def link_of(before: str, row: EgressRow) -> str:
    """The chain's link of a row: a hash over the link before and all that the row says, as JSON.

    Texts and whole numbers in a list have one form; the canonical encoder would take most of the
    time of a look over a year.
    """
    return sha256_id(json.dumps([before, *row.told().values()]).encode())


class Looked:
    """What one look at the ledger found: lines, sums by purpose, and whether the chain holds.

    Args:
        limit: how many of the newest lines are kept.
    """

    def __init__(self, limit: int) -> None:
        self._newest: deque[EgressRow] = deque(maxlen=limit)
        self.sums: dict[str, dict[str, int]] = {}
        self.size, self.head, self.broken_at = 0, "", 0

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The newest lines that were counted, oldest of them first."""
        return [row.told() for row in self._newest]

    def follow(self, row: EgressRow) -> None:
        """Prove that a row goes on from the one before; the first that does not is named."""
        if not self.broken_at and (row.id, row.chain) != (self.size + 1, link_of(self.head, row)):
            self.broken_at = self.size + 1
        self.size, self.head = self.size + 1, row.chain

    def count(self, row: EgressRow) -> None:
        """Add a row to the sums and keep it, while it is one of the newest."""
        kept = self.sums.setdefault(row.purpose, {"lines": 0, "bytes": 0})
        kept["lines"] += 1
        kept["bytes"] += row.bytes
        self._newest.append(row)

    def end(self, highest: int) -> None:
        """Compare with the highest number ever given: lines cut off at the end are missed too."""
        if not self.broken_at and highest != self.size:
            self.broken_at = self.size + 1

    def plain(self) -> dict[str, Any]:
        """All of it for machines."""
        total = {name: sum(row[name] for row in self.sums.values()) for name in ("lines", "bytes")}
        chain = {
            "holds": not self.broken_at,
            "lines": self.size,
            "head": self.head,
            "broken_at": self.broken_at or None,
        }
        return {
            "lines": self.lines,
            "sums": dict(sorted(self.sums.items())),
            "total": total,
            "chain": chain,
        }
