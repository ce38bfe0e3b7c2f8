"""Who may do what: a table that is compared with every route, and asked of every route."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from compliance.errors import Refused
from hub.api.access import Access
from hub.main import PREFIX, create_app
from tests.hub.house import NAMES, PASSWORD, House

PUBLIC, PEOPLE, SITES = "public", "people", "sites"
READERS = {PEOPLE, SITES}
SUSPENSION = {"site": NAMES[0], "reason": "inactive"}
KEEPERS = {
    "study.stop",
    "site.invite",
    "user.add",
    "person.erase",
    "study.destroy.prepare",
    "study.destroy",
}
ROLES = ("researcher", "steward", "auditor", "admin")

TABLE: dict[str, set[str]] = {
    "GET /ca.pem": {PUBLIC},
    "GET /healthz": {PUBLIC},
    "GET /readyz": {PUBLIC},
    "POST /join": {PUBLIC},
    "POST /auth/session": {PUBLIC},
    "GET /auth/enrol/{code}": {PUBLIC},
    "POST /auth/enrol": {PUBLIC},
    "GET /tickets/{number}": {PUBLIC},
    "DELETE /auth/session": {PEOPLE},
    "GET /me": {PEOPLE},
    "GET /me/sessions": {PEOPLE},
    "DELETE /me/sessions/{short}": {PEOPLE},
    "GET /me/key": {"researcher"},
    "PUT /me/key": {"researcher"},
    "GET /sites": {PEOPLE},
    "POST /sites/heartbeat": {SITES},
    "POST /sites/follow": {SITES},
    "GET /takeover": {SITES},
    "GET /datasets": {PEOPLE},
    "POST /datasets": {SITES},
    "PUT /datasets/{site}/{dataset}/{version}/description": {SITES},
    "GET /recipes": {PEOPLE},
    "POST /recipes": {"researcher"},
    "POST /recipes/brought": {"researcher"},
    "GET /recipes/{sha256}": READERS,
    "POST /admin/invitations": {"admin"},
    "POST /admin/users": {"admin"},
    "GET /admin/users": {"admin"},
    "GET /counts": {"researcher", "auditor", "admin"},
    "GET /counts/words": {"researcher", "auditor", "admin"},
    "GET /counts/open": {SITES},
    "POST /counts": {"researcher"},
    "POST /counts/{question}/answers": {SITES},
    "GET /studies": READERS,
    "GET /studies/{study}": {PEOPLE},
    "GET /studies/{study}/live": {PEOPLE},
    "GET /studies/{study}/metrics": {PEOPLE},
    "POST /studies/{study}/release": {"researcher"},
    "GET /studies/{study}/card": READERS,
    "GET /studies/{study}/statement": READERS,
    "GET /studies/{study}/statement/{site}": READERS,
    "GET /studies/{study}/papers": {"auditor", "researcher"},
    "GET /studies/{study}/papers/{paper}": {"auditor", "researcher"},
    "GET /models": {PEOPLE},
    "POST /charters/check": {"researcher"},
    "POST /charters": {"researcher"},
    "POST /starts/{sha256}": {"researcher"},
    "GET /charters/{charter_id}": READERS,
    "POST /charters/{charter_id}/signatures": {SITES},
    "POST /charters/{charter_id}/refusals": {SITES},
    "POST /charters/{charter_id}/launch": {"researcher"},
    "POST /logs/{log}/entries": {"researcher", SITES},
    "GET /logs/{log}/checkpoint": READERS,
    "GET /logs/{log}/entries": READERS,
    "GET /logs/{log}/proof/{index}": READERS,
    "GET /logs/{log}/consistency": READERS,
    "POST /logs/{log}/cosignatures": {SITES},
    "GET /logs/{log}/cosignatures": READERS,
    "GET /logs/{log}/state": READERS,
    "GET /logs/{log}/policy": READERS,
    "POST /logs/{log}/may": READERS,
    "GET /logs/{log}/tile/{path:path}": READERS,
    "POST /logs/{log}/exports": {"auditor", "researcher"},
    "GET /logs/{log}/attachments": {"auditor", "researcher"},
    "GET /logs/{log}/sealed": READERS,
    "POST /logs/{log}/sealed": {"researcher", SITES},
    "GET /logs/{log}/sealed/{index}": READERS,
    "DELETE /logs/{log}/sealed/{index}": {"researcher", SITES},
    "GET /retention": {"admin", "auditor"},
    "GET /consortium": READERS,
    "GET /motions": READERS,
    "POST /motions": {"researcher", SITES},
    "GET /motions/{motion}": READERS,
    "POST /motions/{motion}/signatures": {"researcher", SITES},
    "POST /intents": {PEOPLE},
    "GET /intents/{number}": {PEOPLE},
    "POST /intents/{number}/confirm": {PEOPLE},
}


def routes_of(app: FastAPI) -> dict[str, APIRoute]:
    """Every route by method and path, those of included routers too.

    A kind of route that this walk does not know fails: it might be a door without a rule.
    """
    found: dict[str, APIRoute] = {}
    for entry in app.routes:
        inner = getattr(entry, "original_router", None)
        for route in inner.routes if inner is not None else [entry]:
            assert isinstance(route, APIRoute), f"a door of another kind: {route}"
            for method in route.methods:
                found[f"{method} {route.path}"] = route
    return found


def rule_of(route: APIRoute) -> Access | None:
    """The access rule of a route."""
    rules = [part.call for part in route.dependant.dependencies if isinstance(part.call, Access)]
    return rules[0] if len(rules) == 1 else None


def allowed(access: Access) -> set[str]:
    """An access rule in the words of the table."""
    if access.public:
        return {PUBLIC}
    people = set(access.roles) or ({PEOPLE} if access.people else set())
    return people | ({SITES} if access.sites else set())


def filled(path: str, values: dict[str, Any]) -> str:
    """A path with values in its places."""
    return PREFIX + path.replace("{path:path}", "{path}").format_map(values)


@pytest.fixture
def world(house: House) -> House:
    """A launched study and one person of each role."""
    house.launched()
    for role in ROLES:
        house.person(role, role, NAMES[0] if role == "steward" else "")
    return house


@pytest.fixture
def values(world: House) -> dict[str, Any]:
    """What stands in the places of paths."""
    return {
        "study": world.study,
        "paper": "card.json",
        "log": world.study,
        "charter_id": world.charter_id,
        "site": NAMES[0],
        "dataset": "cxr",
        "version": "sha256:00",
        "sha256": world.rooms.ledger.state(world.study).charter.recipe.sha256,
        "index": 0,
        "motion": world.motion("member.suspended", SUSPENSION, NAMES[1])["id"],
        "path": "entries/000.p/1",
        "code": world.rooms.accounts.add("late", "auditor"),
        "number": "0" * 32,
        "question": "sha256:" + "0" * 64,
        "short": "0" * 16,
    }


def bearer(house: House, role: str) -> dict[str, str]:
    """The header of a new session of this role."""
    token, _ = house.rooms.accounts.sign_in(role, PASSWORD)
    return {"Authorization": f"Bearer {token}"}


def ask(http, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    """Status and code of an answer; a body without a type where one may be sent."""
    body = "{}" if method in ("POST", "PUT") else None
    answer = http.request(method, path, headers=headers, content=body)
    try:
        return answer.status_code, answer.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return answer.status_code, ""


def test_every_route_names_its_rule_and_the_rule_is_the_tables(house):
    """A new route without a rule, or with another one, fails here."""
    found = routes_of(create_app(house.rooms))

    assert {name for name, route in found.items() if rule_of(route) is None} == set()
    assert {name: allowed(rule_of(route)) for name, route in found.items()} == TABLE


def test_a_route_without_a_rule_is_found(house):
    """The test above can fail: a door that somebody forgot to guard is seen."""
    app = create_app(house.rooms)

    @app.get("/forgotten")
    def forgotten() -> str:
        return "open to everybody"

    assert rule_of(routes_of(app)["GET /forgotten"]) is None


def test_nobody_passes_a_guarded_door_unnamed(http, values):
    """Without a session or a signature the answer is 401, whatever the door."""
    for name, who in TABLE.items():
        method, path = name.split(" ")
        for headers in ({}, {"Authorization": "Bearer " + "0" * 64}, {"Cookie": "session=1"}):
            status, code = ask(http, method, filled(path, values), headers)
            assert who == {PUBLIC} or (status, code) == (401, "auth.session"), name


@pytest.mark.parametrize("role", ROLES)
def test_every_role_opens_its_own_doors_only(http, world, values, role):
    """Each role against each route: 403 where the table says so, never where it does not."""
    for name, who in TABLE.items():
        method, path = name.split(" ")
        status, code = ask(http, method, filled(path, values), bearer(world, role))
        if who & {PUBLIC, PEOPLE, role}:
            assert (status, code) not in {(401, "auth.session"), (403, "authority")}, name
        else:
            assert (status, code) == (403, "authority"), name


def test_a_hospital_opens_no_door_of_people(http, world, values):
    """Its signed request is good, the door is not its own; and nothing was done."""
    for name, who in TABLE.items():
        method, path = name.split(" ")
        target = filled(path, values)
        body = b"{}" if method in ("POST", "PUT") else b""
        status, code = ask(http, method, target, world.signed(NAMES[0], method, target, body))
        if who & {PUBLIC, SITES}:
            assert (status, code) != (403, "authority"), name
        else:
            assert (status, code) == (403, "authority"), name


def test_a_hospital_reads_only_studies_that_name_it(http, world, values):
    """West is a member, but not of this study: list empty, log and charter closed."""
    world.join("west.example")

    def west(path: str) -> Any:
        return http.get(path, headers=world.signed("west.example", "GET", path))

    assert west(f"{PREFIX}/studies").json() == []
    for part in ("checkpoint", "entries?from=0&to=1", "state", "policy", "consistency?from=0&to=1"):
        assert west(f"{PREFIX}/logs/{world.study}/{part}").status_code == 403
    assert west(f"{PREFIX}/charters/{world.charter_id}").status_code == 403


@pytest.mark.parametrize(("site", "sees"), [(NAMES[0], True), ("west.example", False)])
def test_a_steward_reads_only_studies_that_name_the_hospital(http, world, values, site, sees):
    """Other hospitals' studies are none of the steward's business."""
    world.person("steward-2", "steward", site)
    headers = bearer(world, "steward-2")

    lists = [http.get(f"{PREFIX}/{name}", headers=headers).json() for name in ("studies", "models")]
    statuses = {
        http.get(f"{PREFIX}/{path}", headers=headers).status_code
        for path in (
            f"studies/{world.study}",
            f"studies/{world.study}/live",
            f"studies/{world.study}/metrics",
            f"charters/{world.charter_id}",
            f"logs/{world.study}/state",
            f"logs/{world.study}/entries?from=0&to=1",
        )
    }

    assert [len(rows) for rows in lists] == ([1, 1] if sees else [0, 0])
    assert statuses == ({200} if sees else {403})


def test_an_admin_decides_nothing_for_a_hospital(http, world, values):
    """What the admin may change is invitations, accounts and the brake: no door signs or releases.

    The acts behind the confirm page are held against the same rule in test_intents.py.
    """
    writes = {
        name
        for name, who in TABLE.items()
        if not name.startswith("GET") and who & {PEOPLE, "admin"}
    }
    assert writes == {
        "POST /logs/{log}/may",
        "POST /admin/invitations",
        "POST /admin/users",
        "POST /intents",
        "POST /intents/{number}/confirm",
        "DELETE /auth/session",
        "DELETE /me/sessions/{short}",
    }
    before = world.rooms.ledger.size(world.study)
    headers = bearer(world, "admin")
    for action in world.rooms.acts:
        intent = {"action": action, "object": world.charter_id, "body": {}}
        answer = http.post(f"{PREFIX}/intents", json=intent, headers=headers)
        assert (answer.status_code == 200) == (action in KEEPERS)
    assert world.rooms.ledger.size(world.study) == before


def test_a_hospitals_vote_cannot_be_sent_with_a_persons_session(http, world):
    """Even a true signature line enters only by the hospital's own signed request."""
    path = f"{PREFIX}/charters/{world.charter_id}/signatures"
    for role in ROLES:
        answer = http.post(path, json={"line": "— x y"}, headers=bearer(world, role))
        assert answer.status_code == 403


def test_a_caller_of_the_wrong_kind_is_refused_even_past_the_rule(world):
    """Two seat belts: what asks for a person or a hospital checks that there is one."""
    from hub.api.access import Caller

    for missing in ("known", "hospital"):
        with pytest.raises(Refused):
            getattr(Caller(b""), missing)
