"""The networks a recipe may name: a closed table, each without batch statistics.

Group normalisation everywhere: batch statistics of one hospital do not fit the next, they travel
badly as numbers and they say something about single batches. No module computes in place; only
MONAI's ResNets and SegResNet add their residual in place, which is why they never train with
differential privacy. What each may be asked for stands in `compliance.records.families`.

Source: design/federation.md §7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from compliance.errors import Refused
from compliance.records.families import FLAT
from compliance.records.form import BOUNDS, arguments_of
from site_node.training import segmenters
from site_node.training.segmenters import (
    GROUP_NORM,
    GROUPS,
    RELU,
    without_batch_statistics,
)

Builder: TypeAlias = Callable[..., nn.Module]


class SmallCnn(nn.Module):
    """Three convolutions with group normalisation and a linear head; ~72,000 values.

    Takes any image of at least 8 x 8; made for tests, demos and as a proxy, strong enough for
    28 x 28 chest X-rays.
    """

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 32, 3, padding=1)
        self.norm1 = nn.GroupNorm(GROUPS, 32)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.norm2 = nn.GroupNorm(GROUPS, 64)
        self.conv3 = nn.Conv2d(64, 88, 3, padding=1)
        self.norm3 = nn.GroupNorm(GROUPS, 88)
        self.head = nn.Linear(2 * 88, outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Return one row of logits per image; pooling comes first because it is the cheapest."""
        x = torch.relu(self.norm1(nn.functional.max_pool2d(self.conv1(images), 2)))
        x = torch.relu(self.norm2(nn.functional.max_pool2d(self.conv2(x), 2)))
        x = torch.relu(self.norm3(self.conv3(x)))
        return self.head(torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1))


def _densenet(channels: int, outputs: int, dims: int) -> nn.Module:
    from monai.networks.nets.densenet import DenseNet121  # slow to import: only when it is named

    return DenseNet121(
        spatial_dims=dims,
        in_channels=channels,
        out_channels=outputs,
        norm=GROUP_NORM,
        act=RELU,
    )


def _efficientnet(channels: int, outputs: int) -> nn.Module:
    from monai.networks.nets.efficientnet import EfficientNetBN  # same

    network = EfficientNetBN(
        "efficientnet-b0",
        pretrained=False,
        spatial_dims=2,
        in_channels=channels,
        num_classes=outputs,
        norm=GROUP_NORM,
    )
    network.set_swish(memory_efficient=False)
    return network


def _resnet(name: str) -> Callable[[int, int], nn.Module]:
    def build_one(channels: int, outputs: int) -> nn.Module:
        from monai.networks.nets import resnet  # same

        network = getattr(resnet, name)(
            pretrained=False,
            spatial_dims=2,
            n_input_channels=channels,
            num_classes=outputs,
            conv1_t_stride=2,
            shortcut_type="B",
            bias_downsample=False,
        )
        return without_batch_statistics(network)  # MONAI hands `norm` and `act` to no block

    return build_one


def _flat(build_one: Callable[[int, int], nn.Module]) -> Builder:
    """A network that is for images only."""

    def build_flat(channels: int, outputs: int, dims: int) -> nn.Module:
        if dims != FLAT:
            raise Refused("recipe.network", found=f"{dims}D", agreed="images (2D)")
        return build_one(channels, outputs)

    return build_flat


NETWORKS: Mapping[str, Builder] = {
    "cnn2d_small": _flat(SmallCnn),
    "densenet121_gn": _densenet,
    "efficientnet_b0_gn": _flat(_efficientnet),
    "resnet18": _flat(_resnet("resnet18")),
    "resnet50": _flat(_resnet("resnet50")),
    "unet_gn": segmenters.unet,
    "basic_unet": segmenters.basic_unet,
    "vnet": segmenters.vnet,
    "segresnet": segmenters.segresnet,
}
"""Network name to builder (channels, outputs, dimensions); what is not here cannot be trained."""


def build(
    name: str, params: Mapping[str, Any], *, channels: int, outputs: int, dims: int = FLAT
) -> nn.Module:
    """Build a network of the closed table with arbitrary weights.

    Args:
        name: a key of `NETWORKS`.
        params: parameters of the recipe, as `compliance.records.form.BOUNDS` allows them.
        channels: channels of an image, 1 or 3.
        outputs: number of logits, 1 for a binary task.
        dims: 2 for images, 3 for volumes.

    Raises:
        Refused: the network or one of its parameters is not in the table, or not for volumes.
    """
    if name not in NETWORKS:
        raise Refused("recipe.network", found=name, agreed=", ".join(sorted(NETWORKS)))
    if params:
        return _with_params(name, params)(channels, outputs, dims)
    return NETWORKS[name](channels, outputs, dims)


def _with_params(name: str, params: Mapping[str, Any]) -> Callable[..., nn.Module]:
    """A builder for a network of other widths or depths than the table's."""
    if name not in BOUNDS:
        raise Refused("recipe.network", found=", ".join(sorted(params)), agreed="no parameter")
    try:
        given = arguments_of(name, params)
    except ValueError as error:
        raise Refused("recipe.network", sentence=f"{error}.") from None
    return partial(NETWORKS[name], **given)
