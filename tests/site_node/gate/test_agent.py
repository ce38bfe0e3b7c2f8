"""The agent: one tick looks at everything, and no lie or silence of the hub stops it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from threading import Event

import pytest

from compliance.errors import NotReady
from compliance.records.types import time_text
from site_node.federation.agent import Agent, only_one
from site_node.gate.doctor import as_plain, examine
from site_node.gate.say import check_lines, journal_lines
from site_node.store import outbox
from site_node.wiring import Rooms
from tests.site_node.gate.world import CONSORTIUM, STUDY, World, key, public_of


class Quiet:
    """A supervisor that notes what it was told."""

    def __init__(self, stop: Event) -> None:
        self.told: list[str] = []
        self._stop = stop

    def start(self) -> None:
        """Started: the loop ends after its first tick."""
        self.told.append("start")
        self._stop.set()

    def stop(self) -> None:
        """Ended."""
        self.told.append("stop")

    @property
    def state(self) -> str:
        """Always well."""
        return "up"


@pytest.fixture
def rooms(world: World) -> Rooms:
    """A site with a launched study."""
    made = world.joined()
    world.launched(made)
    return made


@pytest.fixture
def said() -> list[str]:
    """What the agent told the person who looks on."""
    return []


@pytest.fixture
def agent(rooms: Rooms, said: list[str]) -> Agent:
    """An agent over a quiet supervisor."""
    return Agent(rooms=rooms, supervisor=Quiet(Event()), say=said.append)


def test_one_tick_mirrors_cosigns_registers_and_beats(
    world: World, rooms: Rooms, agent: Agent, said: list[str]
) -> None:
    """Everything that can be done is done, quietly."""
    world.hub.open_round()

    agent.tick()

    assert rooms.mirror.head(STUDY).size == 2  # type: ignore[union-attr]
    assert rooms.mirror.quorum(STUDY) is not None
    assert len(world.hub.datasets) == 1
    assert world.hub.heartbeats[0]["states"]["supernode"] == "up"
    assert said == []


def test_trouble_with_questions_stops_nothing_else(
    world: World, rooms: Rooms, agent: Agent, said: list[str]
) -> None:
    """An unreadable list of questions is said once, and the look goes on."""
    world.hub.questions = ["%%"]

    agent.tick()
    agent.tick()

    assert [line for line in said if "questions are unreadable" in line] == said
    assert len(said) == 1
    kinds = [line["kind"] for line in rooms.journal.lines()]
    assert kinds.count("trouble") == 1


def test_a_heartbeat_holds_codes_and_counts_only(world: World, agent: Agent) -> None:
    """No path, no title, no sentence reaches the hub with a sign of life."""
    agent.tick()

    beat = str(world.hub.heartbeats[0])
    assert str(world.home) not in beat
    assert "Hospital" not in beat


def test_signs_of_life_keep_their_rhythm(world: World, agent: Agent) -> None:
    """Not with every look: every fifteen seconds."""
    for _ in range(10):
        agent.tick()
        world.time.forward(seconds=3)

    assert len(world.hub.heartbeats) == 2


def test_a_full_disk_silences_the_site_and_does_not_end_it(
    world: World, rooms: Rooms, agent: Agent, said: list[str]
) -> None:
    """No line, no sign of life; it says so once, and with room again it goes on by itself."""
    tables = ("egress", "journal")
    _by_hand(
        world.home,
        *(
            f"CREATE TRIGGER full_{table} BEFORE INSERT ON {table} "
            "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
            for table in tables
        ),
    )
    beats = len(world.hub.heartbeats)
    agent.tick()
    agent.tick()
    assert len(world.hub.heartbeats) == beats
    assert len(said) == 1
    assert "disk is full" in said[0]

    _by_hand(world.home, *(f"DROP TRIGGER full_{table}" for table in tables))
    agent.tick()

    assert len(world.hub.heartbeats) == beats + 1
    assert rooms.egress.look().plain()["chain"]["holds"]


def _by_hand(home: Path, *statements: str) -> None:
    with sqlite3.connect(home / "site.sqlite") as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def test_a_resting_hub_is_told_once_and_coming_back_once(
    world: World, rooms: Rooms, agent: Agent, said: list[str]
) -> None:
    """One line when it goes, one when it is back, no storm in between."""
    world.hub.away = True
    for _ in range(5):
        agent.tick()
    world.hub.away = False
    world.hub.open_round()

    agent.tick()

    assert len(said) == 2
    assert rooms.mirror.head(STUDY).size == 2  # type: ignore[union-attr]


def test_an_alarm_is_said_once_and_shown_by_the_doctor(
    world: World, rooms: Rooms, agent: Agent, said: list[str]
) -> None:
    """The person is told what to do: stop, keep the machine, call the auditor."""
    world.hub.open_round()
    agent.tick()
    world.hub.log.entries.pop()
    for _ in range(3):
        agent.tick()

    rows = {row["code"]: row for row in as_plain(examine(rooms.patient))["checks"]}
    assert [line for line in said if "ALARM" in line] == said
    assert len(said) == 1
    assert "auditor" in rows["log_disagrees"]["fix"]


def test_an_alarm_reaches_the_hub_as_codes_with_the_sign_of_life(
    world: World, rooms: Rooms, agent: Agent
) -> None:
    """The log, the rule and the moment; no sentence, and the hospital itself keeps the evidence."""
    world.hub.open_round()
    agent.tick()
    assert world.hub.heartbeats[-1]["states"]["alarmed"] == []
    world.hub.log.entries.pop()
    agent.tick()
    world.time.forward(seconds=20)

    agent.tick()

    alarm = rooms.mirror.alarms()[0]
    told = world.hub.heartbeats[-1]["states"]["alarmed"]
    assert told == [{"log": STUDY, "rule": "checkpoint.old", "at": alarm.at}]
    assert alarm.finding not in str(world.hub.heartbeats)


@pytest.mark.parametrize("taken", [True, False])
def test_what_the_hub_took_and_the_log_does_not_show_after_an_hour_is_an_alarm(
    world: World, rooms: Rooms, agent: Agent, said: list[str], *, taken: bool
) -> None:
    """Said here, in the journal, and at the hub; what never reached the hub is no alarm."""
    order = world.hub.open_round()
    agent.tick()
    rooms.release.refuse(order, "site.failed")
    with rooms.store.begin() as session:
        rows = [row for row in outbox.of_study(session, STUDY) if row.index is None]
        for row in rows if taken else []:
            outbox.mark_delivered(session, row.text_sha256, time_text(world.time.now))
    world.time.forward(hours=2)
    for _ in range(3):
        agent.tick()
        world.time.forward(seconds=20)

    spoken = [line for line in said if "own.missing" in line]
    told = world.hub.heartbeats[-1]["states"]["alarmed"]
    alarms = [row for row in rooms.journal.lines() if row["kind"] == "alarm"]
    assert len(spoken) == len(alarms) == len(told) == (1 if taken else 0)
    if taken:
        assert "Call the auditor" in spoken[0]
        assert told == [{"log": STUDY, "rule": "own.missing", "at": None}]


def test_a_proposed_study_without_a_log_is_no_trouble(world: World) -> None:
    """Before the launch there is nothing to mirror and nothing to complain about."""
    rooms, said = world.joined(), list[str]()
    world.hub.propose(world.charter(rooms))

    Agent(rooms=rooms, supervisor=Quiet(Event()), say=said.append).tick()

    assert said == []
    assert rooms.mirror.heads() == []


def test_a_clock_that_is_behind_is_named_at_the_first_contact(world: World) -> None:
    """Nothing is mirrored yet, so nothing else would tell why nothing goes on."""
    rooms = world.joined(founded=False)
    world.hub.found()
    for motion in list(world.hub.motions):
        rooms.motions.sign(rooms.motions.find(motion), None, None)
    world.time.forward(minutes=-30)
    told: list[str] = []

    Agent(rooms=rooms, supervisor=Quiet(Event()), say=told.append).tick()

    assert any("ahead of this clock" in line and "NTP" in line for line in told), told
    assert rooms.mirror.head(CONSORTIUM) is None
    assert rooms.mirror.alarms() == []


def test_the_supernode_ends_with_the_agent(rooms: Rooms) -> None:
    """Told to stop, nothing is left running."""
    stop = Event()
    supervisor = Quiet(stop)

    Agent(rooms=rooms, supervisor=supervisor, say=print).run(stop)

    assert supervisor.told == ["start", "stop"]


def test_images_are_received_and_old_ones_deleted_while_the_hub_is_away(
    world: World, rooms: Rooms
) -> None:
    """A PACS sends at night, whether the hub rests or not; the receiver ends with the site."""
    stop, told = Event(), []

    class Door:
        """A receiver that notes what it was told; the loop ends after one look."""

        def tend(self, *, needed: bool) -> None:
            """Wanted or not."""
            told.append(needed)
            stop.set()

        def stop(self) -> None:
            """Ended."""
            told.append("stop")

    old = world.home / "quarantine" / ("0" * 64)
    old.parent.mkdir()
    old.write_bytes(b"left out")
    os.utime(old, (0, 0))
    world.hub.away = True
    agent = Agent(rooms=rooms, supervisor=Quiet(Event()), say=lambda _: None, receiver=Door())

    agent.run(stop)

    assert told == [True, "stop"]
    assert not old.exists()
    assert "quarantine.expired" in [line["kind"] for line in rooms.journal.lines()]


def test_the_steward_can_look_and_leave_while_the_hub_is_away(world: World, rooms: Rooms) -> None:
    """The console's door is opened before the hub is asked, and ends with the site."""
    stop, told = Event(), []

    class Desk:
        """A door that notes whether the hub was asked before it."""

        def tend(self, *, needed: bool) -> None:
            """Wanted or not."""
            told.append((needed, len(world.hub.heartbeats)))
            stop.set()

        def stop(self) -> None:
            """Ended."""
            told.append("stop")

    agent = Agent(rooms=rooms, supervisor=Quiet(Event()), say=lambda _: None, beside=[Desk()])

    agent.run(stop)

    assert told == [(True, 0), "stop"]


