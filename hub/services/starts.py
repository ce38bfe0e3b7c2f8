"""Weights with which a study begins: drawn, from a researcher's file, or a released model.

A file comes in pieces, under the hash that the researcher's own machine computed, and lies below
`<home>/starts/` until a charter takes its values. It is read as numbers and never run: safetensors
or bare float32 values, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from compliance.canonical import sha256_id
from compliance.errors import Malformed, NotProven, NotReady, Refused
from compliance.records.charter import CharterBody, StartModel
from compliance.records.layout import BYTES_PER_VALUE, Layout, model_sha256
from compliance.records.model_file import MAX_HEADER, packed
from compliance.records.recipe import Recipe, layout_of
from hub.services.ledger import LedgerService
from hub.services.registry import ModelRegistry
from hub.services.releases import ReleaseService
from hub.services.start import start_model

MOST_BYTES = 1 << 29
"""A file larger than 512 MiB is not taken; the largest network of the catalogue is far below."""

PART = ".part"
_NAME = re.compile(r"sha256:[0-9a-f]{64}")
_STUDY = re.compile(r"[0-9a-f]{16}")


class StartService:
    """Takes start models, and finds the one that a draft names.

    Args:
        home: the hub's home.
        ledger: says who released what.
        registry: holds released models.
        releases: which of them may be handed out.
        recipe: returns a recipe by its hash.
    """

    def __init__(
        self,
        *,
        home: Path,
        ledger: LedgerService,
        registry: ModelRegistry,
        releases: ReleaseService,
        recipe: Callable[[str], Recipe],
    ) -> None:
        self._folder, self._recipe = home / "starts", recipe
        self._ledger, self._registry, self._releases = ledger, registry, releases

    def take(self, account: int, name: str, at: int, size: int, piece: bytes) -> dict[str, Any]:
        """Keep a piece of a file; the last one makes it usable. A person has one file at a time.

        Args:
            account: whose file.
            name: its SHA-256.
            at: place of the piece, in bytes.
            size: of the whole file, in bytes.
            piece: the bytes.

        Returns:
            `{file, bytes, whole}`.

        Raises:
            Refused: larger than 512 MiB.
            NotReady: a piece before this one is missing.
            NotProven: the whole file has another hash.
            Malformed: no hash, or more bytes than announced.
        """
        if not _NAME.fullmatch(name):
            raise Malformed("start model", f"{name[:80]!r} is no sha256:…")
        if size > MOST_BYTES:
            raise Refused("request.size", size, MOST_BYTES, "The start model is too large.")
        done = self._path(account, name)
        part = done.with_suffix(PART)
        if done.is_file():
            return _told(name, size, size)
        if at == 0:
            self._begin(account, part)
        have = part.stat().st_size if part.is_file() else -1
        if not 0 <= at <= have:
            raise NotReady(f"bytes before {at} of this file are not here.", "Send it anew.")
        if not piece or at + len(piece) > size:
            raise Malformed("start model", f"a piece of {len(piece)} bytes at {at} of {size}")
        with part.open("r+b") as file:
            file.truncate(at)
            file.seek(at)
            file.write(piece)
        if at + len(piece) == size:
            self._finish(part, done, name)
        return _told(name, at + len(piece), size)

    def find(
        self, asked: Any, recipe: Recipe, study: str
    ) -> tuple[Layout, bytes, StartModel | None]:
        """The weights that a draft's `start_model` names, fit for the recipe's network.

        Args:
            asked: None, `{file: sha256:…}`, or `{study: …}` with a `model` of it or without.
            recipe: of the study that begins.
            study: its id.

        Returns:
            Layout, values (float32, little-endian), and what the charter says of their origin.

        Raises:
            NotReady: the file is not here, or the study has released nothing.
            Refused: the model may not be handed out.
            Malformed: another network, a value that is no number, or no such words.
            NotProven: the file names another hash than that of its numbers.
        """
        layout = layout_of(recipe)
        if asked is None:
            return layout, start_model(layout, study, recipe.seed), None
        told = {str(k): str(v) for k, v in asked.items()} if isinstance(asked, Mapping) else {}
        if set(told) == {"file"}:
            values, start = self._of_file(told["file"], layout)
        elif "study" in told and set(told) <= {"study", "model"}:
            values, start = self._released(told["study"], told.get("model"), layout)
        else:
            raise Malformed("start model", "say start_model: {file: sha256:…} or {study: …}")
        if not np.isfinite(np.frombuffer(values, "<f4")).all():
            raise Malformed("start model", "a value is no finite number")
        return layout, values, start

    def must_be_honest(self, study: str, body: CharterBody) -> None:
        """Compare what a charter says of its start with what is so: drawn, or given.

        A text comes back from the researcher, who could have left `start_model` out.

        Raises:
            Refused: a given model is called drawn, or a drawn one given.
        """
        recipe = self._recipe(body.recipe.sha256)
        layout = layout_of(recipe)
        drawn = model_sha256(layout.sha256, start_model(layout, study, recipe.seed))
        if (drawn == body.initial_model_sha256) != (body.start_model is None):
            words = "The text was not prepared by this hub: it says another origin of the start."
            raise Refused("charter.keys", sentence=words)

    def _of_file(self, name: str, layout: Layout) -> tuple[bytes, StartModel]:
        hexes = name.removeprefix("sha256:")
        here = sorted(self._folder.glob(f"*-{hexes}")) if _NAME.fullmatch(name) else []
        if not here:
            raise NotReady(
                f"the start model {name[:80]} is not at this hub.",
                "Hand the file in: consilium study propose CHARTER --start FILE.",
            )
        if here[0].stat().st_size > layout.count * BYTES_PER_VALUE + MAX_HEADER:
            raise Malformed("start model", "the file is larger than the recipe's network")
        data = here[0].read_bytes()
        if sha256_id(data) != name:
            raise NotProven("start model", "the file at the hub was changed; hand it in again.")
        return packed(data, layout), StartModel(source="file", sha256=name)

    def _released(self, study: str, model: str | None, layout: Layout) -> tuple[bytes, StartModel]:
        if not _STUDY.fullmatch(study) or study not in self._ledger.studies():
            raise NotReady(f"no study {study[:80]} has a log at this hub.", "List them.")
        name = self._releases.released(study, model)
        if self._registry.layout(study).sha256 != layout.sha256:
            raise Malformed(
                "start model", f"the model of study {study} is another network than the recipe's"
            )
        charter = self._ledger.state(study).charter_id
        return self._registry.read(study, name), StartModel(source="released", sha256=charter)

    def _path(self, account: int, name: str) -> Path:
        return self._folder / f"{account}-{name.removeprefix('sha256:')}"

    def _begin(self, account: int, part: Path) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in self._folder.glob(f"{account}-*"):
            old.unlink(missing_ok=True)
        part.touch(mode=0o600)

    def _finish(self, part: Path, done: Path, name: str) -> None:
        found = sha256_id(part.read_bytes())
        if found != name:
            part.unlink()
            raise NotProven("start model", f"it arrived as {found}; send it anew.")
        part.replace(done)


def _told(name: str, have: int, size: int) -> dict[str, Any]:
    return {"file": name, "bytes": have, "whole": have == size}
