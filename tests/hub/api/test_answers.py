"""What the hub answers: one form of error, no secret, no story of its inside."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from compliance.canonical import sha256_id
from compliance.records.envelope import parse_event
from compliance.report import bag
from compliance.signing.note import parse
from hub.api.limit import MAX_BODY, BodyLimit
from hub.main import PREFIX, create_app
from tests import factories as make
from tests.hub.api.test_access import ROLES, SUSPENSION, TABLE, bearer, filled, routes_of
from tests.hub.house import NAMES, PASSWORD, behind_the_hubs_back, key_of, rows_of


def test_a_body_above_two_mebibytes_is_refused_at_every_door(http):
    """At a public one too, whose caller nobody knows."""
    answer = http.post(f"{PREFIX}/auth/session", content=bytes(MAX_BODY + 1))

    assert answer.status_code == 413
    assert answer.json()["error"]["rule"] == "request.size"


def test_a_body_without_end_is_not_read_to_its_end(house):
    """In pieces, without a told length: the hub stops reading when it is too much."""
    asked, answers = [], []

    async def receive():
        asked.append(1)
        return {"type": "http.request", "body": bytes(1 << 20), "more_body": True}

    async def send(message) -> None:
        answers.append(message)

    scope = {"type": "http", "method": "POST", "path": f"{PREFIX}/join", "headers": []}
    asyncio.run(BodyLimit(create_app(house.rooms), PREFIX)(scope, receive, send))

    assert len(asked) == 3
    assert answers[0]["status"] == 413


def test_the_largest_body_still_gets_in(http):
    """The limit does not bite one byte early; here it is only no sign-in."""
    answer = http.post(
        f"{PREFIX}/auth/session",
        content=bytes(MAX_BODY),
        headers={"Content-Type": "application/json"},
    )

    assert answer.status_code == 400


def test_flower_messages_are_not_held_back_by_the_limit_of_the_api(house):
    """What is mounted beside the API streams: models are larger than 2 MiB."""
    passed = []

    async def gateway(scope, receive, _send) -> None:
        passed.append((scope["path"], await receive()))

    async def receive():
        return {"type": "http.request", "body": bytes(MAX_BODY + 1), "more_body": True}

    limit = BodyLimit(gateway, PREFIX)
    asyncio.run(limit({"type": "http", "path": "/v1/fleet/x"}, receive, None))

    assert passed[0][0] == "/v1/fleet/x"
    assert passed[0][1]["more_body"] is True


def test_an_unexpected_error_tells_nothing_of_the_inside(http, house, caplog):
    """A broken row makes the hub stumble: the caller learns that, the log keeps the story."""
    house.join(NAMES[0])
    house.person("admin", "admin")
    behind_the_hubs_back(house.rooms.database, "UPDATE member SET health = 'secret story'")

    answer = http.get(f"{PREFIX}/sites", headers=bearer(house, "admin"))

    assert answer.status_code == 500
    assert answer.json()["error"] == {
        "code": "internal",
        "sentence": "Something went wrong at the hub; it is in its log.",
        "fix": "",
    }
    assert "unexpected error" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", None, 404),
        ("GET", "/../keys/events.key", None, 404),
        ("DELETE", "/healthz", None, 405),
        ("POST", "/auth/session", {"name": "x"}, 400),
        ("POST", "/auth/session", {"name": "x", "password": "y", "admin": True}, 400),
        ("POST", "/auth/session", {"name": "x", "password": "y"}, 401),
        ("POST", "/auth/enrol", {"code": "x", "password": PASSWORD}, 403),
        ("GET", "/auth/enrol/x", None, 403),
        ("GET", "/tickets/x", None, 403),
        ("GET", "/me", None, 401),
        ("POST", "/join", {}, 403),
        ("POST", "/join", {"token": ["x"]}, 403),
    ],
)
def test_every_refusal_has_one_form(http, method, path, body, status):
    """Code, sentence and the way out; the framework's own words never appear."""
    answer = http.request(method, PREFIX + path, json=body)

    assert answer.status_code == status
    error = answer.json()["error"]
    assert {"code", "sentence", "fix"} <= set(error)
    assert error["sentence"]
    assert "detail" not in answer.json()


