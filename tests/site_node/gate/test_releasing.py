"""A hospital's own yes or no to a model: read here, signed here, and without it nothing leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from compliance.canonical import decode, encode, sha256_id
from compliance.errors import NotReady, Refused
from compliance.records.checks import read_checks
from compliance.records.envelope import parse_event
from compliance.records.releases import ReleaseApproved
from compliance.records.sealed import commitment
from compliance.signing.keys import NOTE, SigningKey
from compliance.signing.note import parse, verified
from site_node.gate.leaks import held_datasets
from site_node.gate.model_checks import told
from site_node.gate.model_page import answer_line, model_lines
from site_node.store import studies as documents
from site_node.store.predictions import keep_leak_test
from site_node.wiring import Rooms
from tests.house import NAMES, House
from tests.site_node.gate.world import STUDY, THEM, US, World, key

SECRET = "correct horse battery"


@pytest.fixture
def rooms(world: World) -> Rooms:
    """A signed study with one closed round; our key has a passphrase."""
    made = world.joined(passphrase=SECRET)
    world.hub.propose(world.charter(made))
    made.steward.approve(STUDY, SECRET, None)
    world.launch()
    made.witness.step(STUDY)
    world.close_round(made)
    return made


def agree(rooms: Rooms, **how: str) -> dict[str, object]:
    """Our steward agrees to the newest model."""
    return rooms.releasing.approve(STUDY, passphrase=SECRET, **how)


def them(world: World, kind: str, **body: str) -> None:
    """South says something about the newest model."""
    assert world.hub.log.state is not None
    told = {"model_sha256": world.hub.log.state.model_sha256, **body}
    world.hub.say(kind, told, by=key(f"{THEM}/institution"))


def test_the_page_says_what_would_leave(world: World, rooms: Rooms) -> None:
    """Model, rounds, own numbers with their counts, who agreed, what the charter allows."""
    world.close_round(rooms, 2)
    first = sha256_id(b"model 1")
    checks = sha256_id(b"checks of south")
    told = {"model_sha256": first, "form": "weights", "checks_sha256": checks}
    world.hub.say("release.approved", told, by=key(f"{THEM}/institution"))

    page = rooms.releasing.show(STUDY[:6], first[:20])

    assert (page["model_sha256"], page["round"], page["rounds_closed"]) == (first, 1, 2)
    assert page["numbers"][0]["values"]["auroc"] == {
        "value": "0.871", "low": "0.82", "high": "0.91", "n": 40, "positives": 20,
    }  # fmt: skip
    assert (page["agreed"], page["silent"], page["needed"]) == ([THEM], [US], 2)
    text = "\n".join(model_lines(page))
    for word in (first, "auroc 0.871 (n 40)", "weights after 2 hospitals", "not tested", THEM):
        assert word in text
    assert rooms.releasing.show(STUDY)["numbers"] == []
    assert "has measured nothing" in "\n".join(model_lines(rooms.releasing.show(STUDY)))


def test_a_yes_is_signed_with_the_hospitals_key_and_on_record(world: World, rooms: Rooms) -> None:
    """In the log under the institution's key; the own witness knows that it was said here."""
    told = agree(rooms)

    note = parse(world.hub.log.entries[-1])
    body = parse_event(note.text).body
    assert told["sent"]
    assert isinstance(body, ReleaseApproved)
    assert body.model_sha256 == sha256_id(b"model 1")
    assert verified(note, [rooms.keys.public.institution])
    assert rooms.witness.step(STUDY).outcome == "cosigned"
    assert "release.approved" in [row["kind"] for row in rooms.journal.lines()]
    assert "Agreed" in answer_line(told)


def test_the_check_report_stays_here_under_the_hash_that_the_log_names(
    world: World, rooms: Rooms
) -> None:
    """Facts of the own fold; what was not tested is said to be not tested; it is never sent."""
    told = agree(rooms)

    with rooms.store() as session:
        data = documents.find_document(session, str(told["checks_sha256"])) or b""
    body = parse_event(parse(world.hub.log.entries[-1]).text).body
    report = decode(data)
    assert sha256_id(data) == body.plain()["checks_sha256"]
    assert report["membership_test"] == "not_tested"
    assert (report["rounds_with_own_update"], report["newest"]) == ([1], True)
    sent = [row["data"]["sha256"] for row in rooms.journal.lines() if row["kind"] == "sent"]
    assert told["checks_sha256"] not in sent


def test_a_wrong_passphrase_or_other_characters_agree_to_nothing(
    world: World, rooms: Rooms
) -> None:
    """Whoever signs has looked at the model's hash and can open the hospital's key."""
    size = len(world.hub.log.entries)

    with pytest.raises(Refused, match="passphrase"):
        rooms.releasing.approve(STUDY, passphrase="wrong")
    with pytest.raises(Refused, match="nothing signed"):
        agree(rooms, confirmed="00000000")

    assert len(world.hub.log.entries) == size
    assert rooms.releasing.show(STUDY)["own_answer"] is None
    agree(rooms, confirmed=f" {rooms.releasing.show(STUDY)['type_to_confirm'].upper()} ")


