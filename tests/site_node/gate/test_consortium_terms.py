"""The consortium's own log is asked before a charter is signed and before data are touched."""

from __future__ import annotations

import pytest

from compliance.canonical import sha256_id
from compliance.errors import NotReady, Refused
from site_node.gate.doctor import as_plain, examine
from site_node.wiring import Rooms
from tests.site_node.gate.world import (
    CONSORTIUM,
    STUDY,
    THEM,
    US,
    World,
    key,
    public_of,
)

WEST = "west.example"


def suspend(world: World, site: str, *signers: str) -> None:
    """These members suspend a hospital, in the log."""
    keys = [key(f"{name}/institution") for name in signers]
    world.hub.agreed("member.suspended", *keys, site=site, reason="security")


def three(world: World) -> Rooms:
    """A consortium of north, south and west, with a study of north and south."""
    made = world.joined(founded=False)
    motion = world.hub.found(THEM, WEST)
    made.motions.sign(made.motions.find(motion), None, None)
    world.launched(made)
    return made


def test_a_study_that_the_consortium_does_not_list_touches_no_data(world: World) -> None:
    """A hidden study with every signature under its charter is not trained here."""
    rooms = world.joined()
    world.hub.propose(world.charter(rooms))
    rooms.steward.approve(STUDY, None, None)
    charter = world.hub.charter or b""
    world.hub.launch(key(f"{THEM}/institution").line(charter), listed=False)
    order = world.hub.open_round()
    rooms.witness.step(CONSORTIUM)
    rooms.witness.step(STUDY)
    rooms.catalogue.asked.clear()  # type: ignore[attr-defined]

    with pytest.raises(Refused) as caught:
        rooms.permits.check(order, world.time.now)

    assert caught.value.rule == "study.unlisted"
    assert rooms.catalogue.asked == []  # type: ignore[attr-defined]


def test_a_study_that_is_listed_with_another_beginning_touches_no_data(world: World) -> None:
    """The list names the charter, but another first entry: two faces of one study."""
    rooms = world.joined()
    world.hub.propose(world.charter(rooms))
    rooms.steward.approve(STUDY, None, None)
    charter = world.hub.charter or b""
    world.hub.launch(key(f"{THEM}/institution").line(charter), listed=False)
    world.hub.list_study(entry0=sha256_id(b"another beginning"))
    order = world.hub.open_round()
    rooms.witness.step(CONSORTIUM)
    rooms.witness.step(STUDY)

    with pytest.raises(Refused) as caught:
        rooms.permits.check(order, world.time.now)

    assert caught.value.rule == "study.unlisted"


def test_no_data_are_touched_before_the_consortiums_log_is_mirrored(
    world: World, rooms: Rooms
) -> None:
    """A hub that hides the consortium's log gets nothing: a missing list permits nothing."""
    order = world.hub.open_round()
    rooms.witness.step(STUDY)
    with rooms.store.begin() as session:
        session.connection().exec_driver_sql("DELETE FROM mirror_log WHERE study = 'consortium'")

    with pytest.raises(Refused) as caught:
        world.rooms().permits.check(order, world.time.now)

    assert caught.value.rule == "mirror.behind"


def test_a_round_with_a_hospital_that_the_others_suspended_is_refused(world: World) -> None:
    """The hub opens the round all the same; this hospital reads the consortium's log itself."""
    rooms = three(world)
    keys = [rooms.keys.institution(None), key(f"{WEST}/institution")]
    order = world.hub.open_round()
    note = world.hub.consortium_note("member.suspended", *keys, site=THEM, reason="security")
    _signed_here(rooms, note)
    world.hub.consortium.take(note)
    rooms.witness.step(CONSORTIUM)
    rooms.witness.step(STUDY)

    with pytest.raises(Refused) as caught:
        rooms.permits.check(order, world.time.now)

    assert (caught.value.rule, caught.value.found) == ("site.suspended", THEM)


def test_a_hospital_that_is_suspended_itself_trains_nothing(world: World) -> None:
    """A hub that goes on sending orders finds the door shut by this hospital's own fold."""
    rooms = three(world)
    order = world.hub.open_round()
    suspend(world, US, THEM, WEST)
    rooms.witness.step(CONSORTIUM)
    rooms.witness.step(STUDY)

    with pytest.raises(Refused) as caught:
        rooms.permits.check(order, world.time.now)

    assert (caught.value.rule, caught.value.found) == ("site.suspended", US)
    assert rooms.standing() == "suspended"
    assert not rooms.may_work()
    rows = {row["code"]: row for row in as_plain(examine(rooms.patient))["checks"]}
    assert not rows["member_silent"]["well"]


