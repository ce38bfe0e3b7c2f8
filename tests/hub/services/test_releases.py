"""A model leaves the study only as the charter says, with a card that the log vouches for."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from compliance.canonical import encode, sha256_id
from compliance.command import main
from compliance.errors import NotReady, Refused
from compliance.report.bundle import Material, build, write_zip
from compliance.report.card import card
from compliance.report.verify import Report, verify
from compliance.rules.fold import replay
from tests import factories as make
from tests.dashboard.stage import EVALUATION, Stage
from tests.hub.house import NAMES, PASSWORD

EAST, NORTH, SOUTH = NAMES


def newest(stage: Stage) -> str:
    """The model of the last closed round."""
    return stage.rooms.ledger.state(stage.study).rounds_closed[-1].model_sha256


def first(stage: Stage) -> str:
    """The model of round 1, which every hospital measured in round 2."""
    return stage.rooms.ledger.state(stage.study).rounds_closed[0].model_sha256


def released(stage: Stage, model: str | None = None) -> dict[str, Any]:
    """Two hospitals agree, a researcher releases."""
    stage.agree(EAST, NORTH, model=model)
    return stage.rooms.releases.release(stage.study, model)


def bundle_with(stage: Stage, attachments: dict[str, bytes]) -> Report:
    """What an auditor finds in a bundle with these files, built and signed by the hub's own key."""
    stage.settle()
    ledger = stage.rooms.ledger
    material = Material(
        ledger.entries(stage.study, 0),
        ledger.checkpoint(stage.study),
        stage.rooms.keys.events,
        attachments,
    )
    return verify(write_zip(build(material)), ledger.policy(stage.study))


def place(model: str) -> str:
    """Where the card of a model lies in a bundle."""
    return f"model/{model.removeprefix('sha256:')[:16]}/card.json"


def test_a_model_leaves_after_enough_hospitals_agreed(stage: Stage) -> None:
    """Entry, card and file name the same model; who agreed is told."""
    told = released(stage)

    assert told["model_sha256"] == newest(stage)
    assert told["agreed"] == [EAST, NORTH]
    (event,) = stage.rooms.ledger.events(stage.study, "model.released")
    assert event.body.card_sha256 == told["card_sha256"]
    assert sha256_id(stage.rooms.releases.card(stage.study)) == told["card_sha256"]
    data, _ = stage.rooms.exports.model_file(stage.study)
    assert newest(stage).encode() in data


def test_one_hospital_too_few_keeps_the_model_here(stage: Stage) -> None:
    """The refusal names who has not agreed and what they type; the log stays as it was."""
    stage.agree(SOUTH)
    size = stage.rooms.ledger.size(stage.study)

    with pytest.raises(Refused, match="1 of 2 hospitals") as caught:
        stage.rooms.releases.release(stage.study)

    assert caught.value.rule == "release.approvals"
    assert f"{EAST}, {NORTH}" in str(caught.value)
    assert f"consilium site release {stage.study}" in str(caught.value)
    assert stage.rooms.ledger.size(stage.study) == size


def test_a_veto_stops_a_release_that_enough_agreed_to(stage: Stage) -> None:
    """One no is enough where the charter says so; the hospital is named."""
    stage.agree(EAST, NORTH)
    stage.object_to_release(SOUTH)

    with pytest.raises(Refused, match=SOUTH) as caught:
        stage.rooms.releases.release(stage.study)

    assert caught.value.rule == "release.refused"


def test_a_hospital_that_changes_its_mind_is_counted_by_its_last_word(stage: Stage) -> None:
    """A no takes back the own yes, a yes takes back the own no."""
    stage.agree(EAST, NORTH)
    stage.object_to_release(NORTH)
    with pytest.raises(Refused):
        stage.rooms.releases.release(stage.study)

    stage.agree(NORTH)

    assert stage.rooms.releases.release(stage.study)["agreed"] == [EAST, NORTH]


