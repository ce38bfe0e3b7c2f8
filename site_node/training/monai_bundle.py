"""The network of a MONAI bundle as a recipe: its configuration is read as data, nothing is run.

A bundle's `configs/` is a program in JSON or YAML: `$…` is Python, `_target_` names a callable.
Here both are text. One definition is looked for, its name is looked up in a table, and each of its
arguments must be a plain number within the bounds of our network. Weights (`models/`) are pickles:
they are not opened.

Source: design/federation.md §7; MONAI bundle specification 0.1, ConfigParser (`_target_`, `$`, `@`,
`%`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compliance.errors import Malformed
from site_node.training.bundle_files import WHAT, Plain

REFERENCES = 8
METADATA = "metadata"
PLACES = ("network_def", "network", "net", "model")
_NETS = r"(?:monai\.networks\.nets\.(?:[a-z0-9_]+\.)?)?"
_MARKS = ("$", "@", "%")


@dataclass(frozen=True)
class Spec:
    """How one network of MONAI becomes one of ours.

    Args:
        network: our name.
        outputs: the argument with the number of outputs.
        inputs: the argument with the number of channels.
        fixed: arguments that must have this very value where they are told.
        ours: arguments that are left out, because ours are others.
        numbers: arguments that become parameters.
    """

    network: str
    outputs: str = "out_channels"
    inputs: str = "in_channels"
    fixed: Mapping[str, Any] = field(default_factory=dict)
    ours: tuple[str, ...] = ("norm", "act", "dropout", "bias")
    numbers: tuple[str, ...] = ()


_RESNET = {"conv1_t_size": 7, "no_max_pool": False, "shortcut_type": "B", "widen_factor": 1,
           "feed_forward": True}  # fmt: skip


def _resnet(network: str) -> Spec:
    ours = ("norm", "act", "pretrained", "progress", "conv1_t_stride", "bias_downsample")
    return Spec(network, "num_classes", "n_input_channels", _RESNET, ours)


SPECS: Mapping[str, Spec] = {
    "UNet": Spec(
        "unet_gn",
        fixed={"kernel_size": 3, "up_kernel_size": 3},
        ours=("norm", "act", "dropout", "bias", "adn_ordering"),
        numbers=("channels", "strides", "num_res_units"),
    ),
    "BasicUNet": Spec("basic_unet", fixed={"upsample": "deconv"}, numbers=("features",)),
    "VNet": Spec("vnet", ours=("act", "dropout_prob", "dropout_prob_down", "dropout_prob_up",
                               "dropout_dim", "bias")),
    "SegResNet": Spec(
        "segresnet",
        fixed={"upsample_mode": "nontrainable", "use_conv_final": True, "num_groups": 8},
        ours=("norm", "act", "dropout_prob", "norm_name"),
        numbers=("init_filters", "blocks_down", "blocks_up"),
    ),
    "DenseNet121": Spec(
        "densenet121_gn",
        fixed={"init_features": 64, "growth_rate": 32, "block_config": [6, 12, 24, 16],
               "bn_size": 4},
        ours=("norm", "act", "dropout_prob", "pretrained", "progress"),
    ),
    "EfficientNetBN": Spec(
        "efficientnet_b0_gn",
        outputs="num_classes",
        fixed={"model_name": "efficientnet-b0"},
        ours=("norm", "pretrained", "progress", "adv_prop"),
    ),
    "resnet18": _resnet("resnet18"),
    "resnet50": _resnet("resnet50"),
}  # fmt: skip
"""By MONAI's name; what is not here is not imported."""

DEFAULTS: Mapping[str, Plain] = {
    "UNet": {"num_res_units": 0},
    "BasicUNet": {"spatial_dims": 3, "features": [32, 32, 64, 128, 256, 32]},
    "VNet": {"spatial_dims": 3, "in_channels": 1, "out_channels": 1},
    "SegResNet": {"spatial_dims": 3, "init_filters": 8, "in_channels": 1, "out_channels": 2,
                  "blocks_down": [1, 2, 2, 4], "blocks_up": [1, 1, 1]},
    "EfficientNetBN": {"spatial_dims": 2, "in_channels": 3, "num_classes": 1000},
    "resnet18": {"spatial_dims": 3, "n_input_channels": 3, "num_classes": 400,
                 "conv1_t_stride": 1, "bias_downsample": True},
    "resnet50": {"spatial_dims": 3, "n_input_channels": 3, "num_classes": 400,
                 "conv1_t_stride": 1, "bias_downsample": True},
}  # fmt: skip
"""What MONAI 1.6 takes where a bundle says nothing."""


@dataclass(frozen=True)
class Told:
    """What a bundle says of its network, in our words."""

    network: str
    params: dict[str, str]
    channels: int
    outputs: int
    dims: int
    left_out: tuple[str, ...]