def test_a_hospital_that_left_the_consortium_trains_nothing(world: World, rooms: Rooms) -> None:
    """The study's log still counts it in; the consortium's log and this hospital do not."""
    order = world.hub.open_round()
    note = rooms.statements.seal(
        "member.left",
        {"site": US, "reason": "own_wish"},
        log=rooms.agreement_id(),
        key=rooms.keys.node,
    )
    _signed_here(rooms, note)
    world.hub.consortium.take(note)
    rooms.witness.step(CONSORTIUM)
    rooms.witness.step(STUDY)

    with pytest.raises(Refused) as caught:
        rooms.permits.check(order, world.time.now)

    assert (caught.value.rule, rooms.standing()) == ("member.known", "left")


def test_an_alarm_about_the_consortium_stops_every_study(world: World, rooms: Rooms) -> None:
    """Who belongs is not known any more: no study goes on until people have looked."""
    order = world.hub.open_round()
    rooms.witness.step(STUDY)
    rooms.permits.check(order, world.time.now)
    world.hub.consortium.entries.pop()
    rooms.witness.step(CONSORTIUM)

    with pytest.raises(Refused) as caught:
        rooms.permits.check(order, world.time.now)

    assert caught.value.rule == "checkpoint.old"


@pytest.mark.parametrize(
    ("floors", "rule"),
    [
        ({"min_examples": 100, "min_cell": 1, "min_sites": 2}, "charter.floors"),
        ({"min_examples": 1, "min_cell": 10, "min_sites": 2}, "charter.floors"),
    ],
)
def test_a_charter_below_the_agreement_is_not_signed(
    world: World, floors: dict[str, int], rule: str
) -> None:
    """What all hospitals agreed at the founding binds every charter."""
    rooms = world.joined(founded=False)
    motion = world.hub.found(floors=floors)
    rooms.motions.sign(rooms.motions.find(motion), None, None)
    world.hub.propose(world.charter(rooms))

    with pytest.raises(Refused) as caught:
        rooms.steward.approve(STUDY, None, None)

    assert caught.value.rule == rule
    assert world.hub.lines == []


def test_a_charter_with_a_retired_recipe_is_not_signed(world: World) -> None:
    """The registration in the consortium's log counts, not what the hub offers."""
    rooms = world.joined()
    world.hub.agreed("recipe.retired", recipe="cnn2d-small", version=1, reason="wrong_result",
                     on_behalf=None)  # fmt: skip
    world.hub.propose(world.charter(rooms))

    with pytest.raises(Refused) as caught:
        rooms.steward.approve(STUDY, None, None)

    assert caught.value.rule == "charter.recipe"


def test_a_charter_with_a_hospital_that_is_no_member_is_not_signed(world: World) -> None:
    """A key that no member holds is no hospital, whatever the charter calls it."""
    rooms = world.joined()
    body = world.charter(rooms)
    stranger = {"name": WEST, **public_of(WEST)}
    legal = body.legal.plain()
    legal["sites"] = [legal["sites"][0], {**legal["sites"][0], "site": WEST}]
    data = [row.plain() for row in body.datasets]
    world.hub.propose(
        world.charter(
            rooms,
            sites=[body.sites[0].plain(), stranger],
            datasets=[data[0], {**data[0], "site": WEST}],
            quorum={"k": 1, "witnesses": [US, WEST], "external": []},
            legal=legal,
        )
    )

    with pytest.raises(Refused) as caught:
        rooms.steward.approve(STUDY, None, None)

    assert (caught.value.rule, caught.value.found) == ("charter.members", WEST)


def test_joint_controllers_without_an_arrangement_are_not_signed(world: World) -> None:
    """Article 26 asks for a paper; neither agreement nor charter has one."""
    rooms = world.joined()
    legal = world.charter(rooms).legal.plain() | {"joint_controllers": True}
    world.hub.propose(world.charter(rooms, legal=legal))

    with pytest.raises(Refused) as caught:
        rooms.steward.approve(STUDY, None, None)

    assert caught.value.rule == "charter.legal"


def test_without_a_consortium_nothing_is_signed(world: World) -> None:
    """A hub that never founded one cannot let a study begin."""
    rooms = world.joined()
    world.hub.propose(world.charter(rooms))
    with rooms.store.begin() as session:
        session.connection().exec_driver_sql("DELETE FROM mirror_log")
    fresh = world.rooms()
    world.hub.consortium.entries.clear()

    with pytest.raises(NotReady, match="not founded"):
        fresh.steward.approve(STUDY, None, None)


def _signed_here(rooms: Rooms, note: bytes) -> None:
    """Remember a text as signed at this hospital, as `site sign` does."""
    from site_node.store import outbox

    with rooms.store.begin() as session:
        rooms.statements.keep(session, note, study=CONSORTIUM, way=outbox.MOTIONS)
