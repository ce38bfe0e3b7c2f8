"""A hospital with a real dataset and a study whose model was released, for tests of its use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compliance.canonical import digest_of, sha256_id
from compliance.records.layout import model_sha256
from site_node.imaging.catalogue import Catalogue
from site_node.imaging.importing import Importer, request_of
from site_node.imaging.phantoms import DEVICES, draw
from site_node.training.vectors import start_vector
from site_node.wiring import Rooms
from tests.site_node.gate.world import (
    LAYOUT,
    RECIPE,
    STUDY,
    THEM,
    US,
    VERSION,
    World,
    _dataset,
    key,
)
from tests.site_node.imaging.files import file_of, header

SIZE = '{"kind": "2d", "size": [28, 28], "split": {"validation": 0.2, "test": 0.2}}'
CANARY = "Qzxvjk^Wlmpbt"
SECRET = bytes(range(32))

Vector = NDArray[np.float32]


def radiographs(root: Path, count: int, *, first: int = 1, **changes: Any) -> Path:
    """Chest phantoms of different patients, labels beside them in `labels.csv`."""
    root.mkdir(parents=True, exist_ok=True)
    images, findings = draw(count, DEVICES[0], np.random.default_rng(first))
    rows = ["PatientID,finding"]
    for number, (image, ill) in enumerate(zip(images, findings, strict=True), start=first):
        made = header(f"{number:05d}", number, **changes)
        (root / f"{number:05d}.dcm").write_bytes(file_of(made, image))
        rows.append(f"{number:05d},{('normal', 'pneumonia')[int(ill)]}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


def model_name(vector: Vector) -> str:
    """The name of a model of the tests' recipe."""
    return model_sha256(LAYOUT.sha256, vector.astype("<f4").tobytes())


def model_file(path: Path, vector: Vector, **changes: str) -> Path:
    """The model as the hub hands it out; `changes` of its metadata, empty to leave a word out."""
    data = vector.astype("<f4").tobytes()
    told: dict[str, Any] = {
        entry.name: {
            "dtype": "F32",
            "shape": list(entry.shape),
            "data_offsets": [4 * entry.offset, 4 * (entry.offset + entry.count)],
        }
        for entry in LAYOUT.entries
    }
    words = {
        "model_sha256": model_name(vector),
        "layout_sha256": LAYOUT.sha256,
        "study": STUDY,
        "recipe": RECIPE.encode().decode(),
        "recipe_sha256": RECIPE.sha256,
        "label_map_sha256": digest_of(list(RECIPE.classes)),
        "preprocessing_sha256": digest_of(RECIPE.preprocessing.plain()),
    } | changes
    told["__metadata__"] = {name: word for name, word in words.items() if word}
    head = json.dumps(told, sort_keys=True).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)
    return path


class Hospital:
    """North, with a dataset of phantoms and a study that made one model.

    Args:
        root: an empty folder.
        cases: images of the dataset; 0 leaves it out.
        release: whether the model is released.
    """

    def __init__(self, root: Path, *, cases: int = 20, release: bool = True) -> None:
        self.root, self.world = root, World(root)
        self.rooms: Rooms = self.world.joined()
        self.dataset: Any = None
        self.recipe = root / "recipe.json"
        self.recipe.write_text(SIZE)
        if cases:
            self._import(cases)
        self.vector = start_vector(LAYOUT, 7)
        self.model = model_name(self.vector)
        self._study()
        if release:
            self.release()
        self.rooms.catalogue = Catalogue(self.rooms.settings.home, self.rooms.store)
        self.file = model_file(root / "model.safetensors", self.vector)

    def _import(self, cases: int) -> None:
        folder = radiographs(self.root / "cases", cases)
        words = {"name": "chest", "labels": folder / "labels.csv", "recipe": self.recipe}
        home, store = self.rooms.settings.home, self.rooms.store
        importer = Importer(home=home, sessions=store, floor=5, random=lambda _: SECRET, jobs=1)
        importer.run(request_of(folder, **words))
        self.dataset = Catalogue(home, store).get("chest")

    def _study(self) -> None:
        shelf: Any = self.rooms.catalogue
        shelf.version = self.dataset.version if self.dataset else VERSION
        datasets = [{**_dataset(site), "version": shelf.version} for site in (US, THEM)]
        self.world.launched(self.rooms, datasets=datasets)
        self.world.close_round(self.rooms, model=self.model)
        self.rooms.witness.step(STUDY)

    def release(self) -> None:
        """Both hospitals agree, the hub releases, our mirror has it."""
        body = {"model_sha256": self.model, "form": "weights"}
        self.rooms.releasing.approve(STUDY)
        checks = {"checks_sha256": sha256_id(b"checks of south")}
        self.world.hub.say("release.approved", body | checks, by=key(f"{THEM}/institution"))
        card = {"card_sha256": sha256_id(b"card"), "on_behalf": None}
        self.world.hub.say("model.released", {**body, **card})
        self.step()

    def recall(self) -> None:
        """The hub calls the model back."""
        body = {"model_sha256": self.model, "reason": "wrong_result", "replaced_by": None}
        self.world.hub.say("model.recalled", body)
        self.step()

    def step(self) -> None:
        """Our witness follows the log, whatever it thinks of a statement it did not make."""
        self.world.time.forward(seconds=6)
        self.rooms.witness.step(STUDY)

    def predict(self, source: Path, out: Path | None = None, **asked: Any) -> dict[str, Any]:
        """Use the model on a folder."""
        words: dict[str, Any] = {
            "study": None, "model": self.file, "recipe": None, "query": [],
            "find_text": None, "list_files": False, "progress": lambda *_: None,
        }  # fmt: skip
        told = self.rooms.using.predict(source, out or self.root / "results", **(words | asked))
        json.dumps(told)
        return told
