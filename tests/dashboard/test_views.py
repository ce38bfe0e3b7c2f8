"""Pages by role and state, drawn by Streamlit itself over the real hub's application."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from compliance.protocol import PROTOCOL
from dashboard import hub_client, session
from dashboard.drafting import answers_of, draft_of, read_draft, write_draft
from dashboard.settings import Settings
from hub.main import create_app
from hub.services.authority import make_authority
from hub.storage import studies as rows
from tests import factories as make
from tests.dashboard.gated import HUB, Wire
from tests.dashboard.stage import PEOPLE, TITLES, Stage
from tests.hub.house import behind_the_hubs_back, rows_of

APP = Path(session.__file__).with_name("app.py")
PAGES = {
    "home": ("researcher", "steward", "auditor", "admin"),
    "studies": ("researcher", "steward", "auditor", "admin"),
    "counts": ("researcher", "auditor", "admin"),
    "draft": ("researcher",),
    "study": ("researcher", "steward", "auditor", "admin"),
    "reports": ("auditor",),
    "sites": ("researcher", "steward", "auditor", "admin"),
    "consortium": ("researcher", "steward", "auditor", "admin"),
    "people": ("admin",),
    "account": ("researcher", "steward", "auditor", "admin"),
}
TABS = ("Overview", "Live", "Performance", "Contribution", "Log", "Model")
Draw = Callable[..., AppTest]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A hub with a running study and two proposals."""
    made = Stage(tmp_path_factory.mktemp("stage") / "hub")
    made.run(3, absent={2: "south.example"})
    made.open_round()
    made.answer("east.example")
    made.settle()
    made.more()
    made.counted()
    return made


@pytest.fixture
def wire(stage: Stage) -> Wire:
    """The line to the hub."""
    return Wire(create_app(stage.rooms))