def test_who_must_wait_is_told_for_how_long(http, house):
    """Too many wrong passwords: 429 with Retry-After."""
    house.person("celine", "researcher")
    for _ in range(6):
        wrong = {"name": "celine", "password": "wrong"}
        answer = http.post(f"{PREFIX}/auth/session", json=wrong)

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert answer.json()["error"]["code"] == "auth.wait"


def test_a_crowd_at_the_door_is_told_to_come_back(http, house):
    """While three passwords are checked the fourth gets 503, and memory stays."""
    house.person("celine", "researcher")
    places = [house.rooms.passwords.place() for _ in range(3)]
    for place in places:
        place.__enter__()
    right = {"name": "celine", "password": PASSWORD}

    answer = http.post(f"{PREFIX}/auth/session", json=right)
    for place in places:
        place.__exit__(None, None, None)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert http.post(f"{PREFIX}/auth/session", json=right).status_code == 200


def test_no_answer_holds_a_secret(http, house):
    """Every GET, every role: no hash of a password, no token, no code, no private key."""
    house.launched()
    for role in ROLES:
        house.person(role, role, NAMES[0] if role == "steward" else "")
    token, _ = house.rooms.accounts.sign_in("admin", PASSWORD)
    code = house.rooms.accounts.add("late", "auditor")
    invitation, _ = house.rooms.members.invite("west.example", "West")
    number = http.post(
        f"{PREFIX}/intents",
        json={"action": "study.stop", "object": house.study},
        headers={"Authorization": f"Bearer {token}"},
    ).json()["id"]
    values = {
        "study": house.study,
        "log": house.study,
        "charter_id": house.charter_id,
        "sha256": house.rooms.ledger.state(house.study).charter.recipe.sha256,
        "index": 0,
        "code": code,
        "number": number,
        "motion": house.motion("member.suspended", SUSPENSION, NAMES[1])["id"],
        "path": "entries/000.p/1",
        "paper": "card.json",
        "site": NAMES[0],
    }
    seed = base64.b64encode(house.rooms.keys.events.seed).decode()
    hashes = [row["password"] for row in rows_of(house.rooms.database, "account")]
    tokens = [row["token_hash"] for row in rows_of(house.rooms.database, "web_session")]
    secrets = [seed, token, code, invitation, *filter(None, hashes), *tokens, PASSWORD]
    house.witness(*NAMES)

    answered = 0
    for name in TABLE:
        method, path = name.split(" ")
        if method != "GET":
            continue
        for role in ROLES:
            address = filled(path, values) + "?from=0&to=1"
            answer = http.get(address, headers=bearer(house, role))
            answered += answer.status_code == 200
            for secret in secrets:
                assert secret not in answer.text, name
    assert answered > 60


def test_the_walk_knows_every_get_route(house):
    """The search above misses no route, because the table misses none."""
    found = {name for name in routes_of(create_app(house.rooms)) if name.startswith("GET")}

    assert found == {name for name in TABLE if name.startswith("GET")}


def test_readiness_is_told_to_everybody_in_a_few_words(http):
    """No path, no version, no count; of the certificate what TLS shows to everybody anyway."""
    assert http.get(f"{PREFIX}/readyz").json() == {
        "ready": False,
        "database": "ok",
        "superlink": "not here",
        "certificate": "unreadable",
        "certificate_until": None,
    }


