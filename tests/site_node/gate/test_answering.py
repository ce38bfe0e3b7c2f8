"""Answering: the consortium asks how many, and whatever the hub does, only told cells leave."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from compliance.command import main
from compliance.errors import Malformed, NotReady, Refused
from compliance.records.counts import COUNTS, CountsAnswered
from compliance.records.envelope import parse_event
from compliance.rules.counts import MOST_A_DAY
from compliance.signing.keys import SigningKey
from compliance.signing.note import parse, seal
from hub.storage import counts as table
from site_node.federation.agent import Agent
from site_node.gate.answering import MOST_OF_ALL
from site_node.gate.hub_client import HubClient
from site_node.policy import FILE as POLICY
from site_node.store import questions as seen
from site_node.wiring import Rooms
from tests.asked import (
    AGES,
    CELLS,
    NORTH,
    SEXES,
    SOUTH,
    ask,
    asked_by,
    fill,
    kinds,
    people,
    plant,
    question,
    researcher,
    say_yes,
    told,
)
from tests.guards import Guard, take_away
from tests.house import House

STRANGER = SigningKey("hub.example/r-2", 1, b"9" * 32)


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """Hub, two hospitals that answer, and a researcher."""
    made = House(tmp_path, capsys)
    people(made)
    for rooms in made.sites.values():
        say_yes(rooms)
        fill(rooms, dict.fromkeys(CELLS, 12))
    return made


@pytest.fixture
def north(house: House) -> Rooms:
    """The hospital that is watched."""
    return house.sites[NORTH]


def test_a_question_goes_to_the_hospitals_and_its_answers_come_back(
    house: House, north: Rooms
) -> None:
    """Asked at the hub, counted at home by told cells, shown per hospital and as one sum."""
    name = ask(house, body_part="chest", sex="female")

    assert [rooms.answering.look() for rooms in house.sites.values()] == [1, 1]

    shown = house.hub.counts.one(name)
    assert [row["state"] for row in shown["hospitals"]] == ["told", "told"]
    assert told(house, name)["datasets"] == [{"dataset": "chest", "patients": 40}]
    assert (told(house, name)["floor"], shown["told"]) == (5, 80)
    assert kinds(north) == ["counted"]


def test_none_and_too_few_patients_look_the_same_to_the_consortium(
    house: House, north: Rooms
) -> None:
    """Four patients and nobody: the answers differ in nothing but their own names."""
    fill(north, {CELLS[0]: 4, CELLS[7]: 40})
    few = ask(house, age="60-69")
    north.answering.look()
    fill(house.sites[SOUTH], {CELLS[7]: 40})
    house.sites[SOUTH].answering.look()

    one, other = told(house, few), told(house, few, SOUTH)
    assert len(one.pop("note_base64")) == len(other.pop("note_base64"))
    assert one | {"site": ""} == other | {"site": ""}
    assert (one["state"], one["datasets"]) == ("few", [{"dataset": "chest", "patients": None}])
    assert house.hub.counts.one(few)["told"] == 0


def test_two_questions_that_differ_in_one_word_subtract_to_told_cells(
    house: House, north: Rooms
) -> None:
    """Whatever is asked and subtracted, what remains is a sum of cells that were told anyway."""
    fill(north, {cell: 3 + 4 * n for n, cell in enumerate(CELLS)})
    words = itertools.product((None, *AGES), (None, *SEXES))
    asked = {pair: ask(house, age=pair[0], sex=pair[1]) for pair in words}
    north.answering.look()

    grid = [told for told in north.counts.grid("chest").values()]
    sums = {sum(part) for n in range(len(grid) + 1) for part in itertools.combinations(grid, n)}
    found = [told(house, name)["datasets"][0]["patients"] or 0 for name in asked.values()]
    assert {abs(one - two) for one in found for two in found} <= sums


def test_a_hospital_that_decided_nothing_tells_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Off until somebody there says yes: the asker sees that it declines, and no number."""
    made = House(tmp_path, capsys)
    people(made)
    ward = fill(made.sites[NORTH], dict.fromkeys(CELLS, 12))
    name = ask(made)

    made.sites[NORTH].answering.look()

    assert told(made, name)["state"] == "declined"
    assert kinds(made.sites[NORTH]) == ["counts.declined"]
    assert ward.exact
    with made.sites[NORTH].store() as session:
        assert seen.newest_questions(session, 9)[0].told is None


