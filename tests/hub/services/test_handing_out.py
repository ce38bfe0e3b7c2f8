"""A model and its papers leave by one gate: no role, no address and no file of it goes around."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

import httpx
import pytest

from compliance.canonical import sha256_id
from hub.services.packages import MODEL, SUMS, packed
from hub.services.papers import BOM, CARD, MODELCARD, TERMS
from tests.dashboard.stage import PEOPLE, Stage
from tests.hub.house import NAMES, PASSWORD

EAST, NORTH, SOUTH = NAMES
PAPERS = (CARD, MODELCARD, BOM, TERMS)
READERS = ("celine", "aya")
API = "/api/v1"


def asked(http: httpx.Client, headers: dict[str, str], study: str, **body: Any) -> httpx.Response:
    """Prepare and confirm the download as a page does; the last answer."""
    intent = {"action": "model.download", "object": study, "body": body}
    made = http.post(f"{API}/intents", json=intent, headers=headers)
    if made.status_code != 200:
        return made
    yes = {"password": PASSWORD, "typed": None}
    return http.post(f"{API}/intents/{made.json()['id']}/confirm", json=yes, headers=headers)


def released(stage: Stage) -> str:
    """The newest model, released and witnessed; its hash."""
    stage.agree(EAST, NORTH)
    name = str(stage.rooms.releases.release(stage.study)["model_sha256"])
    stage.settle()
    return name


def test_one_zip_holds_the_model_and_every_paper_with_their_sums(
    stage: Stage, http: httpx.Client
) -> None:
    """The papers are those that can be read one by one, the sums those of the files."""
    name, headers = released(stage), stage.bearer("celine")

    told = asked(http, headers, stage.study, model=name, what="package").json()["result"]
    data = http.get(f"{API}/tickets/{told['ticket']}").content

    assert hashlib.sha256(data).hexdigest() == told["sha256"]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {item: archive.read(item) for item in archive.namelist()}
    assert set(files) == {MODEL, SUMS, *PAPERS}
    lines = dict(reversed(line.split("  ")) for line in files.pop(SUMS).decode().splitlines())
    assert lines == {item: hashlib.sha256(body).hexdigest() for item, body in files.items()}
    assert name.encode() in files[MODEL][:100_000]
    for paper in PAPERS:
        path = f"{API}/studies/{stage.study}/papers/{paper}"
        assert http.get(path, headers=headers).content == files[paper]
    rows = http.get(f"{API}/studies/{stage.study}/papers", headers=headers).json()
    assert {row["name"]: row["sha256"] for row in rows} == {
        paper: sha256_id(files[paper]) for paper in PAPERS
    }
    assert json.loads(files[BOM])["bomFormat"] == "CycloneDX"


def test_the_same_files_are_packed_into_the_same_bytes() -> None:
    """Whoever asks later can compare."""
    files = {"b": b"2", "a": b"1"}

    assert packed(files) == packed(dict(reversed(files.items())))


def test_before_the_gate_there_is_no_file_for_anybody(stage: Stage, http: httpx.Client) -> None:
    """Agreed and not released is not released: every role, every address."""
    stage.agree(*NAMES)
    stage.settle()

    for who in PEOPLE:
        headers = stage.bearer(who)
        for what in ("weights", "package"):
            assert asked(http, headers, stage.study, what=what).status_code in (403, 409)
        for path in ("card", "papers", *(f"papers/{paper}" for paper in PAPERS)):
            answer = http.get(f"{API}/studies/{stage.study}/{path}", headers=headers)
            assert answer.status_code in (403, 409), (who, path)
    folder = stage.home / "exports"
    assert not folder.exists() or list(folder.iterdir()) == []


def test_the_answer_before_the_gate_says_who_acts_next(stage: Stage, http: httpx.Client) -> None:
    """First the hospitals that have not agreed, then the researcher."""
    headers, path = stage.bearer("celine"), f"{API}/studies/{stage.study}/papers"
    assert "0 of 2 hospitals have agreed" in http.get(path, headers=headers).text

    stage.agree(EAST, NORTH)
    assert "consilium study release" in http.get(path, headers=headers).text


@pytest.mark.parametrize("who", [name for name in PEOPLE if name != "celine"])
def test_after_the_release_only_a_researcher_takes_the_weights(
    stage: Stage, http: httpx.Client, who: str
) -> None:
    """Auditors read the papers; stewards and administrators have neither by this way."""
    name, headers = released(stage), stage.bearer(who)

    for what in ("weights", "package"):
        assert asked(http, headers, stage.study, model=name, what=what).status_code == 403
    found = http.get(f"{API}/studies/{stage.study}/papers", headers=headers)
    assert found.status_code == (200 if who in READERS else 403)


def test_a_model_is_not_had_in_another_studys_name(stage: Stage, http: httpx.Client) -> None:
    """Its hash opens nothing elsewhere, nor does an id that is a path."""
    name, headers, first = released(stage), stage.bearer("celine"), stage.study
    stage.run(1)

    assert stage.study != first
    for what in ("weights", "package"):
        assert asked(http, headers, stage.study, model=name, what=what).status_code == 409
        assert asked(http, headers, f"../studies/{first}", what=what).status_code in (404, 409)
    other = http.get(f"{API}/studies/{stage.study}/papers/{CARD}", headers=headers)
    assert other.status_code == 403


def test_nobody_without_a_session_gets_past_an_address(stage: Stage, http: httpx.Client) -> None:
    """No session, a false one, a ticket that was guessed or used."""
    released(stage)
    told = asked(http, stage.bearer("celine"), stage.study).json()["result"]
    path = f"{API}/tickets/{told['ticket']}"
    assert http.get(path).status_code == 200

    assert http.get(path).status_code == 403
    assert http.get(f"{API}/tickets/{'0' * 64}").status_code == 403
    for headers in ({}, {"Authorization": "Bearer nobody"}):
        assert asked(http, headers, stage.study).status_code == 401
        for paper in PAPERS:
            address = f"{API}/studies/{stage.study}/papers/{paper}"
            assert http.get(address, headers=headers).status_code == 401


def test_a_ticket_is_dead_after_its_minute(stage: Stage, http: httpx.Client) -> None:
    """A link in somebody's history opens nothing."""
    released(stage)
    told = asked(http, stage.bearer("celine"), stage.study, what="package").json()["result"]
    stage.time.forward(seconds=61)

    assert http.get(f"{API}/tickets/{told['ticket']}").status_code == 403


