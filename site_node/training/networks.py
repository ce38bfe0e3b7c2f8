"""The networks a recipe may name: a closed table, each without batch statistics.

Group normalisation everywhere: batch statistics of one hospital do not fit the next, they travel
badly as numbers and they say something about single batches. No module computes in place; only
MONAI's ResNets add their residual in place, which is why they never train with differential
privacy.

Source: design/federation.md §7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from compliance.errors import Refused

GROUPS = 8
GROUP_NORM = ("group", {"num_groups": GROUPS})


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


def _densenet(channels: int, outputs: int) -> nn.Module:
    from monai.networks.nets.densenet import DenseNet121  # slow to import: only when it is named

    return DenseNet121(
        spatial_dims=2,
        in_channels=channels,
        out_channels=outputs,
        norm=GROUP_NORM,
        act=("relu", {"inplace": False}),
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
        return _mended(network)

    return build_one


def _mended(network: nn.Module) -> nn.Module:
    """Replace batch by group normalisation: MONAI's ResNet hands `norm` and `act` to no block."""
    for parent in list(network.modules()):
        if isinstance(parent, nn.ReLU):
            parent.inplace = False
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.GroupNorm(GROUPS, child.num_features))
    return network


NETWORKS: Mapping[str, Callable[[int, int], nn.Module]] = {
    "cnn2d_small": SmallCnn,
    "densenet121_gn": _densenet,
    "efficientnet_b0_gn": _efficientnet,
    "resnet18": _resnet("resnet18"),
    "resnet50": _resnet("resnet50"),
}
"""Network name to builder (image channels, outputs); what is not here cannot be trained."""

SMALLEST_SIDE: Mapping[str, int] = {
    "cnn2d_small": 8,
    "densenet121_gn": 32,
    "efficientnet_b0_gn": 32,
    "resnet18": 16,
    "resnet50": 16,
}


def build(name: str, params: Mapping[str, Any], *, channels: int, outputs: int) -> nn.Module:
    """Build a network of the closed table with arbitrary weights.

    Args:
        name: a key of `NETWORKS`.
        params: parameters of the recipe; this version knows none.
        channels: channels of an image, 1 or 3.
        outputs: number of logits, 1 for a binary task.

    Raises:
        Refused: the network or one of its parameters is not in the table.
    """
    if name not in NETWORKS:
        raise Refused("recipe.network", found=name, agreed=", ".join(sorted(NETWORKS)))
    if params:
        raise Refused("recipe.network", found=", ".join(sorted(params)), agreed="no parameter")
    return NETWORKS[name](channels, outputs)
