"""A MONAI bundle's network becomes a recipe; whatever a bundle could run stays text."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from compliance.errors import ConsiliumError, Malformed, NotReady
from compliance.records.recipe import layout_of, parse_recipe, read_recipe
from site_node.training import bundle_files
from site_node.training.bundle_files import read_bundle
from site_node.training.bundle_recipe import Wanted, recipe_of_bundle
from site_node.training.monai_bundle import network_of_bundle
from site_node.training.session import handle_on
from tests.site_node.training.test_session import job

UNET = {
    "_target_": "UNet",
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": 2,
    "channels": [8, 16, 32],
    "strides": [2, 2],
    "num_res_units": 1,
    "norm": "batch",
}
METADATA = {
    "name": "Spots",
    "network_data_format": {
        "outputs": {"pred": {"channel_def": {"0": "background", "1": "Lesion"}}},
    },
}
TRAIN = {
    "imports": ["$import glob"],
    "device": "$torch.device('cuda')",
    "network_def": UNET,
    "network": "$@network_def.to(@device)",
    "loss": {"_target_": "DiceCELoss"},
}
EVIL = "$__import__('os').system('touch {}')"


def laid(folder: Path, **configs: Any) -> Path:
    """A bundle's folder; text is written as it is."""
    place = folder / "bundle" / "configs"
    place.mkdir(parents=True, exist_ok=True)
    for name, value in configs.items():
        file = name.replace("__", ".")
        (place / file).write_text(value if isinstance(value, str) else json.dumps(value))
    return folder / "bundle"


def made(folder: Path, config: Any = None, **wanted: Any):
    """The recipe of a bundle with one configuration."""
    path = laid(folder, train__json=config or TRAIN, metadata__json=METADATA)
    return recipe_of_bundle(
        read_bundle(path), Wanted(**({"id": "spots", "size": [16, 16]} | wanted))
    )


def refused(config: Any) -> str:
    """Why a configuration gives no network."""
    with pytest.raises(Malformed) as raised:
        network_of_bundle({"train": config})
    return str(raised.value)


def test_a_bundles_network_trains_as_a_recipe(tmp_path, makers):
    """Widths of its own: the layout travels, the network fits it, an update comes out."""
    recipe, left = made(tmp_path)

    recipe = parse_recipe(recipe.encode())
    data = makers.drawn()
    result = handle_on(data, job(recipe, metrics=["dice"]))

    assert recipe.network.params == {"width_1": "8", "width_2": "16", "width_3": "32", "units": "1"}
    assert (recipe.task, list(recipe.classes), recipe.package) == ("segmentation", ["lesion"], None)
    assert (recipe.form.smallest, recipe.form.step) == (16, 4)
    assert result.delta.shape == (layout_of(recipe).count,)
    assert np.isfinite(result.delta).all()
    assert any("weights" in row for row in left)
    assert 'UNet.norm = "batch"' in left
    assert any(row.startswith("3 expressions") for row in left)


@pytest.mark.parametrize(
    ("network", "ours", "classes"),
    [
        ({"_target_": "monai.networks.nets.DenseNet121", "spatial_dims": 3, "in_channels": 1,
          "out_channels": 3}, "densenet121_gn", "abc"),
        ({"_target_": "EfficientNetBN", "model_name": "efficientnet-b0", "in_channels": 1,
          "num_classes": 1}, "efficientnet_b0_gn", "ab"),
        ({"_target_": "resnet18", "spatial_dims": 2, "n_input_channels": 3, "num_classes": 4},
         "resnet18", "abcd"),
        ({"_target_": "monai.networks.nets.vnet.VNet", "spatial_dims": 3}, "vnet", "a"),
        ({**UNET, "channels": [16, 32, 64, 128], "strides": [2, 2, 2], "num_res_units": 2},
         "unet_gn", "a"),
    ],
)  # fmt: skip
def test_networks_of_the_release_bring_no_form(tmp_path, network, ours, classes):
    """Their layout is installed everywhere."""
    size = [32] * (network.get("spatial_dims") or 2)

    recipe, _ = made(tmp_path, {"net": network}, classes=list(classes), size=size)

    assert (recipe.network.name, recipe.network.params, recipe.form) == (ours, {}, None)
    assert layout_of(recipe).sha256 == recipe.layout_sha256


