"""Logs over HTTP: who waits sees what he needs, refusals are on record, tiles are static."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from compliance.ledger.merkle import Tree, leaf_hash
from compliance.ledger.tiles import parse_entry_bundle, tile_files
from compliance.rules.fold import may, replay
from compliance.rules.verdict import Allowed
from hub.main import PREFIX
from hub.services.tiles import read_path
from tests import factories as make
from tests.hub.api.test_access import bearer
from tests.hub.house import NAMES, House, key_of

EAST, NORTH, SOUTH = NAMES
WEST = "west.example"
LOG = "consortium"


def call(http, house: House, site: str, method: str, path: str, body: bytes = b""):
    """A hospital's signed request."""
    target = PREFIX + path
    kind = "application/json" if body.startswith(b"{") else "text/plain"
    headers = house.signed(site, method, target, body) | {"Content-Type": kind}
    return http.request(method, target, content=body or None, headers=headers)


def propose(http, house: House, site: str, kind: str, body: dict, log: str = LOG):
    """A hospital lays a text before the others, over HTTP."""
    name = f"{site}/institution"
    text = house.rooms.ledger.draft(log, kind, body, name)
    told = {"log": log, "text_base64": base64.b64encode(text).decode(),
            "line": key_of(name).line(text)}  # fmt: skip
    return call(http, house, site, "POST", "/motions", json.dumps(told).encode())


@pytest.fixture
def west(house: House) -> House:
    """Three members with a study; West has joined the hub and waits."""
    house.launched()
    house.rooms.members.join(house.application(WEST, house.token(WEST)))
    return house


def test_a_hospital_that_waits_sees_the_consortium_and_nothing_else(http, west):
    """It reads agreement, log and motions, and gives signs of life; every other door is shut."""
    doors = ("/consortium", "/motions", f"/logs/{LOG}/checkpoint?latest=1",
             f"/logs/{LOG}/entries?from=0&to=1", f"/logs/{LOG}/state", f"/logs/{LOG}/policy",
             f"/logs/{LOG}/tile/entries/000.p/1")  # fmt: skip
    shut = ("/studies", f"/logs/{west.study}/state", f"/charters/{west.charter_id}")

    assert {call(http, west, WEST, "GET", path).status_code for path in doors} == {200}
    assert call(http, west, WEST, "POST", "/sites/heartbeat", b"{}").status_code == 200
    for path in shut:
        answer = call(http, west, WEST, "GET", path)
        assert (answer.status_code, answer.json()["error"]["rule"]) == (403, "member.known")


def test_a_hospital_that_waits_asks_for_its_own_admission_only(http, west):
    """It proposes nothing else; with the members' signatures it is in."""
    other = propose(http, west, WEST, "member.suspended", {"site": EAST, "reason": "security"})
    assert other.status_code == 403
    motion = propose(http, west, WEST, "member.admitted", make.admission(WEST)).json()
    text = base64.b64decode(motion["text_base64"])

    for site in (EAST, NORTH):
        line = key_of(f"{site}/institution").line(text).encode()
        told = call(http, west, site, "POST", f"/motions/{motion['id']}/signatures", line).json()

    assert told["state"] == "carried"
    assert call(http, west, WEST, "GET", "/studies").json() == []


def test_a_motion_of_a_study_is_shown_to_its_hospitals_only(http, west):
    """Another member neither sees the text nor signs it."""
    west.admit(WEST)
    stop = west.rooms.ledger.submit(west.study, west.say()).index
    motion = propose(http, west, EAST, "study.resumed", {"stopped": stop}, west.study).json()

    for path in (f"/motions/{motion['id']}", f"/logs/{west.study}/state"):
        assert call(http, west, WEST, "GET", path).status_code == 403
    body = b"- x y"
    path = f"/motions/{motion['id']}/signatures"
    assert call(http, west, WEST, "POST", path, body).status_code == 403
    seen = {row["id"] for row in call(http, west, WEST, "GET", "/motions").json()}
    assert motion["id"] not in seen
    assert motion["id"] in {row["id"] for row in call(http, west, NORTH, "GET", "/motions").json()}


@pytest.mark.parametrize("body", [b"", b"\xff", b"nonsense", b"x" * 5000])
def test_a_line_that_is_none_changes_no_motion(http, west, body):
    """Bytes, noise, a whole file: the text waits on."""
    motion = west.motion("member.suspended", {"site": EAST, "reason": "policy"}, NORTH)

    answer = call(http, west, SOUTH, "POST", f"/motions/{motion['id']}/signatures", body)

    assert answer.status_code in (400, 403)
    assert len(west.rooms.motions.get(motion["id"])["signatures"]) == 1


# ---------------------------------------------------------------------------------------- refusals


