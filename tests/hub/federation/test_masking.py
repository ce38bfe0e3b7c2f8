"""Masked rounds under a real hub and real gates: the same model as without, and no update seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compliance.records.order import Order
from hub.federation.aggregation.again import aggregated
from tests.house import House
from tests.hub.federation.masked import CASES, FOUR, agreeing, masked_post
from tests.hub.federation.post import Post, PowerCut, silent
from tests.hub.federation.test_director import kinds, state_of
from tests.site_node.gate.world import LAYOUT


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """Four hospitals, of which three unmask a round."""
    return House(tmp_path, capsys, FOUR)


def plain(post: Post, order: Order, sites: list[str], folder: Path) -> np.ndarray:
    """What plain federated averaging of the same updates gives."""
    rounds, files = post.house.hub.rounds, {}
    for site in sites:
        path = folder / f"{site}.f32"
        path.write_bytes(post.delta(site, order))
        files[site] = path, CASES[site]
    base = post.house.hub.registry.path(post.house.study, order.model_sha256)
    charter = state_of(post).charter
    vector, _ = aggregated(charter, rounds.layout(post.house.study), base, files)
    return np.frombuffer(vector, "<f4")


@pytest.mark.parametrize("gone", [[], ["south.example"]])
def test_the_sum_of_masked_updates_is_plain_averaging(
    house: House, tmp_path: Path, gone: list[str]
) -> None:
    """With everybody, and with one hospital that took part in the keys and sent nothing."""
    post = masked_post(house)
    post.habits |= dict.fromkeys(gone, silent)
    orders: list[Order] = []
    post.habits["east.example"] = lambda p, s, o: (orders.append(o), agreeing(p, s, o))[1]

    post.direct()

    state = state_of(post)
    assert state.closed == "completed"
    assert kinds(post)[:3] == ["round.opened", "round.unmasking", "round.closed"]
    alive = [site for site in FOUR if site not in gone]
    assert sorted(state.rounds_closed[0].used) == alive
    made = np.frombuffer(post.house.hub.rounds.model(house.study), "<f4")
    wanted = plain(post, orders[0], alive, tmp_path)
    assert np.abs(made - wanted).max() < 1e-6  # the acceptance asks for 1e-4
    assert len(made) == LAYOUT.count


def test_whoever_takes_over_after_the_lists_sends_the_same_and_gets_the_same_bytes(
    house: House,
) -> None:
    """The hub is killed after two hospitals opened their shares."""
    post = masked_post(house)
    orders: list[tuple[str, bytes]] = []
    answers: dict[str, set[bytes]] = {}

    def watched(post: Post, site: str, order: Order) -> object:
        reply = agreeing(post, site, order)
        if order.kind == "unmask":
            orders.append((site, order.encode()))
            answers.setdefault(site, set()).add(str(reply.papers).encode())  # type: ignore[union-attr]
        return reply

    post.habits = dict.fromkeys(FOUR, watched)  # type: ignore[arg-type]
    post.cut_after = 6
    with pytest.raises(PowerCut):
        post.direct()
    house.hub.ledger._states.clear()
    assert state_of(post).running.unmasking is not None

    post.direct()

    assert state_of(post).closed == "completed"
    assert kinds(post).count("round.unmasking") == 1
    assert len(orders) > len(set(orders)) >= 3
    assert all(len(told) == 1 for told in answers.values())
