"""From a draft to a launched study: only signatures decide, never a row in a table."""

from __future__ import annotations

import base64

import pytest

from compliance.errors import ConsiliumError, Malformed, NotReady, Refused
from compliance.records.envelope import parse_event
from compliance.rules.fold import replay
from compliance.signing.note import parse
from tests import factories as make
from tests.hub.house import NAMES, House, behind_the_hubs_back, key_of

EAST, NORTH, SOUTH = NAMES


@pytest.fixture
def proposed(house: House) -> House:
    """Three hospitals have joined; a charter waits for at least two of them."""
    house.join(*NAMES)
    house.propose()
    return house


def test_a_draft_becomes_a_whole_charter_with_the_hospitals_own_keys(proposed):
    """What the researcher leaves out is filled by the agreed defaults, and all of it is signed."""
    body = parse_event(proposed.text).body

    assert body.site_names() == list(NAMES)
    assert body.sites[0].institution == str(key_of(f"{EAST}/institution").verifier)
    assert body.datasets[0].version == make.sha(f"{EAST} version 1")
    assert (body.quorum.k, body.min_sites, body.min_examples) == (2, 2, 20)


def test_a_draft_over_masks_passes_and_is_measured_by_overlap(house):
    """No rule has anything against it; the names of its measures are those of masks."""
    house.join(*NAMES)
    changes = {"classes": ["lesion", "cyst"], "preprocessing": {"size": [16, 32, 32]}}
    draft = house.draft(recipe={"id": "unet-3d", "changes": changes})
    researcher = str(key_of(make.RESEARCHER).verifier)

    found = house.rooms.charters.check(draft, researcher)
    body = parse_event(house.rooms.charters.prepare(draft, researcher)).body

    assert [row.rule for row in found if not row.allowed] == []
    assert (body.task.kind, body.task.labels) == ("segmentation", ["lesion", "cyst"])
    assert body.evaluation.primary == "dice"
    assert {"dice.cyst", "left_empty", "local.dice"} <= set(body.evaluation.metrics)
    assert "auroc" not in body.evaluation.metrics


@pytest.mark.parametrize("sites", [2, 3, 4, 5, 6, 7, 10])
def test_the_default_quorum_survives_as_many_liars_as_the_design_says(house, sites):
    """Two histories can both reach k only if 2k - n hospitals lie with the hub."""
    names = sorted(f"h{number}.example" for number in range(sites))
    house.join(*names)
    draft = house.draft(
        datasets=[{"site": name, "id": make.DATASET} for name in names],
        legal=make.charter(names)["legal"],
        signatures_required=sites,
    )

    text = house.rooms.charters.prepare(draft, str(key_of(make.RESEARCHER).verifier))

    k = parse_event(text).body.quorum.k
    assert k == {2: 2, 3: 2, 4: 3, 5: 4, 6: 4, 7: 5, 10: 7}[sites]


@pytest.mark.parametrize(
    "changes",
    [
        {"max_rounds": 0},
        {"min_examples": -1},
        {"round_seconds": 10**12},
        {"aggregator": {"name": "krum", "params": {}, "masked": False}},
        {"recipe": {"id": "no-such-recipe"}},
        {"recipe": None},
        {"recipe": {"id": "cnn2d-small", "changes": {"image": {"size": [0, 0]}}}},
        {"datasets": []},
        {"datasets": [{"site": "west.example", "id": "cxr"}]},
        {"signatures_required": 9},
        {"expires": "2020-01-01T00:00:00Z"},
        {"legal": None},
        {"surprise": 1},
        {"title": "two\nlines"},
    ],
)
def test_a_draft_with_impossible_terms_is_answered_in_words(house, changes):
    """Checked as you type, refused when proposed; nothing is stored in either case."""
    house.join(*NAMES)
    vkey = str(key_of(make.RESEARCHER).verifier)

    findings = house.rooms.charters.check(house.draft(**changes), vkey)
    with pytest.raises(ConsiliumError):
        house.propose(**changes)

    assert any(not finding.allowed for finding in findings)
    assert house.rooms.charters.all() == []


def test_a_proposal_needs_the_researchers_own_signature(house):
    """Nobody proposes in another's name."""
    house.join(*NAMES)
    vkey = str(key_of(make.RESEARCHER).verifier)
    text = house.rooms.charters.prepare(house.draft(), vkey)
    stranger = key_of("mallory.example/r-1")

    for line, claimed in (
        (stranger.line(text), vkey),
        (stranger.line(text), str(stranger.verifier)),
    ):
        with pytest.raises(Refused):
            house.rooms.charters.propose(text, line, 1, claimed)
    assert house.rooms.charters.all() == []


