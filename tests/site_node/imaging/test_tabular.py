"""A table becomes a dataset: every row is in it or out with a reason, and no text of it stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from compliance.canonical import encode, sha256_id
from compliance.command import main
from compliance.errors import NotReady
from compliance.records.consortium import DatasetRegistered, bucket_of
from compliance.records.recipe import shipped
from site_node.imaging.catalogue import Catalogue
from site_node.imaging.tabular.columns import read_columns
from site_node.imaging.tabular.importing import TableImporter
from site_node.imaging.tabular.opened import TableDataset, standardised
from site_node.store.journal import close_store
from site_node.store.schema import open_store
from tests.hearts import COLUMNS, HOSPITALS, write_table
from tests.site_node.imaging.files import SECRET, Site, all_bytes, folder_of

CANARY = "MUELLER-HANS-19440203"
HEAD = "number,age,sex,note,answer"
SPLIT_HEAD = HEAD + ",split"
TERMS: dict[str, Any] = {
    "patient": "number",
    "label": {"column": "answer", "classes": ["well", "ill"]},
    "shares": {"validation": 0.2, "test": 0.2},
    "columns": [
        {"name": "age", "kind": "number", "unit": "a", "low": 0, "high": 120},
        {"name": "sex", "kind": "category", "values": ["f", "m", "x"]},
    ],
}


class House:
    """A hospital that imports tables."""

    def __init__(self, home: Path, secret: bytes = SECRET) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home, self._secret = home, secret

    def take(self, table: Path, terms: dict[str, Any] | Path = TERMS, **asked: Any) -> Any:
        """Import one table."""
        recipe = terms if isinstance(terms, Path) else self.home / "columns.yaml"
        if not isinstance(terms, Path):
            recipe.write_text(yaml.safe_dump(terms))
        sessions = open_store(self.home / "site.sqlite")
        try:
            importer = TableImporter(
                home=self.home, sessions=sessions, floor=5, random=lambda _: self._secret
            )
            return importer.run(table, **({"name": "heart", "recipe": recipe} | asked))
        finally:
            close_store(sessions)

    def ask(self, question: Any) -> Any:
        """Ask the catalogue something."""
        sessions = open_store(self.home / "site.sqlite")
        try:
            return question(Catalogue(self.home, sessions))
        finally:
            close_store(sessions)

    @property
    def data(self) -> TableDataset:
        """The dataset as training sees it."""
        return TableDataset.open(self.home / "datasets" / "heart")

    def stored(self) -> bytes:
        """Every byte that an import left, the source and its description aside."""
        kept = [b for p, b in all_bytes(self.home) if p.suffix not in (".csv", ".yaml", ".toml")]
        return b"".join(kept)


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An empty hospital."""
    return House(tmp_path / "home")


def row(place: int, /, **changes: str) -> str:
    """An ordinary row."""
    cells = {"number": f"{place:05d}", "age": str(20 + place % 60), "sex": "fmx"[place % 3]}
    cells |= {"note": "", "answer": ("well", "ill")[place % 2]} | changes
    return ",".join(cells.values())


def table(folder: Path, *rows: str, head: str = HEAD, count: int = 40) -> Path:
    """A file with ordinary rows and these."""
    path = folder / "table.csv"
    path.write_text("\n".join([head, *(row(n) for n in range(1, count + 1)), *rows]) + "\n")
    return path


