"""The console's socket: who reaches it, what it answers, and what it refuses."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from compliance.errors import NotReady, Refused
from site_node.console import door as doors
from site_node.console.app import MAX_BODY, OWNER, ways
from site_node.console.door import Door, socket_path
from site_node.console.patience import FREE, LONGEST, Patience
from site_node.store.journal import StoreFailed
from tests.dashboard.consoled import SECRET, STUDY, Hospital, Ticks, short_folder

QUESTIONS = (
    "home", "inbox", f"charters/{STUDY}", "studies", "releases", "journal", "egress", "datasets",
    "health",
)  # fmt: skip


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name."""
    with short_folder() as made:
        yield made


@pytest.fixture
def hospital(folder: Path) -> Hospital:
    """A hospital with one charter that waits."""
    return Hospital(folder)


@pytest.fixture
def http(hospital: Hospital) -> httpx.Client:
    """Somebody who can enter the folder of the socket."""
    return httpx.Client(transport=hospital.wire(), base_url="http://console/v1/")


def sign(http: httpx.Client, hospital: Hospital, **changes: str) -> httpx.Response:
    """Try to sign the charter that waits."""
    fields = {"typed": hospital.digits, "passphrase": SECRET, **changes}
    return http.post(f"charters/{STUDY}/sign", json=fields)


def rule(answer: httpx.Response) -> str:
    """The rule that said no."""
    return str(answer.json()["error"]["rule"])


# ---------------------------------------------------------------------- who reaches it


def test_every_route_says_who_may_use_it(hospital: Hospital) -> None:
    """There is one kind of visitor: whoever may enter the folder."""
    table = ways(hospital.desk)

    assert {way.access for way in table} == {OWNER}
    assert {way.method for way in table if way.path.count("/") > 3} == {"POST"}


def test_only_the_sites_own_user_can_enter_the_folder_of_the_socket(hospital: Hospital) -> None:
    """Folder 0700, socket 0600, and it answers there."""
    home = hospital.world.home
    door = Door(home, hospital.app, pytest.fail)
    assert door.unlock()

    path = socket_path(home)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as near:
        assert near.get("http://console/v1/home").json()["site"] == "north.example"
    door.stop()
    assert not path.exists()


def test_a_folder_that_others_can_enter_keeps_the_door_shut(hospital: Hospital) -> None:
    """What to type is said, and the folder is not closed behind its owner's back."""
    home = hospital.world.home
    (home / "run").mkdir(mode=0o700)
    (home / "run").chmod(0o755)

    with pytest.raises(NotReady, match="chmod 700"):
        Door(home, hospital.app, pytest.fail).unlock()

    assert not socket_path(home).exists()


def test_a_path_that_is_too_long_is_refused_and_stops_nothing_else(
    hospital: Hospital, folder: Path
) -> None:
    """The console's own command ends with a sentence; a node says it once and goes on."""
    said: list[str] = []
    door = Door(folder / ("d" * doors.LONGEST), hospital.app, said.append)

    with pytest.raises(NotReady, match="longer than 100 characters"):
        door.unlock()
    door.tend(needed=True)
    door.tend(needed=True)

    assert len(said) == 1
    assert "The console is off." in said[0]


def test_one_process_holds_the_door_and_the_next_one_takes_over(hospital: Hospital) -> None:
    """`site serve` and `site console` may both run; a socket left by a killed one is replaced."""
    home = hospital.world.home
    first, second = (Door(home, hospital.app, pytest.fail) for _ in range(2))
    (home / "run").mkdir(mode=0o700)
    socket_path(home).touch()

    assert first.unlock()
    assert not second.unlock()
    first.tend(needed=False)
    second.tend(needed=True)

    assert second.open
    second.stop()


# ---------------------------------------------------------------------- what it answers


@pytest.mark.parametrize("path", QUESTIONS)
@pytest.mark.parametrize("state", ["waiting", "signed"])
def test_every_question_is_answered(
    hospital: Hospital, http: httpx.Client, path: str, state: str
) -> None:
    """Plain JSON, before and after the hospital signed."""
    if state == "signed":
        hospital.signed()

    assert http.get(path).status_code == 200


def test_looking_at_data_and_journal_tells_the_hub_nothing(
    hospital: Hospital, http: httpx.Client
) -> None:
    """Exact counts and private details exist on this socket only."""
    before = len(hospital.world.hub.asked)
    for path in ("home", "studies", "journal", "egress", "datasets"):
        http.get(path)

    assert len(hospital.world.hub.asked) == before
    told = http.get("datasets").json()
    assert told["rows"][0]["patients"] == 50
    assert "dir" not in told["rows"][0]


def test_the_inbox_says_what_the_charters_own_text_says(
    hospital: Hospital, http: httpx.Client
) -> None:
    """Who asks, until when, how many must sign."""
    (row,) = http.get("inbox").json()["rows"]

    assert (row["title"], row["own_answer"], row["days_left"]) == ("Opacity", "waiting", 365)
    assert (row["signed"], row["needed"]) == ([], 2)


