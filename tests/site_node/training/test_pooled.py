"""The pooled reference, which only a demo can have."""

from __future__ import annotations

import json

import numpy as np

from compliance.records.recipe import layout_of
from site_node.training import pooled
from site_node.training.pooled import Pool, auroc, evaluate_scores, score_on, train_pooled
from site_node.training.vectors import start_vector


def test_patients_of_two_hospitals_stay_two_patients(makers):
    """Equal pseudonyms of two hospitals are different people."""
    pool = Pool([makers.hospital(n=8), makers.hospital(n=8, seed=1)])
    rows = pool.rows("test")

    assert len(rows) == 16
    assert len(set(pool.patients(rows))) == 16


def test_a_pool_reads_rows_of_all_parts_in_the_order_asked_for(makers):
    """Each image keeps its own label."""
    parts = [makers.hospital(n=8, seed=seed) for seed in (0, 1)]
    pool = Pool(parts)
    rows = pool.rows("train")[[9, 0, 15]]

    images, labels = pool.batch(rows)

    for place, (part, row) in enumerate([(1, 1), (0, 0), (1, 7)]):
        one, label = parts[part].batch(parts[part].rows("train")[[row]])
        assert np.array_equal(images[place], one[0])
        assert labels[place] == label[0]


def test_pooled_training_learns_from_all_and_is_repeatable(makers):
    """The same recipe and rounds give the same reference, well above chance."""
    recipe = makers.recipe(local={"epochs": 4})
    parts = [makers.hospital(seed=0), makers.hospital(seed=1, n=64)]

    one, other = (train_pooled(recipe, parts, rounds=2) for _ in range(2))

    assert one.tobytes() == other.tobytes()
    assert auroc([score_on(one, part, "test", recipe) for part in parts]) > 0.85


def test_the_command_prints_the_pooled_auc_of_the_folders(makers, tmp_path, monkeypatch, capsys):
    """One JSON line at the end, which the demo reads."""
    recipe = makers.recipe()
    (tmp_path / "recipe.json").write_bytes(recipe.encode())
    sites = {"north": makers.hospital(seed=0), "south": makers.hospital(seed=1)}
    monkeypatch.setattr(pooled, "open_dataset", lambda folder: sites[folder.name])

    code = pooled.main(["--rounds", "1", "--recipe", str(tmp_path / "recipe.json"), *sites])

    area = json.loads(capsys.readouterr().out)["auc_test_pooled"]
    assert code == 0
    assert 0 <= area <= 1


def test_scores_of_a_folder_are_one_per_patient(makers, tmp_path, monkeypatch):
    """Scores and labels for an AUC over several hospitals, without a name."""
    recipe = makers.recipe()
    data = makers.hospital(n=40)
    monkeypatch.setattr(pooled, "open_dataset", lambda folder: data)

    scores, labels = evaluate_scores(
        start_vector(layout_of(recipe), 0), tmp_path, "test", recipe=recipe
    )

    assert scores.shape == labels.shape == (40,)
    assert ((scores > 0) & (scores < 1)).all()
    assert sorted(labels.tolist()) == sorted(bool(x) for x in data.batch(data.rows("test"))[1])