def test_a_text_that_this_hub_did_not_prepare_is_no_proposal(house):
    """Another log key, another hub key or another bundle would escape the hospitals' trust."""
    house.join(*NAMES)
    researcher = key_of(make.RESEARCHER)
    vkey = str(researcher.verifier)
    text = house.rooms.charters.prepare(house.draft(), vkey)
    bundle = house.rooms.settings.home / "bundle" / "signed.json"
    body = parse_event(text).body
    changed = text.replace(body.bundle_sha256.encode(), make.sha("other bundle").encode())

    with pytest.raises(Refused, match="not prepared by this hub"):
        house.rooms.charters.propose(changed, researcher.line(changed), 1, vkey)
    assert bundle.is_file()


def test_a_charter_whose_start_model_is_unknown_is_no_proposal(house):
    """Otherwise the study would launch and never begin."""
    house.join(*NAMES)
    researcher = key_of(make.RESEARCHER)
    text = house.rooms.charters.prepare(house.draft(), str(researcher.verifier))
    body = parse_event(text).body
    changed = text.replace(body.initial_model_sha256.encode(), make.sha("no model").encode())

    with pytest.raises(NotReady, match="not in the registry"):
        house.rooms.charters.propose(changed, researcher.line(changed), 1, str(researcher.verifier))


def test_a_study_has_one_charter(proposed):
    """A second text for the same study is refused; the same text again is no harm."""
    researcher = key_of(make.RESEARCHER)
    vkey, text = str(researcher.verifier), proposed.text
    other = text.replace(b"Made up for tests.", b"Something quite else.")

    again = proposed.rooms.charters.propose(text, researcher.line(text), 1, vkey)
    with pytest.raises(NotReady, match="another charter"):
        proposed.rooms.charters.propose(other, researcher.line(other), 1, vkey)

    assert again["charter_id"] == proposed.charter_id
    assert len(proposed.rooms.charters.all()) == 1


def test_enough_signatures_open_the_log_with_the_charter(proposed):
    """Entry 0 is the charter with the hospitals' own signatures; all see the same state."""
    proposed.sign(NORTH, SOUTH)
    assert proposed.rooms.charters.get(proposed.charter_id)["missing"] == [EAST]

    proposed.rooms.charters.launch(proposed.charter_id)

    entries = proposed.rooms.ledger.entries(proposed.study, 0)
    assert parse(entries[0]).text == proposed.text
    assert replay(entries).signed == {NORTH, SOUTH}
    assert proposed.rooms.registry.models(proposed.study)[0]["kind"] == "initial"


def test_too_few_signatures_open_nothing(proposed):
    """One of two: the launch is refused by a rule of the charter, and no log begins."""
    proposed.sign(NORTH)

    with pytest.raises(Refused) as refusal:
        proposed.rooms.charters.launch(proposed.charter_id)

    assert refusal.value.rule.startswith("charter.")
    assert proposed.rooms.ledger.studies() == []
    assert proposed.rooms.charters.get(proposed.charter_id)["state"] == "proposed"


def test_a_study_is_launched_once(proposed):
    """A second launch is told so; the log keeps its one entry."""
    proposed.sign(*NAMES)
    proposed.rooms.charters.launch(proposed.charter_id)

    with pytest.raises(NotReady, match="launched already"):
        proposed.rooms.charters.launch(proposed.charter_id)

    assert proposed.rooms.ledger.size(proposed.study) == 1


@pytest.mark.parametrize(
    "signer", [f"{SOUTH}/institution", f"{NORTH}/node", make.RESEARCHER, make.EVENTS]
)
def test_only_the_hospitals_institution_key_signs_for_it(proposed, signer):
    """Not another hospital, not its own machine, not the researcher, not the hub."""
    line = key_of(signer).line(proposed.text)

    with pytest.raises(Refused):
        proposed.rooms.charters.sign(NORTH, proposed.charter_id, line)

    assert proposed.rooms.charters.get(proposed.charter_id)["signatures"] == []


def test_a_signature_under_another_text_is_refused(proposed):
    """The right key under other words binds nobody."""
    line = key_of(f"{NORTH}/institution").line(proposed.text + b"and more\n")

    with pytest.raises(Refused, match="does not verify"):
        proposed.rooms.charters.sign(NORTH, proposed.charter_id, line)


def test_after_the_launch_it_is_too_late_to_sign_or_refuse(proposed):
    """A hospital that changes its mind then withdraws, in the log, for everybody to see."""
    proposed.sign(NORTH, SOUTH)
    proposed.rooms.charters.launch(proposed.charter_id)

    with pytest.raises(NotReady, match="launched"):
        proposed.sign(EAST)
    with pytest.raises(NotReady, match="site withdraw"):
        proposed.rooms.charters.refuse(NORTH, proposed.charter_id, proposed.refusal(NORTH))


