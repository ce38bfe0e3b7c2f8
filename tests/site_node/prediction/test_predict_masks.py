"""Models that draw: their masks lie on the hospital's own slices and images as DICOM SEG."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from compliance.records.charter import CharterBody
from compliance.records.recipe import Recipe, layout_of, shipped, with_changes
from site_node.gate.released import Served
from site_node.imaging.catalogue import Catalogue
from site_node.imaging.results.marks import NOT_CLINICAL
from site_node.prediction.predicting import Predictor, Request
from site_node.settings import Settings
from site_node.store import predictions as table
from site_node.store.journal import Sessions, close_store
from site_node.store.schema import open_store
from site_node.training.scoring import Scorer
from site_node.training.vectors import start_vector
from tests import factories as make
from tests.needs import need, program
from tests.site_node.imaging.bodies import SHAPE, Hospital, folder_of
from tests.site_node.imaging.files import SECRET, file_of, header, picture

SITE = make.NAMES[0]
MODEL = "sha256:" + "cd" * 32


class House:
    """A hospital with volumes and a model that draws on them.

    Args:
        root: an empty folder.
        recipe: of the study.
        seed: of the model's numbers.
    """

    def __init__(self, root: Path, recipe: Recipe, seed: int = 3, **import_recipe: Any) -> None:
        self.root, self.recipe = root, recipe
        self.vector = start_vector(layout_of(recipe), seed)
        self.scorer = Scorer(self.vector, recipe)
        self.site = Hospital(root / "home", segments=True, **import_recipe)
        self.journal: list[str] = []

    def store(self) -> Sessions:
        """The site's database."""
        return open_store(self.site.home / "site.sqlite")

    def predict(
        self, source: Path, out: Path, sessions: Sessions, given: Path | None = None
    ) -> Any:
        """Use the model on a folder; the charter names this hospital's dataset."""
        catalogue = Catalogue(self.site.home, sessions)
        rows = catalogue.datasets()
        version = rows[0].version if rows else make.sha("none")
        ours = make.dataset_row(SITE, id="chest", version=version)
        others = [make.dataset_row(name) for name in make.NAMES[1:3]]
        charter = CharterBody.model_validate(make.charter(datasets=[ours, *others]))
        served = Served("0011", charter, {}, MODEL, self.recipe, self.vector, looked=True)
        predictor = Predictor(
            settings=Settings(home=self.site.home, site=SITE),
            sessions=sessions,
            catalogue=catalogue,
            write=lambda kind, **_: self.journal.append(kind),
            clock=lambda: datetime(2026, 11, 22, 9, tzinfo=UTC),
            random=lambda _: SECRET,
            jobs=1,
        )
        return predictor.run(served, Request(source, out, given), lambda *_: None)


def volumes(**changes: Any) -> Recipe:
    """The small 3D network on the tests' volumes."""
    size = {"size": [16, 24, 24], "patch": None} | changes
    return with_changes(shipped()["unet-3d"], {"classes": ["lesion"], "preprocessing": size})


@pytest.fixture
def house(tmp_path: Path) -> Iterator[tuple[House, Sessions]]:
    """Two series with drawn lesions are its dataset."""
    made = House(tmp_path, volumes())
    folder_of(tmp_path / "cases", 2, masks=True)
    (tmp_path / "cases" / "labels.csv").unlink()
    made.site.take(tmp_path / "cases", seg=True)
    sessions = made.store()
    yield made, sessions
    close_store(sessions)


def test_masks_of_a_model_lie_on_the_series_voxel_by_voxel(
    house: tuple[House, Sessions], tmp_path: Path
) -> None:
    """Predicted, written as SEG, read by our own import: what the network drew, and valid."""
    need("dciodvfy")
    north, sessions = house
    folder_of(tmp_path / "new", 2)
    (tmp_path / "new" / "labels.csv").unlink()

    told = north.predict(tmp_path / "new", tmp_path / "out", sessions)

    made = sorted((tmp_path / "out").glob("*.dcm"))
    assert (told["predicted"], told["written"], len(made)) == (2, 2, 2)
    for path in made:
        read = dcmread(path)
        assert str(read.SOPClassUID) == "1.2.840.10008.5.1.4.1.1.66.4"
        assert (read.DeviceSerialNumber, read.ContentDescription) == ("cd" * 32, NOT_CLINICAL)
        said = subprocess.run(
            [str(program("dciodvfy")), "-new", str(path)], capture_output=True, check=False
        )
        assert b"Error" not in said.stdout + said.stderr
        (tmp_path / "new" / path.name).write_bytes(path.read_bytes())
    other = Hospital(tmp_path / "other", segments=True)
    other.take(tmp_path / "new", seg=True)
    data = other.open()
    images, _ = data.batch(np.arange(2))
    drawn = north.scorer.masks(images)
    assert drawn.shape == (2, *SHAPE)
    assert drawn.any()
    assert not drawn.all()
    assert np.array_equal(data.masks(np.arange(2)), drawn)
    with sessions() as session:
        assert sum(row.n for row in table.counts_since(session, "2026-01-01")) == 2
        reference = table.find_reference(session, MODEL)
    assert reference is not None
    assert (reference.images, reference.points) == (2, "{}")
    again = north.predict(tmp_path / "new", tmp_path / "out", sessions)
    assert (again["written"], again["counted"]) == (0, 0)


def test_masks_on_radiographs_lie_on_their_stored_pixels(tmp_path: Path) -> None:
    """Of other sizes than the recipe's, by the nearest pixel; a film is left out by name."""
    recipe = with_changes(
        shipped()["unet"], {"classes": ["lesion"], "preprocessing": {"size": [16, 16]}}
    )
    north = House(tmp_path, recipe)
    north.site.recipe.write_text(
        '{"size": [16, 16], "segments": [{"name": "lesion", "code": "SCT:52988006"}]}'
    )
    (tmp_path / "in").mkdir()
    for number, side in ((1, 32), (2, 8)):
        data = file_of(header(f"{number}", number), picture(number, side))
        (tmp_path / "in" / f"{number}.dcm").write_bytes(data)
    film = header("3", 3, NumberOfFrames=2)
    frames = np.concatenate([picture(3, 16), picture(4, 16)])
    data = file_of(film, frames)
    made = data.replace(
        b"\x28\x00\x10\x00US\x02\x00\x20\x00", b"\x28\x00\x10\x00US\x02\x00\x10\x00"
    )
    (tmp_path / "in" / "3.dcm").write_bytes(made)
    sessions = north.store()
    try:
        told = north.predict(tmp_path / "in", tmp_path / "out", sessions, north.site.recipe)
    finally:
        close_store(sessions)

    sizes = sorted(dcmread(path).Rows for path in (tmp_path / "out").glob("*.dcm"))
    assert (told["predicted"], sizes) == (2, [8, 32])
    assert told["reasons"] == {"class_not_supported": 1}