def test_a_hub_that_is_away_leaves_what_was_answered_here(
    hospital: Hospital, http: httpx.Client
) -> None:
    """Signed studies are listed and can be left; the charter that waits cannot be seen."""
    hospital.world.hub.away = True
    assert http.get("inbox").json()["rows"] == []
    assert http.get(f"charters/{STUDY}").json()["error"]["kind"] == "Unreachable"
    hospital.world.hub.away = False
    hospital.signed()
    hospital.world.hub.away = True

    told = http.get("inbox").json()
    fields = {"reason": "consent", "typed": http.get("studies").json()[0]["type_to_confirm"]}
    left = http.post(f"studies/{STUDY}/withdraw", json=fields)

    assert told["away"]
    assert [row["own_answer"] for row in told["rows"]] == ["signed"]
    assert left.json()["withdrawn"] == "consent"
    assert http.get("studies").json()[0]["own_answer"] == "withdrawn"


def test_a_study_shows_what_left_for_it(hospital: Hospital, http: httpx.Client) -> None:
    """The card said so before: the same bytes, by kind."""
    hospital.signed()

    (row,) = http.get("studies").json()
    ledger = http.get("egress", params={"study": STUDY}).json()

    assert (row["phase"], row["rounds"], row["own_answer"]) == ("in_round", 0, "signed")
    assert sum(part["bytes"] for part in row["left"]) == ledger["total"]["bytes"] > 0
    assert ledger["chain"]["holds"]


# ---------------------------------------------------------------------- acts


def test_a_charter_is_signed_with_typed_characters_and_passphrase(
    hospital: Hospital, http: httpx.Client
) -> None:
    """The same act as the command: on record, and handed over."""
    told = sign(http, hospital).json()

    assert told["sent"]
    assert len(hospital.world.hub.lines) == 1
    assert "charter.signed" in [row["kind"] for row in http.get("journal").json()]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"passphrase": "wrong"}, "key.passphrase"),
        ({"typed": "00000000"}, "confirm.typed"),
        ({"typed": ""}, "confirm.typed"),
    ],
)
def test_a_wrong_word_signs_nothing(
    hospital: Hospital, http: httpx.Client, changes: dict[str, str], said: str
) -> None:
    """Neither a guessed passphrase nor a hasty hand."""
    answer = sign(http, hospital, **changes)

    assert (answer.status_code, rule(answer)) == (403, said)
    assert hospital.world.hub.lines == []
    newest = http.get("journal").json()[0]
    assert (newest["kind"] == "key.wrong") is (said == "key.passphrase")


def test_no_passphrase_at_all_is_no_key(hospital: Hospital, http: httpx.Client) -> None:
    """An empty field is answered with what is missing."""
    answer = sign(http, hospital, passphrase="")

    assert "protected" in answer.json()["error"]["sentence"]
    assert hospital.world.hub.lines == []


def test_guessing_a_passphrase_makes_even_the_right_one_wait(
    hospital: Hospital, http: httpx.Client
) -> None:
    """Three are free; then the key is not even tried until the time has passed."""
    for _ in range(FREE):
        assert sign(http, hospital, passphrase="wrong").status_code == 403

    early = sign(http, hospital)
    assert (early.status_code, rule(early)) == (429, "key.wait")
    assert hospital.world.hub.lines == []

    hospital.ticks.now += 1.0
    assert sign(http, hospital).status_code == 200


def test_one_waiting_counts_for_every_act(hospital: Hospital, http: httpx.Client) -> None:
    """Refusing and releasing are no second chance to guess; leaving a study never waits."""
    hospital.signed()
    for _ in range(FREE):
        sign(http, hospital, passphrase="wrong")

    fields = {"reason": "privacy", "passphrase": SECRET}
    assert rule(http.post(f"charters/{STUDY}/refuse", json=fields)) == "key.wait"
    model = http.get("releases").json()["rows"][0]
    fields = {"model": model["model_sha256"], "reason": "legal", "passphrase": SECRET}
    assert rule(http.post(f"releases/{STUDY}/object", json=fields)) == "key.wait"
    typed = http.get("studies").json()[0]["type_to_confirm"]
    fields = {"reason": "other", "typed": typed}
    assert http.post(f"studies/{STUDY}/withdraw", json=fields).status_code == 200


def test_the_wait_doubles_and_ends_at_a_minute() -> None:
    """1, 2, 4 … 60 seconds; a right passphrase begins anew, and nothing locks for good."""
    ticks, waits = Ticks(), []
    patience = Patience(ticks)

    def miss() -> None:
        with pytest.raises(Refused, match="wrong"), patience.trying():
            raise Refused("key.passphrase", sentence="wrong")

    for _ in range(FREE - 1):
        miss()
    for _ in range(8):
        miss()
        began = ticks.now
        while True:
            try:
                patience._check()
                break
            except Refused:
                ticks.now += 0.5
        waits.append(ticks.now - began)
    with patience.trying():
        pass
    miss()

    assert waits == [1, 2, 4, 8, 16, 32, LONGEST, LONGEST]
    with patience.trying():
        pass


