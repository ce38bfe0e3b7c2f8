"""What can be an agreement at all: names, keys, numbers and the quorum fit together."""

from __future__ import annotations

from typing import Any

import pytest

from compliance.ledger.policy import Policy, policy_of_agreement
from compliance.records.agreement import Agreement
from compliance.rules.consortium.agreement import check_text, holders_of
from compliance.rules.verdict import Denied
from compliance.signing.keys import COSIGNATURE
from tests import factories as make

EAST, NORTH, SOUTH, WEST = make.NAMES
ROWS = [make.member(name) for name in make.NAMES[:3]]
FLOORS = {"min_examples": 10, "min_cell": 5, "min_sites": 2}


def with_row(**changes: str) -> dict[str, Any]:
    """The last member with other fields."""
    return {"members": [*ROWS[:2], ROWS[2] | changes]}


IMPOSSIBLE: list[tuple[str, dict[str, Any]]] = [
    ("one hospital alone", {"members": ROWS[:1], "quorum": {"k": 1, "witnesses": [EAST]}}),
    ("members out of order", {"members": ROWS[::-1]}),
    ("a member twice", {"members": [*ROWS, ROWS[2]]}),
    ("a log key of another name", {"log_key": make.vkey(make.ORIGIN)}),
    ("a log key that cosigns", {"log_key": make.vkey(make.CONSORTIUM, COSIGNATURE)}),
    ("a hub of another host", {"hub": make.vkey("x.example/events")}),
    ("an institution of another name", with_row(institution=make.vkey(f"{WEST}/institution"))),
    ("a node of another name", with_row(node=make.vkey(f"{SOUTH}/witness"))),
    ("a witness that signs statements", with_row(witness=make.vkey(f"{SOUTH}/witness"))),
    ("one key for two", with_row(node=str(type(make.key("x"))(
        f"{SOUTH}/node", 1, make.key(f"{SOUTH}/institution").seed).verifier))),
    ("one signature founds it", {"signatures_required": 1}),
    ("more signatures than founders", {"signatures_required": 4}),
    ("a minority admits", {"admit_k": 1}),
    ("a minority amends", {"amend_k": 1}),
    ("more admit than there are", {"admit_k": 4}),
    ("more amend than there are", {"amend_k": 4}),
    ("no quorum", {"quorum": {"k": 0, "witnesses": [EAST]}}),
    ("no witness", {"quorum": {"k": 1, "witnesses": []}}),
    ("more cosignatures than witnesses", {"quorum": {"k": 3, "witnesses": [EAST, NORTH]}}),
    ("a stranger as witness", {"quorum": {"k": 1, "witnesses": [EAST, WEST]}}),
    ("a witness counted twice", {"quorum": {"k": 2, "witnesses": [EAST, EAST]}}),
    ("no floor for examples", {"floors": FLOORS | {"min_examples": 0}}),
    ("no floor for cells", {"floors": FLOORS | {"min_cell": 0}}),
    ("studies of one hospital", {"floors": FLOORS | {"min_sites": 1}}),
    ("a profile twice", {"profiles": ["eu-research", "eu-research"]}),
]  # fmt: skip


@pytest.mark.parametrize(("what", "changes"), IMPOSSIBLE, ids=[row[0] for row in IMPOSSIBLE])
def test_an_agreement_that_cannot_hold_is_refused(what: str, changes: dict[str, Any]) -> None:
    """Each number, name and key is looked at before a founder signs."""
    found = check_text(Agreement.model_validate(make.agreement(**changes)))
    assert isinstance(found, Denied), what
    assert found.rule == "agreement.form"


def test_an_agreement_that_can_hold_has_nothing_against_it() -> None:
    """Two hospitals and thirty-two are both a consortium; more are too many."""
    many = [f"h{number:02}.example" for number in range(33)]
    for names in (make.NAMES[:2], make.NAMES, many[:32]):
        assert check_text(Agreement.model_validate(make.agreement(names))) is None
    assert check_text(Agreement.model_validate(make.agreement(many))) is not None


def test_every_key_of_an_agreement_has_a_holder() -> None:
    """Log, hub and three for each hospital."""
    body = Agreement.model_validate(make.agreement())
    roles = [holder.role for _, holder in holders_of(body)]
    assert "".join(roles) == "LH" + "INW" * 3
    assert body.site_names() == list(make.NAMES[:3])


def test_the_policy_of_the_consortium_follows_from_its_agreement() -> None:
    """Log, the named witnesses in their order, and how many of them."""
    quorum = {"k": 2, "witnesses": [SOUTH, EAST]}
    text = policy_of_agreement(Agreement.model_validate(make.agreement(quorum=quorum)))
    assert text.split("\n") == [
        f"log {make.vkey(make.CONSORTIUM)}",
        f"witness {SOUTH} {make.vkey(f'{SOUTH}/witness', COSIGNATURE)}",
        f"witness {EAST} {make.vkey(f'{EAST}/witness', COSIGNATURE)}",
        f"group consortium 2 {SOUTH} {EAST}",
        "quorum consortium",
        "",
    ]
    assert Policy.parse(text).text() == text