def test_every_row_is_in_the_dataset_or_left_out_with_a_reason(house, tmp_path):
    """One outcome each, and the reasons are those of the closed list."""
    path = table(tmp_path, row(90, age="abc"), row(91, answer=""), row(92, sex=""), "")

    told = house.take(path)

    assert told["rows"] == told["imported"] + told["quarantined"] + told["skipped"] == 44
    assert told["reasons"] == {"number_not_usable": 1, "value_missing": 1}
    assert told["skipped_because"] == {"empty_row": 1, "no_label": 1}
    assert told["patients"] == len(house.data) == 40


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"age": "=1+1"}, "number_not_usable"),
        ({"age": "=HYPERLINK(A1)"}, "number_not_usable"),
        ({"age": f"{CANARY} was 60"}, "number_not_usable"),
        ({"age": "1e400"}, "number_not_usable"),
        ({"age": "NaN"}, "number_not_usable"),
        ({"age": "-inf"}, "number_not_usable"),
        ({"age": "1_0"}, "number_not_usable"),
        ({"age": "٤٢"}, "number_not_usable"),
        ({"age": "4" * 5000}, "number_not_usable"),
        ({"age": "0x1F"}, "number_not_usable"),
        ({"age": "121"}, "value_out_of_range"),
        ({"age": "-0.5"}, "value_out_of_range"),
        ({"sex": CANARY}, "value_not_listed"),
        ({"sex": "F"}, "value_not_listed"),
        ({"answer": CANARY}, "value_not_listed"),
        ({"age": ""}, "value_missing"),
        ({"number": ""}, "missing_identity"),
        ({"number": "7" * 300}, "missing_identity"),
        ({"answer": "ill,more"}, "row_not_whole"),
        ({"note": '"two\nlines"', "age": "x"}, "number_not_usable"),
    ],
)
def test_a_hostile_cell_keeps_its_row_out_and_nothing_of_it_is_kept(
    house, tmp_path, changes, reason
):
    """Formulas, free text, numbers that are none: one reason, and no byte of the text stays."""
    told = house.take(table(tmp_path, row(99, **changes)))

    assert told["reasons"] == {reason: 1}
    assert told["imported"] == 40
    assert CANARY.encode() not in house.stored()
    assert CANARY not in json.dumps(told)


def test_a_cell_may_hold_line_breaks_and_commas_where_nobody_reads_it(house, tmp_path):
    """A column that the description does not name is not looked at, and not kept."""
    told = house.take(table(tmp_path, row(99, note=f'"{CANARY}\n=1+1, 4"')))

    assert told["imported"] == 41
    assert CANARY.encode() not in house.stored()


def test_no_number_of_a_patient_is_stored(house, tmp_path):
    """Only pseudonyms are, in no file and no table anything else."""
    house.take(table(tmp_path, row(99, number=CANARY), row(98, number=CANARY + "2", age="x")))

    assert CANARY.encode() not in house.stored()


def test_a_mark_before_the_header_is_no_letter_of_it(house, tmp_path):
    """Spreadsheets write one (BOM), and semicolons with decimal commas."""
    path = tmp_path / "table.csv"
    lines = [HEAD, *(row(n) for n in range(1, 30)), row(99, age="42 5")]
    text = "\n".join(lines).replace(",", ";").replace("42 5", "42,5")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())

    told = house.take(path, TERMS | {"decimal": ","})

    assert (told["imported"], told["quarantined"]) == (30, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column"),
        ("number,age,age,sex,note,answer\n", "more than one column"),
        ("age,sex,answer\n1,f,ill\n", "no column"),
        (HEAD + '\n1,2,f,"never closed,ill\n', "is no CSV"),
        (HEAD + '\n1,2,f,"a"b,ill\n', "is no CSV"),
        (HEAD + "\n", "it has no row"),
        (HEAD + "\n1,200,f,,ill\n", "value_out_of_range 1"),
        (",".join(f"c{n}" for n in range(1_000_000)) + "\n", "over 10000 columns"),
    ],
)
def test_a_broken_table_is_refused_as_a_whole_and_changes_nothing(house, tmp_path, text, said):
    """Rows could mean something else: nothing is written."""
    path = tmp_path / "table.csv"
    path.write_text(text)

    with pytest.raises(NotReady, match=said):
        house.take(path)

    assert not (house.home / "datasets" / "heart").exists()


