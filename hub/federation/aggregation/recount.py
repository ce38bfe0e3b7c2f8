"""An auditor's second look at a sweep: every coalition's models made again from kept updates.

Each hospital signed, with what it measured, a chain over all that it was sent and answered
(`course_sha256`). The kept updates must give every stack of that chain, from the start weights that
follow from the log to the models that were measured: a hub that sent something else than the
averages, or kept other updates than it got, is refuted.

Source: design/federation.md §10.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compliance.canonical import sha256_id
from compliance.errors import ConsiliumError, NotProven, NotReady
from compliance.records.coalitions import CoalitionMeasured, next_course, stack_sha256
from compliance.records.layout import Layout, read_layout
from compliance.records.rounds import UpdateSubmitted
from compliance.report.log import Log
from compliance.rules.sweeps import Item, Plan, plan_of, start_seed
from hub.federation.aggregation.again import Method
from hub.federation.aggregation.stacked import Sent, empty_moments, next_models
from hub.services.start import initial_vector


@dataclass(frozen=True)
class _Sweep:
    log: Log
    plan: Plan
    folder: Path
    layout: Layout
    n: Mapping[str, int]

    def check(self, batch: int, items: list[Item]) -> str:
        """Play a batch again; returns what was compared.

        Raises:
            NotReady: an update was not kept.
            NotProven: a hospital signed another course than the kept updates give.
        """
        method = Method.of(self.log.state.charter, self.layout)
        models, courses = self._starts(items), dict[str, str | None]()
        moments = empty_moments(method, len(items))
        for step in range(1, self.plan.rounds + 1):
            sent, names = self._sent(batch, step, items)
            stack = stack_sha256(self.layout.sha256, models.astype("<f4").tobytes())
            for site, name in names.items():
                courses[site] = next_course(courses.get(site), stack, name)
            models = next_models(method, models, moments, sent)
        last = stack_sha256(self.layout.sha256, models.astype("<f4").tobytes())
        ends = {site: next_course(course, last, "") for site, course in courses.items()}
        return f"{self._compared(items, last, ends)} statements, {self.plan.rounds} steps"

    def _compared(self, items: list[Item], last: str, ends: Mapping[str, str]) -> int:
        wanted = {(seed, format(coalition, "x")) for seed, coalition in items}
        count = 0
        for _, event in self.log.of_kind("coalition.measured"):
            body, site = event.body, str(event.actor).partition("/")[0]
            if not isinstance(body, CoalitionMeasured) or body.sweep != self.plan.name:
                continue
            if not {(body.seed, name) for name in body.values} <= wanted:
                continue
            if body.models_sha256 != last:
                raise NotProven("recount", f"{site} measured other models than these updates give")
            if site in ends and body.course_sha256 != ends[site]:
                raise NotProven("recount", f"{site} was sent other models, or sent other updates")
            count += 1
        return count

    def _starts(self, items: list[Item]) -> np.typing.NDArray[np.float32]:
        log = self.log.state.charter_id
        rows = [initial_vector(self.layout, start_seed(log, seed)) for seed, _ in items]
        return np.array(rows, dtype=np.float32)

    def _sent(
        self, batch: int, step: int, items: list[Item]
    ) -> tuple[dict[str, Sent], dict[str, str]]:
        path = self.folder / f"{batch}-{step + 1:04d}.json"
        if not path.is_file():
            raise NotReady(f"step {step} of the sweep was not kept.", "")
        names: dict[str, str] = json.loads(path.read_text())["sent"]
        found = {}
        for site, name in names.items():
            file = self.folder / f"{name.removeprefix('sha256:')}.bin"
            data = file.read_bytes() if file.is_file() else None
            if data is None:
                raise NotReady(f"the updates of {site} in step {step} were not kept.", "")
            if sha256_id(data) != name:
                raise NotProven("recount", f"the kept updates of {site} are not what they were")
            places = self.plan.places(items, site)
            rows = np.frombuffer(data, "<f4").astype(np.float32)
            found[site] = Sent(rows.reshape(len(places), self.layout.count), places, self.n[site])
        return found, names


def recount(log: Log, kept: Path) -> Iterator[tuple[str, str]]:
    """Play the sweep of a study again; yields a result and its words, one a batch.

    Args:
        log: of the study.
        kept: the study's folder at the hub, or a copy.
    """
    plan = plan_of(log.state)
    if plan is None or not log.state.accounts:
        return
    folder = kept / "sweep" / plan.name
    path = folder / "layout.json"
    if not path.is_file():
        yield "cannot tell", "the sweep's files are not in the folder"
        return
    layout = read_layout(json.loads(path.read_text()))
    sweep = _Sweep(log, plan, folder, layout, _cases(log))
    for batch, items in enumerate(plan.batches(layout.count)):
        try:
            yield "agrees", sweep.check(batch, items)
        except NotReady as missing:
            yield "cannot tell", missing.finding
        except ConsiliumError as wrong:
            yield "differs", str(wrong)


def _cases(log: Log) -> dict[str, int]:
    """Training cases of each hospital as its newest update that counted stated them."""
    used = {(row.number, site): sha for row in log.state.rounds_closed
            for site, sha in row.used.items()}  # fmt: skip
    found = {}
    for _, event in log.of_kind("update.submitted"):
        body, site = event.body, str(event.actor).partition("/")[0]
        if isinstance(body, UpdateSubmitted) and used.get((body.round, site)) == body.update_sha256:
            found[site] = body.n
    return found
