"""Masks of generated lesions, learned by three hospitals: images (2D) and CT-like series (3D).

DICOM images and DICOM Segmentations are written, imported by `site import --seg` at each hospital,
and a network is trained over them: by our own session and FedAvg in one process, or with `--nodes`
through a real hub and real nodes. Dice is taken over the test patients of all hospitals; the bar is
0.80 for both.

Run: `.venv/bin/python -m tests.benchmarks.bench_segmentation [--only 2d] [--rounds 6] [--nodes]`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from compliance.records.recipe import Recipe, layout_of, shipped, with_changes
from hub.services.start import initial_vector
from site_node.imaging.phantoms import draw_body
from site_node.imaging.synthetic_masks import seg_file
from site_node.imaging.synthetic_series import Series, Slice, ct_files, make_series
from tests.results.played_hub import PlayedHub
from tests.site_node.imaging.files import file_of, header

ROOT = Path(__file__).resolve().parents[2]
BAR = 0.80
PLAIN: dict[str, Any] = {"name": "fedavg", "params": {"weight_cap": "1"}}
SITES = ("north", "south", "west")
DATASET = "lesions"
SIDE, SHAPE, SPACING = 64, (16, 32, 32), (2.5, 2.0, 2.0)
SEGMENTS = [{"name": "lesion", "code": "SCT:52988006"}]
SPLIT = {"validation": 0.15, "test": 0.2}
HEALTHY = 0.15


@dataclass(frozen=True)
class Kind:
    """One of the two studies: how many patients a hospital has, and what is trained."""

    patients: tuple[int, int, int]
    imported: dict[str, Any]
    recipe: str
    size: tuple[int, ...]
    changes: dict[str, Any]
    rounds: int


KINDS = {
    "2d": Kind(
        (70, 50, 40),
        {"kind": "2d", "size": [SIDE, SIDE], "segments": SEGMENTS, "split": SPLIT},
        "unet",
        (SIDE, SIDE),
        {"local": {"epochs": 3, "batch": 8}, "augment": {"noise": "0"}},
        4,
    ),
    "3d": Kind(
        (44, 40, 38),
        {
            "kind": "3d", "size": list(SHAPE), "spacing": list(SPACING), "min_slices": 8,
            "intensity": "hu", "hu_range": [-1024, 600], "segments": SEGMENTS, "split": SPLIT,
        },
        "unet-3d",
        SHAPE,
        {"local": {"epochs": 3, "batch": 4}, "augment": {"noise": "0"}},
        5,
    ),
}  # fmt: skip


def main(words: list[str]) -> int:
    """Print the Dice of each study beside the bar; 1 below it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(KINDS), help="one of the two studies")
    parser.add_argument("--rounds", type=int, help="rounds of training")
    parser.add_argument("--nodes", action="store_true", help="through a real hub and real nodes")
    asked = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no process is left behind
    told = {}
    for name in [asked.only] if asked.only else sorted(KINDS):
        with tempfile.TemporaryDirectory(prefix="consilium-bench-") as folder:
            play = through_nodes if asked.nodes else in_one_process
            told[name] = play(Path(folder), KINDS[name], asked.rounds or KINDS[name].rounds)
    print(json.dumps({"bar": BAR, "studies": told}, indent=1))
    return 0 if all(row["dice"] >= BAR for row in told.values()) else 1


def recipe_changes(kind: Kind) -> dict[str, Any]:
    """What a charter changes in the shipped recipe."""
    return {**kind.changes, "preprocessing": {"size": list(kind.size)}}