def test_a_table_that_is_not_utf8_is_refused_without_its_bytes(house, tmp_path):
    """The sentence says what to do and quotes nothing."""
    path = tmp_path / "table.csv"
    path.write_bytes(HEAD.encode() + b"\nM\xfcller,1,f,,ill\n")

    with pytest.raises(NotReady, match="not UTF-8") as said:
        house.take(path)

    assert "ller" not in str(said.value)


def test_the_same_table_twice_changes_nothing(house, tmp_path):
    """No byte of the dataset, no version."""
    path = table(tmp_path, row(90, age="abc"))
    first = house.take(path)
    before = list(all_bytes(house.home / "datasets"))

    second = house.take(path)

    assert not second["new_version"]
    assert second["version"] == first["version"]
    assert list(all_bytes(house.home / "datasets")) == before


def test_the_order_of_rows_and_columns_does_not_matter(tmp_path):
    """The same cases give the same version and the same bytes, however the file lists them."""
    one, other = House(tmp_path / "one"), House(tmp_path / "other")
    rows = [row(n) for n in range(1, 41)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join([HEAD, *rows]))
    first = one.take(path)
    back = [",".join(reversed(line.split(","))) for line in [HEAD, *reversed(rows)]]
    path.write_text("\n".join(back))

    second = other.take(path)

    assert second["version"] == first["version"]
    arrays = [dict(_arrays(house)) for house in (one, other)]
    assert arrays[0] == arrays[1]


def _arrays(house: House) -> Any:
    return ((p.name, b) for p, b in all_bytes(house.home / "datasets") if p.suffix == ".npy")


def test_two_rows_under_one_number_stay_out_unless_they_are_visits(house, tmp_path):
    """Nobody knows whether they are one patient or two; the hospital says which."""
    path = table(tmp_path, row(7, age="99"))

    strict = house.take(path)
    visits = house.take(path, TERMS | {"several_rows": True}, name="visits")

    assert strict["reasons"] == {"patient_twice": 2}
    assert strict["patients"] == 39
    assert (visits["imported"], visits["patients"]) == (41, 40)


def test_the_same_row_twice_counts_once(house, tmp_path):
    """A patient who stands in an export twice weighs no more."""
    told = house.take(table(tmp_path, row(7)))

    assert told["skipped_because"] == {"duplicate_row": 1}
    assert told["imported"] == 40


def test_a_patient_is_in_one_split_also_over_visits(house, tmp_path):
    """A test on patients one trained on is no test."""
    lines = [row(n % 20, age=str(20 + n)) for n in range(60)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join([HEAD, *lines]))

    house.take(path, TERMS | {"several_rows": True})

    data = house.data
    names = [set(data.patients(data.rows(split))) for split in ("train", "validation", "test")]
    assert all(names)
    assert sum(map(len, names)) == len(set.union(*names)) == 20


def test_a_given_split_is_followed_and_a_torn_patient_stops_the_import(house, tmp_path):
    """As with images: the description says that the split was given."""
    terms = TERMS | {"split": "split", "several_rows": True}
    lines = [row(n) + "," + ("train", "test", "val")[n % 3] for n in range(30)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join([SPLIT_HEAD, *lines]))

    told = house.take(path, terms)
    path.write_text("\n".join([SPLIT_HEAD, *lines, row(3, age="1") + ",test"]))

    assert told["cases"] == {"train": 10, "validation": 10, "test": 10}
    with pytest.raises(NotReady, match="1 patients stand in more than one split"):
        house.take(path, terms)


def test_a_given_split_with_another_word_keeps_its_row_out(house, tmp_path):
    """A row without a set is in none."""
    path = tmp_path / "table.csv"
    lines = [row(n) + "," + ("train", "test", "")[n % 3] for n in range(30)]
    path.write_text("\n".join([SPLIT_HEAD, *lines]))

    assert house.take(path, TERMS | {"split": "split"})["reasons"] == {"value_not_listed": 10}


