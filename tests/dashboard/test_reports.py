"""The page for auditors: what a bundle will hold before it is made, past exports, verification."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from compliance.errors import Refused
from compliance.report import bag, controls
from compliance.report.kinds import CONTROLS
from dashboard import evidence, evidence_words, hub_client
from dashboard.hub_client import HubClient
from hub.main import create_app
from tests.dashboard.gated import HUB, Wire
from tests.dashboard.stage import PEOPLE, SITES, Stage
from tests.dashboard.test_views import APP, asked, button, draw, wire, words  # noqa: F401
from tests.hub.house import House, rows_of

Draw = Callable[..., AppTest]
EXPORT, PAST, VERIFY = "Export", "Past exports", "Verify a bundle"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A study with a released model and an export, in a consortium that is witnessed too."""
    made = Stage(tmp_path_factory.mktemp("stage") / "hub")
    made.run(2, absent={2: "south.example"})
    made.agree("east.example", "north.example")
    made.rooms.releases.release(made.study)
    made.settle()
    exported_by_aya(made)
    made.rooms.ledger.issue_checkpoint("consortium")
    made.witness(*SITES, log="consortium")
    yield made
    made.close()


@pytest.fixture
def hub(stage: Stage) -> Iterator[HubClient]:
    """The auditor's line to the hub."""
    line = Wire(create_app(stage.rooms))
    with HubClient(HUB, None, lambda: stage.tokens["aya"], transport=line) as client:
        yield client


def entries_of(stage: Stage) -> list[bytes]:
    """The whole log."""
    return stage.rooms.ledger.entries(stage.study, 0, stage.rooms.ledger.size(stage.study))


def exported_by_aya(stage: Stage, **body: Any) -> dict[str, Any]:
    """The auditor's confirmed act; gives what the result page shows."""
    person = stage.rooms.accounts.person(stage.tokens["aya"])
    told = stage.rooms.acts["export.create"].do(person, stage.study, body)
    stage.settle()
    return dict(told)


def bundle_of(stage: Stage, out: Path, **how: Any) -> bytes:
    """A bundle as an export makes it."""
    made = stage.rooms.exports.bundle(stage.study, out, wait=0, **how)
    stage.settle()
    return Path(made["bundle"]).read_bytes()


def page(draw: Draw, stage: Stage, part: str, who: str = "aya") -> AppTest:  # noqa: F811
    """A part of the page, as a fresh visit finds it."""
    st.cache_data.clear()
    return draw("reports", who, study=stage.study, part=part)


# ---------------------------------------------------------------- before the export


@pytest.mark.parametrize("names", [True, False])
def test_what_the_page_says_will_be_in_the_bundle_is_in_it(
    stage: Stage, hub: HubClient, tmp_path: Path, names: bool
) -> None:
    """Every path, no other, and the very rows of its list of clauses."""
    told = evidence.preview(hub, stage.study, entries_of(stage), names=names)

    data = bundle_of(stage, tmp_path, names=names)

    top, files = bag.read_zip(data)
    assert set(told.files) == set(files)
    assert told.name == f"{top}.zip"
    made = json.loads(files[CONTROLS])
    asked_for = [row for row in made["controls"] if row["status"] != "not_selected"]
    assert list(told.clauses) == asked_for != []
    assert list(told.profiles) == made["profiles"]
    assert "data/consortium/0.note" in files
    assert ("data/people.csv" in files) is names


def test_only_the_clauses_of_the_chosen_laws_are_told(stage: Stage, hub: HubClient) -> None:
    """The choice goes into the bundle as it stands here."""
    told = evidence.preview(hub, stage.study, entries_of(stage), profiles=("gdpr", "hipaa"))

    assert {controls.profile_of(row["id"]) for row in told.clauses} == {"gdpr", "hipaa"}
    assert {row["status"] for row in told.clauses} <= set(evidence_words.STATUSES)


def test_entries_that_the_hub_changed_give_no_preview(stage: Stage, hub: HubClient) -> None:
    """The root is computed here: a shorter story does not lead to the signed one."""
    changed = entries_of(stage)
    changed[3], changed[4] = changed[4], changed[3]

    with pytest.raises(Refused):
        evidence.preview(hub, stage.study, changed)


def test_files_of_one_folder_are_told_in_one_line() -> None:
    """A thousand proofs are one line; a card stays a line of its own."""
    files = {f"data/log/proofs/{n}.tlog-proof": "derived" for n in range(1000)}

    rows = evidence.grouped(files | {"data/model/ab/card.json": "attached", "bagit.txt": "derived"})

    assert rows == [
        ("bagit.txt", "derived"),
        ("data/log/proofs/… (1000 files)", "derived"),
        ("data/model/ab/card.json", "attached"),
    ]


