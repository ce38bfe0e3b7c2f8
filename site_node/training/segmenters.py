"""Networks that answer for every pixel or voxel, from MONAI, with group normalisation.

Each takes (B, C, H, W) or (B, C, D, H, W) and returns logits (B, outputs, …) of the same sides.

Source: design/federation.md §7.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from compliance.records.families import FLAT

GROUPS = 8
GROUP_NORM = ("group", {"num_groups": GROUPS})
RELU = ("relu", {"inplace": False})
WIDTHS = (16, 32, 64, 128)
BASIC_WIDTHS = (32, 32, 64, 128, 256, 32)
_BATCH_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


def unet(
    channels: int,
    outputs: int,
    dims: int,
    *,
    widths: Sequence[int] = WIDTHS,
    units: int = 2,
) -> nn.Module:
    """Residual U-Net; a convolution of its own makes the classes: 8 groups do not divide two."""
    from monai.networks.nets.unet import UNet  # slow to import: only when it is named

    body = UNet(
        spatial_dims=dims,
        in_channels=channels,
        out_channels=widths[0],
        channels=widths,
        strides=(2,) * (len(widths) - 1),
        num_res_units=units,
        norm=GROUP_NORM,
        act=RELU,
    )
    head = (nn.Conv2d if dims == FLAT else nn.Conv3d)(widths[0], outputs, 1)
    return nn.Sequential(OrderedDict(body=body, head=head))


def basic_unet(
    channels: int, outputs: int, dims: int, *, widths: Sequence[int] = BASIC_WIDTHS
) -> nn.Module:
    """U-Net with two convolutions a step, the strongest and slowest of the small ones."""
    from monai.networks.nets.basic_unet import BasicUNet  # same

    return BasicUNet(
        spatial_dims=dims,
        in_channels=channels,
        out_channels=outputs,
        features=tuple(widths),
        norm=GROUP_NORM,
        act=("LeakyReLU", {"negative_slope": 0.1, "inplace": False}),
    )


def vnet(channels: int, outputs: int, dims: int) -> nn.Module:
    """V-Net; MONAI builds it with batch statistics only, which are replaced."""
    from monai.networks.nets.vnet import VNet  # same

    network = VNet(
        spatial_dims=dims,
        in_channels=channels,
        out_channels=outputs,
        act=("elu", {"inplace": False}),
    )
    return without_batch_statistics(network)


def segresnet(
    channels: int,
    outputs: int,
    dims: int,
    *,
    filters: int = GROUPS,
    down: Sequence[int] = (1, 2, 2, 4),
    up: Sequence[int] = (1, 1, 1),
) -> nn.Module:
    """Residual encoder with a light decoder; never with differential privacy."""
    from monai.networks.nets.segresnet import SegResNet  # same

    network = SegResNet(
        spatial_dims=dims,
        in_channels=channels,
        out_channels=outputs,
        init_filters=filters,
        blocks_down=tuple(down),
        blocks_up=tuple(up),
        norm=GROUP_NORM,
        act=RELU,
    )
    return without_batch_statistics(network)


def without_batch_statistics(network: nn.Module) -> nn.Module:
    """Replace batch by group normalisation and end every computation in place."""
    for parent in list(network.modules()):
        if hasattr(parent, "inplace"):
            setattr(parent, "inplace", False)  # noqa: B010 - modules have no such field by type
        for name, child in list(parent.named_children()):
            if isinstance(child, _BATCH_NORMS):
                groups = math.gcd(GROUPS, child.num_features)
                setattr(parent, name, nn.GroupNorm(groups, child.num_features))
    return network