def test_values_are_standardised_by_the_training_cases_of_this_hospital(house, tmp_path):
    """Mean 0 and standard deviation 1 there; the first level of a category is all zeros before."""
    house.take(table(tmp_path))

    data = house.data
    values, labels = data.batch(data.rows("train"))

    assert values.shape[1] == data.spec.shape[0] == 3
    assert np.allclose(values.mean(axis=0), 0, atol=1e-6)
    assert np.allclose(values.std(axis=0, ddof=1), 1, atol=1e-6)
    assert set(labels) == {0, 1}


def test_a_missing_value_that_may_be_filled_becomes_the_mean_of_the_training_cases(house, tmp_path):
    """Zero after standardising, counted; the default leaves the row out."""
    columns = [{**column, "missing": "fill"} for column in TERMS["columns"]]

    told = house.take(table(tmp_path, row(99, age="", sex="")), TERMS | {"columns": columns})

    data = house.data
    rows, _ = data.batch(np.arange(len(data)))
    assert (told["imported"], told["quality"]) == (41, {"value_filled": 1})
    assert (rows == 0).all(axis=1).sum() == 1


def test_a_column_that_is_constant_in_training_says_nothing():
    """Not a division by zero, and no huge number for a test case that differs."""
    values = np.array([[3.0, 1.0], [3.0, 2.0], [9.0, 3.0], [np.nan, 4.0]])

    told = standardised(values, np.array([0, 1]))

    assert told[:, 0].tolist() == [0, 0, 0, 0]
    assert np.allclose(told[:2, 1], [-0.70710678, 0.70710678])


def test_the_description_that_leaves_has_no_small_count_and_no_name_of_a_column(house, tmp_path):
    """Closed words, buckets and hashes; its hash is what a registration names."""
    path = tmp_path / "table.csv"
    path.write_text("\n".join([HEAD, *(row(n) for n in range(1, 30))]))
    house.take(path)

    told = house.ask(lambda catalogue: catalogue.get("heart"))

    text = json.dumps(told.croissant)
    assert told.description_sha256 == sha256_id(encode(told.croissant))
    assert "Clinical variables of one hospital" in text
    leaves = json.dumps([told.description, told.croissant["variableMeasured"]])
    assert not any(word in leaves for word in ('"age"', '"sex"', "number", "note"))
    small = [n for split in told.n_by_split.values() for n in split.values() if 0 < n < 5]
    assert small
    assert "<5" in json.dumps(told.description["samples"])
    assert set(told.description["patients"]) & set("≥")
    assert json.loads((told.dir / "quality.json").read_bytes())["patients"] == 29


def test_a_table_can_be_registered_like_images(house, tmp_path):
    """The registration's form takes its words, buckets and hashes."""
    house.take(table(tmp_path), TERMS | {"body_part": "heart"})
    told = house.ask(lambda catalogue: catalogue.get("heart"))

    record = DatasetRegistered.model_validate(
        {
            "dataset": told.name,
            "version": told.version,
            "modality": told.modality,
            "body_part": told.body_part,
            "duo": ["GRU"],
            "disease": [],
            "examples": bucket_of(40, 5),
            "patients": bucket_of(told.patients, 5),
            "description_sha256": told.description_sha256,
            "deid": told.deid,
            "quality_sha256": told.quality_sha256,
        }
    )

    assert (record.modality, record.body_part) == (["table"], ["heart"])
    cells = house.ask(lambda catalogue: catalogue.cells("heart"))
    assert cells == {
        ("table", "heart", "unknown", "unknown", "ill"): 20,
        ("table", "heart", "unknown", "unknown", "well"): 20,
    }


def test_rows_that_stayed_out_are_listed_by_reason_and_on_request_by_number(house, tmp_path):
    """`site quarantine` counts them; quarantine.csv says which row, and no cell of it."""
    house.take(table(tmp_path, row(98, age="x"), row(99, sex="q")), list_rows=True)

    rows = house.ask(lambda catalogue: catalogue.quarantine("heart"))

    assert [(one["reason"], one["count"]) for one in rows] == [
        ("number_not_usable", 1),
        ("value_not_listed", 1),
    ]
    listed = (house.home / "quarantine.csv").read_text().splitlines()
    assert listed == ["file,reason", "row 42,number_not_usable", "row 43,value_not_listed"]