def test_an_auditor_sees_clauses_and_files_and_prepares_the_export(
    draw: Draw,  # noqa: F811
    stage: Stage,
) -> None:
    """The choices on the page are what the act holds; nothing is exported by the button."""
    at = page(draw, stage, EXPORT)
    before = stage.rooms.ledger.size(stage.study)
    asked(at, "multiselect", "Laws").set_value(["gdpr"]).run()
    asked(at, "selectbox", "For").set_value("ethics").run()
    asked(at, "checkbox", "With printed names").uncheck().run()
    assert [item.label for item in at.expander if "GDPR" in item.label]
    assert not [item.label for item in at.expander if "HIPAA" in item.label]

    button(at, EXPORT).click().run()

    assert not at.exception
    assert "nothing has happened yet" in words(at)
    kept = rows_of(stage.rooms.database, "intent")[-1]
    assert (kept["action"], kept["object"]) == ("export.create", stage.study)
    assert json.loads(kept["body"]) == {"purpose": "ethics", "names": False, "profiles": ["gdpr"]}
    assert stage.rooms.ledger.size(stage.study) == before


@pytest.mark.parametrize("part", [EXPORT, PAST, VERIFY])
@pytest.mark.parametrize("who", [name for name, (role, _) in PEOPLE.items() if role != "auditor"])
def test_the_page_is_shut_for_everybody_else(
    draw: Draw,  # noqa: F811
    stage: Stage,
    who: str,
    part: str,
) -> None:
    """It says which role is needed and who grants it, and shows nothing else."""
    at = page(draw, stage, part, who)

    assert "This page is for the role auditor. An administrator" in words(at)
    assert (button(at, EXPORT), button(at, "Verify")) == (None, None)


def test_without_a_launched_study_there_is_a_next_step(
    draw: Draw,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody stands before a blank page."""
    house = House(tmp_path / "empty")
    token, _ = house.person("aya", "auditor")
    monkeypatch.setattr(hub_client, "TRANSPORT", Wire(create_app(house.rooms)))

    assert "No study has a log yet." in words(draw("reports", "aya", token=token))
    house.close()


def test_a_silent_hub_leaves_the_old_answer_without_its_button(
    draw: Draw,  # noqa: F811
    stage: Stage,
    wire: Wire,  # noqa: F811
) -> None:
    """What was read before is shown with its age; a first visit says that nobody answers."""
    at = page(draw, stage, EXPORT)
    wire.silent = True

    at.run()

    assert "The hub is silent" in words(at)
    assert button(at, EXPORT).disabled
    assert "The hub does not answer" in words(draw("reports", "aya"))


def test_a_log_without_its_quorum_is_not_exported(
    draw: Draw,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The page says whom it lacks and offers no button."""
    made = Stage(tmp_path / "hub")
    made.propose(max_rounds=6, signatures_required=3, min_sites=2)
    made.sign(*SITES)
    made.rooms.charters.launch(made.charter_id)
    made.rooms.ledger.issue_checkpoint(made.study)
    monkeypatch.setattr(hub_client, "TRANSPORT", Wire(create_app(made.rooms)))

    at = draw("reports", "aya", token=made.tokens["aya"], study=made.study)

    assert "Nothing can be exported yet. Too few hospitals" in words(at)
    assert button(at, EXPORT) is None
    made.close()


# ---------------------------------------------------------------- past exports


def test_past_exports_name_who_asked_and_give_their_receipt(
    draw: Draw,  # noqa: F811
    stage: Stage,
    tmp_path: Path,
) -> None:
    """By the printed name; after its erasure by the id; a command line by the machine."""
    exported_by_aya(stage, purpose="regulator")

    at = page(draw, stage, PAST)

    table = at.table[0].value
    row = table.iloc[0]
    assert (row["Asked by"], row["For"]) == ("aya", "a regulator")
    assert [item.proto.label for item in at.get("download_button")] == ["Download the receipt"]
    stage.rooms.exports.bundle(stage.study, tmp_path, wait=0)
    stage.settle()
    assert page(draw, stage, PAST).table[0].value.iloc[0]["Asked by"].startswith("The hub, on its")


def test_what_must_be_renewed_is_told_with_who_can(
    draw: Draw,  # noqa: F811
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Far from the end nothing is urgent; near it the hospital and the days are named."""
    from datetime import datetime, timedelta

    from dashboard import page as pages

    assert "No document of this study ends within 60 days." in words(page(draw, stage, PAST))
    charter = stage.rooms.ledger.state(stage.study).charter
    near = datetime.fromisoformat(charter.expires) - timedelta(days=10)
    monkeypatch.setattr(pages, "now", lambda: near)

    table = page(draw, stage, PAST).table[-1].value

    rows = {row["Document"]: row for _, row in table.iterrows()}
    ends = next(row for name, row in rows.items() if name.startswith("Charter"))
    assert ends["Left"] == "10 days left"
    assert "North Hospital" in ends["Who renews"]
    assert "The researcher" in ends["Who renews"]
