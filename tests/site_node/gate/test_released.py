"""Which model may be used: released in a log that is mirrored here, and exactly that one."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from compliance.canonical import sha256_id
from compliance.errors import Malformed, NotProven, NotReady, Refused
from tests.site_node.gate.world import LAYOUT, STUDY
from tests.site_node.prediction.released import Hospital, model_file


@pytest.fixture(scope="module")
def north(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    """A hospital with a released model and no dataset."""
    return Hospital(tmp_path_factory.mktemp("north"), cases=0)


def test_a_released_model_is_served_with_its_charter(north: Hospital) -> None:
    """From a file, found by its hash in the mirrored logs."""
    served = north.rooms.released_models.of_file(north.file)

    assert (served.study, served.model_sha256, served.looked) == (STUDY, north.model, True)
    assert np.array_equal(served.vector, north.vector)
    assert served.charter.title == "Opacity"


@pytest.mark.parametrize(
    ("word", "step"),
    [
        ("recipe_sha256", "model.recipe"),
        ("layout_sha256", "model.layout"),
        ("label_map_sha256", "model.labels"),
        ("preprocessing_sha256", "model.preparation"),
    ],
)
@pytest.mark.parametrize("told", [sha256_id(b"another"), ""], ids=["another", "none"])
def test_a_file_of_another_recipe_layout_label_map_or_preparation_is_refused(
    north: Hospital, tmp_path: Path, word: str, step: str, told: str
) -> None:
    """Each by its own name, also when the file does not say."""
    file = model_file(tmp_path / "m.safetensors", north.vector, **{word: told})

    with pytest.raises(NotProven) as found:
        north.rooms.released_models.of_file(file)

    assert found.value.step == step


def test_changed_numbers_under_a_released_name_are_refused(north: Hospital, tmp_path: Path) -> None:
    """The hash is computed again from the numbers."""
    changed = north.vector.copy()
    changed[3] += np.float32(0.5)
    file = model_file(tmp_path / "m.safetensors", changed, model_sha256=north.model)

    with pytest.raises(NotProven, match="its numbers are"):
        north.rooms.released_models.of_file(file)


class Evil:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("/tmp/should-never-exist"),))  # noqa: S108 - it never is


def test_pickled_content_is_refused_and_never_read(north: Hospital, tmp_path: Path) -> None:
    """A PyTorch file, a bare pickle, and a pickle inside a safetensors header."""
    import torch

    whole = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, whole)
    head = b'{"__metadata__": ' + pickle.dumps(Evil()) + b"}"
    inside = len(head).to_bytes(8, "little") + head
    for number, data in enumerate((whole.getvalue(), pickle.dumps(Evil()), inside)):
        file = tmp_path / f"{number}.safetensors"
        file.write_bytes(data)
        with pytest.raises(Malformed, match="no safetensors file"):
            north.rooms.released_models.of_file(file)
    assert not Path("/tmp/should-never-exist").exists()  # noqa: S108 - it never was


def test_another_network_is_refused(north: Hospital, tmp_path: Path) -> None:
    """The tensors must be those of the recipe, whatever the metadata say."""
    data = model_file(tmp_path / "m.safetensors", north.vector).read_bytes()
    name = LAYOUT.entries[0].name.encode()
    (tmp_path / "m.safetensors").write_bytes(data.replace(name, name[:-1] + b"X", 1))

    with pytest.raises(Malformed, match="another network"):
        north.rooms.released_models.of_file(tmp_path / "m.safetensors")


def test_a_study_serves_the_model_that_came_in(north: Hospital) -> None:
    """Kept here under its hash; without it, or with another in its place, nothing is served."""
    with pytest.raises(NotReady, match="--model"):
        north.rooms.released_models.of_study(STUDY)
    north.rooms.weights.keep(STUDY, north.model, north.vector.astype("<f4").tobytes())
    assert np.array_equal(north.rooms.released_models.of_study(STUDY[:8]).vector, north.vector)

    kept = next((north.rooms.settings.home / "models" / STUDY).glob("*.f32"))
    kept.write_bytes(kept.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(NotProven, match="was changed"):
        north.rooms.released_models.of_study(STUDY)


def test_without_the_hub_the_own_copy_counts_and_that_is_said(
    north: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recall since the last look would not be known."""

    def away(*_: Any, **__: Any) -> None:
        raise httpx.ConnectError("away")

    monkeypatch.setattr(north.world.http, "request", away)
    monkeypatch.setattr(north.world.http, "send", away)

    assert not north.rooms.released_models.of_file(north.file).looked


def test_what_was_not_released_or_was_called_back_is_refused(tmp_path: Path) -> None:
    """Before the release, after it, after the recall; and a study of which we know nothing."""
    north = Hospital(tmp_path / "n", cases=0, release=False)
    models = north.rooms.released_models
    for use in (lambda: models.of_file(north.file), lambda: models.of_file(north.file, STUDY)):
        with pytest.raises(Refused, match="have not released"):
            use()
    with pytest.raises(NotReady, match="no model of this study was released"):
        models.of_study(STUDY)

    north.release()
    assert models.of_file(north.file).model_sha256 == north.model
    north.recall()

    with pytest.raises(Refused, match="called back"):
        models.of_file(north.file)
    with pytest.raises(Refused, match="called back"):
        models.of_study(STUDY)
    stranger = model_file(tmp_path / "s.safetensors", north.vector * 2)
    for study in (None, STUDY):
        with pytest.raises(Refused, match="made th"):
            models.of_file(stranger, study)


def test_a_log_that_is_not_believed_serves_no_model(tmp_path: Path) -> None:
    """A hub that speaks in our name is not asked which models were released."""
    north = Hospital(tmp_path / "n", cases=0)
    body = {"model_sha256": north.model, "form": "weights", "checks_sha256": sha256_id(b"x")}
    north.world.hub.say("release.approved", body, by=north.rooms.keys.institution(None))
    north.step()

    with pytest.raises(Refused, match="not believed"):
        north.rooms.released_models.of_file(north.file)
