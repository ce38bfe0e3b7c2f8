"""Texts that wait for signatures: only keys that may decide, only the text that was shown."""

from __future__ import annotations

import base64

import pytest

from compliance.errors import ConsiliumError, Malformed, NotReady, Refused
from compliance.records.envelope import parse_event, write_event
from compliance.signing.keys import SigningKey
from compliance.signing.note import parse
from tests import factories as make
from tests.hub.house import NAMES, House, key_of

EAST, NORTH, SOUTH = NAMES
WEST = "west.example"
LOG = "consortium"
REASON = {"site": EAST, "reason": "security"}


@pytest.fixture
def founded(house: House) -> House:
    """Three members; two of them decide."""
    house.join(*NAMES)
    return house


def text_of(motion: dict) -> bytes:
    """The text that waits."""
    return base64.b64decode(motion["text_base64"])


def test_a_text_becomes_an_entry_with_enough_signatures(founded):
    """Not before, and with exactly the lines that were given."""
    motion = founded.motion("member.suspended", REASON, NORTH)
    assert (motion["state"], motion["wanting"]) == ("open", [f"{SOUTH}/institution"])
    assert founded.rooms.ledger.consortium().active_members() == list(NAMES)

    told = founded.sign_motion(motion["id"], SOUTH)

    entry = founded.rooms.ledger.entries(LOG, told["index"])[0]
    assert [line.name for line in parse(entry).lines] == [
        f"{NORTH}/institution", f"{SOUTH}/institution",
    ]  # fmt: skip
    assert parse(entry).text == text_of(motion)
    assert founded.rooms.ledger.consortium().active_members() == [NORTH, SOUTH]


def test_one_hospital_is_one_voice(founded):
    """The same hospital twice is still one signature."""
    motion = founded.motion("member.suspended", REASON, NORTH)

    told = founded.sign_motion(motion["id"], NORTH)

    assert (told["state"], len(told["signatures"])) == ("open", 1)


def test_who_may_not_decide_leaves_no_signature(founded):
    """The one it is about, a stranger, a node key, a false key of the right name."""
    motion = founded.motion("member.suspended", REASON, NORTH)
    text = text_of(motion)
    names = (f"{EAST}/institution", f"{WEST}/institution", f"{SOUTH}/node", make.EVENTS)
    lines = [key_of(name).line(text) for name in names]
    lines.append(make.key(f"{SOUTH}/institution", generation=1).line(text))
    lines.append(key_of(f"{SOUTH}/institution").line(b"another text\n"))

    for line in lines:
        with pytest.raises(Refused) as refusal:
            founded.rooms.motions.sign(motion["id"], line)
        assert refusal.value.rule == "event.signer"

    assert len(founded.rooms.motions.get(motion["id"])["signatures"]) == 1


def test_a_text_without_a_good_first_signature_is_not_kept(founded):
    """Nobody fills the list with texts that nobody stands for."""
    ledger, name = founded.rooms.ledger, f"{NORTH}/institution"
    text = ledger.draft(LOG, "member.suspended", REASON, name)
    false = SigningKey(name, key_of(name).verifier.kind, bytes(32))

    for line in (false.line(text), key_of(f"{WEST}/institution").line(text), "nonsense"):
        with pytest.raises(ConsiliumError):
            founded.rooms.motions.propose(LOG, text, line)

    assert founded.rooms.motions.waiting() == 0


def test_a_text_that_no_signature_could_save_is_not_kept(founded):
    """Already a member, another log, a kind that waits for nobody: said at once."""
    ledger, name = founded.rooms.ledger, f"{NORTH}/institution"
    key = key_of(name)
    twice = ledger.draft(LOG, "member.admitted", make.admission(SOUTH), name)
    elsewhere = ledger.draft(LOG, "member.suspended", REASON, name).replace(
        founded.agreement_id.encode(), make.sha("another").encode()
    )
    single = ledger.draft(LOG, "study.refused", {"charter": make.sha("c"), "reason": "data"}, name)

    for text, kind in ((twice, Refused), (elsewhere, Refused), (single, Malformed)):
        with pytest.raises(kind):
            founded.rooms.motions.propose(LOG, text, key.line(text))

    assert founded.rooms.motions.waiting() == 0


def test_nobody_but_the_hub_writes_the_agreement(founded):
    """A hospital's own agreement would be a second consortium under this roof."""
    text = write_event("agreement", make.agreement(NAMES), time=founded.time.text())

    with pytest.raises(Refused, match="hub found"):
        founded.rooms.motions.propose(LOG, text, key_of(f"{NORTH}/institution").line(text))


def test_a_changed_word_is_a_new_text(founded):
    """Signatures of the one do not count for the other."""
    first = founded.motion("member.suspended", REASON, NORTH)
    founded.time.forward(seconds=1)
    second = founded.motion("member.suspended", REASON | {"reason": "policy"}, NORTH)
    line = key_of(f"{SOUTH}/institution").line(text_of(first))

    with pytest.raises(Refused):
        founded.rooms.motions.sign(second["id"], line)

    assert first["id"] != second["id"]
    assert len(founded.rooms.motions.get(second["id"])["signatures"]) == 1


