"""Data sets as the hospitals said them, recipes as their hash names them."""

from __future__ import annotations

import pytest

from compliance.canonical import encode
from compliance.errors import ConsiliumError, Malformed, NotReady, Refused
from compliance.records.recipe import layout_of, made_from, shipped
from hub.services.start import start_model
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


def own_network(**changes):
    """A recipe of a network that only a consortium's package has; its layout is within it."""
    entries = [
        {"name": "head.bias", "shape": ["classes"], "role": "param",
         "init": {"kind": "const", "value": "0"}},
        {"name": "head.weight", "shape": ["classes", 784], "role": "param",
         "init": {"kind": "uniform", "bound": "0.035"}},
    ]  # fmt: skip
    limits = {"dims": [2], "channels": [1], "smallest": 8, "step": 1, "draws": False,
              "noise": True, "why": "one gradient per case"}  # fmt: skip
    package = {"name": "north-recipes", "version": "1.0", "files_sha256": make.sha("files"),
               "limits": limits}  # fmt: skip
    form = {"channels": 1, "dims": 2, "smallest": 8, "step": 1, "entries": entries}
    network = {"name": "north_flat", "params": {}}
    over = {"id": "north-chest", "network": network, "form": form, "package": package}
    return made_from(shipped()["cnn2d-small"], over | changes)


def test_a_brought_recipe_is_all_that_the_hub_needs(catalogue):
    """No torch, no package: the layout, its start values and a changed version come from it."""
    made = catalogue.bring(own_network().encode())

    layout = layout_of(catalogue.recipe(made.sha256))
    changed = catalogue.change("north-chest", {"seed": 3})

    assert (layout.count, made.family) == (785, "north_flat")
    assert len(start_model(layout, "0" * 16, made.seed)) == 4 * 785
    assert (changed.id, changed.version, changed.package) == ("north-chest", 2, made.package)
    assert {made.sha256, changed.sha256} <= {row["sha256"] for row in catalogue.recipes()}


def test_what_is_brought_is_one_sound_recipe(catalogue):
    """Another layout hash, a shipped name, too long, not canonical, too many values."""
    plain = own_network().plain()
    entries = plain["form"]["entries"]
    huge = {**plain["form"], "entries": [{**entries[1], "shape": [4096] * 6}]}
    for document in (
        encode(plain | {"layout_sha256": make.sha("another")}),
        encode(plain | {"id": "cnn2d-small"}),
        encode(plain | {"form": huge}),
        encode(plain | {"package": None}),
        encode(plain | {"family": "cnn2d_small"}),
        encode(plain) + b" ",
        encode(plain | {"classes": ["x" * 60 + str(n) for n in range(200)] * 30}),
        b"{}",
    ):
        with pytest.raises(ConsiliumError):
            catalogue.bring(document)
    assert "north-chest" not in {row["id"] for row in catalogue.recipes()}