def test_a_hospital_may_change_its_mind_before_the_launch(proposed):
    """A refusal after a signature takes the signature back: the study does not begin with it."""
    proposed.sign(NORTH, SOUTH)
    proposed.rooms.charters.refuse(NORTH, proposed.charter_id, proposed.refusal(NORTH))
    told = proposed.rooms.charters.get(proposed.charter_id)
    assert [row["name"] for row in told["signatures"]] == [f"{SOUTH}/institution"]
    assert told["refusals"][0]["reason"] == "privacy"

    with pytest.raises(Refused):
        proposed.rooms.charters.launch(proposed.charter_id)
    proposed.sign(NORTH)

    assert proposed.rooms.charters.get(proposed.charter_id)["state"] == "signed"
    assert proposed.rooms.studies.one(proposed.study)["sites"][1] == {
        "name": NORTH,
        "title": "North",
        "signed": True,
        "refused": False,
        "withdrawn": False,
    }


def test_a_charter_that_too_many_refuse_is_refused(proposed):
    """Two of three said no: with two signatures required it can never begin."""
    for site in (NORTH, SOUTH):
        proposed.rooms.charters.refuse(site, proposed.charter_id, proposed.refusal(site))

    assert proposed.rooms.charters.get(proposed.charter_id)["state"] == "refused"


def test_nobody_refuses_for_another_hospital(proposed):
    """A refusal carries the hospital's own institution key and names this charter."""
    with pytest.raises(Refused):
        proposed.rooms.charters.refuse(SOUTH, proposed.charter_id, proposed.refusal(NORTH))
    note = proposed.refusal(NORTH).replace(b"privacy", b"legal")
    with pytest.raises(ConsiliumError):
        proposed.rooms.charters.refuse(NORTH, proposed.charter_id, note)
    other = proposed.note(
        "study.refused",
        {"charter": make.sha("another"), "reason": "legal"},
        f"{NORTH}/institution",
        log=proposed.agreement_id,
    )
    with pytest.raises(Malformed):
        proposed.rooms.charters.refuse(NORTH, proposed.charter_id, other)

    assert proposed.rooms.charters.get(proposed.charter_id)["refusals"] == []


FORGED = base64.b64encode(bytes(68)).decode()
EDITS = {
    "said to be launched": "UPDATE charter_draft SET launched = '2026-11-22T09:00:00Z'",
    "a signature made up": "INSERT INTO charter_signature VALUES "
    "(:charter, 'south.example/institution', :south, '2026-11-22T09:00:00Z')",
    "fewer hospitals needed": "UPDATE charter_draft SET text = "
    "CAST(replace(text, :two, :one) AS BLOB)",
    "another researcher": "UPDATE charter_draft SET researcher_line = :researcher",
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_database_that_says_signed_launches_nothing(proposed, edit):
    """Whoever owns the tables can write what he likes: the launch folds the signatures."""
    proposed.sign(NORTH)
    values = {
        "charter": proposed.charter_id,
        "south": f"— {SOUTH}/institution {FORGED}",
        "researcher": f"— {make.RESEARCHER} {FORGED}",
        "two": b'"signatures_required":2',
        "one": b'"signatures_required":1',
    }
    used = {name: value for name, value in values.items() if f":{name}" in EDITS[edit]}
    behind_the_hubs_back(proposed.rooms.database, EDITS[edit], **used)

    with pytest.raises(ConsiliumError):
        proposed.rooms.charters.launch(proposed.charter_id)

    assert proposed.rooms.ledger.studies() == []


def test_a_launch_without_its_start_model_writes_nothing(proposed):
    """The file is gone: one sentence now, not a study that can never open a round."""
    proposed.sign(*NAMES)
    for path in proposed.rooms.registry.folder(proposed.study).glob("models/*"):
        path.write_bytes(b"other")

    with pytest.raises(NotReady, match="was changed"):
        proposed.rooms.charters.launch(proposed.charter_id)

    assert proposed.rooms.ledger.studies() == []


def test_a_hospital_that_joins_later_or_leaves_is_shown(proposed):
    """What the list says follows from the log, not from the signatures that were collected."""
    proposed.sign(NORTH, SOUTH)
    proposed.rooms.charters.launch(proposed.charter_id)
    version = proposed.rooms.ledger.state(proposed.study).version_id
    join = proposed.note("site.joined", {"charter": version}, f"{EAST}/institution")
    leave = proposed.note("site.withdrawn", {"reason": "consent"}, f"{NORTH}/node")
    for note in (join, leave):
        proposed.rooms.ledger.append(proposed.study, note)

    rows = {row["name"]: row for row in proposed.rooms.studies.one(proposed.study)["sites"]}

    assert rows[EAST]["signed"]
    assert rows[NORTH]["withdrawn"]
    assert not rows[SOUTH]["withdrawn"]
