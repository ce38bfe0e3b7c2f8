"""What changes from one text to the next is named field by field; who may sign follows the log."""

from __future__ import annotations

from compliance.records.envelope import parse_event, write_event
from compliance.records.kinds import CONSORTIUM
from compliance.rules.differences import differences
from compliance.rules.signers import may_sign
from compliance.signing.keys import fingerprint
from tests import factories as make
from tests.consortium import EAST, HUB, NORTH, SOUTH, WEST, Consortium
from tests.simulator import Federation


def test_every_field_that_differs_is_named_by_its_place() -> None:
    """Inside tables and rows; a list of another length as a whole; equal texts not at all."""
    before = {"k": 2, "rows": [{"a": 1}, {"a": 2}], "names": ["x"], "gone": 1, "same": [1]}
    after = {"k": 3, "rows": [{"a": 1}, {"a": 5}], "names": ["x", "y"], "new": None, "same": [1]}

    assert differences(before, before) == []
    assert differences(before, after) == [
        ("gone", 1, None),
        ("k", 2, 3),
        ("names", ["x"], ["x", "y"]),
        ("rows[1].a", 2, 5),
    ]


def said(kind: str, body: dict, log: str, **how: object):
    """A statement, read."""
    fields = {"actor": f"{EAST}/institution", "log": log, "nonce": "0" * 32, "time": make.BEGINS}
    return parse_event(
        write_event(kind, body, **(fields | how)),
        **{name: value for name, value in how.items() if name == "kinds"},
    )


def test_who_may_sign_a_text_follows_from_its_kind_and_the_log() -> None:
    """The others for a suspension, the newcomer too for an admission, the holder for its key."""
    world = Consortium()
    log = world.state.agreement_id
    all_three = {f"{site}/institution" for site in (EAST, NORTH, SOUTH)}

    def names(kind: str, body: dict) -> set[str]:
        return set(may_sign(world.state, said(kind, body, log, kinds=CONSORTIUM)))

    rotation = {"vkey": make.vkey(f"{EAST}/node", generation=1), "reason": "planned"}
    hubs = {"name": HUB, "vkey": make.vkey(HUB, generation=1), "reason": "lost"}
    assert names("member.admitted", make.admission(WEST)) == all_three | {f"{WEST}/institution"}
    assert names("member.suspended", {"site": SOUTH, "reason": "security"}) == all_three - {
        f"{SOUTH}/institution"
    }
    assert names("key.rotated", {"name": f"{EAST}/node"} | rotation) == all_three | {f"{EAST}/node"}
    assert names("key.rotated", hubs) == all_three


def test_founders_sign_the_agreement_and_nobody_anything_else_before_it() -> None:
    """Before there is a log the text itself names whose signature can count."""
    begins = parse_event(write_event("agreement", make.agreement(), time=make.BEGINS))
    other = said("study.resumed", {"stopped": 1}, make.sha("log"))

    assert set(may_sign(None, begins)) == {f"{site}/institution" for site in (EAST, NORTH, SOUTH)}
    assert may_sign(None, other) == {}


def test_an_amendment_is_signed_by_whom_it_names() -> None:
    """Its institutions with their keys in force, and the researcher; a resume by active ones."""
    study = Federation()
    log = study.state.charter_id
    body = {"charter": make.charter(make.NAMES), "previous": study.state.version_id}

    amended = may_sign(study.state, said("charter.amended", body, log))
    resumed = may_sign(study.state, said("study.resumed", {"stopped": 1}, log))
    rotated = {"name": make.RESEARCHER, "vkey": make.vkey(make.RESEARCHER, generation=1)}

    assert set(amended) == {f"{site}/institution" for site in make.NAMES} | {make.RESEARCHER}
    assert set(resumed) == {f"{site}/institution" for site in make.NAMES[:3]}
    named = may_sign(study.state, said("key.rotated", rotated | {"reason": "planned"}, log))
    assert make.RESEARCHER in named


def test_a_fingerprint_is_short_enough_for_the_telephone() -> None:
    """Four groups of eight, of the public key alone."""
    key = make.key(f"{EAST}/node").verifier

    assert fingerprint(str(key)).replace(" ", "") == key.public.hex()[:32]
    assert [len(part) for part in fingerprint(str(key)).split()] == [8, 8, 8, 8]
