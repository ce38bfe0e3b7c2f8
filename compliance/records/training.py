"""The parts of a recipe: network, preparation, augmentation, optimiser, length, noise.

Source: design/federation.md §7.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from compliance.records.types import Count, Dec, Record, Slug


class Network(Record):
    """The network's name in the catalogue and its few parameters."""

    name: Slug
    params: Annotated[dict[Slug, Dec], Field(max_length=32)]


Sides = Annotated[list[Annotated[Count, Field(ge=1, le=4096)]], Field(min_length=1, max_length=3)]


class Preprocessing(Record):
    """How an image becomes numbers: size, channels, intensity, mean and standard deviation.

    `size` is rows, columns; slices before them for a volume. With `patch` (masks only) a network
    sees pieces of this size; a document without it does not have the field.
    """

    size: Sides
    patch: Sides | None = None
    channels: Annotated[Count, Field(ge=1, le=64)]
    intensity: Slug
    mean: Dec
    std: Dec

    @model_serializer(mode="wrap")
    def _without_what_is_not_asked(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `patch` out where there is none: documents of before keep their hash."""
        told: dict[str, Any] = plain(self)
        return told if self.patch is not None else {k: v for k, v in told.items() if k != "patch"}

    @property
    def seen(self) -> list[int]:
        """Sides of what the network reads in training."""
        return list(self.patch or self.size)


class Augment(Record):
    """Changes that keep the label: flip, rotation (degrees), shift (share of size), noise (sd)."""

    flip: bool
    rotate: Dec
    shift: Dec
    noise: Dec


class Optimiser(Record):
    """The local optimiser; fresh in every round."""

    name: Literal["adam", "sgd", "adamw"]
    lr: Dec
    weight_decay: Dec
    momentum: Dec


class LocalTraining(Record):
    """How long a hospital trains: epochs or steps; `mu` is FedProx's pull to the start model."""

    epochs: Annotated[Count, Field(ge=1, le=1000)] | None
    steps: Annotated[Count, Field(ge=1, le=1_000_000)] | None
    batch: Annotated[Count, Field(ge=1, le=4096)]
    mu: Dec
    scaffold: bool


class NoiseTerms(Record):
    """DP-SGD: noise multiplier, clip of a patient's gradient, expected batch."""

    sigma: Dec
    clip: Dec
    batch: Annotated[Count, Field(ge=1, le=4096)]
