"""Every attack of the kernel once more, through the hub's own door: route, service, database, disk.

The attacks are those of `tests/compliance/test_rules_attacks.py`, unchanged; what answers is the
web application over its database.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from compliance.rules.verdict import Denied
from hub.main import create_app
from tests.compliance import test_rules_attacks as kernel
from tests.hub.api.conftest import InProcess
from tests.hub.house import House
from tests.ledger import over_http
from tests.ledger.over_http import OverHttp

OTHERWISE = {
    "a second charter": "event.replay",
    "a cap raised over a hospital's head": "amend.fixed",
    "privacy dropped over a hospital's head": "amend.fixed",
    "an amendment with another key for a hospital": "amend.fixed",
    "an amendment by one hospital": "amend.fixed",
    "an amendment to a million rounds": "amend.fixed",
    "hospitals and the hub share a takeover": "key.name",
    "the hub takes its log key as stolen": "key.name",
    "the researcher plans the log key": "key.name",
}
"""Where the door answers by another rule: the same bytes again are the same entry, and the attacks
that name the log of the kernel's tests meet another log here."""


@pytest.fixture(scope="module")
def federations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[OverHttp]]:
    """One hub; every attack is another study of it."""
    house = House(tmp_path_factory.mktemp("hub") / "hub")
    transport = InProcess(create_app(house.rooms))
    with httpx.Client(transport=transport, base_url="https://127.0.0.1:8443") as client:
        yield over_http.of(house, client)
    house.close()


@pytest.mark.parametrize(
    ("rule", "words", "attack"),
    [
        pytest.param(rule, words, attack, id=f"{rule}: {words}")
        for rule, words, attack in kernel.ATTACKS
    ],
)
def test_the_door_refuses_and_names_every_attack(
    federations: type[OverHttp],
    monkeypatch: pytest.MonkeyPatch,
    rule: str,
    words: str,
    attack: kernel.Attack,
) -> None:
    """The rule that refuses in the kernel is the rule that the caller is told, and nothing else."""
    monkeypatch.setattr(kernel, "Federation", federations)

    verdict = attack(federations())

    assert isinstance(verdict, Denied), "it was allowed"
    assert verdict.rule == OTHERWISE.get(words, rule)


def test_a_refusal_at_the_door_is_on_record(federations: type[OverHttp]) -> None:
    """The log says what was tried, by whom, and which rule said no."""
    world = federations()

    world.open(sites=[kernel.NORTH])

    denial = world.state.denials[-1].body
    assert (denial.action, denial.who, denial.rule) == (
        "round.opened",
        kernel.HUB,
        "round.min_sites",
    )


def test_junk_at_the_door_leaves_no_trace(federations: type[OverHttp]) -> None:
    """Whoever holds no key of the study cannot fill its log with refusals."""
    world = federations()

    for junk in (b"x", b"consilium/v1\n{}\n\n" + "— a AAAAAAAA\n".encode()):
        assert isinstance(world.push(junk), Denied)

    assert world.house.rooms.ledger.size(world.study) == 1