def test_the_next_table_takes_the_place_of_the_last(house, tmp_path):
    """A table is told as a whole: what it does not hold any more is in no new version."""
    house.take(table(tmp_path, row(90, age="x")))

    told = house.take(table(tmp_path, count=20))

    assert told["new_version"]
    assert len(house.data) == 20
    assert house.ask(lambda catalogue: catalogue.quarantine("heart")) == []


def test_an_earlier_table_comes_to_the_front_again(house, tmp_path):
    """Its version is the one it had, and the folder opens it."""
    first = house.take(table(tmp_path))
    house.take(table(tmp_path, count=20))

    again = house.take(table(tmp_path))

    assert again["version"] == first["version"]
    assert len(house.data) == 40
    assert house.ask(lambda catalogue: catalogue.get("heart").version) == first["version"]


def test_images_and_tables_do_not_share_a_name(house, tmp_path):
    """Neither way round, nor do tables with other classes."""
    site = Site(house.home)
    site.take(folder_of(tmp_path / "images", 12))
    path = table(tmp_path)
    house.take(path)
    other = TERMS | {"label": {"column": "answer", "classes": ["ill", "well"]}}

    with pytest.raises(NotReady, match="dataset chest holds images"):
        house.take(path, name="chest")
    with pytest.raises(NotReady, match="dataset heart holds other classes"):
        house.take(path, other)
    with pytest.raises(NotReady, match="dataset heart holds a table"):
        site.take(tmp_path / "images", name="heart")


@pytest.mark.parametrize(
    "change",
    [
        {"columns": []},
        {"columns": [*TERMS["columns"], TERMS["columns"][0]]},
        {"columns": [{"name": "age", "kind": "number", "unit": "a"}]},
        {"columns": [{"name": "age", "kind": "number", "unit": "a", "low": 9, "high": 1}]},
        {"columns": [{"name": "sex", "kind": "category", "values": ["1", "1.0"]}]},
        {"columns": [{"name": "Sex of Hans", "kind": "category", "values": ["f", "m"]}]},
        {"patient": "age"},
        {"label": {"column": "answer", "classes": ["ill"]}},
        {"surprise": 1},
    ],
)
def test_a_description_that_is_not_sound_is_refused_before_the_table_is_read(
    house, tmp_path, change
):
    """One sentence names the line."""
    with pytest.raises(NotReady, match="is not usable"):
        house.take(tmp_path / "not there.csv", TERMS | change)


def test_hospitals_with_other_headers_and_words_have_the_same_columns(tmp_path):
    """What they mean counts, not how the own file writes it; another order or unit is another."""
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump(TERMS))
    age = {"named": "Alter (J)", "low": 1, "high": 99, "missing": "fill"}
    words = [{"name": w, "words": [w.upper()]} for w in "fmx"]
    columns = [TERMS["columns"][0] | age, TERMS["columns"][1] | {"values": words}]

    def named(changes: dict[str, Any]) -> str:
        path = tmp_path / "theirs.yaml"
        path.write_text(yaml.safe_dump(TERMS | changes))
        return read_columns(path).features_id

    own = read_columns(mine).features_id
    assert named({"columns": columns, "decimal": ","}) == own
    assert named({"columns": columns[::-1]}) != own
    assert named({"columns": [columns[0] | {"unit": "mo"}, columns[1]]}) != own


def test_the_shipped_recipe_for_hearts_names_the_shipped_columns():
    """Both hold the thirteen values of the published protocol."""
    columns, recipe = read_columns(COLUMNS), shipped()["heart-logistic"]

    assert recipe.preprocessing.intensity == columns.features_id
    assert recipe.preprocessing.size == [columns.width] == [13]
    assert recipe.classes == columns.task["classes"]