def test_guessing_in_parallel_is_no_way_around() -> None:
    """Twenty at once are tried one after the other: three, and then none."""
    patience, tried = Patience(Ticks()), []

    def guess(number: int) -> str:
        try:
            with patience.trying():
                tried.append(number)
                threading.Event().wait(0.01)  # a key takes its time
                raise Refused("key.passphrase", sentence="wrong")
        except Refused as error:
            return error.rule

    with ThreadPoolExecutor(20) as crowd:
        said = list(crowd.map(guess, range(20)))

    assert len(tried) == FREE
    assert said.count("key.wait") == 20 - FREE


def test_other_refusals_are_no_guesses(hospital: Hospital, http: httpx.Client) -> None:
    """Whoever mistypes the id is not slowed."""
    for _ in range(FREE + 2):
        assert rule(sign(http, hospital, typed="zzzzzzzz")) == "confirm.typed"

    assert sign(http, hospital).status_code == 200


def test_a_charter_is_refused_with_a_word_of_the_list(
    hospital: Hospital, http: httpx.Client
) -> None:
    """A free text is no reason."""
    path, fields = f"charters/{STUDY}/refuse", {"reason": "Mrs Smith", "passphrase": SECRET}
    assert http.post(path, json=fields).json()["error"]["kind"] == "NotReady"

    http.post(path, json={**fields, "reason": "privacy"})

    assert len(hospital.world.hub.refusals) == 1
    assert http.get("inbox").json()["rows"][0]["own_answer"] == "refused"


def test_leaving_a_study_needs_the_typed_characters(hospital: Hospital, http: httpx.Client) -> None:
    """No passphrase, but no slip of the hand either."""
    hospital.signed()
    fields = {"reason": "consent", "typed": "00000000"}

    answer = http.post(f"studies/{STUDY}/withdraw", json=fields)

    assert rule(answer) == "confirm.typed"
    assert "stays in the study" in answer.json()["error"]["sentence"]
    assert http.get("studies").json()[0]["own_answer"] == "signed"


def test_a_model_is_agreed_to_and_objected_to(hospital: Hospital, http: httpx.Client) -> None:
    """By its whole hash, with the typed characters; the newest answer counts."""
    hospital.signed()
    model = http.get("releases").json()["rows"][0]
    fields = {"model": model["model_sha256"], "typed": "00000000", "passphrase": SECRET}
    assert rule(http.post(f"releases/{STUDY}/approve", json=fields)) == "confirm.typed"

    fields["typed"] = model["type_to_confirm"]
    agreed = http.post(f"releases/{STUDY}/approve", json=fields).json()
    fields = {"model": model["model_sha256"], "reason": "performance", "passphrase": SECRET}
    http.post(f"releases/{STUDY}/object", json=fields)

    assert agreed["answer"] == "agreed"
    assert http.get("releases").json()["rows"][0]["own_answer"] == "objected"


# ---------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b'"text"', b'{"typed": 1, "passphrase": "x"}', b'{"typed": "x"}',
        b'{"typed": "x", "passphrase": "%s"}' % (b"x" * 2000), b"[" * 5000, b"x" * (MAX_BODY + 1),
    ],
)  # fmt: skip
def test_a_body_of_another_form_does_nothing(
    hospital: Hospital, http: httpx.Client, body: bytes
) -> None:
    """Refused by form, before any key is touched."""
    answer = http.post(f"charters/{STUDY}/sign", content=body)

    assert (answer.status_code, answer.json()["error"]["kind"]) == (400, "Malformed")
    assert hospital.world.hub.lines == []


@pytest.mark.parametrize("limit", ["x", "-1", "", "9999999", "٣"])
def test_a_limit_that_is_no_number_is_named(http: httpx.Client, limit: str) -> None:
    """Digits, and not too many."""
    assert http.get("journal", params={"limit": limit}).status_code == 400


@pytest.mark.parametrize("number", ["zz", "..%2f..%2fetc", "%00", "ffffffffffffffff"])
def test_an_unknown_charter_is_one_sentence(http: httpx.Client, number: str) -> None:
    """Whatever is asked for, nothing outside the list is found."""
    answer = http.get(f"charters/{number}")

    assert answer.status_code in (404, 409)
    assert "root:" not in answer.text


def test_what_breaks_inside_is_told_without_a_path(
    hospital: Hospital, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk or a locked database is one sentence with the next step."""

    def broken(**_: Any) -> Any:
        raise StoreFailed("SELECT secret", {}, Exception("/srv/secret/site.sqlite"))

    monkeypatch.setattr(hospital.desk, "_open", broken)

    answer = http.get("studies")

    assert answer.status_code == 409
    assert "secret" not in answer.text
    assert "Free space" in answer.json()["error"]["fix"]


def test_a_folder_of_data_that_is_away_is_said(hospital: Hospital, http: httpx.Client) -> None:
    """The counts are still known; the quality report is not made up."""
    folder = hospital.world.home / "datasets" / "chest"
    (folder / "quality.json").unlink()
    folder.rmdir()

    (row,) = http.get("datasets").json()["rows"]

    assert (row["here"], row["quality"]) == (False, {})
