"""Drawings that look a little like chest X-rays: patients who never lived, for demo and tests.

Dark lungs in a bright chest, ribs, a heart, noise; an opacity is a soft bright cloud somewhere in a
lung, often faint. Each hospital has its own device: gain, darkness, noise and blur differ, so that
what one hospital learns alone fits the others worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Images: TypeAlias = NDArray[np.uint8]
Field: TypeAlias = NDArray[np.float64]

SIDE = 28
SHARE_ILL = 0.5
AXIS = (np.arange(SIDE) + 0.5) / SIDE
DOWN, ACROSS = np.meshgrid(AXIS, AXIS, indexing="ij")


@dataclass(frozen=True)
class Device:
    """How a hospital's X-ray device renders tissue."""

    gain: float
    dark: float
    noise: float
    gamma: float


DEVICES = (
    Device(gain=0.80, dark=0.08, noise=0.03, gamma=1.0),
    Device(gain=0.70, dark=0.16, noise=0.04, gamma=1.15),
    Device(gain=0.62, dark=0.06, noise=0.05, gamma=0.9),
)


def draw(count: int, device: Device, random: np.random.Generator) -> tuple[Images, Images]:
    """Draw images of different patients.

    Returns:
        Images uint8 (n, 28, 28), bright is dense; findings uint8 (n,), 1 is an opacity.
    """
    findings = (random.random(count) < SHARE_ILL).astype(np.uint8)
    images = np.stack([_chest(device, random, ill=bool(ill)) for ill in findings])
    return images, findings


def _chest(device: Device, random: np.random.Generator, *, ill: bool) -> Images:
    """One picture; the order of random draws is part of the seed's meaning."""
    lean = random.normal(0, 0.02, 2)
    tissue = 0.75 * _soft_ellipse((0.52 + lean[0], 0.5 + lean[1]), (0.56, 0.46), 0.08)
    lungs = np.zeros((SIDE, SIDE))
    centres = []
    for side in (-1, 1):
        centre = (0.50 + lean[0] + random.normal(0, 0.02), 0.5 + lean[1] + side * 0.2)
        radii = (0.30 * random.uniform(0.85, 1.1), 0.135 * random.uniform(0.85, 1.15))
        lungs += _soft_ellipse(centre, radii, 0.05)
        centres.append((centre, radii))
    depth = random.uniform(0.36, 0.52)
    picture = tissue - depth * np.clip(lungs, 0, 1)
    picture += 0.22 * _soft_ellipse((0.64 + lean[0], 0.56 + lean[1]), (0.16, 0.13), 0.08)
    picture += _ribs(random) * np.clip(lungs, 0, 1) + _vessels(centres, random)
    if ill:
        picture += _opacity(centres, random) * np.clip(lungs, 0, 1)
    picture = np.clip(picture, 0, 1) ** device.gamma
    picture = device.dark + device.gain * picture + random.normal(0, device.noise, picture.shape)
    return np.asarray(np.clip(np.rint(picture * 255), 0, 255), np.uint8)


def _soft_ellipse(centre: tuple[float, float], radii: tuple[float, float], edge: float) -> Field:
    """1 inside, 0 outside, with a soft edge; in parts of the picture's side."""
    reach = np.hypot((DOWN - centre[0]) / radii[0], (ACROSS - centre[1]) / radii[1])
    return np.asarray(1 / (1 + np.exp((reach - 1) / edge)), np.float64)


def _ribs(random: np.random.Generator) -> Field:
    phase, slope = random.uniform(0, 2 * np.pi), random.uniform(0.6, 1.2)
    wave = np.sin(2 * np.pi * (6.5 * DOWN + slope * np.abs(ACROSS - 0.5)) + phase)
    return np.asarray(random.uniform(0.03, 0.07) * wave, np.float64)


def _vessels(
    centres: list[tuple[tuple[float, float], tuple[float, float]]], random: np.random.Generator
) -> Field:
    """Small bright spots near the middle that everybody has: an opacity is not just brightness."""
    field = np.zeros((SIDE, SIDE))
    for (down, across), _ in centres:
        for _ in range(int(random.integers(1, 4))):
            spot = (down + random.normal(0, 0.10), across + random.normal(0, 0.05))
            field += random.uniform(0.05, 0.14) * _cloud(spot, random.uniform(0.025, 0.045))
    return field


def _opacity(
    centres: list[tuple[tuple[float, float], tuple[float, float]]], random: np.random.Generator
) -> Field:
    (down, across), radii = centres[int(random.integers(0, 2))]
    spot = (
        down + radii[0] * random.uniform(-0.6, 0.7),
        across + radii[1] * random.uniform(-0.5, 0.5),
    )
    return random.uniform(0.28, 0.60) * _cloud(spot, random.uniform(0.07, 0.13))


def _cloud(centre: tuple[float, float], spread: float) -> Field:
    squared = (DOWN - centre[0]) ** 2 + (ACROSS - centre[1]) ** 2
    return np.asarray(np.exp(-squared / (2 * spread**2)), np.float64)


@dataclass(frozen=True)
class Body:
    """A drawn CT of a chest.

    `units` is int16 (slices, rows, columns) in Hounsfield units; slices go from inferior to
    superior, rows to posterior, columns to patient left. `lesions` has the same shape, 1 inside.
    """

    units: NDArray[np.int16]
    lesions: Images
    spacing: tuple[float, float, float]


AIR, LUNG, FAT, BONE, NODULE = -1000, -850, -80, 400, 40


def draw_body(
    random: np.random.Generator,
    shape: tuple[int, int, int] = (16, 32, 32),
    spacing: tuple[float, float, float] = (2.5, 2.0, 2.0),
    lesions: int = 1,
) -> Body:
    """Draw a chest with two lungs, a spine and round lesions in the lungs.

    Args:
        random: of everything that differs from patient to patient.
        shape: slices, rows, columns.
        spacing: mm between them.
        lesions: how many; none is a healthy chest.
    """
    up, down, across = np.meshgrid(*((np.arange(n) + 0.5) / n for n in shape), indexing="ij")
    units = np.full(shape, AIR, np.float64)
    units[np.hypot((down - 0.5) / 0.4, (across - 0.5) / 0.46) < 1] = FAT
    sides = [0.5 - random.uniform(0.17, 0.21), 0.5 + random.uniform(0.17, 0.21)]
    for side in sides:
        reach = np.hypot((down - 0.48) / 0.28, (across - side) / 0.15)
        units[np.hypot(reach, (up - 0.5) / 0.55) < 1] = LUNG
    units[np.hypot((down - 0.82) / 0.07, (across - 0.5) / 0.06) < 1] = BONE
    mask = np.zeros(shape, np.uint8)
    for _ in range(lesions):
        centre = random.uniform(0.35, 0.65), random.uniform(0.4, 0.56), sides[random.integers(2)]
        size = random.uniform(0.06, 0.1)
        ball = [(field - at) / size for field, at in zip((up, down, across), centre, strict=True)]
        mask[np.sqrt(sum(part**2 for part in ball)) < 1] = 1
    units[mask == 1] = NODULE
    units += random.normal(0, 8, shape)
    return Body(np.clip(np.rint(units), -1024, 3071).astype(np.int16), mask, spacing)
