"""The model registry: packed float32 vectors, named by their hash, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from compliance.canonical import sha256_id
from compliance.errors import Malformed, NotReady
from compliance.records.layout import Layout, model_sha256, read_layout
from compliance.rules.state import StudyState
from hub.services.clock import Clock, text_of
from hub.storage import studies as rows
from hub.storage.database import Database, Transaction

FLOAT_BYTES = 4
PIECE = 1 << 20


class ModelRegistry:
    """Models of every study, below `<home>/studies/<16 hex>/models/`.

    Args:
        database: keeps one row a model.
        home: the hub's home.
        clock: the time now.
        recipe: returns the recipe id and label names of a study, for the exported file.
    """

    def __init__(
        self,
        *,
        database: Database,
        home: Path,
        clock: Clock,
        recipe: Callable[[str], dict[str, str]],
    ) -> None:
        self._database, self._home, self._clock, self._recipe = database, home, clock, recipe

    def folder(self, study: str) -> Path:
        """Where a study's files lie."""
        path = self._home / "studies" / study
        (path / "models").mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def put(self, study: str, layout: Layout, vector: bytes, kind: str) -> str:
        """Keep a model; returns its name.

        Raises:
            Malformed: the vector has another length than the layout.
        """
        name = self.write(study, layout, vector)
        with self._database.transaction() as session:
            self.enter(session, study, name, kind)
        return name

    def enter(self, session: Transaction, study: str, name: str, kind: str) -> None:
        """Add the row of a written model in the caller's transaction; a second time is no harm."""
        row = rows.ModelRow(
            study=study,
            model_sha256=name,
            kind=kind,
            bytes=self.path(study, name).stat().st_size,
            created=text_of(self._clock),
        )
        if rows.find_model(session, study, name) is None:
            rows.keep(session, row)

    def write(self, study: str, layout: Layout, vector: bytes) -> str:
        """Write the files of a model without its row; returns its name."""
        if len(vector) != FLOAT_BYTES * layout.count:
            raise Malformed("model", f"{len(vector)} bytes, the layout has {layout.count} values")
        name = model_sha256(layout.sha256, vector)
        folder = self.folder(study)
        _write(folder / "layout.json", json.dumps(layout.plain(), sort_keys=True).encode())
        _write(folder / "models" / f"{name.removeprefix('sha256:')}.f32", vector)
        return name

    def adopt(self, study: str, layout: Layout, path: Path) -> str:
        """Move a finished file of values to where models lie; returns the model's name.

        Raises:
            Malformed: the file has another length than the layout.
        """
        size = path.stat().st_size
        if size != FLOAT_BYTES * layout.count:
            raise Malformed("model", f"{size} bytes, the layout has {layout.count} values")
        name = model_sha256(layout.sha256, _pieces(path))
        folder = self.folder(study)
        _write(folder / "layout.json", json.dumps(layout.plain(), sort_keys=True).encode())
        path.replace(folder / "models" / f"{name.removeprefix('sha256:')}.f32")
        return name

    def keep_update(self, study: str, name: str, path: Path) -> None:
        """Keep an update under its hash; a second time is no harm."""
        kept = self.folder(study) / "updates" / f"{name.removeprefix('sha256:')}.f32"
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        if not kept.is_file():
            kept.hardlink_to(path)

    def state_path(self, study: str, number: int) -> Path:
        """Where the server step's state of a round lies, or will lie."""
        path = self.folder(study) / "state" / f"{number}.f64"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return path

    def forget_states(self, study: str, numbers: Collection[int]) -> None:
        """Delete the server step's states of all rounds but these."""
        for path in (self.folder(study) / "state").glob("*.f64"):
            if path.stem not in {str(number) for number in numbers}:
                path.unlink(missing_ok=True)

    def ready(self, study: str, state: StudyState) -> bool:
        """Whether what the next round begins with is here: model, and state of a server step."""
        made = state.rounds_closed
        remembers = "." in state.charter.aggregator.name and bool(made)
        if remembers and not self.state_path(study, made[-1].number).is_file():
            return False
        return self.has(study, state.model_sha256)

    def path(self, study: str, name: str) -> Path:
        """The file of a model.

        Raises:
            NotReady: it is not here.
        """
        path = self.folder(study) / "models" / f"{name.removeprefix('sha256:')}.f32"
        if not path.is_file():
            raise NotReady(f"model {name} is not in the registry.", "Restore it from a backup.")
        return path

    def has(self, study: str, name: str) -> bool:
        """Whether the file of a model is here; what is in it is checked when it is read."""
        try:
            self.path(study, name)
            self.layout(study)
        except NotReady:
            return False
        return True

    def read(self, study: str, name: str) -> bytes:
        """The vector of a model, checked against its name.

        Raises:
            NotReady: it is not here, or the file was changed.
        """
        data = self.path(study, name).read_bytes()
        if model_sha256(self.layout(study).sha256, data) != name:
            raise NotReady(f"the file of model {name} was changed.", "Restore it from a backup.")
        return data

    def layout(self, study: str) -> Layout:
        """The layout of a study's models."""
        path = self.folder(study) / "layout.json"
        if not path.is_file():
            raise NotReady(f"study {study} has no model yet.", "Launch it first.")
        return read_layout(json.loads(path.read_text()))

    def keep_card(self, study: str, data: bytes) -> str:
        """Write the card of a model under its hash, before an entry names it; returns the hash."""
        name = sha256_id(data)
        path = self._card_path(study, name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _write(path, data)
        return name

    def card(self, study: str, name: str) -> bytes:
        """A card by its hash.

        Raises:
            NotReady: it is not here, or the file was changed.
        """
        path = self._card_path(study, name)
        data = path.read_bytes() if path.is_file() else b""
        if sha256_id(data) != name:
            raise NotReady(f"the card {name} is not here as it was.", "Restore it from a backup.")
        return data

    def destroy(self, study: str) -> None:
        """Delete every file of a study: models, cards, layout, what its rounds left."""
        shutil.rmtree(self._home / "studies" / study, ignore_errors=True)

    def _card_path(self, study: str, name: str) -> Path:
        return self.folder(study) / "cards" / f"{name.removeprefix('sha256:')}.json"

    def models(self, study: str) -> list[dict[str, object]]:
        """The models of a study, oldest first."""
        with self._database.reading() as session:
            return [
                {
                    "study": row.study,
                    "model_sha256": row.model_sha256,
                    "kind": row.kind,
                    "bytes": row.bytes,
                    "created": row.created,
                }
                for row in rows.models_of(session, study)
            ]

    def safetensors(self, study: str, name: str) -> bytes:
        """A model as a safetensors file; its data section is the packed vector itself."""
        layout, data = self.layout(study), self.read(study, name)
        header: dict[str, object] = {
            entry.name: {
                "dtype": "F32",
                "shape": list(entry.shape),
                "data_offsets": [
                    FLOAT_BYTES * entry.offset,
                    FLOAT_BYTES * (entry.offset + entry.count),
                ],
            }
            for entry in layout.entries
        }
        meta = {"model_sha256": name, "layout_sha256": layout.sha256, **self._recipe(study)}
        header["__metadata__"] = meta
        text = json.dumps(header, sort_keys=True).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text + data


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _write(path: Path, data: bytes) -> None:
    if path.is_file() and path.stat().st_size == len(data):
        return
    part = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
