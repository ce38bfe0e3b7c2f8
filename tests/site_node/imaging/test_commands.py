"""What a technician types and reads: one sentence, an exit code, nothing half-done."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from compliance.command import main
from compliance.errors import NotReady
from site_node.imaging.recipe import ImportRecipe, read_recipe
from site_node.imaging.synthetic_masks import make
from tests.site_node.imaging.files import RECIPE, folder_of


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Runs `consilium site …` in a home of its own."""
    monkeypatch.setenv("CONSILIUM_HOME", str(tmp_path / "home"))

    def run(*words: str) -> tuple[int, str, str]:
        try:
            code = main(["site", *words])
        except SystemExit as end:
            code = int(end.code or 0)
        told = capsys.readouterr()
        return code or 0, told.out, told.err

    return run


def words_for(source: Path, *more: str) -> list[str]:
    """The words of an import."""
    recipe = source.parent / "recipe.json"
    recipe.write_text(RECIPE)
    labels = str(source / "labels.csv")
    words = ["import", str(source), "--dataset", "chest", "--labels", labels]
    return [*words, "--recipe", str(recipe), *more]


def test_an_import_reports_its_counts_and_the_quarantine_lists_the_rest(shell, tmp_path):
    """Reasons and digits of a hash; the name of the file is nowhere."""
    source = folder_of(tmp_path / "one", 12)
    (source / "Doe_Jane.txt").write_text("no picture")

    code, out, _ = shell(*words_for(source, "--json"))
    listed, text, _ = shell("quarantine", "chest")
    _, plain, _ = shell("quarantine", "--json")

    told = json.loads(out)
    assert (code, listed) == (0, 0)
    assert told["files"] == told["imported"] + told["quarantined"] + told["skipped"] == 14
    assert "not_dicom" in text
    assert json.loads(plain)[0]["count"] == 1
    assert "Doe" not in out + text + plain


def test_the_dataset_is_listed_and_the_import_is_in_the_journal(shell, tmp_path):
    """The hospital's own book says what was imported, in counts."""
    shell(*words_for(folder_of(tmp_path / "one", 12)))

    _, datasets, _ = shell("datasets", "chest", "--json")
    _, journal, _ = shell("journal", "--json")

    assert json.loads(datasets)["patients"] == 12
    assert any(row["kind"] == "imported" for row in json.loads(journal))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--label-column", "diagnosis"], "columns there: finding"),
        (["--dataset", "My Chest"], "cannot be the name of a dataset"),
        (["--recipe", "/nowhere.yaml"], "/nowhere.yaml cannot be read"),
        (["--labels", "/nowhere.csv"], "/nowhere.csv cannot be read"),
    ],
)
def test_a_wrong_word_gets_one_sentence_and_exit_2(shell, tmp_path, change, sentence):
    """What happened and what to do; no traceback."""
    code, out, err = shell(*words_for(folder_of(tmp_path / "one", 4), *change))

    assert code == 2
    assert sentence in out + err
    assert "Traceback" not in out + err
    assert not (tmp_path / "home" / "datasets").exists()


def test_an_unknown_word_in_a_recipe_is_named(shell, tmp_path):
    """A misspelt limit would be no limit."""
    source = folder_of(tmp_path / "one", 4)
    words = words_for(source)
    (tmp_path / "recipe.json").write_text('{"sizes": [28, 28]}')

    code, out, err = shell(*words)

    assert code == 2
    assert "sizes" in out + err


def test_the_help_of_a_site_knows_no_dicom():
    """A technician's `--help` must not wait for an image library."""
    script = (
        "import sys, site_node.cli; "
        "print(sorted(name for name in ('pydicom', 'numpy', 'torch') if name in sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert "pydicom" not in done.stdout
    assert "torch" not in done.stdout


def test_volumes_and_masks_are_imported_by_one_command(shell, tmp_path):
    """From the drawn series of the guide to the list of datasets."""
    make(tmp_path / "one", patients=3, seed=7)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "kind: 3d\nsize: [16, 32, 32]\nspacing: [2.5, 2.0, 2.0]\nintensity: hu\n"
        "segments: [{name: lesion, code: 'SCT:52988006'}]\n"
    )
    words = ["import", str(tmp_path / "one"), "--dataset", "lesions", "--recipe", str(recipe)]

    code, out, _ = shell(*words, "--seg", "--json")
    listed, text, _ = shell("datasets")

    told = json.loads(out)
    assert (code, listed) == (0, 0)
    assert (told["imported"], told["patients"], told["quarantined"]) == (51, 3, 0)
    assert "lesions" in text
    assert "3 patients" in text


def test_an_import_needs_labels_or_masks(shell, tmp_path):
    """Neither would make a dataset that answers nothing."""
    code, _, err = shell("import", str(tmp_path), "--dataset", "chest")

    assert code == 2
    assert "--labels, or say --seg" in err


def test_the_example_recipe_of_the_guide_is_usable():
    """Word for word."""
    recipe = read_recipe(Path(__file__).parents[3] / "docs" / "examples" / "import-ct.yaml")

    assert (recipe.kind, recipe.size, recipe.hu_range) == ("3d", (96, 160, 160), (-1024, 600))
    assert [segment.name for segment in recipe.segments] == ["nodule", "lung"]


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("kind: 3d", "size and a spacing of three"),
        ("kind: 3d\nsize: [16, 32, 32]", "size and a spacing of three"),
        ("size: [16, 32, 32]", "size of two"),
        ("spacing: [1, 1, 1]", "are for kind: 3d"),
        ("intensity: hu", "are for kind: 3d"),
        ("kind: 3d\nsize: [1024, 1024, 1024]\nspacing: [1, 1, 1]", "over 64 million voxels"),
        ("kind: 3d\nsize: [16, 32, 32]\nspacing: [1, 1, 0.01]", "between 0.1 and 20 mm"),
        ("kind: 3d\nsize: [16, 32, 32]\nspacing: [1, 1, 1]\nchannels: 3", "has one channel"),
        ("kind: 3d\nsize: [16, 32, 32]\nspacing: [1, 1, 1]\nhu_range: [5, 5]", "lower one first"),
        ("segments: [{name: a}]", "by its code"),
        ("segments: [{name: a, code: 'SCT:1', label: b}]", "by its code"),
        ("segments: [{name: a, label: b}, {name: a, label: c}]", "the same name"),
        ("segments: [{name: A, label: b}]", "pattern"),
    ],
)
def test_a_wrong_word_of_a_recipe_is_named(tmp_path, words, wrong):
    """Before anything is read."""
    path = tmp_path / "recipe.yaml"
    path.write_text(words)

    with pytest.raises(NotReady, match=wrong):
        read_recipe(path)


def test_a_recipe_of_images_keeps_the_name_it_had_before_there_were_volumes():
    """Hospitals that agreed on one need not agree anew."""
    known = "sha256:cd042e94a8aa00ac647da42df99f6678823050c36039b3c5cefef23733845d83"

    assert read_recipe(None).sha256 == known
    assert read_recipe(None).pixels_id != ImportRecipe(min_slices=9).pixels_id