def denials(house: House, log: str = "") -> list[tuple[str, str, int]]:
    """What stands on record as refused: action, rule, suppressed."""
    events = house.rooms.ledger.events(log or house.study, "decision.denied")
    return [(row.body.action, row.body.rule, row.body.suppressed) for row in events]


def test_a_statement_that_the_rules_refuse_leaves_an_entry(http, west):
    """Who asked for what, and by which rule it was refused, stands in the log for ever."""
    body = {"dataset": "no-such", "reason": "policy"}
    note = west.note("dataset.withdrawn", body, f"{NORTH}/node")

    answer = call(http, west, NORTH, "POST", f"/logs/{west.study}/entries", note)

    assert answer.status_code == 403
    assert set(answer.json()["error"]) >= {"rule", "found", "agreed"}
    assert denials(west) == [("dataset.withdrawn", "dataset.unknown", 0)]
    assert replay(west.rooms.ledger.entries(west.study, 0)).size == 2


def test_noise_and_forgeries_of_strangers_leave_no_entry(http, west):
    """Otherwise anybody could fill a log that is kept for years."""
    body = {"dataset": make.DATASET, "reason": "policy"}
    forged = west.note("dataset.withdrawn", body, f"{SOUTH}/node", by=key_of("mallory.example/r-1"))
    unsigned = forged[: forged.rfind(b"\n\n") + 2]

    for data in (b"noise", b"", bytes(70_000), forged, unsigned):
        answer = call(http, west, NORTH, "POST", f"/logs/{west.study}/entries", data)
        assert answer.status_code in (400, 403, 413)

    assert denials(west) == []


def test_a_storm_of_refusals_is_counted_and_not_written(http, west):
    """Twenty in an hour are written; the next one afterwards says how many were not."""
    path = f"/logs/{west.study}/entries"

    def refuse(number: int) -> None:
        body = {"dataset": f"no-such-{number}", "reason": "policy"}
        note = west.note("dataset.withdrawn", body, f"{NORTH}/node")
        assert call(http, west, NORTH, "POST", path, note).status_code == 403

    for number in range(23):
        refuse(number)
    assert len(denials(west)) == 20
    west.time.forward(minutes=61)
    refuse(99)

    assert [row[2] for row in denials(west)] == [0] * 20 + [3]


def test_the_hub_records_refusals_in_the_consortiums_log_too(http, west):
    """A member's node that would speak for the institution is on record."""
    body = {"charter": west.charter_id, "reason": "data"}
    note = west.note("study.refused", body, f"{NORTH}/node", log=west.agreement_id)

    assert call(http, west, NORTH, "POST", f"/logs/{LOG}/entries", note).status_code == 403

    assert denials(west, LOG) == [("study.refused", "authority", 0)]


# --------------------------------------------------------------------------- would this be allowed?


def test_would_this_be_allowed_is_answered_by_the_same_rules(http, west):
    """Nothing is stored; a person asks for any actor, a hospital for itself."""
    west.person("david", "auditor")
    path = f"/logs/{west.study}/may"
    good = {"type": "dataset.withdrawn", "body": {"dataset": make.DATASET, "reason": "policy"}}
    bad = good | {"body": {"dataset": "other", "reason": "policy"}, "actor": f"{NORTH}/node"}

    mine = call(http, west, NORTH, "POST", path, json.dumps(good).encode()).json()
    theirs = http.post(PREFIX + path, json=bad, headers=bearer(west, "david")).json()

    assert mine["allowed"] is True
    assert (theirs["allowed"], theirs["rule"]) == (False, "dataset.unknown")
    assert theirs["sentence"]
    assert west.rooms.ledger.size(west.study) == 1


def test_a_question_in_a_few_words_is_completed_from_the_log(http, west):
    """The verdict is that of the fold over the whole statement that the answer shows."""
    west.person("david", "auditor")
    path = f"{PREFIX}/logs/{west.study}/may"

    def ask(**asked: object) -> dict[str, Any]:
        return dict(http.post(path, json=asked, headers=bearer(west, "david")).json())

    opening = ask(type="round.opened")
    alone = ask(type="round.opened", body={"sites": [NORTH]})
    update = ask(type="update.submitted", site=NORTH, body={"n": 5})

    state, now = west.rooms.ledger.state(west.study), west.time.text()
    for told in (opening, alone, update):
        verdict = may(state, told["type"], told["body"], told["actor"], now)
        assert told["allowed"] is isinstance(verdict, Allowed)
        assert told["rule"] == getattr(verdict, "rule", None)
    assert opening["allowed"] is True
    assert (alone["rule"], update["rule"]) == ("round.min_sites", "round.sequence")
    assert (update["actor"], update["body"]["n"]) == (f"{NORTH}/node", 5)
    assert west.rooms.ledger.size(west.study) == 1