def test_a_text_waits_thirty_days_and_no_longer(founded):
    """What was signed a month ago is asked again."""
    motion = founded.motion("member.suspended", REASON, NORTH)
    founded.time.forward(days=30, seconds=1)

    with pytest.raises(NotReady, match="expired"):
        founded.sign_motion(motion["id"], SOUTH)

    told = founded.rooms.motions.get(motion["id"])
    assert (told["state"], told["wanting"]) == ("expired", [])
    assert founded.rooms.motions.waiting() == 0


def test_a_signature_of_one_who_was_suspended_since_counts_no_more(house):
    """Four members, three decide: the signature of one that was shut out is left away."""
    names = (*NAMES, WEST)
    house.join(*names)
    motion = house.motion("member.suspended", {"site": EAST, "reason": "policy"}, WEST)
    house.suspend(WEST)

    told = house.sign_motion(motion["id"], NORTH, SOUTH)

    assert told["state"] == "open"
    assert EAST in house.rooms.ledger.consortium().active_members()


def test_a_motion_that_the_log_overtook_is_refused_by_name(founded):
    """Two amendments of one agreement: the second one is about a version that is gone."""
    state = founded.rooms.ledger.consortium()
    bodies = [
        {"agreement": state.agreement.plain() | {"title": title}, "previous": state.version_id}
        for title in ("First", "Second")
    ]
    first, second = (founded.motion("agreement.amended", body, NORTH) for body in bodies)
    founded.sign_motion(first["id"], SOUTH)

    with pytest.raises(Refused) as refusal:
        founded.sign_motion(second["id"], SOUTH)

    assert refusal.value.rule == "amend.previous"
    told = founded.rooms.motions.get(second["id"])
    assert (told["state"], told["rule"]) == ("refused", "amend.previous")
    assert founded.rooms.ledger.consortium().agreement.title == "First"


def test_a_signature_after_the_end_changes_nothing(founded):
    """The late third signature gets the same answer, and the entry stays as it is."""
    state = founded.rooms.ledger.consortium()
    body = {"agreement": state.agreement.plain() | {"title": "New"}, "previous": state.version_id}
    motion = founded.motion("agreement.amended", body, NORTH)
    carried = founded.sign_motion(motion["id"], SOUTH)
    size = founded.rooms.ledger.size(LOG)

    told = founded.sign_motion(motion["id"], EAST)

    assert (told["state"], told["index"]) == ("carried", carried["index"])
    assert founded.rooms.ledger.size(LOG) == size


# ------------------------------------------------------------------------------- texts of studies


@pytest.fixture
def running(house: House) -> House:
    """A study of three hospitals runs."""
    house.launched()
    return house


def test_a_stopped_study_goes_on_when_all_have_signed(running):
    """Each active hospital lifts the stop; the last signature carries it."""
    stop = running.rooms.ledger.submit(running.study, running.say()).index
    motion = running.motion("study.resumed", {"stopped": stop}, EAST, log=running.study)
    running.sign_motion(motion["id"], NORTH)
    assert running.rooms.ledger.state(running.study).stopped == stop

    told = running.sign_motion(motion["id"], SOUTH)

    assert told["state"] == "carried"
    assert running.rooms.ledger.state(running.study).stopped is None


def test_a_charter_is_amended_with_the_signatures_it_asks_for(running):
    """Two of three hospitals and the researcher, each for the whole new text."""
    state = running.rooms.ledger.state(running.study)
    body = {
        "charter": state.charter.plain() | {"max_rounds": 7},
        "previous": state.version_id,
    }
    researcher = key_of(make.RESEARCHER)
    text = running.rooms.ledger.draft(running.study, "charter.amended", body, researcher.name)
    motion = running.rooms.motions.propose(running.study, text, researcher.line(text))
    assert running.sign_motion(motion["id"], NORTH)["state"] == "open"

    told = running.sign_motion(motion["id"], EAST)

    assert told["state"] == "carried"
    assert running.rooms.ledger.state(running.study).charter.max_rounds == 7


def test_a_lost_institution_key_is_replaced_by_the_others(running):
    """In each log by itself: the other hospitals vouch for the new key."""
    name = f"{EAST}/institution"
    new = make.key(name, generation=1)
    body = {"name": name, "vkey": str(new.verifier), "reason": "lost"}
    for log in (running.study, LOG):
        motion = running.motion("key.rotated", body, NORTH, log=log if log != LOG else "")
        told = running.sign_motion(motion["id"], SOUTH)
        assert told["state"] == "carried"

    assert running.rooms.members.keys_of(EAST)["institution"] == str(new.verifier)
    assert running.rooms.ledger.state(running.study).keys.current[name] == new.verifier


def test_the_list_tells_what_waits_and_what_was_carried(running):
    """Open ones first; the body is readable, the text is what is signed."""
    running.motion("member.suspended", REASON, NORTH)

    listed = running.rooms.motions.all()

    assert [(row["kind"], row["state"]) for row in listed] == [
        ("member.suspended", "open"),
        ("agreement", "carried"),
    ]
    assert parse_event(text_of(listed[0])).body.plain() == listed[0]["body"] == REASON