@pytest.mark.parametrize(
    ("network", "sides"),
    [
        ({"_target_": "SegResNet", "spatial_dims": 2, "in_channels": 4, "out_channels": 2,
          "init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]}, (16, 2)),
        ({"_target_": "BasicUNet", "spatial_dims": 2, "out_channels": 2,
          "in_channels": 1, "features": [8, 8, 8, 8, 8, 8]}, (16, 16)),
    ],
)  # fmt: skip
def test_other_widths_and_depths_are_parameters(tmp_path, network, sides):
    """Each is built once; the form says which sides it can read."""
    recipe, _ = made(tmp_path, {"network_def": network})

    assert (recipe.form.smallest, recipe.form.step) == sides
    assert layout_of(read_recipe(recipe.plain())).count == recipe.form.values(recipe.outputs)
    with pytest.raises(Malformed, match="a side of 17"):
        made(tmp_path, {"network_def": network}, size=[17, 16])


def attacks(mark: Path) -> dict[str, Any]:
    """Configurations that would run something, were they run."""
    evil = EVIL.format(mark)
    unet = dict(UNET)
    return {
        "expression": {"network_def": evil},
        "as the name": {"network_def": {**unet, "_target_": evil}},
        "another target": {"network_def": {"_target_": "os.system", "command": f"touch {mark}"}},
        "a method": {"network_def": {**unet, "_target_": "monai.networks.nets.UNet.__init__"}},
        "a longer name": {"network_def": {**unet, "_target_": "UNet\n"}},
        "argument": {"network_def": {**unet, "in_channels": evil}},
        "nested": {"network_def": {**unet, "norm": ["group", {"num_groups": evil}]}},
        "nested target": {"network_def": {**unet, "act": {"_target_": "os.system"}}},
        "in a key": {"network_def": {**unet, evil: 1}},
        "in a nested key": {"network_def": {**unet, "norm": {evil: 1}}},
        "by reference": {"x": evil, "network_def": {**unet, "in_channels": "@x"}},
        "by two": {"x": "@y", "y": [evil], "network_def": {**unet, "channels": "@x"}},
        "a circle": {"x": "@x", "network_def": {**unet, "in_channels": "@x"}},
        "nowhere": {"network_def": {**unet, "in_channels": "@a::b"}},
        "macro": {"network_def": {**unet, "in_channels": "%other.json::x"}},
        "requires": {"network_def": {**unet, "_requires_": evil}},
        "mode": {"network_def": {**unet, "_mode_": "callable"}},
        "huge": {"network_def": {**unet, "channels": [10**30, 16, 32]}},
        "wide": {"network_def": {**unet, "channels": [4096] * 20, "strides": [2] * 19}},
        "text": {"network_def": {**unet, "in_channels": "1"}},
        "fraction": {"network_def": {**unet, "in_channels": 1.0}},
        "truth": {"network_def": {**unet, "in_channels": True}},
        "minus": {"network_def": {**unet, "out_channels": -2}},
        "infinite": {"network_def": {**unet, "num_res_units": float("inf")}},
        "unknown": {"network_def": {**unet, "checkpoint": "http://evil.example/x.pt"}},
        "strides": {"network_def": {**unet, "strides": [1, 2]}},
        "kernel": {"network_def": {**unet, "kernel_size": 5}},
        "nothing": {"other": 1},
        "not a name": {"network_def": {**unet, "_target_": ["UNet"]}},
    }


@pytest.mark.parametrize("name", attacks(Path("x")))
def test_nothing_of_a_bundle_is_run(tmp_path, name):
    """Each is refused with a sentence, and no program started."""
    mark = tmp_path / "was-run"
    config = attacks(mark)[name]

    said = refused(config)

    assert said.startswith("Malformed MONAI bundle:")
    assert len(said) < 400
    assert not mark.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"channels": [12, 16, 32]}, "steps of 8"),
        ({"channels": [8, 16, 1024]}, "8 to 512"),
        ({"out_channels": 3}, "2 classes, not 1"),
        ({"in_channels": 65}, "1 to 64"),
    ],
)
def test_arguments_stay_within_their_bounds(tmp_path, change, said):
    """Where a number would give another network than ours can be, it is named."""
    with pytest.raises(Malformed, match=said):
        made(tmp_path, {"network_def": {**UNET, **change}})


YAMLS = {
    "object": "network_def: !!python/object/apply:os.system ['touch {mark}']",
    "name": "network_def: !!python/name:os.system ''",
    "own": "network_def: !evil {}",
    "laughs": "a: &a [1,1]\nb: &b [*a,*a]\nnetwork_def: {_target_: UNet, channels: *b}",
    "deep": "network_def: " + "[" * 3000,
    "two": "network_def: {}\n---\nnetwork_def: {}",
    "list": "- 1",
}


@pytest.mark.parametrize("name", YAMLS)
def test_yaml_makes_no_object(tmp_path, name):
    """Tags, aliases and depth are refused before anything is built of them."""
    mark = tmp_path / "was-run"
    path = laid(tmp_path, train__yaml=YAMLS[name].replace("{mark}", str(mark)))

    with pytest.raises(Malformed):
        read_bundle(path)
    assert not mark.exists()


def test_yaml_of_plain_values_is_read(tmp_path):
    """Many bundles are written in it."""
    path = laid(tmp_path, train__yaml=yaml.safe_dump({"network_def": UNET}))

    assert network_of_bundle(read_bundle(path)).params["width_3"] == "32"


@pytest.mark.parametrize(
    "text",
    ['{"a": 1, "a": 2}', "[" * 100_000, "{", "[1]", '{"a": ' + "9" * 5000 + "}", "\xff\xfe",
     '{"network_def": ' + '{"a":' * 40 + "1" + "}" * 41],
)  # fmt: skip
def test_json_that_is_no_configuration(tmp_path, text):
    """Twice the same key, nested too deep, numbers of thousands of digits, no text."""
    path = laid(tmp_path, metadata__json=METADATA)
    (path / "configs" / "train.json").write_bytes(text.encode("latin-1"))

    with pytest.raises(Malformed):
        read_bundle(path)