@pytest.mark.parametrize("name", ["initial", "other"])
def test_a_model_that_no_closed_round_made_is_not_released(stage: Stage, name: str) -> None:
    """Neither the start model nor one from elsewhere passes under the study's name."""
    charter = stage.rooms.ledger.state(stage.study).charter
    model = charter.initial_model_sha256 if name == "initial" else make.sha("other")

    with pytest.raises(NotReady, match="no closed round"):
        stage.rooms.releases.release(stage.study, model)


def test_a_charter_that_lets_only_numbers_out_keeps_the_weights(tmp_path: Path) -> None:
    """The agreed form binds the hub."""
    stage = Stage(tmp_path / "hub")
    release = {"outputs": ["metrics_only"], "k": 1, "veto": False}
    stage.propose(release=release, evaluation=EVALUATION)
    stage.sign(*NAMES)
    stage.rooms.charters.launch(stage.charter_id)
    stage.play_round()
    stage.settle()

    with pytest.raises(Refused) as caught:
        stage.rooms.releases.release(stage.study)

    assert caught.value.rule == "release.output"
    stage.close()


def test_a_round_that_nobody_witnessed_releases_nothing(tmp_path: Path) -> None:
    """A hub alone could still rewrite that round: the release waits for the quorum."""
    stage = Stage(tmp_path / "hub")
    stage.run(1)
    stage.play_round()
    stage.agree(*NAMES)

    with pytest.raises(NotReady, match="not witnessed"):
        stage.rooms.releases.release(stage.study)

    stage.settle()
    assert stage.rooms.releases.release(stage.study)["model_sha256"] == newest(stage)
    stage.close()


def test_a_model_is_released_once(stage: Stage) -> None:
    """The second yes finds the first, no second entry."""
    released(stage)

    with pytest.raises(NotReady, match="released already"):
        stage.rooms.releases.release(stage.study)

    assert len(stage.rooms.ledger.events(stage.study, "model.released")) == 1


def test_before_the_release_nobody_downloads(stage: Stage, http: httpx.Client) -> None:
    """Not one role, by no door: neither act nor file nor card."""
    with pytest.raises(Refused, match="0 of 2"):
        stage.rooms.exports.model_file(stage.study)
    for name in stage.tokens:
        headers = stage.bearer(name)
        card_answer = http.get(f"/api/v1/studies/{stage.study}/card", headers=headers)
        assert card_answer.status_code == 403
        intent = {"action": "model.download", "object": stage.study, "body": {}}
        made = http.post("/api/v1/intents", json=intent, headers=headers)
        if made.status_code == 200:
            number = made.json()["id"]
            yes = {"password": PASSWORD, "typed": None}
            path = f"/api/v1/intents/{number}/confirm"
            made = http.post(path, json=yes, headers=headers)
        assert made.status_code == 403


def test_agreement_alone_hands_nothing_out(stage: Stage) -> None:
    """Between the hospitals' yes and the release the sentence says who acts next."""
    stage.agree(*NAMES)

    with pytest.raises(NotReady, match="consilium study release"):
        stage.rooms.exports.model_file(stage.study)