def test_a_hospital_that_is_not_named_is_asked_for(http, west):
    """The answer says whom one can name, not that the question is bad."""
    west.person("david", "auditor")
    path = f"{PREFIX}/logs/{west.study}/may"

    answer = http.post(path, json={"type": "site.withdrawn"}, headers=bearer(west, "david"))

    assert answer.status_code == 409
    assert NORTH in answer.json()["error"]["fix"]


def test_the_question_reaches_the_consortiums_log(http, west):
    """A steward asks whether a suspension would be enough with the own signature."""
    asked = {"type": "member.suspended", "body": {"site": EAST, "reason": "security"},
             "actor": f"{NORTH}/institution"}  # fmt: skip

    told = call(http, west, NORTH, "POST", f"/logs/{LOG}/may", json.dumps(asked).encode()).json()

    assert (told["allowed"], told["rule"]) == (False, "member.signatures")
    assert (told["found"], told["agreed"]) == ("1", "2")


# ------------------------------------------------------------------------------------------- tiles


def test_the_tiles_of_a_log_are_those_of_the_standard(http, west):
    """Every file that an independent builder makes of the entries is served, byte for byte."""
    notes = west.rooms.ledger.entries(LOG, 0)
    files = tile_files([leaf_hash(note) for note in notes], notes)

    for path, data in files.items():
        answer = call(http, west, NORTH, "GET", f"/logs/{LOG}/{path}")
        assert answer.content == data, path
        assert "immutable" in answer.headers["cache-control"]
    assert parse_entry_bundle(files[f"tile/entries/000.p/{len(notes)}"]) == notes


def test_tiles_of_a_long_log_hold_its_tree(house):
    """More than one full tile: hashes of the next level are the tops of full ones."""
    study = house.launched()
    body = {"from": 0, "to": 1, "result": "nothing_found", "on_behalf": None}
    with house.rooms.ledger.writing(study) as session:
        for _ in range(259):
            house.rooms.ledger.say_in(session, study, "review.noted", body)
    notes = house.rooms.ledger.entries(study, 0)
    files = tile_files([leaf_hash(note) for note in notes], notes)

    served = {path: house.rooms.tiles.tile(study, path.removeprefix("tile/")) for path in files}

    assert served == files
    assert set(files) == {"tile/0/000", "tile/0/001.p/4", "tile/1/000.p/1", "tile/entries/000",
                          "tile/entries/001.p/4"}  # fmt: skip
    tree = Tree()
    for note in notes[:256]:
        tree.append(leaf_hash(note))
    assert served["tile/1/000.p/1"] == tree.root()


@pytest.mark.parametrize(
    "path",
    ["0/001", "0/000", "1/000.p/1", "0/000.p/999", "0/000.p/256", "0/000.p/0", "0/000.p/01",
     "00/000", "64/000", "8/000", "0/0", "0/x000/000", "0/0000", "entries/x00/000", "data/000",
     "0/000.p/", "entries", "0/000/x001", "-1/000", "0/\u0660\u0660\u0660"],
)  # fmt: skip
def test_what_is_no_tile_or_not_there_yet_is_not_found(http, west, path):
    """One spelling for each tile, and nothing before the log is long enough."""
    answer = call(http, west, NORTH, "GET", f"/logs/{LOG}/tile/{quoted(path)}")

    assert answer.status_code == 404


def quoted(path: str) -> str:
    """A path as an address carries it."""
    return quote(path)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("0/x001/x234/067", (0, 1234067, 256)),
        ("entries/x001/000.p/7", (None, 1000, 7)),
        ("5/999", (5, 999, 256)),
        ("63/000.p/255", (63, 0, 255)),
    ],
)
def test_a_large_number_is_written_in_groups_of_three(path, meant):
    """As C2SP tlog-tiles says: all but the last group carry an x."""
    assert read_path(path) == meant


def test_the_newest_cosignature_of_each_witness_is_told_with_its_size(http, west):
    """Also of one that is behind; everybody who reads the log can verify them."""
    west.rooms.ledger.issue_checkpoint(LOG)
    west.witness(EAST, NORTH, log=LOG)
    size = west.rooms.ledger.size(LOG)
    west.suspend(EAST)
    west.rooms.ledger.issue_checkpoint(LOG)
    west.witness(NORTH, log=LOG)

    answer = call(http, west, SOUTH, "GET", f"/logs/{LOG}/cosignatures")

    found = {row["name"]: row["size"] for row in answer.json()}
    assert found == {f"{EAST}/witness": size, f"{NORTH}/witness": size + 1}