def test_the_same_answer_is_given_once(world: World, rooms: Rooms) -> None:
    """The second time the command says so, and the log stays as it was."""
    agree(rooms)
    size = len(world.hub.log.entries)

    with pytest.raises(NotReady, match="already"):
        agree(rooms)

    assert len(world.hub.log.entries) == size


def test_an_objection_takes_back_a_yes_and_blocks_the_release(world: World, rooms: Rooms) -> None:
    """The reason is a word of the list; a hub that releases nevertheless is refused by the fold."""
    agree(rooms)
    them(world, "release.approved", form="weights", checks_sha256=sha256_id(b"c"))
    world.time.forward(seconds=5)
    with pytest.raises(NotReady, match="leak_test, small_cells"):
        rooms.releasing.refuse(STUDY, None, "Mrs Miller objected", SECRET)

    told = rooms.releasing.refuse(STUDY, None, "performance", SECRET)

    assert told["sent"]
    assert "Objected" in answer_line(told)
    page = rooms.releasing.show(STUDY)
    assert (page["own_answer"], page["refused"], page["agreed"]) == ("objected", [US], [THEM])
    with pytest.raises(Refused) as caught:
        world.hub.say("model.released", release())
    assert caught.value.rule == "release.refused"


def release() -> dict[str, object]:
    """What a hub says to release the model of round 1."""
    return {
        "model_sha256": sha256_id(b"model 1"),
        "form": "weights",
        "card_sha256": sha256_id(b"card"),
        "on_behalf": None,
    }


def test_a_hub_that_releases_with_one_yes_too_few_gets_no_cosignature(
    world: World, rooms: Rooms
) -> None:
    """Its own fold says no; when it lies and appends it, the hospital's witness sees it."""
    agree(rooms)
    rooms.witness.step(STUDY)
    with pytest.raises(Refused) as caught:
        world.hub.say("model.released", release())
    assert caught.value.rule == "release.approvals"

    world.hub.log.take(world.hub.note("model.released", release()), unchecked=True)
    step = rooms.witness.step(STUDY)

    assert (step.outcome, step.rule) == ("alarm", "release.approvals")
    assert world.hub.log.lines == []
    with pytest.raises(Refused, match="not believed"):
        rooms.releasing.show(STUDY)


def test_before_the_first_closed_round_there_is_nothing_to_agree_to(world: World) -> None:
    """No model, no signature."""
    rooms = world.joined()
    world.launched(rooms)

    with pytest.raises(NotReady, match="no round of this study is closed"):
        rooms.releasing.approve(STUDY)


def test_while_a_round_is_open_the_model_must_be_named(world: World, rooms: Rooms) -> None:
    """A yes to "the newest" could mean another model a minute later."""
    world.hub.open_round(2)

    with pytest.raises(NotReady, match="--model"):
        agree(rooms)

    assert agree(rooms, model=sha256_id(b"model 1"))["sent"]


@pytest.mark.parametrize("model", [sha256_id(b"start"), sha256_id(b"other"), "sha256:", "abc"])
def test_a_model_that_no_closed_round_made_gets_no_yes(rooms: Rooms, model: str) -> None:
    """Not the start model, not a stranger's, not one named by too few characters."""
    with pytest.raises(Refused) as caught:
        agree(rooms, model=model)

    assert caught.value.rule == "release.model"


def test_a_hospital_that_left_has_no_say(rooms: Rooms) -> None:
    """After the withdrawal the command says why it signs nothing."""
    rooms.steward.withdraw(STUDY, "consent")

    with pytest.raises(Refused) as caught:
        agree(rooms)

    assert caught.value.rule == "site.unsigned"


def test_a_count_below_the_own_floor_is_objected_to(world: World) -> None:
    """A floor that was raised meanwhile counts: the page and the refusal name the count."""
    rooms = world.joined()
    world.launched(rooms)
    world.close_round(rooms, 1)
    world.close_round(rooms, 2, n=12)
    stricter = world.rooms(min_cell=30)

    with pytest.raises(Refused, match="small_cells") as caught:
        stricter.releasing.approve(STUDY, sha256_id(b"model 1"))

    assert (caught.value.rule, caught.value.found) == ("site.floor", 6)
    assert stricter.releasing.refuse(STUDY, sha256_id(b"model 1"), "small_cells", None)["sent"]


def test_a_charter_that_lets_no_weights_out_needs_no_yes(world: World) -> None:
    """The own fold answers before the key is opened."""
    rooms = world.joined()
    world.launched(rooms, release={"outputs": ["metrics_only"], "k": 2, "veto": True})
    world.close_round(rooms)

    with pytest.raises(Refused) as caught:
        rooms.releasing.approve(STUDY)

    assert caught.value.rule == "release.output"


def test_a_yes_waits_for_a_hub_that_rests(world: World, rooms: Rooms) -> None:
    """Signed over the own mirror, kept, handed over when the hub answers again."""
    rooms.witness.step(STUDY)
    size = len(world.hub.log.entries)
    world.hub.away = True
    told = agree(rooms)
    assert (told["sent"], "kept until" in answer_line(told)) == (False, True)

    world.hub.away = False
    rooms.steward.keep_word()

    assert len(world.hub.log.entries) == size + 1


