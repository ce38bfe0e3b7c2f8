"""Groups of patients come from closed words of the header; whatever else is there is no group."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from compliance.records.measures import GROUPED, GROUPS, grouped_names, names_of, part_of
from compliance.records.recipe import shipped
from site_node.imaging.facts import facts_of
from site_node.imaging.groups import band_of, group_words
from site_node.training.datasets import Split
from site_node.training.evaluation import Scored, by_patient, measure

RECIPE = shipped()["cnn2d-small"]
CANARY = "MUELLER HANS 19440203"


def header(**values: str) -> Dataset:
    """A header with these values."""
    made = Dataset()
    for name, text in values.items():
        setattr(made, name, text)
    return made


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("GE MEDICAL SYSTEMS", "ge"),
        ("Siemens Healthineers", "siemens"),
        ("TOSHIBA_MEC", "other"),
        ("TOSHIBA", "canon"),
        ("Philips Medical Systems", "philips"),
        ("FUJIFILM Corporation", "fujifilm"),
        ("", "unknown"),
        (CANARY, "other"),
    ],
)
def test_a_scanner_is_one_of_a_closed_list(written: str, word: str) -> None:
    """A maker's name is free text, and a name can stand in it: only listed words stay."""
    facts, _ = facts_of(header(Manufacturer=written), "cr")

    assert facts["scanner"] == word
    assert CANARY.split()[0].lower() not in str(facts).lower()


def test_every_decade_is_in_one_band_and_what_is_no_decade_in_none() -> None:
    """The bands part all ages; words that are none are no group."""
    decades = [f"{n}-{n + 9}" for n in range(0, 80, 10)] + ["80+"]

    assert [band_of(text) for text in decades] == [
        *["under-40"] * 4, *["40-59"] * 2, *["60-79"] * 2, "80-up",
    ]  # fmt: skip
    assert {band_of(text) for text in ("unknown", "", "forty", "-5")} == {""}
    assert set(GROUPS["age"]) == {band_of(text) for text in decades}


def test_words_of_no_list_become_empty() -> None:
    """Neither a name nor `unknown` gets a line of its own."""
    rows = [
        {"sex": "female", "age": "60-69", "scanner": "ge"},
        {"sex": CANARY, "age": CANARY, "scanner": CANARY},
        {},
    ]

    assert group_words(rows) == {
        "sex": ["f", "", ""], "age": ["60-79", "", ""], "scanner": ["ge", "", ""],
    }  # fmt: skip


def test_a_patient_whose_images_differ_is_in_no_group() -> None:
    """Two scanners for one patient: telling him in either would count him twice."""
    words = {"scanner": np.array(["ge", "ge", "ge", "siemens", ""])}

    found = by_patient(words, np.array([0, 0, 1, 1, 2]), 3)

    assert found["scanner"].tolist() == ["ge", "", ""]


def test_groups_are_measured_apart_and_small_ones_say_nothing() -> None:
    """The AUROC of the women is that of the women alone; three men have none."""
    random = np.random.default_rng(3)
    women = np.arange(63) < 60
    truth = random.random(63) < 0.5
    scores = np.where(women, random.random(63) * 0.4 + 0.6 * truth, 1.0 - truth)
    groups = {"sex": np.where(women, "f", "m")}
    some = Scored(scores[:, None], truth[:, None], groups)
    recipe = RECIPE
    names = ["auroc", "auroc.sex.f", "auroc.sex.m", "auroc.age.80-up", "local.auroc.sex.f"]

    found = measure(some, recipe, min_cell=5, names=names)
    alone = measure(
        Scored(scores[women, None], truth[women, None]), recipe, min_cell=5, names=["auroc"]
    )

    assert found["auroc.sex.f"] == alone["auroc"]
    assert found["auroc.sex.m"] == found["auroc.age.80-up"]
    assert found["auroc.sex.m"]["n"] is None
    assert "local.auroc.sex.f" not in found


class Bare:
    """A dataset of an older release: rows, and no word about groups."""

    def rows(self, _: str) -> np.ndarray:
        """Two rows."""
        return np.arange(2)


def test_a_version_of_an_older_release_has_no_groups() -> None:
    """Its index names none: nothing breaks, nothing is told by group."""
    assert Split(Bare(), "test", RECIPE).groups() == {}  # type: ignore[arg-type]  # that is all it asks


def test_names_of_groups_are_closed_and_follow_the_charter() -> None:
    """`sex` stands for its words, `sex.f` for one; a name that looks alike is no group."""
    assert grouped_names("binary", ["sex.f"]) == [
        "auroc.sex.f", "sensitivity.sex.f", "specificity.sex.f",
    ]  # fmt: skip
    assert grouped_names("segmentation", ["sex"]) == [f"dice.sex.{w}" for w in GROUPS["sex"]]
    every = names_of("binary", ["a", "b"], baseline=True, subgroups=list(GROUPS))
    parts = [part for part in map(part_of, every) if part is not None]
    assert {part.family for part in parts} == {"cal", *GROUPS}
    assert len(every) == len(set(every)) <= 128
    for name in ("auroc.sex.mueller", "auroc.sex", "accuracy.sex.f", "auroc.name.f", "cal.b11"):
        assert part_of(name) is None
    assert all(name.partition(".")[0] in GROUPED for name in grouped_names("binary", ["age"]))