def archive(rows: dict[str, bytes], path: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A .zip with these entries."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in rows.items():
            file.writestr(name, data)
    return path


def test_an_archive_is_read_in_place(tmp_path):
    """Nothing of it is written to the disk, and weights in it are not opened."""
    rows = {
        "spots/configs/train.json": json.dumps(TRAIN).encode(),
        "spots/configs/metadata.json": json.dumps(METADATA).encode(),
        "spots/models/model.pt": b"\x80\x04cos\nsystem\n",
    }
    path = archive(rows, tmp_path / "bundle.zip")

    recipe, _ = recipe_of_bundle(read_bundle(path), Wanted("spots", size=[16, 16]))

    assert recipe.network.name == "unet_gn"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["../x.json", "/x.json", "a/../../configs/t.json", "a\\..\\b"])
def test_an_archive_with_paths_out_of_itself_is_refused(tmp_path, name):
    """Also where the entry is none that would be read."""
    rows = {"configs/train.json": json.dumps(TRAIN).encode(), name: b"{}"}

    with pytest.raises(Malformed, match="outside of itself"):
        read_bundle(archive(rows, tmp_path / "b.zip"))


def test_an_archive_cannot_fill_the_memory(tmp_path, monkeypatch):
    """A megabyte of nothing packs to a kilobyte: inflated up to the limit and no further."""
    asked: list[int] = []
    bomb = archive({"configs/train.json": bytes(64 << 20)}, tmp_path / "b.zip")
    plain = zipfile.ZipExtFile.read

    def read(self: Any, n: int = -1) -> bytes:
        asked.append(n)
        return plain(self, n)

    monkeypatch.setattr(zipfile.ZipExtFile, "read", read)

    with pytest.raises(Malformed, match="256 KiB"):
        read_bundle(bomb)
    assert asked == [bundle_files.LARGEST + 1]


def test_archives_that_lie_are_refused(tmp_path):
    """Two configurations of one name, a cut archive, too many entries, no configuration."""
    data = json.dumps(TRAIN).encode()
    twice = {"configs/train.json": data, "x/configs/train.yaml": data}
    with pytest.raises(Malformed, match="one name"):
        read_bundle(archive(twice, tmp_path / "twice.zip"))
    whole = archive({"configs/train.json": data * 9}, tmp_path / "w.zip", zipfile.ZIP_STORED)
    broken = bytearray(whole.read_bytes())
    broken[60] ^= 1
    (tmp_path / "broken.zip").write_bytes(broken)
    with pytest.raises(Malformed, match="cannot be read"):
        read_bundle(tmp_path / "broken.zip")
    many = {f"m/{n}": b"" for n in range(bundle_files.MOST_ENTRIES + 1)}
    with pytest.raises(Malformed, match="entries"):
        read_bundle(archive(many, tmp_path / "many.zip", zipfile.ZIP_STORED))
    with pytest.raises(NotReady, match=r"no configs/"):
        read_bundle(archive({"x.txt": b""}, tmp_path / "none.zip"))
    (tmp_path / "text.zip").write_bytes(b"no archive")
    with pytest.raises(NotReady, match="neither"):
        read_bundle(tmp_path / "text.zip")


def test_a_folder_leads_nowhere_else(tmp_path):
    """A link would read another file of this machine."""
    path = laid(tmp_path, metadata__json=METADATA)
    (path / "configs" / "train.json").symlink_to("/etc/hostname")

    with pytest.raises(Malformed, match="no plain file"):
        read_bundle(path)


def test_two_configurations_must_agree(tmp_path):
    """Training and inference of another network: nobody here says which is meant."""
    both = {"train": {"network_def": UNET}, "inference": {"network_def": UNET}}
    assert network_of_bundle(both).network == "unet_gn"
    both["inference"] = {"network_def": {**UNET, "num_res_units": 2}}

    with pytest.raises(Malformed, match="different networks"):
        network_of_bundle(both)


def test_classes_and_sides_are_asked_where_the_bundle_does_not_tell(tmp_path):
    """Channel numbers alone are no classes; a 3D network has three sides."""
    path = laid(tmp_path, train__json=TRAIN)
    with pytest.raises(NotReady, match="--classes"):
        recipe_of_bundle(read_bundle(path), Wanted("spots", size=[16, 16]))
    with pytest.raises(NotReady, match="--size"):
        made(tmp_path, size=[16, 16, 16])
    with pytest.raises(ConsiliumError):
        made(tmp_path, id="No Slug")


def test_the_bundle_is_bounded_in_bytes(tmp_path):
    """A configuration of a folder, too."""
    path = laid(tmp_path, train__json="{" + " " * (256 << 10) + "}")

    with pytest.raises(Malformed, match="256 KiB"):
        read_bundle(path)