def test_a_suspended_hospital_reads_no_card_and_no_paper(stage: Stage, http: httpx.Client) -> None:
    """Its key is good and its request fresh: the members' word counts."""
    released(stage)
    path = f"{API}/studies/{stage.study}/card"
    assert http.get(path, headers=stage.signed(SOUTH, "GET", path)).status_code == 200
    stage.suspend(SOUTH)

    for name in ("card", "papers", f"papers/{CARD}"):
        path = f"{API}/studies/{stage.study}/{name}"
        answer = http.get(path, headers=stage.signed(SOUTH, "GET", path))
        assert answer.status_code in (401, 403)


def test_whoever_lost_the_role_between_asking_and_the_yes_gets_nothing(
    stage: Stage, http: httpx.Client
) -> None:
    """The role counts when the act is done, not when it was prepared."""
    released(stage)
    headers = stage.bearer("celine")
    intent = {"action": "model.download", "object": stage.study, "body": {"what": "package"}}
    number = http.post(f"{API}/intents", json=intent, headers=headers).json()["id"]
    stage.rooms.people.forget("celine", "0", {"id": "0", "role": "admin", "method": "password"})

    yes = {"password": PASSWORD, "typed": None}
    answer = http.post(f"{API}/intents/{number}/confirm", json=yes, headers=headers)

    assert answer.status_code in (401, 403)


def test_a_model_that_was_called_back_is_in_no_package(stage: Stage, http: httpx.Client) -> None:
    """Nor are its papers handed out as if it could be used."""
    name = released(stage)
    body = {"model_sha256": name, "reason": "safety", "replaced_by": None}
    stage.rooms.ledger.say(stage.study, "model.recalled", body)

    headers = stage.bearer("celine")
    for what in ("weights", "package"):
        assert asked(http, headers, stage.study, model=name, what=what).status_code == 403
    found = http.get(f"{API}/studies/{stage.study}/papers", headers=headers)
    assert found.status_code == 403


def test_what_is_no_file_of_a_model_is_refused(stage: Stage, http: httpx.Client) -> None:
    """Another word than the two, another paper than the four."""
    released(stage)
    headers = stage.bearer("celine")

    assert asked(http, headers, stage.study, what="../updates").status_code == 400
    found = http.get(f"{API}/studies/{stage.study}/papers/layout.json", headers=headers)
    assert found.status_code == 409
