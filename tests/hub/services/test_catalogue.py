"""Data sets as the hospitals said them, recipes as their hash names them."""

from __future__ import annotations

import pytest

from compliance.errors import ConsiliumError, Malformed, NotReady, Refused
from compliance.records.recipe import shipped
from tests import factories as make
from tests.hub.house import DESCRIPTION, House

NORTH, SOUTH = "north.example", "south.example"


@pytest.fixture
def catalogue(house: House):
    """A catalogue with two hospitals and their data sets."""
    house.join(NORTH, SOUTH)
    return house.rooms.catalogue


def test_a_registered_data_set_is_shown_in_closed_words(catalogue):
    """Buckets and hashes, never an exact number."""
    shown = catalogue.datasets()

    assert [(row["site"], row["dataset"], row["examples"]) for row in shown] == [
        (site, make.DATASET, "≥100") for site in (NORTH, SOUTH)
    ]
    assert shown[0]["description"] == {"shape": [1, 28, 28]}


def test_a_newer_version_takes_the_older_ones_place(catalogue, house):
    """A charter takes the newest, unless it names another that was registered."""
    house.time.forward(minutes=1)
    catalogue.register(NORTH, house.registration(NORTH, version=make.sha("version 2")))

    assert catalogue.dataset(NORTH, make.DATASET, None).version == make.sha("version 2")
    old = make.sha(f"{NORTH} version 1")
    assert catalogue.dataset(NORTH, make.DATASET, old).version == old
    with pytest.raises(NotReady, match="registered no data set"):
        catalogue.dataset(NORTH, make.DATASET, make.sha("version 9"))


def test_nobody_registers_data_for_another_hospital(catalogue, house):
    """The note names its hospital, and carries that hospital's key."""
    note = house.registration(SOUTH, version=make.sha("another"))
    forged = note.replace(b"dataset.registered", b"dataset.registered ")
    other = house.note(
        "dataset.withdrawn",
        {"dataset": "x", "version": None, "reason": "policy"},
        f"{NORTH}/node",
        log=house.agreement_id,
    )

    with pytest.raises(Refused):
        catalogue.register(NORTH, note)
    for data in (forged, other, b"", house.registration(NORTH)[:-9] + b"AAAAAAA=\n"):
        with pytest.raises(ConsiliumError):
            catalogue.register(NORTH, data)

    assert [row["version"] for row in catalogue.datasets()] == [
        make.sha(f"{site} version 1") for site in (NORTH, SOUTH)
    ]


def test_a_description_must_have_the_hash_that_was_registered(catalogue):
    """Another text cannot be slipped in afterwards."""
    version = make.sha(f"{NORTH} version 1")
    with pytest.raises(Refused):
        catalogue.describe(NORTH, make.DATASET, version, DESCRIPTION + b" ")
    with pytest.raises(NotReady, match="not registered"):
        catalogue.describe("west.example", make.DATASET, version, DESCRIPTION)
    with pytest.raises(Malformed, match="1 MiB"):
        catalogue.describe(NORTH, make.DATASET, version, bytes(2 << 20))

    assert catalogue.datasets()[0]["description"] == {"shape": [1, 28, 28]}


def test_a_changed_recipe_is_kept_under_its_own_hash(catalogue):
    """The shipped one stays as it is."""
    base = shipped()["cnn2d-small"]

    made = catalogue.change("cnn2d-small", {"seed": 99})

    assert made.sha256 != base.sha256
    assert catalogue.recipe(made.sha256) == made
    assert {row["sha256"] for row in catalogue.recipes()} >= {made.sha256, base.sha256}


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        ("unknown", {}),
        ("cnn2d-small", {"seed": -1}),
        ("cnn2d-small", {"seed": "7"}),
        ("cnn2d-small", {"code": "import os"}),
        ("cnn2d-small", {"network": "../evil"}),
    ],
)
def test_a_recipe_outside_its_bounds_is_refused(catalogue, base, changes):
    """Names and numbers only: no code, no unknown field, nothing beyond the bounds."""
    before = catalogue.recipes()

    with pytest.raises(ConsiliumError):
        catalogue.change(base, changes)

    assert catalogue.recipes() == before