def network_of_bundle(bundle: Mapping[str, Plain]) -> Told:
    """The network that a bundle defines.

    Raises:
        Malformed: none, two that differ, an expression, another network than ours, an argument
            that is unknown or outside its bounds.
    """
    order = sorted(bundle, key=lambda name: (name != "train", name != "inference", name))
    found = [
        _understood(row, bundle[name])
        for name in order
        if name != METADATA
        for row in [_definition(bundle[name])]
        if row is not None
    ]
    if not found:
        raise Malformed(WHAT, f"no {', '.join(PLACES)} with a _target_ stands in its configs")
    if any(other != found[0] for other in found):
        raise Malformed(WHAT, "its configurations define different networks")
    return found[0]


def _definition(config: Plain) -> Plain | None:
    for place in PLACES:
        row = config.get(place)
        if isinstance(row, dict) and "_target_" in row:
            return row
    return None


def _understood(row: Plain, config: Plain) -> Told:
    target = row["_target_"]
    name = next(
        (
            n
            for n in SPECS
            if isinstance(target, str) and re.fullmatch(_NETS + re.escape(n), target)
        ),
        None,
    )
    if name is None:
        raise Malformed(WHAT, f"{str(target)[:80]!r} is none of {', '.join(SPECS)}")
    told = dict(DEFAULTS.get(name, {}))
    for word, value in row.items():
        if word == "_target_":
            continue
        if not isinstance(word, str) or word.startswith(("_", *_MARKS)):
            raise Malformed(WHAT, f"{str(word)[:80]!r} is no argument of a network")
        told[word] = _value(value, config, word)
    return _in_our_words(name, SPECS[name], told)


def _value(value: Any, config: Plain, where: str, hops: int = REFERENCES) -> Any:
    """A plain value; `@name` is looked up, everything that would be run is refused."""
    if isinstance(value, str) and value.startswith("@") and hops:
        return _value(_named(config, value[1:], where), config, where, hops - 1)
    if isinstance(value, str) and value.startswith(_MARKS):
        said = "is an expression, a macro or a circle of references"
        raise Malformed(WHAT, f"{where} {said} ({value[:60]!r}): write the number itself")
    if isinstance(value, dict):
        if any(not isinstance(k, str) or k.startswith(("_", *_MARKS)) for k in value):
            raise Malformed(WHAT, f"{where} names something to be called; nothing is")
        return {k: _value(part, config, where, hops) for k, part in value.items()}
    if isinstance(value, list):
        return [_value(part, config, where, hops) for part in value]
    return value


def _named(config: Plain, reference: str, where: str) -> Any:
    found: Any = config
    for part in re.split(r"::|#", reference):
        found = found.get(part) if isinstance(found, dict) else None
        if found is None:
            raise Malformed(WHAT, f"{where} refers to {reference[:60]!r}, which is no plain value")
    return found


def _in_our_words(name: str, spec: Spec, told: Plain) -> Told:
    known = {"spatial_dims", spec.inputs, spec.outputs, *spec.fixed, *spec.ours, *spec.numbers}
    strange = sorted(set(told) - known)
    if strange:
        raise Malformed(WHAT, f"{name} has no argument {strange[0][:60]!r} here")
    for word, agreed in spec.fixed.items():
        if word in told and (told[word] != agreed or type(told[word]) is not type(agreed)):
            raise Malformed(WHAT, f"{word} is {str(told[word])[:60]}, here it is {agreed}")
    channels, outputs, dims = (
        _whole(told, word, low, high)
        for word, low, high in ((spec.inputs, 1, 64), (spec.outputs, 1, 257),
                                ("spatial_dims", 2, 3))
    )  # fmt: skip
    left = [f"{name}.{word} = {json.dumps(told[word])[:60]}" for word in spec.ours if word in told]
    params = _params(name, {word: told.get(word) for word in spec.numbers})
    return Told(spec.network, params, channels, outputs, dims, tuple(left))


def _whole(told: Plain, word: str, low: int, high: int) -> int:
    value = told.get(word)
    if type(value) is not int or not low <= value <= high:
        raise Malformed(WHAT, f"{word} is {str(value)[:40]}, allowed are {low} to {high}")
    return value


def _wholes(told: Plain, word: str, most: int) -> list[int]:
    value = told.get(word)
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise Malformed(WHAT, f"{word} is no list of 1 to {most} numbers")
    return [_whole({word: part}, word, 1, 4096) for part in value]


def _params(name: str, told: Plain) -> dict[str, str]:
    """The parameters of our network; bounds of each are asked when the recipe is made."""
    if name == "UNet":
        widths, strides = _wholes(told, "channels", 6), _wholes(told, "strides", 5)
        if strides != [2] * (len(widths) - 1):
            raise Malformed(WHAT, f"strides are {strides}, here each of them is 2")
        units = _whole(told, "num_res_units", 0, 4)
        return _numbered("width", widths) | {"units": str(units)}
    if name == "BasicUNet":
        return _numbered("width", _wholes(told, "features", 6))
    if name == "SegResNet":
        down, up = _wholes(told, "blocks_down", 5), _wholes(told, "blocks_up", 4)
        filters = _whole(told, "init_filters", 1, 4096)
        return _numbered("down", down) | _numbered("up", up) | {"filters": str(filters)}
    return {}


def _numbered(word: str, values: Sequence[int]) -> dict[str, str]:
    return {f"{word}_{number}": str(value) for number, value in enumerate(values, 1)}
