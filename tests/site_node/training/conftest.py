"""Small hospitals with images that can be learned in a second."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compliance.records.recipe import Recipe, shipped, with_changes

_PATH = Path(__file__).parent / "hospital.py"
_SPEC = importlib.util.spec_from_file_location("hospital_in_memory", _PATH)
hospital = importlib.util.module_from_spec(_SPEC)
sys.modules["hospital_in_memory"] = hospital
_SPEC.loader.exec_module(hospital)


def _spots(random: np.random.Generator, labels: np.ndarray, side: int) -> np.ndarray:
    """Draw noise with a bright bar for each label that is on: place and direction follow it."""
    images = random.random((len(labels), 1, side, side)) * 0.5
    for image, on in zip(images, labels, strict=True):
        for place in np.flatnonzero(on):
            at = 2 + 4 * int(place)
            image[0, at : at + 2, 2:-2] += 0.4
    return np.clip(images, 0, 1).astype(np.float32)


def _blocks(
    random: np.random.Generator, n: int, side: int, dims: int, classes: int, ill: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a block per class, brighter from class to class, a third of the side long."""
    images = random.random((n, 1, *[side] * dims)) * 0.3
    masks = np.zeros((n, *[side] * dims), np.uint8)
    for number in range(ill):
        for label in range(1, classes + 1):
            corner = random.integers(0, side - side // 3, dims)
            place = tuple(slice(at, at + side // 3) for at in corner)
            images[number, 0][place], masks[number][place] = 0.4 + 0.5 * label / classes, label
    return images.astype(np.float32), masks


class Makers:
    """Makes recipes and hospitals for each kind of task."""

    CLASSES = ("clear", "opacity", "effusion")

    def recipe(self, task: str = "binary", **changes: Any) -> Recipe:
        """The small network on 16 x 16 images, one epoch."""
        classes = list(self.CLASSES if task != "binary" else self.CLASSES[:2])
        terms: dict[str, Any] = {
            "task": task,
            "classes": classes,
            "loss": "cross_entropy" if task == "multiclass" else "bce",
            "preprocessing": {"size": [16, 16]},
            "local": {"epochs": 1, "batch": 16},
        }
        for name, value in changes.items():
            both = isinstance(value, dict) and isinstance(terms.get(name), dict)
            terms[name] = {**terms[name], **value} if both else value
        if "steps" in terms["local"]:
            terms["local"]["epochs"] = None
        return with_changes(shipped()["cnn2d-small"], terms)

    def hospital(
        self, task: str = "binary", *, n: int = 96, seed: int = 0, rare: float = 0.5, side: int = 16
    ) -> Any:
        """A hospital with n training, n/2 validation and n test images, one per patient."""
        random = np.random.default_rng(seed)
        splits = {}
        for name, size in (("train", n), ("validation", n // 2), ("test", n)):
            labels, on = self._labels(random, task, size, rare)
            splits[name] = (_spots(random, on, side), labels)
        classes = self.CLASSES if task != "binary" else self.CLASSES[:2]
        return hospital.MemoryDataset(task, classes, splits)

    def mask_recipe(self, name: str = "unet", side: int = 16, dims: int = 2, **changes: Any) -> Any:
        """A recipe of masks on small images or volumes, one lesion class, one step a round."""
        terms: dict[str, Any] = {
            "classes": ["lesion"],
            "preprocessing": {"size": [side] * dims},
            "local": {"steps": 1, "batch": 4},
        }
        for field, value in changes.items():
            both = isinstance(value, dict) and isinstance(terms.get(field), dict)
            terms[field] = {**terms[field], **value} if both else value
        return with_changes(shipped()[name], terms)

    def drawn(
        self,
        n: int = 8,
        side: int = 16,
        dims: int = 2,
        *,
        classes: tuple[str, ...] = ("lesion",),
        empty: int = 0,
        seed: int = 0,
    ) -> Any:
        """A hospital of bright blocks in noise with their masks; the last `empty` have none."""
        random, splits, masks = np.random.default_rng(seed), {}, {}
        for name in hospital.SPLITS:
            images, drawn = _blocks(random, n, side, dims, len(classes), n - empty)
            labels = np.stack(
                [(drawn == k).reshape(n, -1).any(axis=1) for k in range(1, len(classes) + 1)],
                axis=1,
            )
            splits[name], masks[name] = (images, labels.astype(np.float32)), drawn
        return hospital.MemoryDataset("segmentation", classes, splits, masks=masks)

    def _labels(self, random, task, size, rare):
        if task == "binary":
            labels = (random.random(size) < rare).astype(np.int64)
            return labels, labels[:, None]
        if task == "multiclass":
            labels = random.integers(0, 3, size)
            return labels, np.eye(3)[labels]
        on = (random.random((size, 3)) < rare).astype(np.float32)
        return on, on


@pytest.fixture
def makers() -> Makers:
    """Makes recipes and hospitals."""
    return Makers()
