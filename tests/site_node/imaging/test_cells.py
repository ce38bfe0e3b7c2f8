"""Cells: each patient once, and the command that shows what would be answered."""

from __future__ import annotations

import json

from site_node.imaging.catalogue import Catalogue
from site_node.imaging.cells import patients_by_cell
from site_node.store import versions
from site_node.store.journal import close_store
from site_node.store.objects import Alike
from site_node.store.schema import open_store
from tests.site_node.imaging.files import folder_of
from tests.site_node.imaging.test_commands import shell, words_for  # noqa: F401 - a fixture

BINARY = {"kind": "binary", "classes": ["normal", "pneumonia"]}


def row(patient: str, label: list[int], **facts: str) -> Alike:
    """One image that is held."""
    known = {"modality": "cr", "body_part": "chest", "age": "60-69", "sex": "female", **facts}
    return patient, known, label, 1


def test_a_patient_with_many_images_is_counted_once() -> None:
    """He belongs where most of his images are; of equals the first word counts."""
    rows = [row("a", [0]), row("a", [1]), row("a", [1]), row("b", [1]), row("b", [0], sex="male")]

    assert patients_by_cell(rows, BINARY) == {
        ("cr", "chest", "60-69", "female", "pneumonia"): 2,
    }


def test_several_labels_make_one_cell_of_their_own() -> None:
    """Whoever has both is in the cell of both: the cells stay parts of a whole."""
    task = {"kind": "multilabel", "classes": ["nodule", "effusion"]}
    rows = [row("a", [1, 1]), row("b", [1, 0]), row("c", [0, 0])]

    assert set(patients_by_cell(rows, task)) == {
        ("cr", "chest", "60-69", "female", label) for label in ("nodule+effusion", "nodule", "")
    }


def test_what_a_header_lacks_is_unknown() -> None:
    """A fact that is missing is a word of its own."""
    assert set(patients_by_cell([("a", {}, [0], 1)], BINARY)) == {
        ("unknown", "unknown", "unknown", "unknown", "normal")
    }


def test_a_version_keeps_its_cells_and_an_older_one_is_counted(site, tmp_path) -> None:
    """What an import wrote down is what its objects say, today and after the next import."""
    site.take(folder_of(tmp_path / "one", 40))
    sessions = open_store(site.home / "site.sqlite")
    kept = Catalogue(site.home, sessions).cells("chest")
    with sessions.begin() as session:
        row = versions.newest(session, "chest")
        row.summary = {key: value for key, value in row.summary.items() if key != "cells"}
    counted = Catalogue(site.home, sessions).cells("chest")
    close_store(sessions)

    assert kept == counted
    assert sum(kept.values()) == 40


def test_the_steward_sees_what_would_be_answered(shell, tmp_path) -> None:  # noqa: F811
    """Before anything is asked: the same words, the same numbers, and each cell behind them."""
    shell(*words_for(folder_of(tmp_path / "one", 60)))

    code, out, _ = shell("counts", "--json", "--cells")
    _, plain, _ = shell("counts", "--modality", "mr")

    (told,) = json.loads(out)
    assert code == 0
    cells = [value for _, value in told["cells"]]
    assert all(value and value % told["floor"] == 0 for value in cells)
    assert told["patients"] == (str(sum(cells)) if cells else "<5")
    assert "<5 patients (floor 5)" in plain


def test_a_word_that_may_not_be_asked_is_named(shell, tmp_path) -> None:  # noqa: F811
    """One sentence, exit 2."""
    code, _, said = shell("counts", "--age", "67")

    assert code == 2
    assert "--age is none of the words" in said


def test_without_a_dataset_nothing_is_counted(shell) -> None:  # noqa: F811
    """An empty home says so."""
    assert "No dataset is here." in shell("counts")[1]