def test_the_command_of_the_hubs_host_obeys_too(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever owns the machine is told no like everybody, and no file is left."""
    out = tmp_path / "model.safetensors"
    words = ["hub", "model", stage.study, "--out", str(out), "--home", str(stage.home)]

    assert main(words) == 1
    assert "site release" in capsys.readouterr().err
    assert not out.exists()

    released(stage)
    assert main(words) == 0
    assert out.is_file()


def test_the_newest_released_model_is_handed_out_not_the_newest(stage: Stage) -> None:
    """A later round whose model nobody agreed to changes nothing."""
    released(stage, first(stage))

    _, name = stage.rooms.exports.model_file(stage.study)

    assert first(stage)[7:23] in name
    with pytest.raises(Refused):
        stage.rooms.exports.model_file(stage.study, newest(stage))


def test_a_model_that_was_called_back_stays_here(stage: Stage) -> None:
    """Recalled for safety: no download, no card, no copy in new evidence."""
    told = released(stage)
    body = {"model_sha256": told["model_sha256"], "reason": "safety", "replaced_by": None}
    stage.rooms.ledger.say(stage.study, "model.recalled", body)

    for ask in (stage.rooms.exports.model_file, stage.rooms.releases.card):
        with pytest.raises(Refused, match="called back"):
            ask(stage.study, told["model_sha256"])
    assert stage.rooms.releases.attachments(stage.study) == {}
    with pytest.raises(NotReady, match="recalled already"):
        stage.rooms.releases.release(stage.study)


def test_the_card_follows_from_the_log_alone(stage: Stage) -> None:
    """Anybody with the entries makes the same bytes: purpose, rounds, numbers and their entries."""
    told = released(stage, first(stage))

    data = stage.rooms.releases.card(stage.study)

    plain = json.loads(data)
    entries = stage.rooms.ledger.entries(stage.study, 0)
    assert card(replay(entries[: plain["size"]]), told["model_sha256"], "weights") == data
    assert plain["title"] == "Pneumonia on chest radiographs"
    assert plain["purpose"]["use"] == "HMB"
    assert set(plain["narrative"].values()) == {None}
    assert [row["used"] for row in plain["rounds"]] == [list(NAMES)]
    assert all(any(name in row["name"] for row in plain["numbers"]) for name in NAMES)
    assert all(row["entry"] < plain["size"] for row in plain["numbers"])
    assert "not a medical device" in plain["limits"]


def test_a_changed_card_is_not_served(stage: Stage) -> None:
    """The file has the hash of its entry, or it is not that card."""
    told = released(stage)
    name = told["card_sha256"].removeprefix("sha256:")
    path = stage.home / "studies" / stage.study / "cards" / f"{name}.json"
    path.write_bytes(path.read_bytes().replace(b"Pneumonia", b"Influenza"))

    with pytest.raises(NotReady, match="backup"):
        stage.rooms.releases.card(stage.study)


def test_the_evidence_holds_a_model_only_after_its_release(stage: Stage, tmp_path: Path) -> None:
    """Before: neither file nor card, and the step says so. After: both, and both are checked."""
    steps = {}
    for when in ("before", "after"):
        stage.settle()
        made = stage.rooms.exports.bundle(stage.study, tmp_path / when, wait=0)
        data = Path(made["bundle"]).read_bytes()
        report = verify(data, stage.rooms.ledger.policy(stage.study))
        assert report.exit_code == 0
        with zipfile.ZipFile(made["bundle"]) as bundle:
            files = [name.split("/data/")[-1] for name in bundle.namelist() if "/model/" in name]
        steps[when] = {step.clause: step.result for step in report.steps}, sorted(files)
        if when == "before":
            released(stage)

    folder = place(newest(stage)).removesuffix("card.json")
    assert steps["before"][1] == []
    assert steps["before"][0]["model files"] == "not_applicable"
    names = ("bom.cdx.json", "card.json", "model.safetensors", "modelcard.chai.xml", "modelcard.md")
    assert steps["after"][1] == [folder + name for name in names]
    assert steps["after"][0]["model files"] == steps["after"][0]["attached files"] == "pass"


def test_the_evidence_holds_the_card_of_every_released_model(stage: Stage, tmp_path: Path) -> None:
    """Two models left: both cards are there and are checked, the file is that of the newest."""
    released(stage, first(stage))
    released(stage)
    stage.settle()

    made = stage.rooms.exports.bundle(stage.study, tmp_path, wait=0)

    with zipfile.ZipFile(made["bundle"]) as bundle:
        files = {name.split("/data/")[-1] for name in bundle.namelist()}
    assert {place(first(stage)), place(newest(stage))} <= files
    assert place(newest(stage)).replace("card.json", "model.safetensors") in files
    assert place(first(stage)).replace("card.json", "model.safetensors") not in files


def test_a_card_with_one_changed_number_is_refuted(stage: Stage) -> None:
    """A prettier number in the evidence has another hash than the log names."""
    told = released(stage, first(stage))
    plain = json.loads(stage.rooms.releases.card(stage.study))
    plain["numbers"][0]["value"] = "0.99"

    report = bundle_with(stage, {place(told["model_sha256"]): encode(plain)})

    assert report.exit_code == 1
    assert [step.clause for step in report.steps if step.result == "fail"] == ["attached files"]


def test_a_hub_that_puts_a_false_card_on_record_is_refuted(stage: Stage) -> None:
    """Its hash is in the log, and still the card is made again from the entries and differs."""
    model = first(stage)
    stage.agree(EAST, NORTH, model=model)
    plain = json.loads(card(stage.rooms.ledger.state(stage.study), model, "weights"))
    plain["numbers"][0]["value"] = "0.99"
    false = encode(plain)
    body = {"model_sha256": model, "form": "weights", "card_sha256": sha256_id(false)}
    stage.rooms.ledger.say(stage.study, "model.released", {**body, "on_behalf": None})

    report = bundle_with(stage, {place(model): false})

    assert report.exit_code == 1
    assert any("something else than the log" in step.detail for step in report.steps)


@pytest.mark.parametrize("how", ["elsewhere", "unreadable"])
def test_a_card_in_a_wrong_place_or_form_is_refuted(stage: Stage, how: str) -> None:
    """A true card beside another model, or bytes that are no card although an entry names them."""
    model = first(stage)
    stage.agree(EAST, NORTH, model=model)
    data = b"[]"
    if how == "unreadable":
        body = {"model_sha256": model, "form": "weights", "card_sha256": sha256_id(data)}
        stage.rooms.ledger.say(stage.study, "model.released", {**body, "on_behalf": None})
    else:
        stage.rooms.releases.release(stage.study, model)
        data = stage.rooms.releases.card(stage.study)

    report = bundle_with(stage, {place(newest(stage) if how == "elsewhere" else model): data})

    assert report.exit_code == 1


def test_a_researcher_confirms_the_release_with_password_and_typing(stage: Stage) -> None:
    """It cannot be undone: the page asks for both, and says what follows."""
    stage.agree(EAST, NORTH)
    intents = stage.rooms.intents
    _, celine = stage.rooms.accounts.sign_in("celine", PASSWORD)
    told = intents.prepare(celine, "model.release", stage.study, {})
    assert (told["needs_step_up"], told["typed"]) == (True, stage.study[:8])

    done = intents.confirm(celine, told["id"], PASSWORD, stage.study[:8], told["object_hash"])

    assert done["result"]["model_sha256"] == newest(stage)


def test_a_researcher_releases_over_http_and_reads_the_card(
    stage: Stage, http: httpx.Client
) -> None:
    """The route that `consilium study release` uses; a steward of the study reads the card too."""
    stage.agree(EAST, NORTH)
    path = f"/api/v1/studies/{stage.study}/release"

    told = http.post(path, json={}, headers=stage.bearer("celine"))

    assert told.status_code == 200
    for name in stage.tokens:
        read = http.get(f"/api/v1/studies/{stage.study}/card", headers=stage.bearer(name))
        assert sha256_id(read.content) == told.json()["card_sha256"]


def test_what_the_makers_wrote_stands_in_the_card_and_in_the_evidence(
    stage: Stage, http: httpx.Client
) -> None:
    """The narrative travels with the release; the verifier makes the card again with it."""
    stage.agree(EAST, NORTH)
    route = f"/api/v1/studies/{stage.study}/release"
    told = {"narrative": {"intended_use": "A second look.", "risks": None}}

    answer = http.post(route, json=told, headers=stage.bearer("celine"))

    assert answer.status_code == 200, answer.text
    data = stage.rooms.releases.card(stage.study)
    assert json.loads(data)["narrative"]["intended_use"] == "A second look."
    report = bundle_with(stage, {place(newest(stage)): data})
    assert report.exit_code == 0, report.plain()


@pytest.mark.parametrize("false", [{"praise": "the best"}, {"risks": "x" * 4001}, {"risks": ""}])
def test_a_narrative_that_a_card_does_not_have_releases_nothing(
    stage: Stage, http: httpx.Client, false: dict[str, str]
) -> None:
    """Nine closed fields; anything else is refused in words before an entry is made."""
    stage.agree(EAST, NORTH)
    route = f"/api/v1/studies/{stage.study}/release"

    answer = http.post(route, json={"narrative": false}, headers=stage.bearer("celine"))

    assert answer.status_code == 400
    assert next(iter(false)) in answer.text
    assert stage.rooms.ledger.events(stage.study, "model.released") == []
