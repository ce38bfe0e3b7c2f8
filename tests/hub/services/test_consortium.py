"""A consortium begins with everybody's signature, and its log says who belongs."""

from __future__ import annotations

import base64

import pytest

from compliance.canonical import sha256_id
from compliance.errors import ConsiliumError, Malformed, NotReady, Refused
from compliance.ledger.policy import Policy
from compliance.records.recipe import shipped
from compliance.rules.consortium.fold import replay
from compliance.signing.note import seal
from hub.services.consortium import Terms
from hub.services.standing import ACTIVE, WAITING
from tests import factories as make
from tests.hub.house import NAMES, House, key_of, rows_of

EAST, NORTH, SOUTH = NAMES
WEST = "west.example"
LOG = "consortium"


def joined(house: House, *sites: str) -> None:
    """These hospitals have joined the hub; nobody has founded anything."""
    for site in sites:
        house.rooms.members.join(house.application(site, house.token(site)))


def waiting(house: House, **terms) -> dict:
    """The agreement of three hospitals lies before them."""
    joined(house, *NAMES)
    return house.rooms.consortium.found(Terms(title="Radiology of three towns", **terms))


def test_a_consortium_begins_when_all_founders_have_signed(house):
    """Two of three are not enough; with the third the agreement is entry 0, and it is witnessed."""
    motion = waiting(house)
    told = house.sign_motion(motion["id"], EAST, NORTH)
    assert (told["state"], told["wanting"]) == ("open", [f"{SOUTH}/institution"])
    assert house.rooms.ledger.founded() is None

    told = house.sign_motion(motion["id"], SOUTH)

    assert (told["state"], told["index"]) == ("carried", 0)
    assert house.agreement_id == motion["id"]
    house.witness(EAST, NORTH, log=LOG)
    policy = Policy.parse(house.rooms.ledger.policy(LOG))
    assert sorted(policy.judge(house.rooms.ledger.checkpoint(LOG)).times) == [EAST, NORTH]


def test_the_recipes_of_this_release_stand_on_record_with_the_agreement(house):
    """A charter may name them at once, under the bundle that is signed now."""
    house.sign_motion(waiting(house)["id"], *NAMES)

    state = replay(house.rooms.ledger.entries(LOG, 0))

    assert {name for name, _ in state.recipes} == set(shipped())
    assert {row.bundle_sha256 for row in state.recipes.values()} == {make.sha("bundle")}


def test_the_defaults_of_an_agreement_are_the_safe_ones(house):
    """All sign, most decide, and a third of the witnesses may lie."""
    body = waiting(house)["body"]

    assert body["signatures_required"] == 3
    assert (body["admit_k"], body["amend_k"]) == (2, 2)
    assert body["quorum"] == {"k": 2, "witnesses": list(NAMES)}
    assert body["floors"] == {"min_examples": 5, "min_cell": 5, "min_sites": 2}


def test_fewer_founders_suffice_if_the_agreement_says_so(house):
    """Who did not sign is no member: nobody is bound by a text that he did not sign."""
    motion = waiting(house, signatures_required=2)

    house.sign_motion(motion["id"], EAST, NORTH)

    assert house.rooms.ledger.consortium().active_members() == [EAST, NORTH]
    assert house.rooms.members.standing_of(SOUTH) == WAITING


def test_one_hospital_is_no_consortium(house):
    """There is nobody to agree with."""
    joined(house, NORTH)

    with pytest.raises(NotReady, match="fewer than two"):
        house.rooms.consortium.found(Terms(title="Alone"))


def test_a_consortium_is_founded_once(house):
    """A second agreement would be a second history."""
    house.join(*NAMES)

    with pytest.raises(NotReady, match="founded already"):
        house.rooms.consortium.found(Terms(title="Again"))


def test_of_two_agreements_the_first_that_all_signed_counts(house):
    """The other one can still be signed, and stays without effect."""
    first = waiting(house)
    house.time.forward(minutes=1)
    second = house.rooms.consortium.found(Terms(title="Another text"))
    house.sign_motion(first["id"], *NAMES)

    with pytest.raises(Refused):
        house.sign_motion(second["id"], EAST)

    assert house.agreement_id == first["id"]
    assert house.rooms.motions.get(second["id"])["state"] == "refused"


def test_before_the_founding_no_charter_and_no_dataset_is_taken(house):
    """The sentence says what is missing and who mends it."""
    joined(house, *NAMES)
    vkey = str(key_of(make.RESEARCHER).verifier)

    with pytest.raises(NotReady, match="hub found"):
        house.rooms.charters.prepare(house.draft(), vkey)
    with pytest.raises(NotReady, match="not founded"):
        house.rooms.ledger.checkpoint(LOG)
    assert not house.rooms.charters.check(house.draft(), vkey)[-1].allowed


