"""The consortium page: what is shown was folded here; what the hub says else is shown in red."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from compliance.rules.policies import agreed_policy_in_force
from dashboard import hub_client, session
from dashboard.settings import Settings
from hub.main import create_app
from tests import factories as make
from tests.dashboard.gated import HUB, Wire
from tests.dashboard.stage import PEOPLE, SITES, Stage
from tests.dashboard.test_views import draw, wire, words
from tests.hub.house import House, behind_the_hubs_back, key_of

__all__ = ["draw", "wire"]
EAST, NORTH, SOUTH = SITES
WEST = "west.example"
LOG = "consortium"
TABS = ("Agreement", "Members", "Registry", "Studies", "Motions", "Witnesses", "Log")
Draw = Callable[..., AppTest]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A consortium of three with a study, a hospital that waits, and a text that waits."""
    made = Stage(tmp_path / "hub")
    made.run(1)
    made.rooms.members.join(made.application(WEST, made.token(WEST)))
    made.waits = made.motion("member.suspended", {"site": SOUTH, "reason": "security"}, EAST)
    settle(made)
    yield made
    made.close()


def settle(stage: Stage, *sites: str) -> None:
    """The consortium's log is cosigned by these hospitals, or by all."""
    stage.rooms.ledger.issue_checkpoint(LOG)
    stage.witness(*(sites or SITES), log=LOG)


def told(at: AppTest) -> str:
    """Everything that a person reads, tables and commands too."""
    cells = [
        str(cell)
        for table in at.main.get("table")
        for row in table.value.to_dict("records")
        for cell in row.values()
    ]
    return "\n".join([words(at), *cells, *(str(item.value) for item in at.main.get("code"))])


