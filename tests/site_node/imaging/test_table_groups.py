"""Groups of a table: sex and age in closed words, beside the values and never in their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from torch import nn

from compliance.errors import NotReady
from compliance.records.measures import Part, part_of
from compliance.records.recipe import shipped
from site_node.imaging.tabular.columns import read_columns
from site_node.training.datasets import Split
from site_node.training.evaluation import measure, score_patients
from tests.hearts import COLUMNS, write_table
from tests.site_node.imaging.test_tabular import TERMS, House, row, table

GROUPS = {"sex": {"column": "sex", "female": ["f"], "male": ["m"]}, "age": "age"}
GROUPED = TERMS | {"groups": GROUPS}
UNLIKE_ANY = "ÖZTÜRK-AYSE-19330101"


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An empty hospital."""
    return House(tmp_path / "home")


def words_of(house: House, dimension: str) -> list[str]:
    """The words of all cases, sorted."""
    data = house.data
    return sorted(data.groups(np.arange(len(data)))[dimension].tolist())


def test_every_case_is_in_the_group_that_its_row_says(house, tmp_path):
    """Forty cases, ages 21 to 60; `x` is no group, and the age of 60 is the next band."""
    house.take(table(tmp_path), GROUPED)

    assert words_of(house, "sex") == [""] * 13 + ["f"] * 13 + ["m"] * 14
    assert words_of(house, "age") == ["40-59"] * 20 + ["60-79"] + ["under-40"] * 19


def test_groups_are_read_from_columns_that_nothing_is_trained_on(house, tmp_path):
    """Sex and age need not stand among the values."""
    only_age = [TERMS["columns"][0] | {"named": "age"}]
    groups = {"sex": {"column": "note", "female": ["w", "F"], "male": ["m"]}}
    rows = [row(n, note="wFm"[n % 3]) for n in range(100, 130)]

    told = house.take(table(tmp_path, *rows), TERMS | {"columns": only_age, "groups": groups})

    assert told["imported"] == 70
    assert words_of(house, "sex") == [""] * 40 + ["f"] * 20 + ["m"] * 10


@pytest.mark.parametrize("age", ["", "old", "-1", "131", "1e9", UNLIKE_ANY])
def test_an_unknown_person_is_in_no_group_and_stays_in_the_dataset(house, tmp_path, age):
    """No value of a group column keeps a row out; how many are unknown is counted."""
    terms = TERMS | {"columns": [TERMS["columns"][1]], "groups": GROUPS}
    path = table(tmp_path, row(99, age=age, sex="x"))

    told = house.take(path, terms)

    assert (told["imported"], told["quarantined"]) == (41, 0)
    assert told["quality"] == {"sex_missing": 14, "age_missing": 1}
    assert words_of(house, "age").count("") == 1


def test_no_text_of_a_group_column_is_kept(house, tmp_path):
    """A name in the column of the sex, or a birth date in that of the age, goes nowhere."""
    terms = TERMS | {"columns": [TERMS["columns"][0]], "groups": {"sex": GROUPS["sex"]}}

    house.take(table(tmp_path, row(99, sex=UNLIKE_ANY)), terms)

    assert UNLIKE_ANY.encode() not in house.stored()
    assert UNLIKE_ANY.encode("unicode_escape") not in house.stored()


@pytest.mark.parametrize(
    "groups",
    [
        {"sex": {"column": "sex", "female": ["f"], "male": ["f"]}},
        {"sex": {"column": "sex", "female": ["1"], "male": ["1.0"]}},
        {"sex": {"column": "sex", "female": ["f"]}},
        {"sex": "sex"},
        {"scanner": "note"},
        {"age": ""},
    ],
)
def test_groups_that_are_not_sound_are_refused(house, tmp_path, groups):
    """One word cannot mean both, and there are no other dimensions."""
    with pytest.raises(NotReady, match="is not usable: groups"):
        house.take(tmp_path / "not there.csv", TERMS | {"groups": groups})


def test_a_group_column_that_the_file_lacks_is_named(house, tmp_path):
    """As with every other column: nothing is imported."""
    with pytest.raises(NotReady, match="no column 'gender'"):
        house.take(table(tmp_path), TERMS | {"groups": {"age": "gender"}})