def test_an_agreement_with_impossible_numbers_is_never_laid_down(house):
    """A floor of nothing, a quorum of nobody: the form or the rules say no."""
    joined(house, *NAMES)
    for terms in ({"profiles": ("NOT A SLUG",)}, {"countries": {NORTH: "sweden"}}):
        with pytest.raises(ConsiliumError):
            house.rooms.consortium.found(Terms(title="x", **terms))
    assert rows_of(house.rooms.database, "motion") == []

    motion = house.rooms.consortium.found(Terms(title="x", admit_k=1))
    with pytest.raises(Refused) as refusal:
        house.sign_motion(motion["id"], EAST)

    assert refusal.value.rule == "agreement.form"
    assert house.rooms.ledger.founded() is None


def test_a_hospital_that_comes_later_waits_for_the_members(house):
    """Joining the hub is not joining the consortium: most members sign the admission."""
    house.join(*NAMES)
    joined(house, WEST)
    assert house.rooms.members.standing_of(WEST) == WAITING

    told = house.admit(WEST)

    assert told["state"] == "carried"
    assert house.rooms.members.standing_of(WEST) == ACTIVE
    assert WEST in house.rooms.ledger.consortium().active_members()


def test_what_everybody_sees_follows_from_the_log(house):
    """Members with their keys and standing, recipes, studies, the policy and what waits."""
    house.launched()
    house.motion("member.suspended", {"site": EAST, "reason": "inactive"}, NORTH)

    seen = house.rooms.consortium.view()

    assert [(row["site"], row["standing"]) for row in seen["members"]] == [
        (site, "active") for site in NAMES
    ]
    assert seen["members"][0]["keys"]["node"] == make.vkey(f"{EAST}/node")
    assert [row["charter_id"] for row in seen["studies"]] == [house.charter_id]
    assert seen["policy"] == house.rooms.ledger.policy(LOG)
    assert (seen["motions"], seen["size"]) == (1, house.rooms.ledger.size(LOG))


# ----------------------------------------------------------------------------------------- studies


def test_a_study_and_its_listing_begin_in_one_moment(house):
    """Entry 0 and `study.opened` stand or fall together: there is no hidden study."""
    study = house.launched()

    listed = house.rooms.ledger.consortium().studies[house.charter_id]

    assert (
        listed.entry0 == f"sha256:{house.rooms.ledger.append(study, entry0(house)).leaf_hash.hex()}"
    )
    assert house.rooms.ledger.consortium().proposed[house.charter_id].actor == make.EVENTS


def entry0(house: House) -> bytes:
    """The first entry of the study."""
    return house.rooms.ledger.entries(house.study, 0, 1)[0]


def test_a_launch_that_cannot_be_listed_leaves_no_log_behind(house):
    """The list refuses, for example twice the same study: nothing of the launch stays."""
    house.join(*NAMES)
    house.propose()
    house.sign(*NAMES)
    body = {"charter": house.charter_id, "origin": f"{make.HUB}/study/{house.study}",
            "entry0": make.sha("something else"), "on_behalf": None}  # fmt: skip
    house.rooms.ledger.say(LOG, "study.opened", body)

    with pytest.raises(Refused) as refusal:
        house.rooms.charters.launch(house.charter_id)

    assert refusal.value.rule == "study.twice"
    assert house.rooms.ledger.studies() == []
    assert house.rooms.charters.get(house.charter_id)["state"] == "signed"


def test_a_study_that_is_closed_is_closed_in_the_list_too(house):
    """Whoever closes it: the list of the consortium follows in the same transaction."""
    house.launched()
    note = house.note(
        "study.closed",
        {"reason": "abandoned", "on_behalf": None},
        make.EVENTS,
        by=house.rooms.keys.events,
    )

    house.rooms.ledger.submit(house.study, note)

    assert house.rooms.ledger.state(house.study).closed == "abandoned"
    assert house.rooms.ledger.consortium().studies[house.charter_id].closed is not None
    assert house.rooms.ledger.events(LOG, "study.closed")[0].body.origin.endswith(house.study)


def test_a_refusal_of_a_hospital_is_on_record(house):
    """The reason stands in the consortium's log, signed by the institution."""
    house.join(*NAMES)
    house.propose()

    house.rooms.charters.refuse(NORTH, house.charter_id, house.refusal(NORTH))

    assert house.rooms.ledger.consortium().refused[house.charter_id] == {NORTH: "privacy"}


def test_a_charter_below_the_floors_is_refused_with_the_floor(house):
    """What the hospitals agreed once, no charter undercuts."""
    joined(house, *NAMES)
    house.found(min_examples=30)
    for site in NAMES:
        house.rooms.catalogue.register(site, house.registration(site))
    vkey = str(key_of(make.RESEARCHER).verifier)

    findings = house.rooms.charters.check(house.draft(min_examples=20), vkey)
    with pytest.raises(Refused) as refusal:
        house.rooms.charters.prepare(house.draft(min_examples=20), vkey)

    assert refusal.value.rule == "charter.floors"
    assert "charter.floors" in [row.rule for row in findings if not row.allowed]
    assert not [row for row in house.rooms.charters.check(house.draft(min_examples=30), vkey)
                if not row.allowed]  # fmt: skip