def test_the_four_hearts_have_the_published_numbers_of_cases(tmp_path):
    """486 for training, 254 for the test, by hospital."""
    told = {}
    for name in HOSPITALS:
        house = House(tmp_path / name)
        told[name] = house.take(write_table(name, tmp_path / f"{name}.csv"), COLUMNS)["cases"]

    assert {name: (row["train"], row["test"]) for name, row in told.items()} == {
        "cleveland": (199, 104),
        "hungarian": (172, 89),
        "switzerland": (30, 16),
        "va": (85, 45),
    }


def test_the_command_imports_a_table_and_says_what_came_of_it(tmp_path, capsys):
    """`site import --table`: counts and reasons, the name of the columns, no cell."""
    path = table(tmp_path, row(99, age=CANARY))
    recipe = tmp_path / "columns.yaml"
    recipe.write_text(yaml.safe_dump(TERMS))
    words = ["site", "import", "--table", str(path), "--dataset", "heart", "--json"]
    words += ["--home", str(tmp_path / "home")]

    code = main([*words, "--recipe", str(recipe)])
    told = json.loads(capsys.readouterr().out)
    missing = main(words)
    both = main([*words, "--recipe", str(recipe), "--labels", str(path)])
    said = capsys.readouterr().err

    assert (code, missing, both) == (0, 2, 2)
    assert (told["imported"], told["reasons"]) == (40, {"number_not_usable": 1})
    assert told["columns"] == read_columns(recipe).features_id
    assert "needs a description of its columns" in said
    assert "takes no option of images" in said
    assert main(["site", "journal", "--json", "--home", str(tmp_path / "home")]) == 0
    lines = capsys.readouterr().out
    assert "table.imported" in lines
    assert CANARY not in lines


DYING = """
import os, signal, sys
from pathlib import Path
from site_node.imaging import curate
from site_node.imaging.tabular import importing
from site_node.store.schema import open_store
home, table, recipe, place = map(Path, sys.argv[1:5])
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
def after(call):
    def run(*words, **more):
        call(*words, **more)
        die()
    return run
places = {
    "folder": (curate, "sync_folder", die),
    "written": (importing, "write_folder", after(importing.write_folder)),
    "committed": (importing, "point_to", die),
}
module, name, deed = places[place.name]
setattr(module, name, deed)
importing.TableImporter(
    home=home,
    sessions=open_store(home / "site.sqlite"),
    floor=5,
    random=lambda _: bytes(range(32)),
).run(table, name="heart", recipe=recipe)
"""


@pytest.mark.parametrize("place", ["folder", "written", "committed"])
def test_an_import_that_is_killed_shows_nothing_half_and_ends_the_same_later(tmp_path, place):
    """Killed (-9) while the folder is written, before the commit, and before the pointer moves."""
    house, calm = House(tmp_path / "home"), House(tmp_path / "calm")
    path, recipe = table(tmp_path), tmp_path / "columns.yaml"
    recipe.write_text(yaml.safe_dump(TERMS))
    old = house.take(table(tmp_path, count=20), recipe)
    path = table(tmp_path)
    wanted = calm.take(path, recipe)

    words = [sys.executable, "-c", DYING, str(house.home), str(path), str(recipe), place]
    done = subprocess.run(words, check=False, capture_output=True, env=dict(os.environ))

    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert len(house.data) == 20
    if place != "committed":
        assert house.ask(lambda catalogue: catalogue.get("heart").version) == old["version"]
    again = house.take(path, recipe)
    assert again["version"] == wanted["version"]
    assert dict(_arrays_of_newest(house)) == dict(_arrays_of_newest(calm))
    assert not list((house.home / "datasets" / "heart").glob("*.partial"))


def _arrays_of_newest(house: House) -> Any:
    folder = house.ask(lambda catalogue: catalogue.get("heart").dir)
    return ((p.name, b) for p, b in all_bytes(folder) if p.suffix == ".npy")
