"""Layers that stay at the hospital: kept between rounds and restarts, in no message, in no log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compliance.records.recipe import layout_of, local_layout, shipped, with_changes
from site_node.federation import client_app, in_time
from site_node.federation.client_app import answer
from site_node.store import locals as table
from site_node.store.wiping import forget
from site_node.training.work import Done, Work
from site_node.wiring import Rooms
from tests.house import House
from tests.site_node.federation.hostile import done
from tests.site_node.federation.test_client_app import message, order_of, said

CHANGES = {"personal": {"layers": "norm"}}
RECIPE = with_changes(shipped()["cnn2d-small"], CHANGES)
SHARED, LOCAL = layout_of(RECIPE), local_layout(RECIPE)
assert LOCAL is not None
CANARY = np.arange(LOCAL.count, dtype="<f4") + np.float32(0.123456)


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """Two hospitals with an open round of a study that keeps its norms at home."""
    house = House(tmp_path, capsys)
    house.launch(max_rounds=3, round_seconds=600, recipe={"id": "cnn2d-small", "changes": CHANGES})
    house.hub.rounds.open(house.hub.rounds.begin(house.study))
    return house


@pytest.fixture
def site(house: House) -> Rooms:
    """The first of them."""
    return house.sites["north.example"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Work, bytes]]:
    """What the training program was given; it answers with layers that can be recognised."""
    seen: list[tuple[Work, bytes]] = []

    def train(work: Work, sent: Any, *_: Any) -> Done:
        seen.append((work, bytes(sent)[4 * SHARED.count :]))
        return done(memoryview(bytes(4 * SHARED.count)), layers=CANARY + len(seen))

    monkeypatch.setattr(in_time, "carry_out", train)
    return seen


def test_not_a_byte_of_the_layers_leaves(house: House, site: Rooms, asked: Any) -> None:
    """The whole message, every note and the egress ledger; they are in the own folder alone."""
    reply = answer(site, message(house, order_of(house)), "train")
    assert reply.delta is not None
    record = client_app._record(reply, client_app.vector_file(reply.delta))

    assert asked[0][0].layers
    left = b"".join(array.data for array in record["a"].values())  # type: ignore[union-attr]
    left += b"".join(record["c"]["notes"])  # type: ignore[arg-type, call-overload]
    kept = (CANARY + 1).tobytes()
    assert len(left) > 4 * SHARED.count
    assert not any(kept[at : at + 8] in left for at in range(0, len(kept) - 8, 4))
    (path,) = (site.settings.home / "models" / house.study / "local").iterdir()
    assert path.read_bytes() == kept
    assert [p for p in site.settings.home.rglob("*.f32") if kept in p.read_bytes()] == [path]


def test_layers_go_on_and_a_repeated_order_begins_where_it_began(
    house: House, site: Rooms, asked: Any
) -> None:
    """The answer was lost before the log had it: the same base is trained from the same layers."""
    content = message(house, order_of(house))
    answer(site, content, "train")
    for path in (site.settings.home / "replies").glob("*.f32"):
        path.unlink()
    answer(site, content, "train")
    order = order_of(house)
    permit = site.permits.check(order, site.clock())
    later = order.model_copy(update={"model_sha256": "sha256:" + "ab" * 32})

    assert [layers for _, layers in asked] == [b"", b""]
    assert site.locals.at(permit, later) == (CANARY + 2).tobytes()
    looked = order.model_copy(update={"kind": "evaluate"})
    assert site.locals.at(permit, looked) == (CANARY + 2).tobytes()
    assert site.locals.at(permit, order) == b""


def test_layers_survive_a_restart_and_belong_to_their_log(
    house: House, site: Rooms, asked: Any
) -> None:
    """Another process reads them; another study's log, or other layers, begin anew."""
    from site_node.gate.locals import Locals

    answer(site, message(house, order_of(house)), "train")
    permit = site.permits.check(order_of(house), site.clock())
    later = order_of(house).model_copy(update={"model_sha256": "sha256:" + "ab" * 32})
    again = Locals(home=site.settings.home, sessions=site.store)

    assert again.at(permit, later) == (CANARY + 1).tobytes()
    elsewhere = later.model_copy(update={"log": "sha256:" + "cd" * 32})
    assert again.at(permit, elsewhere) == b""
    (path,) = (site.settings.home / "models" / house.study / "local").iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert again.at(permit, later) == b""
    with site.store() as session:
        assert LOCAL is not None
        assert table.find_local(session, later.log, LOCAL.sha256) is not None
    forget(site.store)
    with site.store() as session:
        assert table.local_files(session, house.study) == set()


def test_a_model_without_its_layers_is_not_used(house: House, site: Rooms) -> None:
    """Predictions, scores and the membership test need the whole: the sentence says what lacks."""
    from compliance.errors import NotReady

    state = site.mirror.state(house.study)
    with pytest.raises(NotReady, match="norm layers: they stay at each hospital") as error:
        site.locals.of_model(house.study, state, RECIPE, state.model_sha256)
    assert "Ask a hospital that took part" in error.value.fix
    assert site.locals.of_model(house.study, state, shipped()["cnn2d-small"], "any") is None


def test_the_steward_reads_what_stays(house: House, site: Rooms) -> None:
    """Before signing, in the card of the charter."""
    card = site.steward.show(house.study)

    assert "the norm layers stay here and never leave" in card["trains"]


def test_the_gate_asks_for_the_shared_length(
    house: House, site: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training program that hands out the whole network is stopped at the gate."""
    whole = SHARED.count + len(CANARY)

    def too_much(work: Work, sent: Any, *_: Any) -> Done:
        return done(memoryview(bytes(4 * whole)), layers=CANARY)

    monkeypatch.setattr(in_time, "carry_out", too_much)
    reply = answer(site, message(house, order_of(house)), "train")

    assert said(reply).rule == "update.shape"