def test_a_hub_that_refuses_the_yes_is_quoted(world: World, rooms: Rooms) -> None:
    """A key that was replaced meanwhile: the rule is told; the answer does not count as given."""
    rooms.witness.step(STUDY)
    institution = rooms.keys.institution(SECRET)
    fresh = str(SigningKey(institution.name, NOTE, bytes(range(32))).verifier)
    body = {"name": institution.name, "vkey": fresh, "reason": "planned"}
    world.hub.say("key.rotated", body, by=institution)
    rooms.releasing._look = lambda _: None  # the mirror lags behind

    with pytest.raises(Refused, match="hub refused"):
        agree(rooms)

    assert rooms.releasing.show(STUDY)["own_answer"] is None


def test_two_hospitals_agree_and_the_model_leaves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way with the real hub: two signatures, one release, two witnesses, one file."""
    house = House(tmp_path, capsys)
    house.launch()
    model = house.close_round()
    with pytest.raises(Refused, match="0 of 2"):
        house.hub.exports.model_file(house.study)

    for rooms in house.sites.values():
        assert rooms.releasing.approve(house.study)["sent"]
    told = house.hub.releases.release(house.study)

    house.time.forward(seconds=6)
    assert house.look() == ["cosigned", "cosigned"]
    assert (told["model_sha256"], told["agreed"]) == (model, list(NAMES))
    assert house.hub.exports.model_file(house.study)[0]
    north = house.sites["north.example"]
    assert "released already" in "\n".join(model_lines(north.releasing.show(house.study)))


TESTED = {
    "outcome": "tested",
    "leaks": False,
    "least": 100,
    "classes": [
        {"class": "normal", "members": 40, "others": 12, "auc": None, "tpr": None},
        {
            "class": "pneumonia",
            "members": 160,
            "others": 104,
            "auc": {"value": "0.531", "low": "0.46", "high": "0.602"},
            "tpr": {"value": "0.02", "low": "0.006", "high": "0.055"},
        },
    ],
}


def tested(rooms: Rooms, **changes: object) -> None:
    """Our membership test of the newest model is done and kept."""
    found = rooms.releasing.candidate(STUDY)
    (held,) = held_datasets(found.state, US)
    with rooms.store.begin() as session:
        keep_leak_test(session, found.model, held.version, encode({**TESTED, **changes}))


def test_the_leak_test_goes_sealed_with_a_yes_and_no_count_of_it(
    world: World, rooms: Rooms
) -> None:
    """The log has its hash alone; the hub has interval and hashes, nobody's number of patients."""
    tested(rooms)
    agree(rooms)

    (index, salt, payload), *more = world.hub.details
    event = parse_event(parse(world.hub.log.entries[index]).text)
    told = read_checks(payload)
    assert more == []
    assert event.type == "release.approved"
    assert event.sealed == commitment(bytes.fromhex(salt), payload)
    assert (told.leak, [row.name for row in told.classes]) == ("no_leak_found", ["pneumonia"])
    assert told.classes[0].auc.high == "0.602"
    for number in (b"160", b"104", b'"members"', b'"others"'):
        assert number not in encode(payload)
    assert world.hub.log.entries[index].count(b"0.531") == 0


def test_in_a_study_with_noise_nothing_of_training_cases_is_told() -> None:
    """No epsilon covers a value that was computed on them; the steward reads it here."""
    checks = {
        "membership_test": "leak_test",
        "leak_tests": [TESTED],
        "floor_holds": True,
        **dict.fromkeys(
            ("model_sha256", "layout_sha256", "label_map_sha256", "preprocessing_sha256"),
            sha256_id(b"x"),
        ),
    }

    assert (told(checks, noise=True)["leak"], told(checks, noise=True)["classes"]) == (
        "kept_here", [],
    )  # fmt: skip
    assert told(checks, noise=False)["leak"] == "leak_test"


def test_a_sealed_part_reaches_the_hub_when_it_answers_again(world: World, rooms: Rooms) -> None:
    """The statement is taken, the hub dies before the detail: both come once, at one place."""
    world.hub.drop_details = 1
    assert agree(rooms)["sent"] is False
    size = len(world.hub.log.entries)

    assert rooms.statements.deliver(rooms.hub) == 1

    assert len(world.hub.log.entries) == size
    assert [index for index, _, _ in world.hub.details] == [size - 1]


def test_an_objection_tells_nothing_of_the_checks(world: World, rooms: Rooms) -> None:
    """Its reason is the statement."""
    tested(rooms, leaks=True)
    rooms.releasing.refuse(STUDY, None, "leak_test", SECRET)

    assert world.hub.details == []
    assert parse_event(parse(world.hub.log.entries[-1]).text).sealed is None


def test_the_page_says_what_a_yes_tells(rooms: Rooms) -> None:
    """Before it is signed."""
    line = next(
        row for row in model_lines(rooms.releasing.show(STUDY)) if row.startswith("Told with a yes")
    )

    assert "leak test by class, no count" in line