def test_a_home_is_served_once(tmp_path: Path) -> None:
    """A second `site serve` in the same home says so and ends."""
    twice = pytest.raises(NotReady, match="another process")
    with only_one(tmp_path), twice, only_one(tmp_path):
        pytest.fail("two processes served one home")
    with only_one(tmp_path):
        assert (tmp_path / "run" / "serve.lock").exists()


def test_a_healthy_site_is_well(world: World, rooms: Rooms) -> None:
    """Each row has a code; all are well."""
    (world.home / "datasets" / "chest").mkdir(parents=True)

    told = as_plain(examine(rooms.patient))

    assert told["well"], check_lines(told["checks"])


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        ("hub", "hub_away"),
        ("clock", "clock_skew"),
        ("folder", "folder_open"),
        ("data", "folder_missing"),
    ],
)
def test_each_fault_has_its_code_and_a_fix_that_deletes_nothing(
    world: World, rooms: Rooms, break_it: str, code: str
) -> None:
    """A permission problem never says "bad data"; no fix advises deleting."""
    if break_it != "data":
        (world.home / "datasets" / "chest").mkdir(parents=True)
    if break_it == "hub":
        world.hub.away = True
    if break_it == "folder":
        world.home.chmod(0o755)
    if break_it == "clock":
        shown = world.time.now
        world.hub.time = type(world.time)(shown.replace(minute=10))
    patient = rooms.patient

    told = as_plain(examine(patient))

    row = next(row for row in told["checks"] if row["code"] == code)
    assert not told["well"]
    assert row["fix"]
    assert "delete" not in row["fix"].lower()
    assert any(code in line for line in check_lines(told["checks"]))