def in_one_process(root: Path, kind: Kind, rounds: int) -> dict[str, Any]:
    """Import at three hospitals with the real command, then train with session and FedAvg."""
    from site_node.training.pooled import mean_dice, overlaps_on

    begun = time.monotonic()
    for place, name in enumerate(SITES):
        taken(root, name, write_hospital(root / "dicom" / name, kind, place), kind)
    sites = [opened(root / name) for name in SITES]
    imported = time.monotonic() - begun
    recipe = with_changes(shipped()[kind.recipe], recipe_changes(kind))
    curve, spent = [], time.process_time()
    for model, measured in federated(recipe, sites, rounds):  # noqa: B007 - the last is told
        found = [overlaps_on(model, site, "test", recipe) for site in sites]
        curve.append(round(mean_dice(found), 4))
    return {
        "dice": curve[-1],
        "by_round": curve,
        "told_by_the_last_hospital": {k: plain(v) for k, v in measured.items()},
        "by_hospital": {
            name: round(mean_dice([part]), 4) for name, part in zip(SITES, found, strict=True)
        },
        "patients": {"test": sum(len(part) for part in found), **sizes(sites)},
        "import_seconds": round(imported, 1),
        "training_cpu_seconds": round(time.process_time() - spent, 1),
        "values": layout_of(recipe).count,
    }


def sizes(sites: Sequence[Any]) -> dict[str, int]:
    """Training cases of all hospitals."""
    return {"train": sum(len(site.rows("train")) for site in sites)}


def plain(claim: dict[str, Any]) -> dict[str, Any]:
    """A measured value as JSON."""
    return {k: str(v) if isinstance(v, Decimal) else v for k, v in claim.items() if v is not None}


def federated(
    recipe: Recipe, sites: Sequence[Any], rounds: int
) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """Yield the model after each round, and what the last hospital measured before it."""
    from site_node.training.session import Job, handle_on

    layout = layout_of(recipe)
    hub, model = PlayedHub(PLAIN, layout), initial_vector(layout, b"bench")
    for number in range(rounds):
        updates = {}
        for place, site in enumerate(sites):
            names = ["dice", "detected", "left_empty"]
            job = Job("train", recipe, layout, model, Path(), 10 * number + place, names, 1)
            result = handle_on(site, job)
            updates[f"site{place}.example"] = (result.delta, result.n)
        model = hub.step(model, updates)
        yield model, result.metrics[-1][2]


def opened(home: Path) -> Any:
    """The dataset that a hospital imported."""
    from site_node.imaging.curated import CuratedDataset

    return CuratedDataset.open(home / "datasets" / DATASET)


