"""A step of a sweep at a hospital gives for each model what a study's own training gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compliance.errors import Refused
from compliance.records.layout import model_sha256
from compliance.records.order import seed_of
from compliance.records.proxy import proxy_of
from compliance.records.recipe import layout_of, shipped
from site_node.training import sweeping
from site_node.training.session import Job, handle_on
from site_node.training.sweeping import measured, sweep
from tests.site_node.training.tables import MemoryTable, table_recipe

LOG, SITE = "sha256:" + "1" * 64, "north.example"
RECIPE = table_recipe()
LAYOUT = layout_of(RECIPE)
DATA = MemoryTable()


def job(models: np.ndarray) -> Job:
    """A step over these models."""
    return Job("evaluate", RECIPE, LAYOUT, models.reshape(-1), Path(), 0, [], 5)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The table in memory; names of the models that were trained, in order."""
    trained: list[str] = []

    def watched(data: Any, one: Job, progress: Any) -> Any:
        trained.append(model_sha256(LAYOUT.sha256, one.vector.tobytes()))
        return handle_on(data, one, progress)

    monkeypatch.setattr(sweeping, "open_dataset", lambda _: DATA)
    monkeypatch.setattr(sweeping, "handle_on", watched)
    return trained


def test_each_model_is_trained_as_it_would_be_alone_and_equal_ones_once(here: list[str]) -> None:
    """The same bytes as one training of one model; two equal starts cost one training."""
    first, second = (np.full(LAYOUT.count, value, np.float32) for value in (0.1, -0.2))

    told = sweep(job(np.array([first, second, first])), log=LOG, site=SITE, measure=False,
                 progress=None)  # fmt: skip

    assert told.deltas is not None
    assert len(here) == 2
    assert (told.n, told.steps, told.counts) == (40, 12, [])
    for place, model in enumerate((first, second, first)):
        seed = seed_of(LOG, model_sha256(LAYOUT.sha256, model.tobytes()), SITE)
        alone = handle_on(DATA, Job("train", RECIPE, LAYOUT, model, Path(), seed, [], 5))
        assert alone.delta is not None
        assert told.deltas[place].tobytes() == alone.delta.tobytes()


def test_counts_are_of_the_held_out_cases(here: list[str]) -> None:
    """As many as the model gets right by the same operating point as every measure."""
    model = np.full(LAYOUT.count, 0.3, np.float32)
    result = handle_on(DATA, Job("evaluate", RECIPE, LAYOUT, model, Path(), 0, ["accuracy"], 5))
    ((_, _, values),) = result.metrics

    split, n, correct, value = measured(DATA, job(model), model)

    assert (split, n, value) == ("test", 40, None)
    assert correct is not None
    assert float(values["accuracy"]["value"] or 0) == pytest.approx(correct / n, abs=1e-6)


def test_a_step_that_measures_says_how_far_it_is(here: list[str]) -> None:
    """A deadline ends it, as it ends a training: whoever looks on may raise."""
    models = np.array([np.full(LAYOUT.count, value, np.float32) for value in (0.1, 0.2, 0.3)])
    shares: list[float] = []

    def look(_: str, share: float) -> None:
        shares.append(share)
        if len(shares) == 2:
            raise Refused("round.deadline")

    with pytest.raises(Refused):
        sweep(job(models), log=LOG, site=SITE, measure=True, progress=look)
    assert shares == [pytest.approx(1 / 3), pytest.approx(2 / 3)]


@pytest.mark.parametrize("name", ["densenet121", "resnet18", "mlp-table", "cnn2d-small"])
def test_a_proxy_answers_the_same_question_with_a_small_network(name: str) -> None:
    """Task, classes and preparation stay; everybody derives the same document."""
    recipe = shipped()[name]

    proxy = proxy_of(recipe)

    assert proxy == proxy_of(recipe)
    assert (proxy.task, proxy.classes) == (recipe.task, recipe.classes)
    assert proxy.preprocessing == recipe.preprocessing
    assert layout_of(proxy).count < 100_000
