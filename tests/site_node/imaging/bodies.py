"""Hospitals that import drawn CT series: folders of slices, masks and labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from site_node.imaging.curated import SPLITS, CuratedDataset
from site_node.imaging.phantoms import Body, draw_body
from site_node.imaging.synthetic_masks import seg_file
from site_node.imaging.synthetic_series import Series, ct_files, enhanced_file, make_series
from tests.site_node.imaging.files import Site

SHAPE, SPACING = (12, 20, 24), (2.5, 2.0, 2.0)
LESIONS = [{"name": "lesion", "code": "SCT:52988006"}]
RECIPE = {
    "kind": "3d",
    "size": SHAPE,
    "spacing": SPACING,
    "min_slices": 4,
    "intensity": "hu",
    "split": {"validation": 0.2, "test": 0.2},
}


class Hospital(Site):
    """A hospital whose recipe makes volumes."""

    def __init__(self, home: Path, *, segments: bool = False, **changes: Any) -> None:
        super().__init__(home)
        told = RECIPE | ({"segments": LESIONS} if segments else {}) | changes
        self.recipe.write_text(json.dumps(told))

    def take(self, source: Path | str, **asked: Any) -> dict[str, Any]:
        """Run one import; two classes even where one case is there."""
        told = {} if asked.get("seg") else {"classes": "normal,nodule"}
        return super().take(source, **(told | asked))

    def open(self) -> CuratedDataset:
        """The newest version."""
        return CuratedDataset.open(self.dataset)


def drawn(number: int, fault: str = "none", **changes: Any) -> tuple[Body, Series]:
    """The body of patient `number`, and its series."""
    random = np.random.default_rng(number)
    body = draw_body(random, SHAPE, SPACING, **changes)
    return body, make_series(body, f"{number:05d}", random, fault)


def write(folder: Path, files: Sequence[bytes], name: str = "") -> None:
    """Write files under names that say nothing about their order."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(files):
        (folder / f"{name}{number * 7 % len(files)}-{number}.dcm").write_bytes(data)


def folder_of(
    root: Path,
    count: int,
    *,
    masks: bool = False,
    enhanced: bool = False,
    faults: Sequence[str] = (),
) -> list[Body]:
    """A folder of series of different patients with `labels.csv`; faults spoil the first ones."""
    bodies, rows = [], ["SeriesInstanceUID,finding"]
    for number in range(1, count + 1):
        fault = faults[number - 1] if number <= len(faults) else "none"
        body, series = drawn(number, fault)
        random = np.random.default_rng(1000 + number)
        files = [enhanced_file(series, random)] if enhanced else ct_files(series, random)
        files += [seg_file(series, body.lesions, random)] if masks else []
        write(root / f"p{number}", files)
        rows.append(f"{series.series},{('normal', 'nodule')[number % 2]}")
        bodies.append(body)
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return bodies


def volumes_in(data: CuratedDataset) -> np.ndarray:
    """Every volume in Hounsfield units, rounded, in the order of the rows."""
    images, _ = data.batch(np.arange(len(data)))
    return np.rint(images[:, 0] * 4095 - 1024).astype(int)


def rows_by_body(data: CuratedDataset, bodies: Sequence[Body]) -> dict[int, int]:
    """Which row holds which body, found by its voxels."""
    held = volumes_in(data)
    return {
        number: row
        for number, body in enumerate(bodies)
        for row in range(len(held))
        if np.array_equal(held[row], body.units)
    }


def splits_of(data: CuratedDataset) -> int:
    """How many rows the splits have together."""
    return sum(len(data.rows(split)) for split in SPLITS)