def test_a_study_goes_by_http_from_draft_to_a_recorded_export(http, house):
    """Researcher, hospitals and auditor, each by their own doors."""
    house.join(*NAMES)
    house.person("celine", "researcher")
    house.person("david", "auditor")
    celine = bearer(house, "celine")
    checked = http.post(f"{PREFIX}/charters/check", json={"draft": house.draft()}, headers=celine)
    assert all(row["allowed"] for row in checked.json())
    told = http.post(f"{PREFIX}/charters", json={"draft": house.draft()}, headers=celine).json()
    house.charter_id, house.study = told["charter_id"], told["study"]
    text = base64.b64decode(told["text_base64"])

    for site in NAMES:
        path = f"{PREFIX}/charters/{house.charter_id}/signatures"
        body = json.dumps({"line": key_of(f"{site}/institution").line(text)}).encode()
        sent = http.post(path, content=body, headers=house.signed(site, "POST", path, body))
        assert sent.status_code == 200
    path = f"{PREFIX}/charters/{house.charter_id}/launch"
    assert http.post(path, headers=celine).status_code == 200
    path = f"{PREFIX}/logs/{house.study}/entries"
    note = house.limit(NAMES[0])
    sent = http.post(path, content=note, headers=house.signed(NAMES[0], "POST", path, note))
    assert sent.json()["index"] == 1
    house.witness(*NAMES)
    path = f"{PREFIX}/logs/{house.study}/exports"
    made = http.post(path, json={}, headers=bearer(house, "david")).json()

    data = http.get(f"{PREFIX}/tickets/{made['ticket']}")
    assert data.content[:2] == b"PK"
    assert http.get(f"{PREFIX}/tickets/{made['ticket']}").status_code == 403
    last = house.rooms.ledger.entries(house.study, made["index"])[0]
    assert parse_event(parse(last).text).type == "export.created"


def test_an_auditor_learns_what_a_bundle_would_hold_and_gets_just_that(http, house):
    """Attached files by hash, persons by printed name; the choices of the export are kept."""
    study = house.launched()
    house.person("david", "auditor")
    house.witness(*NAMES)
    path = f"{PREFIX}/logs/{study}"
    assert http.post(
        f"{path}/exports", json={"nmes": False}, headers=bearer(house, "david")
    ).is_client_error

    told = http.get(f"{path}/attachments", headers=bearer(house, "david")).json()

    asked = {"names": False, "profiles": ["gdpr"]}
    made = http.post(f"{path}/exports", json=asked, headers=bearer(house, "david")).json()
    _, files = bag.read_zip(http.get(f"{PREFIX}/tickets/{made['ticket']}").content)
    here = {path: sha256_id(data) for path, data in files.items()}
    assert {row["path"]: row["sha256"] for row in told["files"]}.items() <= here.items()
    assert told["files"] != []
    assert json.loads(files["data/controls.json"])["profiles"] == ["gdpr"]
    assert told["pdf"] is ("data/report.pdf" in files)
    assert "data/people.csv" not in files
    house.witness(*NAMES)
    told = http.get(f"{path}/attachments", headers=bearer(house, "david")).json()
    assert "david" in told["people"].values()


def test_a_researcher_with_an_own_key_signs_alone(http, house):
    """Once a key of one's own is registered the hub signs nothing in one's name any more."""
    house.join(*NAMES)
    house.person("celine", "researcher")
    celine = bearer(house, "celine")
    name = http.get(f"{PREFIX}/me/key", headers=celine).json()["name"]
    key = make.key(name)
    foreign = {"vkey": make.vkey("mallory.example/r-1")}
    assert http.put(f"{PREFIX}/me/key", json=foreign, headers=celine).status_code == 400
    assert http.put(f"{PREFIX}/me/key", json={"vkey": str(key.verifier)}, headers=celine).is_success

    draft = {"draft": house.draft()}
    assert http.post(f"{PREFIX}/charters", json=draft, headers=celine).status_code == 403
    dry = http.post(f"{PREFIX}/charters", json=draft | {"dry": True}, headers=celine).json()
    text = base64.b64decode(dry["text_base64"])
    signed = {"text_base64": dry["text_base64"], "signature": key.line(text)}
    told = http.post(f"{PREFIX}/charters", json=signed, headers=celine).json()

    assert house.rooms.charters.get(told["charter_id"])["researcher_line"] == key.line(text).strip()