def taken(root: Path, name: str, source: Path, kind: Kind) -> None:
    """Run `consilium site import --seg` for one hospital."""
    recipe = root / "import.json"
    recipe.write_text(json.dumps(kind.imported))
    words = ["site", "import", str(source), "--dataset", DATASET, "--seg", "--recipe", str(recipe)]
    done = subprocess.run(
        [sys.executable, "-m", "compliance.command", *words, "--home", str(root / name), "--json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr[-2000:] or done.stdout[-2000:])


def write_hospital(folder: Path, kind: Kind, place: int) -> Path:
    """Write the DICOM files of one hospital: images or series, and their segmentations."""
    random = np.random.default_rng(100 + place)
    write = write_image if len(kind.size) == 2 else write_series
    for number in range(1, kind.patients[place] + 1):
        write(folder, f"{place + 1}{number:05d}", random)
    return folder


def write_series(folder: Path, patient: str, random: np.random.Generator) -> None:
    """One CT-like series with its segmentation; a healthy one has an empty mask."""
    lesions = 0 if random.random() < HEALTHY else int(random.integers(1, 3))
    body = draw_body(random, SHAPE, SPACING, lesions=lesions)
    series = make_series(body, patient, random)
    files = [*ct_files(series, random), seg_file(series, body.lesions, random)]
    (folder / patient).mkdir(parents=True)
    for number, data in enumerate(files):
        (folder / patient / f"{number:03d}.dcm").write_bytes(data)


def write_image(folder: Path, patient: str, random: np.random.Generator) -> None:
    """One radiograph-like image with its segmentation, found by reference."""
    image, mask = drawn_image(random)
    number, instance = int(patient), f"1.2.3.{int(patient)}.1.1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{patient}.dcm").write_bytes(file_of(header(patient, number), image))
    series = Series(
        patient, f"1.2.3.{number}", f"1.2.3.{number}.1", f"1.2.3.{number}.9", SPACING,
        (Slice(np.zeros((1, 1), np.int16), (0.0, 0.0, 0.0), instance),),
    )  # fmt: skip
    flat = pydicom.dcmread(BytesIO(seg_file(series, mask[None], random)))
    del flat.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    for group in flat.PerFrameFunctionalGroupsSequence:
        del group.PlanePositionSequence
    flat.save_as(folder / f"{patient}-seg.dcm")


def drawn_image(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A chest with ribs, lungs, small vessels and none to two round lesions, 8 bits; its mask."""
    down, across = np.meshgrid(*[(np.arange(SIDE) + 0.5) / SIDE] * 2, indexing="ij")
    picture, mask = np.full((SIDE, SIDE), 0.7), np.zeros((SIDE, SIDE), np.uint8)
    for middle in (0.3, 0.7):
        lung = np.hypot((down - 0.5) / 0.36, (across - middle) / 0.17) < 1
        picture[lung] = 0.3 + 0.05 * np.sin(2 * np.pi * 7 * down[lung])
    for _ in range(int(random.integers(3, 7))):
        picture += 0.2 * disc(random, down, across, 0.012, 0.02)
    for _ in range(0 if random.random() < HEALTHY else int(random.integers(1, 3))):
        lesion = disc(random, down, across, 0.05, 0.1)
        picture, mask = picture + 0.25 * lesion * (mask == 0), mask | lesion.astype(np.uint8)
    picture += random.normal(0, 0.03, picture.shape)
    return np.clip(np.rint(picture * 220), 0, 255).astype(np.uint8), mask


def disc(
    random: np.random.Generator, down: np.ndarray, across: np.ndarray, least: float, most: float
) -> np.ndarray:
    """A round spot somewhere in a lung, true inside."""
    at = random.uniform(0.3, 0.7), (0.3, 0.7)[int(random.integers(2))] + random.uniform(-0.07, 0.07)
    return np.hypot(down - at[0], across - at[1]) < random.uniform(least, most)


def through_nodes(root: Path, kind: Kind, rounds: int) -> dict[str, Any]:
    """The same study through a real hub and three real nodes: charter, signatures, rounds."""
    from hub.demo import acts, results
    from hub.demo.processes import Cast

    begun = time.monotonic()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONSILIUM_")}
    cast = Cast(root, kept | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"})
    play = acts.Play(root, cast, list(SITES), rounds)
    try:
        acts.open_hub(play)
        acts.join_hospitals(play)
        acts.found(play)
        acts.enrol_researcher(play)
        for place, name in enumerate(SITES):
            taken(root, name, write_hospital(root / "dicom" / name, kind, place), kind)
        acts.start_hospitals(play)
        draft = acts.charter_of(play, {}) | {
            "title": "Lesions and their masks",
            "recipe": {"id": kind.recipe, "changes": recipe_changes(kind)},
            "datasets": [{"site": f"{name}.example", "id": DATASET} for name in sorted(SITES)],
        }
        acts.propose(play, draft)
        acts.sign(play)
        cast.ask("study", "launch", play.study, "--home", play.researcher)
        results.follow(play, lambda line: print(line, file=sys.stderr))
        return {**reported(play), "seconds": round(time.monotonic() - begun, 1)}
    finally:
        cast.end()


def reported(play: Any) -> dict[str, Any]:
    """The newest Dice that each hospital said about the model on its test patients."""
    rows = play.cast.ask("study", "metrics", play.study, "--home", play.researcher)
    newest = {
        row["site"]: row["values"]["dice"]
        for row in rows
        if row["split"] == "test" and row["values"].get("dice", {}).get("value")
    }
    counted = sum(claim["n"] for claim in newest.values())
    whole = sum(float(claim["value"]) * claim["n"] for claim in newest.values())
    return {"dice": round(whole / counted, 4) if counted else 0.0, "by_hospital": newest}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