def test_the_journal_prints_one_line_an_event(rooms: Rooms) -> None:
    """Time, kind, study, rule, details."""
    lines = journal_lines(rooms.journal.lines())

    assert any("charter.signed" in line for line in lines)
    assert journal_lines([]) == ["The journal is empty."]


def test_what_flowers_node_waits_for_is_said_once(rooms: Rooms, said: list[str]) -> None:
    """Restarted too soon, Flower turns it away for up to a minute: the technician reads why."""

    class Waiting(Quiet):
        """A SuperNode that was restarted a moment ago."""

        state = "waiting to be activated again (≤ 60 s)"  # type: ignore[assignment]

    supervisor = Waiting(Event())
    agent = Agent(rooms=rooms, supervisor=supervisor, say=said.append)

    agent.tick()
    agent.tick()
    Waiting.state = "up"  # type: ignore[assignment]
    agent.tick()

    assert said == [
        "Flower's node: waiting to be activated again (≤ 60 s).",
        "Flower's node: up.",
    ]


def test_a_heartbeat_names_every_log_with_size_and_root(
    world: World, rooms: Rooms, agent: Agent
) -> None:
    """Enough for a restored hub to see how far its hospitals have been: the consortium too."""
    agent.tick()

    told = world.hub.heartbeats[0]["states"]
    head = rooms.mirror.head(CONSORTIUM)
    assert told["logs"] == {STUDY: 1, CONSORTIUM: head.size}  # type: ignore[union-attr]
    assert told["roots"].keys() == told["logs"].keys()
    assert told["agreement"] == world.hub.consortium.state.agreement_id


