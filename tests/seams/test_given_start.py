"""A given start model between hub and hospitals: told before signing, checked before training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from compliance.canonical import sha256_id
from compliance.command import main
from compliance.errors import Malformed, Refused
from compliance.records.envelope import parse_event
from compliance.records.layout import model_sha256
from compliance.records.recipe import layout_of, shipped
from compliance.records.wire import ARRAYS, ORDER, WORDS
from compliance.records.wire import VECTOR as THE_VECTOR
from compliance.signing.note import parse
from hub.services.start import start_model
from site_node.federation import in_time
from site_node.federation.client_app import answer
from site_node.training.worker import do
from tests.failover.successors import Successor, settle, studied
from tests.failover.test_weights import kept, taken
from tests.house import House

LAYOUT = layout_of(shipped()["cnn2d-small"])
VECTOR = np.random.default_rng(48).normal(0, 0.05, LAYOUT.count).astype("<f4").tobytes()
NAME = model_sha256(LAYOUT.sha256, VECTOR)


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """Hub and two hospitals."""
    return House(tmp_path / "town", capsys)


def given(house: House) -> str:
    """Hand in the file and launch a study that begins with it; returns the study."""
    file = sha256_id(VECTOR)
    house.hub.starts.take(1, file, 0, len(VECTOR), VECTOR)
    return house.launch(start_model={"file": file}, max_rounds=3, round_seconds=600)


def refusal(house: House, values: bytes) -> str | None:
    """What the first hospital answers to the first order with these values; None: not refused."""
    running = house.hub.ledger.state(house.study).running
    order = house.hub.rounds.order(house.study, "train", running.index, running.deadline)
    words = ConfigRecord({ORDER: order.encode()})
    array = Array(np.frombuffer(values, dtype="<f4"))
    content = RecordDict({ARRAYS: ArrayRecord({THE_VECTOR: array}), WORDS: words})
    (note,) = answer(house.sites["north.example"], content, "train").notes
    return str(parse_event(parse(note).text).body.rule)


def test_a_hub_that_swaps_the_start_is_refused(house, monkeypatch):
    """The drawn start in place of the given one: no hospital trains on it; the given one passes."""
    monkeypatch.setattr(in_time, "carry_out", lambda work, vector, _, look: do(work, vector, look))
    study = given(house)
    house.hub.rounds.open(house.hub.rounds.begin(study))
    drawn = start_model(LAYOUT, study, shipped()["cnn2d-small"].seed)

    assert refusal(house, drawn) == "round.model"
    assert refusal(house, VECTOR) == "site.failed"  # its data folder is empty: the model was taken


def test_a_steward_reads_where_the_start_comes_from(house, capsys):
    """Before the signature, with the hash of the file; a drawn start is not mentioned."""
    study = given(house)
    home = house.sites["north.example"].settings.home

    assert main(["site", "show", study, "--home", str(home)]) == 0
    assert f"a given model: a file of the researcher, {sha256_id(VECTOR)}" in (
        " ".join(capsys.readouterr().out.split())
    )


def test_a_study_begins_with_what_another_one_released(house):
    """The released model, bit for bit; without a release there is nothing to begin with."""
    earlier = studied(house)
    with pytest.raises(Refused, match="0 of 2 hospitals have agreed"):
        house.propose(start_model={"study": earlier})
    released(house, earlier)
    made = house.hub.ledger.state(earlier)

    house.propose(title="And on", start_model={"study": earlier})

    charter = house.hub.charters.of_study(house.study)["body"]
    assert charter["initial_model_sha256"] == made.model_sha256
    assert charter["start_model"] == {"source": "released", "sha256": made.charter_id}
    with pytest.raises(Malformed, match="another network"):
        house.propose(recipe={"id": "densenet121"}, start_model={"study": earlier})


def released(house: House, study: str) -> None:
    """Every hospital agrees to hand the newest model of a study out, and it is released."""
    house.study = study
    for rooms in house.sites.values():
        rooms.releasing.approve(study)
    settle(house)
    house.hub.releases.release(study)


def test_a_successor_finds_the_given_start_or_says_what_is_missing(house, tmp_path, capsys):
    """The file itself, in a folder of the study; without it its hash is told."""
    study = given(house)
    settle(house)
    successor = Successor(house, tmp_path / "successor", capsys)
    folders = kept(house, tmp_path / "kept")

    assert taken(successor.hub, folders) == [study]
    words = [word for folder in folders for word in ("--from", str(folder))]
    main(["hub", "resume", *words, "--home", str(successor.home)])
    assert sha256_id(VECTOR) in capsys.readouterr().out
    (folders[0] / study / "mine.f32").write_bytes(VECTOR)
    main(["hub", "resume", *words, "--home", str(successor.home)])

    assert successor.again().registry.read(study, NAME) == VECTOR