@pytest.fixture
def draw(stage: Stage, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Draw a page as a person sees it."""
    given = Settings(home=tmp_path / "dashboard", hub_url=HUB)
    monkeypatch.setattr(hub_client, "TRANSPORT", wire)

    def page(name: str, who: str = "celine", token: str | None = None, **query: str) -> AppTest:
        st.cache_resource.clear()  # every AppTest has the same session
        held = stage.tokens[who] if token is None else token
        monkeypatch.setattr(session, "cookies", lambda: {given.cookie: held})
        at = AppTest.from_file(str(APP), default_timeout=30)
        for key, value in session.handed_over(given).items():
            at.secrets[key] = value
        role, site = PEOPLE[who]
        at.user = {"user": who, "roles": role, "site": site}
        at.query_params.update(query)
        at.run()
        if name != "home":
            at.switch_page(f"views/{name}.py")
            at.query_params.update(query)
            at.run()
        assert not at.exception, [item.message for item in at.exception]
        return at

    return page


def words(at: AppTest) -> str:
    """What a person reads."""
    main = at.main
    parts: list[str] = []
    for kind in ("title", "subheader", "markdown", "warning", "error", "info", "success"):
        parts += [str(item.value) for item in main.get(kind)]
    return "\n".join(parts)


def button(at: AppTest, label: str) -> Any:
    """The button with this label, or None."""
    return next((item for item in at.button if item.label == label), None)


def asked(at: AppTest, kind: str, label: str) -> Any:
    """The field whose label begins so."""
    return next(item for item in at.get(kind) if str(item.label).startswith(label))


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_drawn_for_its_roles_and_shut_for_others(
    draw: Draw, stage: Stage, name: str, who: str
) -> None:
    """Each page either shows its content or says which role it is for; none breaks."""
    at = draw(name, who, id=stage.study)

    shut = "This page is for the role" in words(at)
    assert shut is (PEOPLE[who][0] not in PAGES[name])


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("which", ["study", "ready", "waiting"])
def test_every_part_of_a_study_is_drawn_before_and_after_its_launch(
    draw: Draw, stage: Stage, which: str, tab: str
) -> None:
    """Before the launch the page says what is missing; afterwards it shows it."""
    at = draw("study", id=getattr(stage, which), tab=tab)

    told = words(at)
    assert "Something is wrong" not in told
    if which != "study" and tab != "Overview":
        assert "This study is not launched yet." in told


def test_who_signed_who_refused_and_who_is_silent_is_named(draw: Draw, stage: Stage) -> None:
    """With the reason of the refusal, by titles."""
    told = words(draw("study", id=stage.waiting))

    assert "**East Clinic**  \n:gray[Signed" in told
    assert "**South University Hospital**  \n:gray[Refused" in told
    assert "privacy" in told
    assert "no answer yet" in told


def test_launch_is_offered_to_a_researcher_when_enough_signed(draw: Draw, stage: Stage) -> None:
    """And to nobody else, and not before; clicking it only prepares."""
    assert button(draw("study", "aya", id=stage.ready), "Launch the study") is None
    assert button(draw("study", "ida", id=stage.ready), "Launch the study") is None
    at = draw("study", id=stage.ready)
    launch = button(at, "Launch the study")
    assert launch.disabled is False

    launch.click().run()

    assert "nothing has happened yet" in words(at)
    assert stage.rooms.studies.one(stage.ready)["state"] == "signed"


def test_an_approval_written_into_the_hubs_tables_offers_no_launch(
    draw: Draw, stage: Stage
) -> None:
    """Whoever owns the database cannot sign for a hospital: this process verifies each line."""
    kept = stage.study, stage.charter_id, stage.text
    stage.propose(title="Signed by one", signatures_required=2)
    stage.sign("east.example")
    proposal, charter_id = stage.study, stage.charter_id
    stage.study, stage.charter_id, stage.text = kept
    other = make.key("north.example/institution").line(b"another text").strip()
    row = rows.SignatureRow(
        charter_id=charter_id,
        key_name="north.example/institution",
        line=other,
        time=stage.time.text(),
    )
    with stage.rooms.database.transaction("charters") as tx:
        rows.keep(tx, row)
    assert stage.rooms.studies.one(proposal)["state"] == "signed"

    at = draw("study", id=proposal)

    assert "The hub shows a signature that does not verify." in words(at)
    assert button(at, "Launch the study").disabled is True


def test_a_hospital_with_nine_positives_is_in_no_summary(draw: Draw, stage: Stage) -> None:
    """Nine positive cases say nothing: neither the list nor the study page ranks them."""
    values = {
        row["site"]: float(row["values"]["auroc"]["value"])
        for row in stage.rooms.studies.metrics(stage.study)
    }
    assert max(values, key=values.__getitem__) == "south.example"

    told = words(draw("study", id=stage.study, tab="Performance"))

    assert "Too few cases to say anything: South University Hospital." in told
    summary = stage.rooms.studies.one(stage.study)["auroc"]
    two = sorted((values["north.example"], values["east.example"]))
    assert summary == {"low": two[0], "high": two[1]}


def test_the_live_part_says_whom_we_wait_for(draw: Draw, stage: Stage) -> None:
    """In one sentence, with titles."""
    told = words(draw("study", id=stage.study, tab="Live"))

    assert "Round 4 of 6. Waiting for North Hospital and South University Hospital" in told


def test_a_log_without_a_policy_file_is_reported_and_never_proven(draw: Draw, stage: Stage) -> None:
    """No green without trust from outside the hub."""
    told = words(draw("study", "aya", id=stage.study, tab="Log"))

    assert "no policy file: reported" in told
    assert "Checked by this dashboard" not in told


def test_verify_now_reads_the_log_again_and_spares_no_page_that_follows(
    draw: Draw, stage: Stage, wire: Wire
) -> None:
    """A reading is at most 10 s old, and as new as the click; Reports verifies bundles after it."""
    at = draw("study", "aya", id=stage.study, tab="Log")
    path = f"/api/v1/logs/{stage.study}/checkpoint"
    before = wire.asked.count(path)
    button(at, "Verify now").click().run()
    assert wire.asked.count(path) == before + 1

    at.switch_page("views/reports.py")
    at.query_params["part"] = "Verify a bundle"
    at.run()
    assert not at.exception
    assert button(at, "Verify") is not None


def test_a_silent_hub_is_said_without_a_traceback(draw: Draw, stage: Stage, wire: Wire) -> None:
    """The first visit says that nobody answers; a later one shows the old answer, without acts."""
    at = draw("study", id=stage.ready)
    wire.silent = True

    at.run()

    assert "The hub is silent" in words(at)
    assert button(at, "Launch the study").disabled is True
    assert "The hub does not answer" in words(draw("studies"))


def test_an_ended_session_leads_to_the_sign_in_page(draw: Draw) -> None:
    """In words, with a link, and nothing of the page."""
    at = draw("studies", token="nobody")

    assert "Your session has ended." in words(at)
    assert "Pneumonia" not in words(at)


def test_an_unknown_study_is_said_in_words(draw: Draw) -> None:
    """With the next step, not with a code."""
    assert "Not there" in words(draw("study", id="0" * 16))
    assert "No study is chosen." in words(draw("study"))


def test_an_empty_hub_shows_the_first_steps(
    draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody stands before a blank page."""
    from tests.hub.house import House

    house = House(tmp_path / "empty")
    token, _ = house.person("celine", "researcher")
    monkeypatch.setattr(hub_client, "TRANSPORT", Wire(create_app(house.rooms)))

    assert "Invite a hospital." in words(draw("home", token=token))
    assert "There is no study yet." in words(draw("studies", token=token))
    assert "No hospital offers data yet." in words(draw("draft", token=token))
    assert "No hospital has joined yet." in words(draw("sites", token=token))


def test_the_home_page_says_when_a_certificate_ends(
    draw: Draw, stage: Stage, tmp_path: Path
) -> None:
    """The hub's own above everything, a hospital's beside its name; nothing when all is well."""
    tls = stage.rooms.settings.tls
    make_authority(tls, "hub.example", "127.0.0.1", stage.time.now)
    try:
        assert "TLS certificate" not in words(draw("home"))
        make_authority(
            tmp_path / "old", "hub.example", "127.0.0.1", stage.time.now - timedelta(days=820)
        )
        shutil.copy(tmp_path / "old" / "server.pem", tls / "server.pem")
        told = {"states": {"certificates": {"hub": "ended"}}, "versions": {"protocol": PROTOCOL}}
        stage.rooms.members.heartbeat("north.example", told)

        shown = words(draw("home"))
    finally:
        shutil.rmtree(tls)

    assert "The hub's TLS certificate ends on" in shown
    assert "certificate has ended" in shown


def test_a_draft_is_judged_as_it_grows_and_survives_leaving(draw: Draw, stage: Stage) -> None:
    """The rules stand beside the form; nothing is stored at the hub."""
    before = len(stage.rooms.studies.all())
    at = draw("draft")
    assert "Choose at least one data set" in words(at)
    assert button(at, "Propose to the hospitals").disabled is True

    asked(at, "multiselect", "Data sets").select("north.example|cxr").run()
    at.text_input[0].input("Fractures of the hand").run()
    assert "**North Hospital**: missing Controller" in words(at)

    at.switch_page("views/home.py").run()
    at.switch_page("views/draft.py").run()
    assert at.text_input[0].value == "Fractures of the hand"
    assert len(stage.rooms.studies.all()) == before


def test_a_whole_draft_can_be_proposed(draw: Draw, stage: Stage) -> None:
    """With every answer given, no rule refuses, and the act is prepared."""
    at = draw("draft")
    at.session_state["draft answers"] = answers_of(stage.draft())
    at.session_state["draft turn"] = 1
    at.run()
    assert "No rule has anything against this draft." in words(at)

    button(at, "Propose to the hospitals").click().run()

    assert "nothing has happened yet" in words(at)


def test_a_kept_draft_comes_back_as_it_was(stage: Stage) -> None:
    """Answers → draft → file → answers → the same draft."""
    recipes = stage.rooms.catalogue.recipes()
    answers = answers_of(stage.draft(title="Ördög & Söhne: ≥ 3")) | {"recipe.local.epochs": 5}
    draft = draft_of(answers, recipes)

    again = draft_of(answers_of(read_draft(write_draft(draft).encode())), recipes)

    assert again == draft
    assert draft["recipe"]["changes"] == {"local": {"epochs": 5}}
    assert draft["legal"] == stage.draft()["legal"]
    strict = draft_of(answers_of(stage.draft(quorum={"k": 3})), recipes)["quorum"]
    assert strict == {"k": 3, "witnesses": list(TITLES), "external": []}


def test_no_raw_name_stands_where_a_title_belongs(draw: Draw, stage: Stage) -> None:
    """Hospitals are called by their titles on every part of a study."""
    for tab in TABS:
        told = words(draw("study", id=stage.study, tab=tab))
        for name in TITLES:
            assert name not in told, tab


def test_an_auditor_notes_a_review_with_a_sealed_remark(draw: Draw, stage: Stage) -> None:
    """The button prepares; the log says the result, and the remark is in no entry."""
    at = draw("study", "aya", id=stage.study, tab="Log")
    next(item for item in at.text_area if item.label.startswith("Remark")).set_value("Looks odd.")
    shown = button(at, "Note it")
    assert shown is not None

    shown.click().run()

    assert not at.exception
    assert "nothing has happened yet" in words(at)
    kept = rows_of(stage.rooms.database, "intent")[-1]
    assert (kept["action"], kept["object"]) == ("review.note", stage.study)
    assert button(draw("study", "celine", id=stage.study, tab="Log"), "Note it") is None


def test_a_stop_is_prepared_with_its_reason_and_a_sealed_remark(draw: Draw, stage: Stage) -> None:
    """The reason is of the closed list; the remark goes with the act, in one line."""
    at = draw("study", id=stage.study)
    next(item for item in at.text_area if item.label.startswith("Remark")).set_value("A\nfilm.")

    button(at, "Stop").click().run()

    kept = rows_of(stage.rooms.database, "intent")[-1]
    assert (kept["action"], kept["object"]) == ("study.stop", stage.study)
    assert json.loads(kept["body"]) == {"reason": "operator", "remark": "A film."}
    assert stage.rooms.ledger.state(stage.study).phase.value == "in_round"


def test_an_administrator_reads_until_when_the_records_are_kept(draw: Draw, stage: Stage) -> None:
    """Before the day there is no button that destroys; others do not see the part at all."""
    at = draw("study", "ida", id=stage.study)

    assert "Before that day nobody can destroy them." in words(at)
    assert button(at, "Ask for destruction") is None
    assert "nobody can destroy them" not in words(draw("study", "celine", id=stage.study))


def tables(at: AppTest) -> list[list[Any]]:
    """Rows of every table."""
    return [row for table in at.table for row in table.value.to_numpy().tolist()]


def test_every_hospital_is_shown_by_what_it_told_and_too_few_is_no_number(
    draw: Draw, stage: Stage
) -> None:
    """A number, too few, a no, no answer yet; the sum is of what was told alone."""
    at = draw("counts")

    rows = [" ".join(str(word) for word in row) for row in tables(at)]
    assert "North Hospital cxr 1,240 steps of 10" in rows
    assert "East Clinic cxr fewer than 10, or none steps of 10" in rows
    assert any("answers no such question" in row for row in rows), rows
    assert sum("no answer yet" in row for row in rows) == 3
    assert "1,240 patients as told by 1 hospital" in words(at)


def test_a_question_is_prepared_in_the_words_that_were_chosen(draw: Draw, stage: Stage) -> None:
    """The form offers what the data sets have; nothing is asked before the confirm page."""
    at = draw("counts")
    before = len(rows_of(stage.rooms.database, "question"))
    asked(at, "selectbox", "Body part").set_value("chest").run()
    asked(at, "selectbox", "Sex").set_value("female").run()

    button(at, "Ask every hospital").click().run()

    kept = rows_of(stage.rooms.database, "intent")[-1]
    assert (kept["action"], kept["object"]) == ("counts.ask", "body part chest, sex female")
    assert json.loads(kept["body"])["sex"] == "female"
    assert len(rows_of(stage.rooms.database, "question")) == before


def test_an_auditor_reads_the_answers_and_asks_nothing(draw: Draw) -> None:
    """The form is for researchers."""
    at = draw("counts", "aya")

    assert button(at, "Ask every hospital") is None
    assert tables(at)


def test_a_number_that_a_hospital_did_not_sign_is_said_in_red(draw: Draw, stage: Stage) -> None:
    """The hub's operator raises north's number: the page checks the node's signature itself."""
    name = stage.rooms.counts.all()[-1]["question"]
    assert not draw("counts", id=name).main.error
    change = "UPDATE count_answer SET note = :note WHERE site = :site AND question = :name"
    (kept,) = [row["note"] for row in rows_of(stage.rooms.database, "count_answer")
               if (row["site"], row["question"]) == ("north.example", name)]  # fmt: skip
    given = {"site": "north.example", "name": name}
    try:
        lie = kept.replace(b"1240", b"9990")
        behind_the_hubs_back(stage.rooms.database, change, note=lie, **given)

        told = "\n".join(str(item.value) for item in draw("counts", id=name).main.error)
    finally:
        behind_the_hubs_back(stage.rooms.database, change, note=kept, **given)

    assert told.startswith("North Hospital did not sign what the hub shows here")