def test_the_consortiums_log_is_looked_at_before_any_study(world: World, agent: Agent) -> None:
    """Who belongs and which studies there are is known before a study's log is read."""
    world.hub.asked.clear()

    agent.tick()

    looks = [line for line in world.hub.asked if line.endswith("/checkpoint")]
    assert looks[0] == f"GET /api/v1/logs/{CONSORTIUM}/checkpoint"
    assert f"GET /api/v1/logs/{STUDY}/checkpoint" in looks


def test_a_hospital_that_waits_for_admission_asks_for_no_study(world: World) -> None:
    """It mirrors the consortium's log, and neither registers data nor looks at studies."""
    rooms, said = world.joined(founded=False), list[str]()
    two = ("south.example", "west.example")
    rows = [{"name": name, **public_of(name), "country": "SE"} for name in two]
    quorum = {"k": 1, "witnesses": list(two)}
    world.hub.try_motion(world.hub.found(*two, members=rows, quorum=quorum, signatures_required=2))
    world.hub.asked.clear()

    Agent(rooms=rooms, supervisor=Quiet(Event()), say=said.append).tick()

    assert rooms.standing() == "waiting"
    assert "GET /api/v1/studies" not in world.hub.asked
    assert (world.hub.datasets, said) == ([], [])


def test_a_hospital_that_the_others_suspended_stops_its_worker(world: World) -> None:
    """By its own fold: no warm worker waits for orders that would be refused."""
    rooms = world.joined(founded=False)
    motion = world.hub.found("south.example", "west.example")
    rooms.motions.sign(rooms.motions.find(motion), None, None)
    world.launched(rooms)
    assert rooms.may_work()
    others = [key(f"{name}/institution") for name in ("south.example", "west.example")]
    world.hub.agreed("member.suspended", *others, site="north.example", reason="security")

    Agent(rooms=rooms, supervisor=Quiet(Event()), say=print).tick()

    assert not rooms.may_work()


def test_a_registration_that_came_too_late_is_made_again(world: World, rooms: Rooms) -> None:
    """A hub that was away for days refuses the old statement; a new one tells the same."""
    rooms.registrar.register_new()
    with rooms.store.begin() as session:
        for row in outbox.of_way(session, outbox.DATASETS):
            outbox.mark_refused(session, row.text_sha256, "time.order")

    world.time.forward(days=2)

    assert rooms.registrar.register_new() == 1
    assert rooms.registrar.register_new() == 0


def test_a_statement_that_the_hub_did_not_hear_waits(world: World, rooms: Rooms) -> None:
    """A request that the hub does not accept says nothing about the statement inside."""
    rooms.registrar.register_new()
    known = world.hub.members["north.example"]
    world.hub.members["north.example"] = known | {"node": key("another").verifier}
    rooms.statements.deliver(rooms.hub)
    assert (rooms.statements.waiting(), world.hub.datasets) == (1, [])

    world.hub.members["north.example"] = known
    rooms.statements.deliver(rooms.hub)

    assert (rooms.statements.waiting(), len(world.hub.datasets)) == (0, 1)