def test_a_description_without_groups_keeps_the_name_it_had(tmp_path):
    """What earlier releases imported stays the same version; the hash is theirs."""
    path = tmp_path / "columns.yaml"
    path.write_text(yaml.safe_dump(TERMS))
    had = "sha256:9a57d12520816341536026327f17ae33f34451e3e855a62c581d58dfcd0ae979"

    assert read_columns(path).sha256 == had
    path.write_text(yaml.safe_dump(GROUPED))
    assert read_columns(path).sha256 != had


def test_values_and_their_order_are_the_same_with_groups_and_without(tmp_path):
    """A training draws the same batches: groups change what is told, never what is learned."""
    found = []
    for name, terms in (("plain", TERMS), ("grouped", GROUPED)):
        house = House(tmp_path / name)
        house.take(table(tmp_path), terms)
        found.append(house.data.batch(np.arange(len(house.data)))[0])

    assert found[0].tobytes() == found[1].tobytes()


def test_a_corrected_sex_is_another_version(house, tmp_path):
    """What a reported group rests on is under the version's root, value of training or not."""
    terms = TERMS | {"columns": [TERMS["columns"][0]], "groups": GROUPS}

    first = house.take(table(tmp_path, row(99, sex="f")), terms)
    again = house.take(table(tmp_path, row(99, sex="f")), terms)
    other = house.take(table(tmp_path, row(99, sex="m")), terms)

    assert (again["version"], again["new_version"]) == (first["version"], False)
    assert other["version"] != first["version"]


def test_a_patient_whose_visits_disagree_is_in_no_group(house, tmp_path):
    """Fifty-nine at the first visit, sixty at the second: counted once, and in no band."""
    visits = [row(90, age="59", sex="m"), row(90, age="60", sex="m")]
    terms = GROUPED | {"several_rows": True, "shares": {"validation": 0.1, "test": 0.8}}
    house.take(table(tmp_path, *visits), terms)

    split = Split(house.data, "test", recipe())
    scored = score_patients(Age(), split, recipe())

    torn = [n for n in range(len(scored)) if not scored.groups["age"][n]]
    patients = sorted(set(split.patients()))
    twice = [p for p in patients if split.patients().count(p) == 2]
    assert [patients[n] for n in torn] == twice
    assert len(twice) == 1


def test_counts_of_a_table_know_sex_and_age(house, tmp_path):
    """The cells behind `site counts`, exact at home."""
    house.take(table(tmp_path), GROUPED)

    cells = house.ask(lambda catalogue: catalogue.cells("heart"))

    assert {cell[0] for cell in cells} == {"table"}
    assert sum(n for cell, n in cells.items() if cell[3] == "female") == 13
    assert sum(n for cell, n in cells.items() if cell[2] == "60-69") == 1


def test_the_hearts_are_measured_by_sex_and_a_small_group_is_not_told(tmp_path):
    """Cleveland, the shipped description: men are told; of the 80 and older there is nobody."""
    house = House(tmp_path / "cleveland")
    house.take(write_table("cleveland", tmp_path / "heart.csv"), COLUMNS)
    scored = score_patients(Age(), Split(house.data, "test", recipe()), recipe())
    part = part_of("sensitivity.sex.m")

    assert part == Part("sex", "m", "sensitivity")
    men, all_of_them = scored.of(part), len(scored)
    assert 0 < len(men) < all_of_them
    assert len(men) + len(scored.of(Part("sex", "f", "sensitivity"))) == all_of_them
    names = ["sensitivity.sex.m", "sensitivity.age.80-up"]
    told: Any = measure(scored, recipe(), min_cell=5, names=names)
    found = told["sensitivity.sex.m"]
    assert (found["n"], found["positives"]) == (len(men), int(men.labels[:, 0].sum()))
    assert told["sensitivity.age.80-up"]["value"] is None


def recipe() -> Any:
    """The shipped logistic regression over tables."""
    return shipped()["heart-logistic"]


class Age(nn.Module):
    """Scores by the first value."""

    def forward(self, values: Any) -> Any:
        """Return (B, 1)."""
        return values.reshape(len(values), -1)[:, :1]
