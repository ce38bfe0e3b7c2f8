"""Two real sites and the real hub in one process: from the invitation to a witnessed update."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compliance.errors import Refused
from compliance.ledger.merkle import leaf_hash
from compliance.records.order import Order
from compliance.signing.keys import SigningKey
from site_node.gate.measures import MetricClaim
from tests.house import NAMES, House
from tests.site_node.gate.world import LAYOUT

DELTA = np.full(LAYOUT.count, 0.001, dtype="<f4").tobytes()


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """Hub and two hospitals that have joined and registered their data."""
    return House(tmp_path, capsys)


def test_a_study_goes_from_invitation_to_a_witnessed_update(house: House) -> None:
    """Join, register, propose, sign, launch, witness, permit, release, log: all by public doors."""
    charter_id = house.propose()
    for rooms in house.sites.values():
        card = rooms.steward.show(house.study)
        assert all(row["allowed"] for row in card["verdicts"]), card["verdicts"]
        assert rooms.steward.approve(house.study, None, None)["sent"]
    house.hub.charters.launch(charter_id)
    assert house.look() == ["cosigned", "cosigned"]

    order = open_round(house)
    house.time.forward(seconds=6)
    assert house.look() == ["cosigned", "cosigned"]
    for rooms in house.sites.values():
        permit = rooms.permits.check(order, house.time.now)
        value = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 40, "positives": 12}
        claim = MetricClaim("before_training", "test", {"auroc": value})
        for note in rooms.release.admit(permit, order, delta=DELTA, n=40, steps=9, metrics=[claim]):
            house.hub.ledger.append(house.study, note)

    house.time.forward(seconds=6)
    assert house.look() == ["cosigned", "cosigned"]
    state = house.hub.ledger.state(house.study)
    assert state.open_round is not None
    assert sorted(state.open_round.submitted) == list(NAMES)
    assert all(rooms.witness.follow_quorum(house.study) == 6 for rooms in house.sites.values())


def test_an_approval_faked_in_the_hubs_database_opens_no_data(house: House) -> None:
    """Whoever owns the hub's tables cannot say yes for a hospital."""
    charter_id = house.propose(signatures_required=2)
    north, south = house.sites.values()
    south.steward.approve(house.study, None, None)
    text = house.hub.charters.get(charter_id)["text_base64"]
    forged = SigningKey("north.example/institution", 1, bytes(range(32)))
    from base64 import b64decode

    from hub.storage import studies as tables

    with house.hub.database.transaction("charters") as session:
        tables.keep(
            session,
            tables.SignatureRow(
                charter_id=charter_id,
                key_name=forged.name,
                line=forged.line(b64decode(text)).strip(),
                time=house.time.text(),
            ),
        )

    with pytest.raises(Refused):
        house.hub.charters.launch(charter_id)
    assert "north.example" not in north.steward.show(house.study)["signed"]


def test_a_withdrawn_hospital_is_gone_in_the_real_log(house: House) -> None:
    """One command, one entry, accepted by the hub's own fold."""
    charter_id = house.propose()
    for rooms in house.sites.values():
        rooms.steward.approve(house.study, None, None)
    house.hub.charters.launch(charter_id)
    house.look()

    told = house.sites["north.example"].steward.withdraw(house.study, "consent")

    assert told["on_record"]
    assert house.hub.ledger.state(house.study).withdrawn == {"north.example"}


def test_a_refusal_reaches_the_hub_with_its_reason(house: House) -> None:
    """The researcher sees who said no and why, from the list."""
    charter_id = house.propose()

    house.sites["north.example"].steward.refuse(house.study, "privacy", None)

    told = house.hub.charters.get(charter_id)
    assert told["refusals"][0]["reason"] == "privacy"


def test_a_heartbeat_shows_the_hospital_as_up(house: House) -> None:
    """Signed by the node key, kept with the hub's time."""
    rooms = house.sites["north.example"]

    told = rooms.hub.heartbeat({"supernode": "up"}, {"flwr": "1.41.0"})

    rows = {row["name"]: row for row in house.hub.members.members()}
    assert told["time"] == house.time.text()
    assert rows["north.example"]["health"]["state"] == "up"
    house.time.forward(minutes=2)
    assert house.hub.members.members()[0]["health"]["state"] == "silent"


def test_a_suspended_hospital_is_told_so(house: House) -> None:
    """The next request is refused in words, not with a bare status."""
    house.hub.members.suspend("north.example")

    with pytest.raises(Refused, match="does not serve"):
        house.sites["north.example"].hub.studies()


def open_round(house: House) -> Order:
    """The hub opens the first round and writes the order that belongs to it."""
    state = house.hub.ledger.state(house.study)
    deadline = house.time.text(seconds=600)
    body = {
        "round": 1,
        "sites": list(NAMES),
        "model_sha256": state.model_sha256,
        "bundle_sha256": state.charter.bundle_sha256,
        "deadline": deadline,
    }
    receipt = house.hub.ledger.say(house.study, "round.opened", body | {"on_behalf": None})
    entry = house.hub.ledger.entries(house.study, receipt.index)[0]
    return Order(
        kind="train",
        log=state.charter_id,
        entry=receipt.index,
        leaf="sha256:" + leaf_hash(entry).hex(),
        round=1,
        layout_sha256=LAYOUT.sha256,
        model_sha256=state.model_sha256,
        deadline=deadline,
    )
