"""An auditor's second look: every round's model made again from what the charter made the hub keep.

A round is computed by the scalars on record and must give the model of the log bit for bit; the
scalars themselves are measured again and must agree to 10⁻⁹. A server step is followed from its
zeros, so its state is checked as well.

Source: design/federation.md §6.2.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

from compliance.canonical import sha256_id
from compliance.errors import ConsiliumError, NotProven, NotReady
from compliance.records.charter import CharterBody
from compliance.records.details import RoundDetails
from compliance.records.layout import Layout, model_sha256, read_layout
from compliance.records.rounds import RoundClosed, RoundOpened, UpdateSubmitted
from compliance.report.log import Log
from compliance.report.made import open_details, path_of
from hub.federation.aggregation.again import Method
from hub.federation.aggregation.aggregator import Inputs
from hub.federation.aggregation.details import check_votes, compare, plan_of
from hub.federation.aggregation.moments import state_sha256
from hub.federation.aggregation.rule import Plan, votes_of

Result = Literal["agrees", "differs", "cannot tell"]


@dataclass(frozen=True)
class Told:
    """What came of one round."""

    round: int
    result: Result
    detail: str


@dataclass(frozen=True)
class Evidence:
    """Where an auditor looks.

    Args:
        log: of the study.
        files: of its bundle; the rounds' details among them.
        kept: the study's folder at the hub, or a copy.
        work: an empty folder for what is made again.
    """

    log: Log
    files: Mapping[str, bytes]
    kept: Path
    work: Path


def recompute(evidence: Evidence) -> Iterator[Told]:
    """Make each closed round again, in order.

    Raises:
        NotReady: the folder holds no layout of this study.
    """
    layout = _layout(evidence.kept)
    before: Path | None = None
    for index, event in evidence.log.of_kind("round.closed"):
        closed = event.body
        if not isinstance(closed, RoundClosed):
            continue
        method = Method.of(_charter(evidence.log, index), layout)
        after = evidence.work / f"{closed.round}.f64"
        try:
            words = _Round(evidence, layout, method, closed).make(before, after)
            yield Told(closed.round, "agrees", words)
        except NotReady as missing:
            yield Told(closed.round, "cannot tell", missing.finding)
        except ConsiliumError as wrong:
            yield Told(closed.round, "differs", str(wrong))
        before = after


@dataclass(frozen=True)
class _Round:
    evidence: Evidence
    layout: Layout
    method: Method
    closed: RoundClosed

    def make(self, before: Path | None, after: Path) -> str:
        """Make the model again and compare; returns what was compared.

        Raises:
            NotReady: something is missing.
            NotProven, Malformed: something differs.
        """
        inputs = self._inputs(before)
        details = self._details()
        said = plan_of(details, self._weights()) if details else None
        own = self.method.aggregator().measured(inputs)
        if details and said:
            votes = votes_of(inputs.updates, self.layout.count, self.method.reference)
            check_votes(details, votes)
            compare(said, own)
        made = self._write(inputs, after, said)
        if made != self.closed.model_sha256 and details is None:
            raise NotReady("its details are not in the bundle, and rounding may decide.", "")
        if made != self.closed.model_sha256:
            raise NotProven("recompute", f"the model is {made}, the log has another")
        self._check_state(details, before, after)
        count = len(self.closed.used)
        by = "the scalars on record" if details else "scalars measured again"
        return f"{made} from {count} updates, by {by}"

    def _inputs(self, before: Path | None) -> Inputs:
        if self.method.aggregator().moments and before is not None and not before.is_file():
            raise NotReady("the server step's state of the round before could not be made.", "")
        counts, updates = self._counts(), {}
        for site, sha256 in self.closed.used.items():
            path = self.evidence.kept / "updates" / f"{sha256.removeprefix('sha256:')}.f32"
            if not path.is_file():
                raise NotReady(f"the update of {site} was not kept.", "")
            if sha256_id(path.read_bytes()) != sha256:
                raise NotProven("recompute", f"the kept update of {site} is not the one it signed")
            updates[site] = (path, counts[site])
        return self.method.inputs(self._base(), updates, before)

    def _base(self) -> Path:
        name = next(
            event.body.model_sha256
            for _, event in self.evidence.log.of_kind("round.opened")
            if isinstance(event.body, RoundOpened) and event.body.round == self.closed.round
        )
        file = f"{name.removeprefix('sha256:')}.f32"
        for path in (self.evidence.work / file, self.evidence.kept / "models" / file):
            if path.is_file():
                if model_sha256(self.layout.sha256, path.read_bytes()) != name:
                    raise NotProven("recompute", "the kept base model is not the one of the log")
                return path
        raise NotReady("the model that the round began with was not kept.", "")

    def _write(self, inputs: Inputs, after: Path, said: Plan | None) -> str:
        out = self.evidence.work / "model.part"
        self.method.write(inputs, out, after, said)
        name = model_sha256(self.layout.sha256, out.read_bytes())
        out.replace(self.evidence.work / f"{name.removeprefix('sha256:')}.f32")
        return name

    def _check_state(self, details: RoundDetails | None, before: Path | None, after: Path) -> None:
        if details is None or not self.method.aggregator().moments:
            return
        own = (state_sha256(before) if before else None, state_sha256(after))
        if own != (details.state_before, details.state_after):
            raise NotProven("recompute", "the server step's state on record is another")

    def _details(self) -> RoundDetails | None:
        path = path_of(self.closed.round)
        data = self.evidence.files.get(path)
        return None if data is None else open_details(self.evidence.log, path, data)

    def _weights(self) -> dict[str, Decimal]:
        return {site: Decimal(share) for site, share in self.closed.weights.items()}

    def _counts(self) -> dict[str, int]:
        return {
            str(event.actor).partition("/")[0]: event.body.n
            for _, event in self.evidence.log.of_kind("update.submitted")
            if isinstance(event.body, UpdateSubmitted) and event.body.round == self.closed.round
        }


def _layout(kept: Path) -> Layout:
    path = kept / "layout.json"
    if not path.is_file():
        raise NotReady(
            "the folder holds no layout.json.",
            "Name the study's folder at the hub with --from: <home>/studies/<16 hex>.",
        )
    return read_layout(json.loads(path.read_text()))


def _charter(log: Log, index: int) -> CharterBody:
    """The version that was in force when an entry was written."""
    return max((row for row in log.charters() if row[0] <= index), key=lambda row: row[0])[1]