@pytest.mark.parametrize("policy", ["answer_counts: no\n", "answer_counts: maybe\n"])
def test_a_no_of_the_policy_counts_at_once(house: House, north: Rooms, policy: str) -> None:
    """The node is running already; a file that cannot be used says no as well."""
    (north.settings.home / POLICY).write_text(policy)
    name = ask(house)

    north.answering.look()

    assert told(house, name)["state"] == "declined"


def test_the_floor_is_the_hospitals_own_and_never_below_the_agreed_one(
    house: House, north: Rooms
) -> None:
    """North rounds by 20, south by the consortium's 5 although its own floor is 1."""
    say_yes(north, min_cell=20)
    say_yes(house.sites[SOUTH], min_cell=1)
    name = ask(house)
    for rooms in house.sites.values():
        fill(rooms, {CELLS[0]: 39})
        rooms.answering.look()

    assert [(told(house, name, site)["floor"], house_told(house, name, site)) for site in
            (NORTH, SOUTH)] == [(20, 20), (5, 35)]  # fmt: skip


def house_told(house: House, name: str, site: str) -> int | None:
    """The number of a hospital with one dataset."""
    found = told(house, name, site)["datasets"][0]["patients"]
    return None if found is None else int(found)


@pytest.mark.parametrize("word", ["floor", "min_cell", "note"])
def test_a_hub_that_adds_a_word_is_refused(house: House, north: Rooms, word: str) -> None:
    """A question has no word for a floor, and none for free text: added ones break the form."""
    note = asked_by(house, researcher(house), sex="female")
    longer = parse(note).text.replace(b'"sex":"female"', f'"sex":"female","{word}":1'.encode())
    plant(house, seal(longer, researcher(house)))

    assert north.answering.look() == 0
    assert kinds(north) == ["counts.refused"]
    assert north.journal.lines()[-1]["rule"] == "event.form"


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("label", "Mrs Müller, born 1950"),
        ("age", "67 years"),
        ("modality", "cr or ct"),
        ("body_part", "the chest of Smith"),
    ],
)
def test_free_text_is_refused_on_both_sides(
    house: House, north: Rooms, field: str, words: str
) -> None:
    """The hub takes no such question; a hospital that gets one keeps its hash and a rule."""
    with pytest.raises(Malformed) as caught:
        ask(house, **{field: words})
    assert words not in str(caught.value)

    ask(house)
    text = question(house, {})
    forged = text.replace(f'"{field}":null'.encode(), f'"{field}":"{words}"'.encode())
    plant(house, seal(forged, researcher(house)))
    north.answering.look()

    assert kinds(north) == ["counted", "counts.refused"]
    assert words not in str(north.journal.lines())


def test_a_question_that_nobody_signed_gets_no_answer_and_is_journalled_once(
    house: House, north: Rooms
) -> None:
    """A hub invents questions: without a signature, by a stranger's key, for another consortium."""
    ask(house)
    north.answering.look()
    before = north.egress.look().size
    plant(house, question(house, {}))
    plant(house, asked_by(house, STRANGER))
    plant(house, seal(question(house, {}, log="sha256:" + "0" * 64), researcher(house)))
    plant(house, seal(question(house, {}, actor="hub.example/r-9"), STRANGER))
    plant(house, seal(question(house, {}), researcher(house), house.hub.keys.events))

    for _ in range(3):
        assert north.answering.look() == 0

    assert kinds(north) == ["counted"] + 5 * ["counts.refused"]
    assert north.egress.look().size == before
    rules = [line["rule"] for line in north.journal.lines()[-5:]]
    assert sorted(map(str, rules)) == [
        *("event.log", "event.signer", "member.known", "note.form", "note.form")
    ]


def test_a_hospital_that_believes_no_log_answers_nobody(house: House, north: Rooms) -> None:
    """With an alarm about the consortium's log it does not know who belongs."""
    ask(house)
    north.mirror.raise_alarm("consortium", "checkpoint.proof", "it did not only grow", b"", {})

    assert north.answering.look() == 0
    assert kinds(north) == []


