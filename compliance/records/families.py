"""What each family of networks can be asked for: dimensions, sides, memory, noise at the site.

`noise` says whether a backward pass gives one gradient per case, which DP-SGD needs. It is written
here from a real backward pass with Opacus; a test does it again for every row and dimension.

Source: design/federation.md §7.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

ONE_EACH = "one gradient per case, equal to that of the case alone"
IN_PLACE = "adds its residual in place: no gradient per case can be taken"
FLAT, SOLID = 2, 3
MOST_IN_A_BATCH: Mapping[int, int] = {FLAT: 1 << 26, SOLID: 1 << 25}
"""Pixels or voxels of a batch: 64 images of 1024 x 1024, two volumes of 256 x 256 x 256."""

SIDES: Mapping[int, str] = {
    FLAT: "channels, rows, columns",
    SOLID: "channels, slices, rows, columns",
}
"""What the numbers of a dataset's shape mean, by the dimensions of a case."""


@dataclass(frozen=True)
class Family:
    """Bounds of a family.

    Args:
        dims: dimensions of a case, 2 for images, 3 for volumes.
        smallest: shortest side.
        step: each side is a multiple of it.
        draws: it answers for every pixel or voxel, not once for a case.
        noise: whether it may train with differential privacy.
        channels: input channels for which layouts are installed.
        reason: why, in place of the table's words.
    """

    dims: tuple[int, ...]
    smallest: int
    step: int = 1
    draws: bool = False
    noise: bool = True
    channels: tuple[int, ...] = (1, 3)
    reason: str = ""

    @property
    def why(self) -> str:
        """Why it may train with noise, or may not."""
        return self.reason or (ONE_EACH if self.noise else IN_PLACE)

    def layouts(self) -> list[tuple[int, int]]:
        """Every pair of channels and dimensions with a layout; a volume has one channel."""
        flat = [(channels, FLAT) for channels in self.channels if FLAT in self.dims]
        return flat + ([(1, SOLID)] if SOLID in self.dims else [])


FAMILIES: Mapping[str, Family] = {
    "cnn2d_small": Family((2,), 8),
    "densenet121_gn": Family((2, 3), 32),
    "efficientnet_b0_gn": Family((2,), 32),
    "resnet18": Family((2,), 16, noise=False),
    "resnet50": Family((2,), 16, noise=False),
    "unet_gn": Family((2, 3), 16, 8, draws=True),
    "basic_unet": Family((2, 3), 16, 16, draws=True),
    "vnet": Family((2, 3), 16, 16, draws=True, channels=(1,)),
    "segresnet": Family((2, 3), 16, 8, draws=True, noise=False),
}
"""By the network's name; a family that is not here brings its own bounds."""


def beyond(
    network: str,
    family: Family | None,
    *,
    size: Sequence[int],
    channels: int,
    batch: int,
    draws: bool,
) -> Iterator[str]:
    """Say everything that a family cannot be asked for.

    Args:
        network: its name.
        family: its row; without one it has nothing against anything.
        size: sides of what the network reads: rows, columns; slices before them for a volume.
        channels: input channels.
        batch: cases at a time.
        draws: whether the task asks for masks.
    """
    if family is None:
        return
    if family.draws != draws:
        yield f"{network} {'draws masks' if family.draws else 'classifies'}: the task does not"
    if (channels, len(size)) not in family.layouts():
        yield f"{network} has no form for {channels} channels in {len(size)} dimensions"
        return
    for side in size:
        if side < family.smallest or side % family.step:
            agreed = f"from {family.smallest}, in steps of {family.step}"
            yield f"a side of {side} does not fit {network}, allowed are sides {agreed}"
    most = MOST_IN_A_BATCH[len(size)]
    if prod(size) * batch > most:
        yield f"a batch has {prod(size) * batch} values a channel, allowed are {most}"


def misfit(shape: Sequence[int], *, dims: int, channels: int) -> str | None:
    """Say what a recipe wants of a dataset's shape, when the dataset does not have it.

    Args:
        shape: channels, then the sides of a case.
        dims: dimensions that the recipe reads.
        channels: channels that it reads; one channel of a dataset is repeated.
    """
    if len(shape) != 1 + dims:
        return SIDES.get(dims, f"{dims} sides")
    return None if shape[0] in (1, channels) else f"{channels} channels"
