"""An act is prepared, looked at, confirmed once, and done once."""

from __future__ import annotations

import threading
from datetime import datetime

import pytest

from compliance.errors import NotReady, Refused
from hub.services.intents import Act, IntentService
from tests.hub.house import PASSWORD, House, behind_the_hubs_back

KEEPERS = {
    "study.stop",
    "site.invite",
    "user.add",
    "person.erase",
    "study.destroy.prepare",
    "study.destroy",
}
"""Acts of administrators."""


class Doing:
    """An act that counts how often it was done, and can be held up or fail."""

    def __init__(self) -> None:
        self.times, self.error = 0, None
        self.inside, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def __call__(self, person, subject, body):
        """Do it."""
        self.inside.set()
        self.go_on.wait()
        self.times += 1
        if self.error is not None:
            raise self.error
        return {"times": self.times, "object": subject, "body": body}


@pytest.fixture
def doing() -> Doing:
    """What happened."""
    return Doing()


def service(house: House, doing: Doing, clock) -> IntentService:
    """One binding act of researchers, and one brake that asks no password."""
    made = {
        "bind": Act(("researcher",), "Bind {object}.", ("It binds.",), True, True, doing),
        "stop": Act(("researcher", "admin"), "Stop {object}.", (), False, False, doing),
    }
    rooms = house.rooms
    return IntentService(
        database=rooms.database,
        accounts=rooms.accounts,
        acts=made,
        clock=clock,
        random=rooms.random,
    )


@pytest.fixture
def intents(house: House, doing: Doing) -> IntentService:
    """The acts, by the clock of the house."""
    return service(house, doing, house.time)


@pytest.fixture
def celine(house: House):
    """A researcher who is signed in."""
    return house.person("celine", "researcher")[1]


def test_an_act_is_done_after_the_yes_and_not_before(intents, celine, doing):
    """The page says in words what will happen; only the confirmation does it."""
    told = intents.prepare(celine, "bind", "sha256:0123456789", {"a": 1})
    assert (told["words"], told["typed"], doing.times) == ("Bind sha256:0123456789.", "01234567", 0)

    done = intents.confirm(celine, told["id"], PASSWORD, "01234567", told["object_hash"])

    assert done["result"] == {"times": 1, "object": "sha256:0123456789", "body": {"a": 1}}


def test_confirming_twice_does_one_act(intents, celine, doing):
    """The second answer is the first result again."""
    number = intents.prepare(celine, "stop", "x", {})["id"]
    first = intents.confirm(celine, number, None, None)

    assert intents.confirm(celine, number, None, None) == first
    assert doing.times == 1


def test_confirming_twice_at_the_same_moment_does_one_act(intents, celine, doing):
    """While the first is being done, the second is told so."""
    number = intents.prepare(celine, "stop", "x", {})["id"]
    doing.go_on.clear()
    first = threading.Thread(target=intents.confirm, args=(celine, number, None, None))
    first.start()
    doing.inside.wait()

    told = intents.confirm(celine, number, None, None)
    doing.go_on.set()
    first.join()

    assert told == {"running": True}
    assert doing.times == 1
    assert intents.confirm(celine, number, None, None)["result"]["times"] == 1


def test_two_confirmations_that_both_found_it_undone_do_one_act(intents, house, celine, doing):
    """Both have looked before either began: the transaction decides who does it."""
    number = intents.prepare(celine, "stop", "x", {})["id"]
    both_looked = threading.Barrier(2)

    def late() -> datetime:
        both_looked.wait()
        return house.time()

    slow = service(house, doing, late)
    confirm = threading.Thread(target=slow.confirm, args=(celine, number, None, None))
    confirm.start()
    slow.confirm(celine, number, None, None)
    confirm.join()

    assert doing.times == 1


def test_an_act_that_failed_may_be_tried_again(intents, celine, doing):
    """A refusal is told, not remembered as done."""
    number = intents.prepare(celine, "stop", "x", {})["id"]
    doing.error = Refused("some.rule")
    with pytest.raises(Refused):
        intents.confirm(celine, number, None, None)
    doing.error = None

    assert intents.confirm(celine, number, None, None)["result"]["times"] == 2


def test_another_session_of_the_same_person_cannot_confirm(intents, house, celine, doing):
    """A stolen link is worth nothing in another browser, nor to another person."""
    number = intents.prepare(celine, "stop", "x", {})["id"]
    _, again = house.rooms.accounts.sign_in("celine", PASSWORD)
    _, david = house.person("david", "researcher")

    for person in (again, david):
        with pytest.raises(NotReady):
            intents.confirm(person, number, None, None)
        with pytest.raises(NotReady):
            intents.show(person, number)
    assert doing.times == 0


def test_an_act_expires_after_five_minutes(intents, house, celine, doing):
    """A page left open is no yes."""
    number = intents.prepare(celine, "stop", "x", {})["id"]
    house.time.forward(minutes=5)

    with pytest.raises(Refused, match="look again"):
        intents.confirm(celine, number, None, None)
    assert doing.times == 0


def test_an_act_that_was_changed_behind_the_page_is_not_done(intents, house, celine, doing):
    """The page shows a hash; what has another hash by now asks for another look."""
    told = intents.prepare(celine, "stop", "x", {"reason": "safety"})
    change = 'UPDATE intent SET body = \'{"reason": "operator"}\''
    behind_the_hubs_back(house.rooms.database, change)

    with pytest.raises(Refused, match="changed"):
        intents.confirm(celine, told["id"], None, None, told["object_hash"])
    assert doing.times == 0


@pytest.mark.parametrize(
    ("password", "typed"), [(None, "01234567"), ("wrong password", "01234567"), (PASSWORD, "0123")]
)
def test_a_binding_act_asks_for_the_password_and_for_typing(
    intents, celine, doing, password, typed
):
    """An open browser is not a person, and a slip of the finger is no decision."""
    number = intents.prepare(celine, "bind", "sha256:0123456789", {})["id"]

    with pytest.raises(Refused):
        intents.confirm(celine, number, password, typed)
    assert doing.times == 0


def test_an_act_needs_the_role_when_it_is_prepared(intents, house):
    """Hiding a page is comfort; the hub decides."""
    _, david = house.person("david", "auditor")

    with pytest.raises(Refused):
        intents.prepare(david, "stop", "x", {})
    with pytest.raises(NotReady, match="no act"):
        intents.prepare(david, "unheard", "x", {})


def test_no_act_of_the_hub_decides_for_a_hospital(house):
    """Sign, refuse, join, withdraw, approve a release: not one of them is an act of people."""
    names = set(house.rooms.acts)
    assert names == {
        "charter.propose",
        "charter.launch",
        "charter.amend",
        "counts.ask",
        "study.stop",
        "export.create",
        "model.release",
        "model.download",
        "site.invite",
        "user.add",
        "person.erase",
        "review.note",
        "study.destroy.prepare",
        "study.destroy",
    }
    for name, act in house.rooms.acts.items():
        assert "steward" not in act.roles, name
        if "admin" in act.roles:
            assert name in KEEPERS