def test_a_question_sent_again_gets_the_same_bytes_and_no_second_line(
    house: House, north: Rooms
) -> None:
    """The hub forgets the answer and asks at every look; new patients have come meanwhile."""
    name = ask(house)
    north.answering.look()
    first = forgotten(house, name)
    fill(north, dict.fromkeys(CELLS, 500))
    left = north.egress.look().size

    for _ in range(30):
        house.time.forward(minutes=1)
        north.answering.look()
    assert (kinds(north), north.egress.look().size) == (["counted"], left)

    house.time.forward(minutes=40)
    north.answering.look()
    assert forgotten(house, name) == first
    assert kinds(north) == ["counted"]


def forgotten(house: House, name: str) -> bytes:
    """The answer of north at the hub, which loses it."""
    with house.hub.database.transaction() as session:
        row = table.find_answer(session, name, NORTH)
        assert row is not None
        session.delete(row)
        return bytes(row.note)


def test_asking_anew_gives_the_same_numbers(house: House, north: Rooms) -> None:
    """Four more patients in a cell: a new question of the same words learns nothing of them."""
    ward = fill(north, {CELLS[0]: 12})
    first = ask(house)
    north.answering.look()
    ward.exact[CELLS[0]] = 16
    second = ask(house)
    north.answering.look()

    assert told(house, first)["datasets"] == told(house, second)["datasets"]


def test_a_thousand_questions_are_bounded_by_the_day(house: House, north: Rooms) -> None:
    """A hub that skips its own limit: the hospital answers so many of one asker, and says it."""
    ask(house)
    plant(house, *(asked_by(house, researcher(house)) for _ in range(1000)))

    answered = [north.answering.look() for _ in range(3)]

    assert answered == [MOST_A_DAY, 0, 0]
    assert kinds(north) == MOST_A_DAY * ["counted"] + ["counts.full"]
    house.time.forward(hours=25)
    assert north.answering.look() == MOST_A_DAY
    assert MOST_A_DAY < MOST_OF_ALL


def test_junk_of_the_hub_leaves_a_day_for_those_who_ask(house: House, north: Rooms) -> None:
    """Bytes that nobody signed fill their own share of the day and no more."""
    plant(house, *(f"junk {n}".encode() for n in range(60)))
    name = ask(house)

    north.answering.look()

    assert told(house, name)["state"] == "told"
    assert kinds(north).count("counts.refused") == MOST_A_DAY


def test_an_asker_who_has_old_gets_no_answer(house: House, north: Rooms) -> None:
    """The person was erased at the hub: the key is silent in the log, open questions end."""
    ask(house)
    house.hub.people.forget("celine", "1")
    house.time.forward(seconds=6)
    north.look_at_consortium()

    assert north.answering.look() == 0
    assert north.journal.lines()[-1]["rule"] == "member.known"


def test_a_question_ends_after_seven_days(house: House, north: Rooms) -> None:
    """A hub that keeps an old question open: the hospital reads its time."""
    ask(house)
    note = asked_by(house, researcher(house), sex="male")
    house.time.forward(days=8)
    plant(house, note)

    assert north.answering.look() == 0
    assert north.journal.lines()[-1]["rule"] == "counts.old"


def test_a_dataset_that_is_not_registered_is_not_told(house: House, north: Rooms) -> None:
    """Imported, and not laid open to the consortium: no answer names it."""
    ward = fill(north, dict.fromkeys(CELLS, 12))
    here = ward.get("chest")
    other = type(here)(**vars(here) | {"name": "private"})
    ward.datasets = lambda: [here, other]  # type: ignore[method-assign]
    name = ask(house)

    north.answering.look()

    assert [row["dataset"] for row in told(house, name)["datasets"]] == ["chest"]