def test_a_check_of_a_draft_leaves_no_trace_in_the_log(house):
    """Whoever only asks has not proposed anything."""
    house.join(*NAMES)
    before = house.rooms.ledger.size(LOG)

    changed = {"recipe": {"id": "cnn2d-small", "changes": {"seed": 99}}}
    findings = house.rooms.charters.check(house.draft(**changed), make.vkey(make.RESEARCHER))

    assert [row for row in findings if not row.allowed] == []
    assert house.rooms.ledger.size(LOG) == before


def test_a_changed_recipe_gets_a_number_of_its_own(house):
    """Two researchers change the same recipe: two versions, each with its own hash for ever."""
    house.join(*NAMES)
    vkey = str(key_of(make.RESEARCHER).verifier)
    for seed in (98, 99, 98):
        changed = {"recipe": {"id": "cnn2d-small", "changes": {"seed": seed}}}
        house.rooms.charters.prepare(house.draft(**changed), vkey)

    versions = [n for name, n in house.rooms.ledger.consortium().recipes if name == "cnn2d-small"]

    assert sorted(versions) == [1, 2, 3]


def test_a_charter_is_not_launched_with_a_hospital_that_was_suspended_since(house):
    """Keys and standing of the day of the launch count, not of the draft."""
    house.join(*NAMES)
    house.propose()
    house.sign(*NAMES)
    house.suspend(EAST)

    with pytest.raises(Refused) as refusal:
        house.rooms.charters.launch(house.charter_id)

    assert refusal.value.rule == "site.suspended"
    assert house.rooms.ledger.studies() == []


def test_a_retired_recipe_is_named_by_no_new_charter(house):
    """Its next number is no way around the retirement."""
    house.join(*NAMES)
    body = {"recipe": "cnn2d-small", "version": 1, "reason": "security", "on_behalf": None}
    house.rooms.ledger.say(LOG, "recipe.retired", body)

    with pytest.raises(Refused) as refusal:
        house.propose()

    assert refusal.value.rule == "charter.recipe"


def test_a_dataset_taken_back_is_offered_no_more(house):
    """The hospital's word in the log counts, the row of the table does not."""
    house.join(*NAMES)
    body = {"dataset": make.DATASET, "version": None, "reason": "consent"}
    note = house.note("dataset.withdrawn", body, f"{NORTH}/node", log=house.agreement_id)

    house.rooms.ledger.submit(LOG, note)

    assert [row["site"] for row in house.rooms.catalogue.datasets()] == [EAST, SOUTH]
    with pytest.raises(NotReady, match="registered no data set"):
        house.propose()


def test_a_forged_registration_enters_no_log(house):
    """Another hospital's node, another consortium, another kind: nothing is written."""
    house.join(*NAMES)
    before = house.rooms.ledger.size(LOG)
    fresh = {"version": make.sha("fresh")}
    forged = house.registration(NORTH, **fresh).replace(NORTH.encode(), SOUTH.encode())

    for site, note in ((NORTH, house.registration(SOUTH, **fresh)), (SOUTH, forged)):
        with pytest.raises(ConsiliumError):
            house.rooms.catalogue.register(site, note)

    assert house.rooms.ledger.size(LOG) == before


def test_a_researcher_with_an_own_key_announces_the_charter_alone(house):
    """Self-signed: the log names the researcher, not the hub, as the one who proposed."""
    house.join(*NAMES)
    researcher = key_of(make.RESEARCHER)
    vkey = str(researcher.verifier)
    text = house.rooms.charters.prepare(house.draft(), vkey)
    charter_id = sha256_id(text)
    announcement = house.rooms.proposals.announcement(charter_id, researcher.name)
    wrong = house.rooms.proposals.announcement(make.sha("another"), researcher.name)
    with pytest.raises(Malformed, match="no study"):
        house.rooms.charters.propose(text, researcher.line(text), 1, vkey, seal(wrong, researcher))
    house.rooms.charters.propose(
        text, researcher.line(text), 1, vkey, seal(announcement, researcher)
    )

    assert house.rooms.ledger.consortium().proposed[charter_id].actor == researcher.name


def test_the_text_of_an_agreement_is_what_was_signed(house):
    """What the hospitals see in the motion is entry 0, byte for byte."""
    motion = waiting(house)
    house.sign_motion(motion["id"], *NAMES)

    entry = house.rooms.ledger.entries(LOG, 0, 1)[0]

    assert entry.startswith(base64.b64decode(motion["text_base64"]))
