"""An import whose pictures are read for text: blanked before anything is made of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from site_node.imaging.deid import text_reader
from site_node.imaging.deid.read_pixels import Sight
from site_node.imaging.examine import Examined, examine
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.recipe import ImportRecipe
from tests.needs import need
from tests.site_node.imaging.files import Site, cleaning, file_of, header
from tests.site_node.imaging.radiographs import sees_white, sixteen, with_name
from tests.site_node.imaging.test_copies_without_text import WRITTEN, dim, film, written

US, CT = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.2"
SEEING = Sight(sees_white)


def looked_at(data: bytes, sight: Sight = SEEING, **changes: object) -> Examined:
    """Read a file as a child does, at the size of its picture."""
    recipe = ImportRecipe(size=(96, 96), **changes)
    return examine(data, recipe, cleaning(), sight=sight)


def test_text_is_gone_before_the_image_is_made() -> None:
    """What is kept is black there; finding and actions say so."""
    found = looked_at(file_of(header(), written()))

    (image,) = found.images
    assert image[0][WRITTEN].max() < 0.04 * 65535
    assert "text_blanked" in found.findings
    assert found.actions.plain()["pixels"] == {"blanked": 1, "read": 1}
    assert "113101" in found.actions.plain()["codes"]


def test_a_picture_without_text_is_the_same_with_and_without_a_reader() -> None:
    """Reading changes nothing that it need not change."""
    data = file_of(header(), dim())

    seen, blind = looked_at(data), looked_at(data, Sight())

    assert np.array_equal(seen.images[0], blind.images[0])
    assert seen.pixels == blind.pixels
    assert "text_blanked" not in seen.findings


def test_two_names_on_one_picture_are_one_picture() -> None:
    """The hash is over what is kept: the same radiograph under two patients is noticed."""
    one, other = written(top=250), written(top=240)

    assert looked_at(file_of(header(), one)).pixels == looked_at(file_of(header(), other)).pixels


def test_an_ultrasound_comes_in_when_it_was_read() -> None:
    """Refused without a reader, as ever; a slice that is not read is refused if it admits text."""
    data = file_of(header(SOPClassUID=US, Modality="US"), written())
    admits = file_of(header(SOPClassUID=CT, Modality="CT", BurnedInAnnotation="YES"), written())

    with pytest.raises(Quarantined, match="burned_in_text"):
        looked_at(data, Sight())

    assert looked_at(data).images[0][0][WRITTEN].max() < 0.04 * 65535
    assert looked_at(admits).actions.plain()["pixels"]["blanked"] == 1


def test_a_slice_is_not_read() -> None:
    """A volume has many, and writing on them is rare."""
    found = looked_at(file_of(header(SOPClassUID=CT, Modality="CT"), written()))

    assert "pixels" not in found.actions.plain()
    assert "text_blanked" not in found.findings


def test_frames_that_are_kept_are_read_and_share_their_boxes() -> None:
    """Of a film only those frames go into the dataset that the recipe takes."""
    frames = np.stack([dim(seed=number) for number in range(8)])
    frames[4][WRITTEN] = 250
    asked: list[int] = []

    found = looked_at(film(frames), replace(SEEING, allow=asked.append), frames_per_object=2)

    assert found.actions.plain()["pixels"] == {"blanked": 1, "read": 2}
    for image in found.images:
        assert len(np.unique(image[0][WRITTEN])) == 1
    assert asked == [2 * 2 * (120 << 20)]


def test_too_much_text_is_refused() -> None:
    """As in copies."""
    picture = dim()
    picture[10:60, 5:70] = 250

    with pytest.raises(Quarantined, match="burned_in_text"):
        looked_at(file_of(header(), picture))


def named_folder(root: Path) -> Path:
    """Two radiographs with a name and an ultrasound, with labels."""
    root.mkdir()
    rows = ["PatientID,finding"]
    for number in range(4):
        picture, _ = with_name(sixteen()[number], number, 16)
        made = header(f"{number:05d}", number + 1)
        if number == 3:
            made.SOPClassUID, made.Modality = US, "US"
        (root / f"{number}.dcm").write_bytes(file_of(made, picture))
        rows.append(f"{number:05d},{('normal', 'pneumonia')[number % 2]}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


def test_an_import_reads_when_asked_and_names_another_version(site: Site, tmp_path: Path) -> None:
    """With the real reader in real children: counts, findings, description, and a second run."""
    need("reader")
    source = named_folder(tmp_path / "in")

    blind = site.take(source)
    seeing = site.take(source, find_text=True)
    again = site.take(source, find_text=True)

    assert (blind["imported"], seeing["imported"]) == (3, 4)
    assert blind["quality"]["burned_in_text"] == 1
    assert seeing["quality"]["text_blanked"] == 4
    assert seeing["version"] != blind["version"]
    assert (again["read_now"], again["version"]) == (0, seeing["version"])
    papers = [json.loads(path.read_text()) for path in site.dataset.glob("*/quality.json")]
    (paper,) = [one for one in papers if one["version"] == seeing["version"]]
    assert paper["deidentification"]["actions"]["codes"]["113101"] == 4


def test_asked_for_without_the_extra_nothing_is_imported(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never silently without."""
    monkeypatch.setattr(text_reader, "PACKAGE", "no_such_reader")

    with pytest.raises(text_reader.NotReady, match="not installed"):
        site.take(named_folder(tmp_path / "in"), find_text=True)

    assert not (site.home / "datasets").exists()


def test_two_counts_of_places_are_two_outcomes() -> None:
    """An answer names what was done by its hash: one place and none may not share it."""
    from site_node.imaging.deid.sums import Sums

    sums = Sums()
    one = sums.tell(looked_at(file_of(header(), written())).actions)
    none = sums.tell(looked_at(file_of(header(), dim())).actions)

    assert one["done"]["pixels"] == {"blanked": 1, "read": 1}
    assert none["done"]["pixels"] == {"blanked": 0, "read": 1}
    assert one["actions"] != none["actions"]