def test_an_answer_waits_for_a_hub_that_is_away(
    house: House, north: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is kept before it leaves, and sent when the hub takes it."""

    def away(*_: Any, **__: Any) -> None:
        raise NotReady("the hub rests.", "Try again later.")

    name = ask(house)
    with monkeypatch.context() as patch:
        patch.setattr(HubClient, "answer_question", away)
        assert north.answering.look() == 0
    assert told(house, name)["state"] == "waiting"
    house.time.forward(minutes=2)

    assert north.answering.look() == 1
    assert told(house, name)["state"] == "told"
    assert kinds(north) == ["counted"]


def test_the_hub_refuses_an_answer_and_the_hospital_keeps_its_rule(
    house: House, north: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steward sees that the hub did not take it; it is not said over and over."""
    ask(house)

    def no(*_: Any, **__: Any) -> None:
        raise Refused("counts.floor", 5, 9)

    monkeypatch.setattr(HubClient, "answer_question", no)
    for _ in range(3):
        assert north.answering.look() == 0
        house.time.forward(hours=2)

    row = north.answering.asked()[0]
    assert (row.rule, row.taken is not None) == ("counts.floor", True)
    assert [line["kind"] for line in north.journal.lines()].count("refused.by.hub") == 1


def test_what_leaves_is_in_the_egress_ledger_and_names_numbers_only(
    house: House, north: Rooms
) -> None:
    """One body by the way of answers; inside are a hash, a floor, a dataset and a number."""
    name = ask(house)
    north.answering.look()

    lines = [row for row in north.egress.look().lines if row["purpose"] == "counts.answer"]
    with house.hub.database.reading() as session:
        answer = table.find_answer(session, name, NORTH)
    assert answer is not None
    event = parse_event(parse(answer.note).text, kinds=COUNTS)
    assert [row["bytes"] for row in lines] == [len(answer.note)]
    assert event.actor == f"{NORTH}/node"
    assert event.body == CountsAnswered.model_validate(
        {"question": name, "floor": 5, "told": [{"dataset": "chest", "patients": 80}]}
    )


def test_the_steward_sees_who_asked_what_and_what_was_told(
    house: House, north: Rooms, capsys: pytest.CaptureFixture[str]
) -> None:
    """One list at the hospital: the asker's key, the words, the number; and what was refused."""
    fill(north, {CELLS[0]: 12})
    ask(house, sex="female")
    ask(house, sex="male")
    plant(house, asked_by(house, STRANGER))
    north.answering.look()
    capsys.readouterr()

    assert main(["site", "counts", "--asked", "--home", str(north.settings.home)]) == 0
    out = capsys.readouterr().out

    assert f"{researcher(house).name} asked: sex female" in out
    assert "10 patients" in out
    assert "fewer than the floor, or none" in out
    assert "not answered (note.form)" in out
    assert "This hospital answers questions how many" in out
    home = str(house.sites[SOUTH].settings.home)
    assert main(["site", "counts", "--asked", "--home", home, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"answers": True, "questions": []}


class Quiet:
    """A supervisor with nothing to do."""

    state = "up"

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to end."""


def test_the_agent_answers_in_its_loop(house: House, north: Rooms) -> None:
    """One tick fetches, answers and sends."""
    name = ask(house)

    Agent(rooms=north, supervisor=Quiet(), say=print).tick()

    assert told(house, name)["state"] == "told"


def _unsigned(house: House, north: Rooms) -> None:
    plant(house, asked_by(house, STRANGER))
    assert north.answering.look() == 0


def _old(house: House, north: Rooms) -> None:
    north.answering.look()
    note = asked_by(house, researcher(house), sex="male")
    house.time.forward(days=8)
    plant(house, note)
    assert north.answering.look() == 0


def _loop(house: House, north: Rooms) -> None:
    plant(house, *(asked_by(house, researcher(house)) for _ in range(40)))
    assert north.answering.look() == MOST_A_DAY


def _again(house: House, north: Rooms) -> None:
    name = house.hub.counts.all()[0]["question"]
    north.answering.look()
    forgotten(house, name)
    assert north.answering.look() == 0


def _unasked(house: House, north: Rooms) -> None:
    (north.settings.home / POLICY).write_text("answer_counts: no\n")
    north.answering.look()
    assert kinds(north) == ["counts.declined"]


HERE, RULES = "site_node.gate.answering:Answering", "compliance.rules.counts"


@pytest.mark.parametrize(
    ("attack", "guard"),
    [
        (_unsigned, Guard(f"{RULES}:_spoken", "if denied is not None")),
        (_old, Guard(f"{RULES}:judge_question", "if said.moment <")),
        (_loop, Guard(f"{HERE}._judge", "if known is None and self._full(")),
        (_again, Guard(f"{HERE}._send", "if row.answer is None or")),
        (_unasked, Guard(f"{HERE}._answer", "if not settings.answer_counts or")),
    ],
)
def test_an_attack_succeeds_without_its_guard(
    house: House, north: Rooms, monkeypatch: pytest.MonkeyPatch, attack: Any, guard: Guard
) -> None:
    """With the guard the hub learns nothing more; without it the very same attack does."""
    if attack is not _loop:
        ask(house)
    if attack is _unsigned:
        north.answering.look()
    take_away(monkeypatch, guard)

    with pytest.raises(AssertionError):
        attack(house, north)
