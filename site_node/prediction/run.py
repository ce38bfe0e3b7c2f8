"""One run over a source: batches of images in, counted once, results out.

A batch is scored and its results made; they are counted in one transaction, then written: an image
that was counted is never counted again, whatever is run how often; a result that is missing is
written again under the same number and date.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from compliance.errors import Malformed
from compliance.records.reasons import Quarantine
from compliance.records.types import time_text
from compliance.report.card import LIMITS
from compliance.report.version import VERSION
from site_node.gate.released import Served
from site_node.imaging.keys import SiteKeys
from site_node.imaging.results.folder import ResultFolder
from site_node.imaging.results.marks import Mark, uid_of
from site_node.imaging.results.mask import MASK, Drawn, write_mask
from site_node.imaging.results.reading import Image, LeftOut
from site_node.imaging.results.report import REPORT, Said, write_report
from site_node.imaging.results.source import header_of
from site_node.prediction.basis import Basis
from site_node.prediction.owned import whole_of
from site_node.prediction.tallying import Tally
from site_node.store import predictions as table
from site_node.store.journal import Sessions
from site_node.training.profiles import outcomes, present, scored_classes, shares_of
from site_node.training.scoring import Scorer

UNFIT = (Malformed, ValueError, TypeError, AttributeError, KeyError, IndexError)
"""What the writers raise over header values that no result can carry."""


class Run:
    """One run over a source: batches in, results out."""

    def __init__(
        self,
        served: Served,
        basis: Basis,
        points: dict[str, float],
        site: str,
        keys: SiteKeys,
        folder: ResultFolder,
        sessions: Sessions,
    ) -> None:
        self._served, self._basis, self._points = served, basis, points
        self._site, self._keys, self._folder = site, keys, folder
        self._sessions = sessions
        vector = whole_of(served.vector, served.own, served.recipe)
        self._scorer = Scorer(vector, served.recipe)
        self.tally = Tally()

    def take(self, batch: Sequence[Image | LeftOut], now: datetime) -> None:
        """Ask the model about a batch, make what is missing, count what is new, then write."""
        self.tally.left_out += [one for one in batch if isinstance(one, LeftOut)]
        images = [one for one in batch if isinstance(one, Image) and self._fits(one)]
        if not images:
            return
        dates, made = self._dates(images, now), []
        for image, told, at in zip(images, self._asked(images), dates, strict=True):
            try:
                made.append((image, told, self._made(image, told, at)))
            except UNFIT:
                self._leave(image, Quarantine.MALFORMED)
        self._count([(image, told) for image, told, _ in made], now)
        for image, _, data in made:
            self._put(image, data)
        self.tally.predicted += len(made)

    def _fits(self, image: Image) -> bool:
        """A mask on single frames of a film has no form that viewers read: left out by name."""
        film = any(_frame_count(source) > 1 for source in image.sources)
        if film and self._served.recipe.draws:
            self._leave(image, Quarantine.CLASS_NOT_SUPPORTED)
            return False
        return True

    def _leave(self, image: Image, reason: Quarantine) -> None:
        self.tally.left_out.append(LeftOut(image.file, reason.value, quarantined=True))

    def _asked(self, images: Sequence[Image]) -> list[Any]:
        """What the model says of each: scores (frames, outputs), or masks (frames, …)."""
        ask = self._scorer.masks if self._served.recipe.draws else self._scorer.scores
        told = ask(np.concatenate([one.pixels for one in images]))
        return list(np.split(told, np.cumsum([len(one.pixels) for one in images])[:-1]))

    def _outcomes(self, told: Any) -> list[tuple[str, ...]]:
        recipe = self._served.recipe
        return present(told, recipe) if recipe.draws else outcomes(told, recipe, self._points)

    def _key(self, image: Image) -> str:
        told = "\0".join((self._served.used, *image.instances))
        return self._keys.match("prediction", told)

    def _dates(self, images: Sequence[Image], now: datetime) -> list[str]:
        """When each was counted for this model; now for one that never was."""
        with self._sessions() as session:
            found = [table.done_at(session, self._key(image)) for image in images]
        return [at or time_text(now) for at in found]

    def _count(self, asked: Sequence[tuple[Image, Any]], now: datetime) -> None:
        """Count images that were never counted for this model."""
        model, at = self._served.used, time_text(now)
        with self._sessions.begin() as session:
            for image, told in asked:
                classes = [word for row in self._outcomes(told) for word in row]
                self.tally.classes.update(classes)
                key = self._key(image)
                if table.done_at(session, key) is None:
                    table.count(session, model, at[:10], key, at, classes)
                    for shares in shares_of(image.pixels):
                        table.add_light(session, model, at[:10], [int(n) for n in shares])
                    self.tally.counted += 1

    def _instance(self, image: Image) -> str:
        kind = MASK if self._served.recipe.draws else REPORT
        return uid_of(self._keys, kind, self._served.used, list(image.instances))

    def _made(self, image: Image, told: Any, at: str) -> bytes:
        """The result of an image; nothing where it is there already."""
        if self._folder.has(self._instance(image)):
            return b""
        write = self._mask if self._served.recipe.draws else self._report
        return write(image, told, self._mark(at))

    def _put(self, image: Image, data: bytes) -> None:
        if data:
            self.tally.written += self._folder.put(self._instance(image), data)

    def _mark(self, at: str) -> Mark:
        served = self._served
        return Mark(
            model=served.model_sha256,
            title=served.charter.title,
            recipe=f"{served.recipe.id} {served.recipe.version}",
            version=VERSION,
            limits=LIMITS,
            site=self._site,
            at=datetime.fromisoformat(at).astimezone(UTC),
            used=served.used,
            layers=served.own.words if served.own else "",
        )

    def _mask(self, image: Image, told: Any, mark: Mark) -> bytes:
        drawn = Drawn([header_of(source) for source in image.sources], image.lay(told))
        return write_mask(drawn, self._basis.recipe.segments, mark, self._keys)

    def _report(self, image: Image, scores: Any, mark: Mark) -> bytes:
        sources = [header_of(source) for source in image.sources]
        return write_report(sources, self._said(image, scores), mark, self._keys)

    def _said(self, image: Image, scores: Any) -> list[Said]:
        recipe = self._served.recipe
        frozen = recipe.task == "multiclass" or bool(self._points)
        names, frames = scored_classes(recipe), _frames(image, len(scores))
        return [
            Said(
                frame=frame,
                scores={name: float(x) for name, x in zip(names, row, strict=True)},
                thresholds=self._points,
                decided=classes if frozen else None,
            )
            for frame, row, classes in zip(frames, scores, self._outcomes(scores), strict=True)
        ]


def _frames(image: Image, count: int) -> list[int | None]:
    """Numbers from 1 of the frames that were looked at; None for an image that has only one."""
    total = _frame_count(image.sources[0])
    if total <= 1:
        return [None] * count
    return [step * total // count + 1 for step in range(count)]


def _frame_count(source: dict[str, Any]) -> int:
    return int((source.get("NumberOfFrames") or [1])[0])
