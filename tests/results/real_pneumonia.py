"""PneumoniaMNIST through a hub and three nodes, and the same rounds once more in this process.

The images are written as DICOM with the published split, dealt out 60/30/10, imported by each
hospital, trained by its node. The model of the last round must have the same hash both ways.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from compliance.records.layout import model_sha256
from compliance.records.recipe import layout_of, shipped, with_changes
from hub.demo import acts, images
from hub.services.start import start_model
from site_node.gate.terms import seed_of
from site_node.training.datasets import open_dataset
from site_node.training.pooled import auroc_of, score_on
from site_node.training.session import Job, handle_on
from tests.results.played_hub import PlayedHub
from tests.shared import shared_data
from tests.stories.town import Town

PLAIN: dict[str, Any] = {"name": "fedavg", "params": {}}


def real(root: Path, rounds: int, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Play a study through processes and again here; returns hashes and the AUC over all cases.

    Args:
        root: an empty folder.
        rounds: of the study.
        changes: of the recipe `cnn2d-small`.
    """
    town = Town(root / "town", sites=3, rounds=rounds)
    try:
        _open(town)
        study = _charter_of(town, changes)
        town.sign()
        town.launch()
        begun = time.monotonic()
        words = ("study", "watch", town.play.study, "--json", "--every", "1")
        for _ in town.cast.lines(*words, "--home", town.play.researcher):
            pass  # until it ends
        seconds = time.monotonic() - begun
        name, entries = town.play.study, town.entries()
        made = [e["body"]["model_sha256"] for e in entries if e["type"] == "round.closed"]
        folders = {
            f"{site}.example": Path(town.play.home(site)) / "datasets" / acts.DATASET
            for site in town.play.sites
        }
        sys.stderr.write(f"{len(made)} rounds in {seconds:.0f} s: {made[-1]}\n")
        model, again = played(folders, (name, study), rounds, changes)
    finally:
        town.close()
    recipe = with_changes(shipped()["cnn2d-small"], dict(changes))
    found = auroc_of(
        [score_on(model, open_dataset(path), "test", recipe) for path in folders.values()]
    )
    return {
        "way": "hub and three nodes",
        "rounds": len(made),
        "seconds_a_round": round(seconds / rounds, 1),
        "model": made[-1],
        "again_in_one_process": again,
        "same_bytes": made[-1] == again and len(made) == rounds,
        "auc": [round(value, 4) for value in (found.value, found.low, found.high)],
    }


def _open(town: Town) -> None:
    """Hub, hospitals with their images, and a researcher who is signed in."""
    acts.open_hub(town.play)
    acts.join_hospitals(town.play)
    acts.found(town.play)
    acts.enrol_researcher(town.play)
    path = shared_data("imaging", "pneumoniamnist_rebuilt", "pneumoniamnist_rebuilt.npz")
    folders, recipe, _ = images.lay_out(town.play, path)
    acts.import_images(town.play, folders, recipe)
    town.serve()


def _charter_of(town: Town, changes: Mapping[str, Any]) -> str:
    """Propose the study; returns the charter's id."""
    draft = acts.charter_of(town.play, dict(changes))
    acts.propose(town.play, draft | {"title": "Pneumonia, three uneven hospitals", "min_sites": 3})
    told = town.ask_study("list")
    return str(next(row["charter_id"] for row in told if row["study"] == town.play.study))


def played(
    folders: Mapping[str, Path], ids: tuple[str, str], rounds: int, changes: Mapping[str, Any]
) -> tuple[Any, str]:
    """Play the same rounds in this process, from the same start with the same seeds.

    Args:
        folders: the dataset of each hospital.
        ids: study and charter id, from which start and seeds follow.
        rounds: how many.
        changes: of the recipe.

    Returns:
        The last model and its hash.
    """
    study, charter_id = ids
    recipe = with_changes(shipped()["cnn2d-small"], dict(changes))
    layout, data = layout_of(recipe), {site: open_dataset(path) for site, path in folders.items()}
    model = np.frombuffer(start_model(layout, study, recipe.seed), "<f4").astype(np.float32)
    hub = PlayedHub(PLAIN, layout)
    for _ in range(rounds):
        base, updates = model_sha256(layout.sha256, model.tobytes()), {}
        for site, cases in data.items():
            seeded = seed_of(charter_id, base, site)
            result = handle_on(cases, Job("train", recipe, layout, model, Path(), seeded, [], 5))
            updates[site] = (result.delta, result.n)
        model = hub.step(model, updates)
    return model, model_sha256(layout.sha256, model.tobytes())