def trust(stage: Stage, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator has got the policy of this log from a hospital, in a folder of policies."""
    folder = home / "policies"
    folder.mkdir()
    text = agreed_policy_in_force(stage.rooms.ledger.consortium())
    (folder / "consortium.txt").write_text(text)
    given = Settings(home=home / "dashboard", hub_url=HUB, policy_file=folder)
    monkeypatch.setattr(session, "settings", lambda: given)


@pytest.mark.parametrize("tab", TABS)
def test_every_part_is_drawn_with_the_standing_of_the_log(draw: Draw, tab: str) -> None:
    """Above what was found, below the footer, and no alarm where all is well."""
    said = words(draw("consortium", "omar", part=tab))

    assert "no policy file: reported" in said
    assert "Cosigned by East Clinic, North Hospital and South University Hospital" in said
    assert "tells something else" not in said
    assert "refuted" not in said


def test_somebody_without_a_role_reads_nothing(
    draw: Draw, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The forbidden panel names who may, and who can give a role."""
    monkeypatch.setitem(PEOPLE, "celine", ("", ""))

    said = words(draw("consortium"))

    assert "This page is for the role" in said
    assert "Quorum" not in said
    assert "Kept until" not in said


def test_the_agreement_is_told_in_plain_words(draw: Draw, stage: Stage) -> None:
    """Quorum with what it bears, who decides what, floors, papers, and the id to compare."""
    said = told(draw("consortium"))

    assert "2 of 3: one hospital may be down" in said
    assert "2 of 3 members sign" in said
    assert "fewer than 5 cases of a hospital" in said
    assert "signed by East Clinic, North Hospital and South University Hospital" in said
    assert "Arrangement of joint controllers" in said
    assert stage.agreement_id in said


def test_members_keys_and_their_replacements_follow_from_the_log(draw: Draw, stage: Stage) -> None:
    """Who is suspended, who waits, and which key was replaced by whose signature."""
    body = {
        "name": f"{NORTH}/node",
        "vkey": make.vkey(f"{NORTH}/node", generation=1),
        "reason": "planned",
    }
    name = f"{NORTH}/institution"
    note = stage.note("key.rotated", body, name, log=stage.agreement_id)
    stage.rooms.ledger.append(LOG, note)
    stage.sign_motion(stage.waits["id"], NORTH)
    settle(stage)

    said = told(draw("consortium", part="Members"))

    assert "✕ suspended by the others" in said
    assert said.count("● active") == 2
    assert "**West** joined the hub and asks to come in." in said
    assert "as planned" in said
    assert "node: reports" in said


def test_recipes_bundles_data_and_studies_carry_their_entries(draw: Draw, stage: Stage) -> None:
    """Each row names the entry that put it there; a study's refusal stands with its reason."""
    stage.more()
    settle(stage)

    registry = told(draw("consortium", part="Registry"))
    studies = told(draw("consortium", part="Studies"))

    assert "cnn2d-small 1" in registry
    assert make.sha("bundle").removeprefix("sha256:")[:16] in registry
    assert "North Hospital" in registry
    assert "≥100" in registry
    assert "entry 1 ·" in registry
    assert "South University Hospital: privacy" in studies
    assert "not listed: no hospital trains it" in studies
    assert "Pneumonia on chest radiographs" in studies


def test_with_a_hospitals_policy_it_is_proven_here(
    draw: Draw, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy lies in a folder beside those of other logs."""
    trust(stage, tmp_path, monkeypatch)
    monkeypatch.setattr(session, "token", lambda: stage.tokens["aya"])

    said = words(draw("consortium", "aya", part="Log"))

    assert "Every entry, rule, signature and cosignature holds." in said
    assert "Checked by this dashboard" in said


@pytest.mark.parametrize(
    ("lie", "place"),
    [
        (lambda view: view["members"][0].update(standing="suspended"), "east.example.standing"),
        (lambda view: view["members"].pop(), "members.south.example"),
        (lambda view: view["members"][1]["keys"].update(node="x"), "north.example.keys.node"),
        (lambda view: view["recipes"][0].update(bundle_sha256="sha256:0"), "bundle_sha256"),
        (lambda view: view["studies"].clear(), "studies.sha256:"),
        (lambda view: view["agreement"]["quorum"].update(k=1), "agreement.quorum.k"),
        (lambda view: view.update(size=3), "The hub tells of 3 entries"),
        (lambda view: view["members"][0].pop("site"), "members.None"),
    ],
)
def test_what_the_hub_tells_else_than_its_log_is_said_in_red(
    draw: Draw, stage: Stage, monkeypatch: pytest.MonkeyPatch, lie: Any, place: str
) -> None:
    """And the page goes on to show what the log says."""
    honest = stage.rooms.consortium.view

    def lying() -> dict[str, Any]:
        view = honest()
        lie(view)
        return view

    monkeypatch.setattr(stage.rooms.consortium, "view", lying)

    at = draw("consortium", part="Members")

    said = "\n".join(str(item.value) for item in at.error)
    assert place in said
    assert "tells something else than its own log" in said
    assert told(at).count("● active") == 3


def test_entries_after_the_newest_quorum_are_no_contradiction(draw: Draw, stage: Stage) -> None:
    """They are counted, not shown, until enough hospitals have cosigned."""
    stage.sign_motion(stage.waits["id"], NORTH)

    at = draw("consortium", part="Members")

    assert list(at.error) == []
    assert "1 newer entry waits for cosignatures" in words(at)
    assert told(at).count("● active") == 3


def test_an_edited_entry_turns_the_page_red(draw: Draw, stage: Stage) -> None:
    """Whoever owns the database can write a hospital out of it; the fold here says so."""
    guard = "DROP TRIGGER IF EXISTS log_entry_no_update"
    change = "UPDATE log_entry SET leaf = :leaf WHERE study = 'consortium' AND idx = 2"
    leaf = stage.rooms.ledger.entries(LOG, 1, 2)[0]
    behind_the_hubs_back(stage.rooms.database, guard)
    behind_the_hubs_back(stage.rooms.database, change, leaf=leaf)

    at = draw("consortium", part="Members")

    assert "This log is refuted." in words(at)
    assert "First bad entry: 2" in words(at)
    assert "Nothing of this log is believed." in words(at)
    assert "● active" not in told(at)


def test_a_log_that_is_said_not_to_exist_any_more_is_refuted(
    draw: Draw, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub begins anew without a consortium; this dashboard has seen one."""
    draw("consortium")
    other = House(tmp_path / "other")
    token, _ = other.person("celine", "researcher")
    monkeypatch.setattr(hub_client, "TRANSPORT", Wire(create_app(other.rooms)))

    said = words(draw("consortium", token=token))

    assert "This log is refuted." in said
    assert "the hub says that there is no such log" in said


def test_before_the_founding_the_next_step_is_said(
    draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the agreement that waits can be read with who signed it."""
    house = House(tmp_path / "empty")
    token, _ = house.person("celine", "researcher")
    for site in SITES:
        house.rooms.members.join(house.application(site, house.token(site)))
    monkeypatch.setattr(hub_client, "TRANSPORT", Wire(create_app(house.rooms)))
    assert "The consortium is not founded yet." in words(draw("consortium", token=token))
    assert "No text waits for signatures." in words(draw("consortium", token=token, part="Motions"))
    house.found(EAST)

    said = told(draw("consortium", token=token, part="Motions"))

    assert "The consortium begins under the agreement “Consilium”." in said
    assert "Signed (1 of 3 needed): East" in said
    assert "consilium site sign " in said


def test_a_silent_hub_leaves_the_old_answer_with_its_age(draw: Draw, wire: Wire) -> None:
    """Nothing is compared with what nobody said now; the first visit says that nobody answers."""
    at = draw("consortium")
    wire.silent = True

    at.run()

    assert "The hub is silent" in words(at)
    assert "This is what it said at" in words(at)
    assert "2 of 3: one hospital may be down" in words(at)
    assert "The hub does not answer" in words(draw("consortium"))


# ---------------------------------------------------------------------- texts that wait


def test_a_text_that_waits_says_what_it_would_change_and_how_a_hospital_signs(
    draw: Draw, stage: Stage
) -> None:
    """Who signed, who could still, how many are missing, until when; and no button."""
    at = draw("consortium", "omar", part="Motions")

    said = told(at)
    assert "South University Hospital is silent from then on" in said
    assert "Reason: security." in said
    assert "Signed (1 of 2 needed): East Clinic" in said
    assert "Could still sign: North Hospital" in said
    short = stage.waits["id"].removeprefix("sha256:")[:12]
    assert f"consilium site sign {short}" in said
    assert [item.label for item in at.main.get("button")] == []


def test_a_steward_is_told_at_home_that_a_text_waits(draw: Draw, stage: Stage) -> None:
    """As long as the own hospital could sign; nobody else is bothered."""
    assert "**A text waits** for your hospital's signature" in words(draw("home", "omar"))
    assert "A text waits" not in words(draw("home", "celine"))
    stage.sign_motion(stage.waits["id"], NORTH)

    assert "A text waits" not in words(draw("home", "omar"))


def test_a_carried_text_names_its_entry(draw: Draw, stage: Stage) -> None:
    """It is green only when the very text stands there in the log that was checked here."""
    stage.sign_motion(stage.waits["id"], NORTH)
    early = told(draw("consortium", part="Motions"))
    settle(stage)
    size = stage.rooms.ledger.size(LOG)

    said = told(draw("consortium", part="Motions"))

    assert "Look again when the hospitals have cosigned." in early
    assert f"It is entry {size - 1} of its log." in said
    assert "Signed: East Clinic and North Hospital" in said


def slip_in_a_signature(stage: Stage, text: bytes) -> None:
    """North's signature of this text stands under the waiting motion; the hub was not asked."""
    behind_the_hubs_back(
        stage.rooms.database,
        "INSERT INTO motion_signature (motion, key_name, line, time) "
        "VALUES (:motion, :name, :line, :time)",
        motion=stage.waits["id"],
        name=f"{NORTH}/institution",
        line=key_of(f"{NORTH}/institution").line(text).strip(),
        time=stage.time.text(),
    )


def test_a_signature_in_the_hubs_tables_that_does_not_hold_counts_not(
    draw: Draw, stage: Stage
) -> None:
    """Whoever owns the database cannot vote for a hospital."""
    slip_in_a_signature(stage, b"another text\n")

    said = told(draw("consortium", part="Motions"))

    assert "a signature of North Hospital that does not hold" in said
    assert "Signed (1 of 2 needed): East Clinic" in said


def test_a_changed_text_under_an_old_id_is_named(draw: Draw, stage: Stage) -> None:
    """What a hospital would sign is not what the page would show."""
    text = stage.rooms.ledger.draft(
        LOG, "member.suspended", {"site": NORTH, "reason": "policy"}, f"{EAST}/institution"
    )
    behind_the_hubs_back(
        stage.rooms.database,
        "UPDATE motion SET text = :text WHERE motion = :motion",
        text=text,
        motion=stage.waits["id"],
    )

    at = draw("consortium", part="Motions")

    assert "shows a text that is not what it claims" in words(at)
    assert "consilium site sign" not in told(at)


def test_a_carried_text_that_the_log_does_not_hold_is_red(draw: Draw, stage: Stage) -> None:
    """The table says that it stands in the log; it does not."""
    behind_the_hubs_back(
        stage.rooms.database, "UPDATE motion SET state = 'carried', idx = 1 WHERE state = 'open'"
    )

    assert "The hub says something else than the log shows." in told(
        draw("consortium", part="Motions")
    )


def test_a_text_with_enough_signatures_that_is_no_entry_is_asked_about(
    draw: Draw, stage: Stage
) -> None:
    """A hub that holds a decision back is seen."""
    text = base64.b64decode(stage.rooms.motions.get(stage.waits["id"])["text_base64"])
    slip_in_a_signature(stage, text)

    said = told(draw("consortium", part="Motions"))

    assert "Ask the hub's administrator why it is not in the log." in said


# ---------------------------------------------------------------------- witnesses and alarms

ALARM = {"log": LOG, "rule": "checkpoint.proof", "at": "2026-11-22T08:59:00Z"}


def test_each_witness_stands_there_with_how_far_it_has_come(draw: Draw, stage: Stage) -> None:
    """One that sleeps is behind by so many entries, and the quorum holds without it."""
    size = stage.rooms.ledger.size(LOG)
    stage.sign_motion(stage.waits["id"], NORTH)
    settle(stage, EAST, NORTH)

    said = told(draw("consortium", part="Witnesses"))

    assert said.count("up to date") == 2
    assert "behind" in said
    assert f"{size} entries" in said
    assert f"{size + 1} entries, last cosigned" in said
    assert "A hub that lies can leave them out" in said


def test_a_witness_that_is_ahead_of_the_quorum_is_verified_too(draw: Draw, stage: Stage) -> None:
    """Its line is about entries that no quorum has cosigned yet; they are folded for it."""
    stage.sign_motion(stage.waits["id"], NORTH)
    settle(stage, EAST)

    said = told(draw("consortium", part="Witnesses"))

    assert said.count("up to date") == 1
    assert "does not hold" not in said


def test_an_alarm_of_a_hospital_is_red_wherever_it_concerns_people(
    draw: Draw, stage: Stage
) -> None:
    """On the consortium's page, at the hospitals, and on the study that it is about."""
    about = ALARM | {"log": stage.study, "rule": "own.forged"}
    stage.rooms.members.heartbeat(SOUTH, {"states": {"alarmed": [ALARM, about]}})
    heard = "the hub heard it 22 Nov 2026"

    for name, query in (("consortium", {}), ("sites", {}), ("study", {"id": stage.study})):
        said = "\n".join(str(item.value) for item in draw(name, **query).error)
        assert "A hospital believes a log no more." in said, name
        assert "**South University Hospital** about the consortium's log: The log did not" in said
        assert "**South University Hospital** about Pneumonia on chest radiographs" in said
        assert heard in said


def test_an_alarm_about_one_study_does_not_stand_on_another(draw: Draw, stage: Stage) -> None:
    """Who reads a study is told of its own log and of the consortium's."""
    stage.more()
    stage.rooms.members.heartbeat(SOUTH, {"states": {"alarmed": [ALARM | {"log": stage.study}]}})

    assert list(draw("study", id=stage.ready).error) == []


def test_a_hospitals_own_copy_with_another_root_is_two_histories(draw: Draw, stage: Stage) -> None:
    """What hospitals tell of their copies is compared with what was computed here."""
    states = {"logs": {LOG: 3}, "roots": {LOG: base64.b64encode(bytes(32)).decode()}}
    stage.rooms.members.heartbeat(EAST, {"states": states})

    said = words(draw("consortium", part="Witnesses"))

    assert "**East Clinic holds another history.**" in said


def test_the_log_of_a_study_tells_its_witnesses_by_the_same_table(draw: Draw, stage: Stage) -> None:
    """On the study's own page and in the list of logs."""
    said = told(draw("study", "aya", id=stage.study, tab="Log"))

    assert said.count("up to date") == 3
    assert "A hub cannot invent one" in said
