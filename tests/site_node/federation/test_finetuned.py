"""The last question to a hospital: own layers are fine-tuned and kept beside the trained ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compliance.errors import NotReady
from compliance.records.order import Order
from compliance.records.recipe import layout_of, local_layout, shipped, with_changes
from site_node.federation import client_app, in_time
from site_node.federation.client_app import answer
from site_node.gate.locals import finetunes
from site_node.store import locals as table
from site_node.store.locals import LocalRow
from site_node.store.named import NamedFiles
from site_node.training.work import Done, Work
from site_node.wiring import Rooms
from tests.house import House
from tests.site_node.federation.hostile import done
from tests.site_node.federation.test_client_app import message, order_of

TERMS = {"personal": {"layers": "norm", "finetune_steps": 7}}
RECIPE = with_changes(shipped()["cnn2d-small"], TERMS)
SHARED, LOCAL = layout_of(RECIPE), local_layout(RECIPE)
assert LOCAL is not None
BEFORE, TRAINED, TUNED = (
    np.arange(LOCAL.count, dtype="<f4") + np.float32(add) for add in (0.111, 0.222, 0.333)
)


@pytest.fixture
def house(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> House:
    """Two hospitals in a study of one round."""
    monkeypatch.setitem(shipped(), "cnn2d-small", RECIPE)
    house = House(tmp_path, capsys)
    house.launch(max_rounds=1, round_seconds=600)
    return house


@pytest.fixture
def site(house: House) -> Rooms:
    """The first of them."""
    return house.sites["north.example"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Work, bytes]]:
    """What the training program was given; it answers with layers that can be recognised."""
    seen: list[tuple[Work, bytes]] = []

    def work(work: Work, sent: Any, *_: Any) -> Done:
        seen.append((work, bytes(sent)[4 * SHARED.count :]))
        if work.op == "train":
            return done(memoryview(bytes(4 * SHARED.count)), layers=TRAINED)
        return Done(None, 30, 0, layers=TUNED if work.finetune else None)

    monkeypatch.setattr(in_time, "carry_out", work)
    return seen


def trained(house: House, site: Rooms) -> str:
    """The one round is over; this hospital keeps the layers that it trained. Its model."""
    base = house.hub.ledger.state(house.study).model_sha256
    made = house.close_round()
    files = NamedFiles(site.settings.home / "models" / house.study / "local")
    assert LOCAL is not None
    with site.store.begin() as session:
        row = LocalRow(
            log=house.hub.ledger.state(house.study).charter_id,
            layers_sha256=LOCAL.sha256,
            study=house.study,
            base_sha256=base,
            before_sha256=files.write(BEFORE.tobytes()),
            after_sha256=files.write(TRAINED.tobytes()),
        )
        table.keep_local(session, row)
    return made


def last_question(house: House, seconds: int = 600) -> Order:
    """The order to measure the final model."""
    rounds = house.hub.rounds
    deadline = house.time.text(seconds=seconds)
    return rounds.order(house.study, "evaluate", rounds.opened_at(house.study), deadline)


def files_of(house: House, site: Rooms) -> set[bytes]:
    """The layers that lie here."""
    folder = site.settings.home / "models" / house.study / "local"
    return {path.read_bytes() for path in folder.iterdir()}


def test_the_last_measurement_fine_tunes_and_nothing_of_it_leaves(
    house: House, site: Rooms, asked: Any
) -> None:
    """The program begins with the trained layers; no update, no value of theirs in a note."""
    model = trained(house, site)

    reply = answer(site, message(house, last_question(house)), "evaluate")

    ((work, layers),) = asked
    assert (work.op, work.finetune, layers) == ("evaluate", True, TRAINED.tobytes())
    assert reply.delta is None
    left = b"".join(client_app._record(reply, None)["c"]["notes"])  # type: ignore[arg-type, call-overload]
    kept = TUNED.tobytes()
    assert not any(kept[at : at + 8] in left for at in range(0, len(kept) - 8, 4))
    own = site.locals.of_model(house.study, site.mirror.state(house.study), RECIPE, model)
    assert own is not None
    assert (own.kind, own.values, own.tuned) == ("norm", kept, True)
    assert own.words.startswith("norm layers of this hospital, fine-tuned, sha256:")


def test_asked_again_it_begins_where_it_began(house: House, site: Rooms, asked: Any) -> None:
    """With the trained layers, not with the tuned ones; all of them lie here, by their hashes."""
    trained(house, site)
    order = last_question(house)
    answer(site, message(house, order), "evaluate")

    permit = site.permits.check(order, site.clock())

    assert len(asked) == 1
    assert site.locals.at(permit, order) == TRAINED.tobytes()
    assert files_of(house, site) == {BEFORE.tobytes(), TRAINED.tobytes(), TUNED.tobytes()}


def test_no_round_and_no_earlier_measurement_is_fine_tuned(
    house: House, site: Rooms, asked: Any
) -> None:
    """A round of training, and a measurement before the last round is closed."""
    house.hub.rounds.open(house.hub.rounds.begin(house.study))
    reply = answer(site, message(house, order_of(house)), "train")
    permit = site.permits.check(order_of(house), site.clock())
    early = order_of(house).model_copy(update={"kind": "evaluate"})

    assert reply.delta is not None
    assert [work.finetune for work, _ in asked] == [False]
    assert not finetunes(permit, early)
    assert files_of(house, site) == {TRAINED.tobytes()}


def test_layers_of_another_study_layout_or_model_are_never_joined(
    house: House, site: Rooms
) -> None:
    """Another log, other layers, a model that is not theirs: a refusal that says what to do."""
    model = trained(house, site)
    state = site.mirror.state(house.study)
    own = site.locals.of_model(house.study, state, RECIPE, model)
    assert own is not None
    assert (own.values, own.tuned) == (TRAINED.tobytes(), False)
    first = site.locals.of_model(house.study, state, RECIPE, state.charter.initial_model_sha256)
    assert first is not None
    assert first.values == BEFORE.tobytes()

    head = with_changes(RECIPE, {"personal": {"layers": "head"}})
    elsewhere = replace(state, charter_id="sha256:" + "cd" * 32)
    with pytest.raises(NotReady, match="this one has none"):
        site.locals.of_model(house.study, elsewhere, RECIPE, model)
    with pytest.raises(NotReady, match="head layers: they stay at each hospital"):
        site.locals.of_model(house.study, state, head, model)
    with pytest.raises(NotReady, match="gone on to a newer model"):
        site.locals.of_model(house.study, state, RECIPE, "sha256:" + "ab" * 32)
    south = house.sites["south.example"]
    with pytest.raises(NotReady, match="this one has none"):
        south.locals.of_model(house.study, south.mirror.state(house.study), RECIPE, model)


def test_damaged_layers_are_not_replaced_by_start_values(house: House, site: Rooms) -> None:
    """Training begins anew without them; a model in use must not."""
    model = trained(house, site)
    for path in (site.settings.home / "models" / house.study / "local").iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"x")

    with pytest.raises(NotReady, match="gone or damaged"):
        site.locals.of_model(house.study, site.mirror.state(house.study), RECIPE, model)
