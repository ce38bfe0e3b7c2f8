"""Who may use the console, and its plain pages: every trick of browser or neighbour is tried."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from compliance.errors import NotReady
from dashboard import site_client
from dashboard.console_gate import ACTS, IDLE_SECONDS, LINK_SECONDS, ConsoleGate, Keeper
from dashboard.console_serve import end_when_over, guarded_console
from dashboard.settings import Settings, load_settings
from site_node.console.door import socket_path
from tests.dashboard.consoled import (
    SECRET,
    STUDY,
    Hospital,
    Ticks,
    settings_of,
    short_folder,
)
from tests.dashboard.gated import Shut, Wire, _handshake, echo, words

ELSEWHERE = "https://evil.example"


class House:
    """A console before an echo that stands for Streamlit, and browsers."""

    def __init__(self, settings: Settings, ticks: Ticks) -> None:
        self.settings, self.ticks, self.drawn = settings, ticks, 0
        self.keeper = Keeper(clock=ticks, draw=self._draw)
        self.key = self.keeper.new_key()
        self.app = guarded_console(
            echo, settings=settings, keeper=self.keeper, script_hashes=["abc="]
        )

    def _draw(self, count: int) -> str:
        self.drawn += 1
        return f"word-{self.drawn}-" + "x" * count

    def stranger(self) -> httpx.Client:
        """A browser that has opened nothing yet."""
        return httpx.Client(transport=Wire(self.app), base_url=self.settings.origin)

    def guest(self) -> httpx.Client:
        """A browser that has opened the link."""
        browser = self.stranger()
        assert browser.get(f"/enter?key={self.key}").status_code == 303
        return browser

    def post(self, browser: httpx.Client, path: str, origin: str = "", **fields: str) -> Any:
        """Send a form, from our own page unless said otherwise."""
        headers = {"Origin": origin or self.settings.origin}
        return browser.post(path, data=fields, headers=headers)


@pytest.fixture(scope="module")
def hospital() -> Iterator[Hospital]:
    """A hospital with one charter that waits; nothing here changes it but where a test says so."""
    with short_folder() as folder:
        yield Hospital(folder)


@pytest.fixture
def fresh() -> Iterator[Hospital]:
    """The same, for one test alone."""
    with short_folder() as folder:
        yield Hospital(folder)


@pytest.fixture
def house(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> House:
    """A console of the shared hospital."""
    return opened(hospital, monkeypatch)


def opened(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> House:
    """A console of this hospital."""
    monkeypatch.setattr(site_client, "TRANSPORT", hospital.wire())
    return House(settings_of(hospital.world.home, port=8600), Ticks())


def live(house: House, browser: httpx.Client, **headers: str) -> list[list[str]]:
    """Open the live connection; returns our headers as Streamlit saw them."""
    told = {"Origin": house.settings.origin, **headers}
    request = browser.build_request("GET", "/_stcore/stream", headers=told)
    sent = asyncio.run(_handshake(house.app, request))
    if sent[0]["type"] == "websocket.close":
        raise Shut(int(sent[0]["code"]))
    seen: list[list[str]] = json.loads(sent[1]["text"])
    return seen


# ---------------------------------------------------------------------- the link


def test_the_link_lets_in_once_and_leaves_a_cookie_for_this_port(house: House) -> None:
    """HttpOnly, not for other sites, named by the port; the address of the link is left at once."""
    answer = house.stranger().get(f"/enter?key={house.key}")

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("consilium_console_8600=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert house.key not in cookie


@pytest.mark.parametrize("key", ["", "x", "word-2", "'; --", "%00"])
def test_a_guessed_key_opens_nothing(house: House, key: str) -> None:
    """And the right one still does."""
    assert house.stranger().get("/enter", params={"key": key}).status_code == 403

    assert house.guest().get("/").status_code == 200


def test_a_link_that_was_used_opens_nothing_for_the_next(house: House) -> None:
    """Whoever finds it in a terminal's history comes too late; the same browser may reload it."""
    guest = house.guest()
    late = house.stranger().get(f"/enter?key={house.key}")

    assert late.status_code == 403
    assert "set-cookie" not in late.headers
    assert "used, or is older" in words(late)
    assert guest.get(f"/enter?key={house.key}").status_code == 303


def test_a_link_is_too_old_after_ten_minutes(house: House) -> None:
    """And what to type for a new one is said."""
    house.ticks.now += LINK_SECONDS + 1

    late = house.stranger().get(f"/enter?key={house.key}")

    assert late.status_code == 403
    assert "consilium site console" in words(late)


# ---------------------------------------------------------------------- without, or by another name


@pytest.mark.parametrize(
    "path", ["/", "/charter?id=1", "/_stcore/host-config", "/static/x.js", "/favicon.png", *ACTS]
)
@pytest.mark.parametrize("cookie", [None, "x" * 43, "word-2-" + "x" * 31, "é"])
def test_without_the_session_nothing_is_shown(house: House, path: str, cookie: str | None) -> None:
    """Not a page, not a file of Streamlit, not a form."""
    stranger = house.stranger()
    raw = f"{house.settings.cookie}={cookie}".encode("latin-1")
    told = [(b"Cookie", raw)] if cookie is not None else []

    answer = stranger.get(path, headers=told)

    assert answer.status_code == 403
    assert "Nobody is let in" in words(answer)


@pytest.mark.parametrize("host", ["evil.example", "localhost:8600", "127.0.0.1", "127.0.0.1:8601"])
def test_another_name_of_this_machine_reaches_nothing(house: House, host: str) -> None:
    """A name server of somebody else can point any name here: the cookie does not help then."""
    guest = house.guest()

    assert guest.get("/", headers={"Host": host}).status_code == 403
    with pytest.raises(Shut):
        live(house, guest, Host=host)


def test_the_link_by_another_name_stays_unused(house: House) -> None:
    """It is not spent by somebody else's page."""
    other = house.stranger().get(f"/enter?key={house.key}", headers={"Host": "evil.example"})

    assert other.status_code == 403
    assert house.guest().get("/").status_code == 200


@pytest.mark.parametrize("origin", [ELSEWHERE, "null", "http://127.0.0.1:8601", ""])
def test_a_live_connection_from_elsewhere_is_closed(house: House, origin: str) -> None:
    """Another site, another port of this machine, or a program that says nothing."""
    with pytest.raises(Shut):
        live(house, house.guest(), Origin=origin)


def test_a_live_connection_without_the_session_is_closed(house: House) -> None:
    """Its handshake has no cookie."""
    with pytest.raises(Shut):
        live(house, house.stranger())


def test_nobody_names_himself(house: House) -> None:
    """Streamlit is told by the gate which session it is, never by the browser."""
    guest = house.guest()
    forged = {"X-Consilium-User": "somebody", "x-consilium-roles": "admin"}

    ((name, value),) = live(house, guest, **forged)
    seen = guest.get("/", headers=forged).json()

    assert (name, len(value)) == ("x-consilium-user", 16)
    assert seen == [[name, value]]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/_stcore/upload_file/a/b", "/_stcore/agent"])
def test_nothing_is_written_into_streamlit(house: House, method: str, path: str) -> None:
    """The console takes no uploads: such calls do not reach it."""
    headers = {"Origin": house.settings.origin}

    assert house.guest().request(method, path, headers=headers).status_code in (404, 405)


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/_stcore/agent"])
def test_what_streamlit_tells_about_itself_stays_shut(house: House, path: str) -> None:
    """For guests too."""
    assert house.guest().get(path).status_code == 404


def test_every_answer_has_the_strict_headers(house: House) -> None:
    """Pages, forms and refusals alike; nothing may be framed or kept."""
    guest = house.guest()
    for browser, path in ((guest, "/"), (guest, "/leave"), (house.stranger(), "/enter")):
        headers = browser.get(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"


# ---------------------------------------------------------------------- its end


def test_an_hour_without_a_click_ends_the_console(house: House) -> None:
    """A click begins the hour anew; a health check is no click."""
    guest = house.guest()
    house.ticks.now += IDLE_SECONDS - 1
    guest.get("/")
    house.ticks.now += IDLE_SECONDS - 1
    guest.get("/_stcore/health")
    house.stranger().get("/")
    assert not house.keeper.over()

    house.ticks.now += 1

    assert house.keeper.over()


def test_closing_ends_every_session_and_the_process(house: House) -> None:
    """What the cookie opened is shut, and the server is told to end."""
    guest = house.guest()
    server, waits = SimpleNamespace(should_exit=False), []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        assert house.post(guest, "/leave").status_code == 200

    end_when_over(house.keeper, server, pause)  # type: ignore[arg-type]

    assert (server.should_exit, len(waits)) == (True, 1)
    assert guest.get("/").status_code == 403


def test_a_message_of_a_page_counts_as_a_click(house: House) -> None:
    """Whoever works in one page for hours is there, without a request of its own."""
    guest, seen = house.guest(), []

    async def streamlit(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((await receive())["type"])

    gate = ConsoleGate(streamlit, forms=echo, settings=house.settings, keeper=house.keeper)
    told = {"Origin": house.settings.origin}
    request = guest.build_request("GET", "/_stcore/stream", headers=told)
    house.ticks.now += IDLE_SECONDS
    asyncio.run(_handshake(gate, request))
    assert house.keeper.over()
    asyncio.run(_handshake(gate, request, kind="websocket.receive"))

    assert seen == ["websocket.connect", "websocket.receive"]
    assert not house.keeper.over()


# ---------------------------------------------------------------------- acts


def test_the_page_of_an_act_says_what_follows_and_asks(house: House) -> None:
    """Title, consequences, the charter's hash, two fields."""
    answer = house.guest().get("/sign", params={"charter": STUDY})

    said = words(answer)
    for word in ("Sign “Opacity”?", "chest (50 patients)", "counts not below 5", "nothing else"):
        assert word in said
    assert 'type="password"' in answer.text


def test_a_charter_is_signed_once_however_often_the_form_is_sent(
    fresh: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two clicks make one signature, and the second one is told so."""
    house = opened(fresh, monkeypatch)
    guest, fields = house.guest(), {"charter": STUDY, "typed": fresh.digits, "passphrase": SECRET}

    first = house.post(guest, "/sign", **fields)
    second = house.post(guest, "/sign", **fields)

    assert "The hub has it." in words(first)
    assert "Nothing was done again." in words(second)
    assert len(fresh.world.hub.lines) == 1


@pytest.mark.parametrize(
    "origin", [ELSEWHERE, "null", "http://127.0.0.1:8601", "http://localhost:8600"]
)
@pytest.mark.parametrize("act", ACTS)
def test_a_form_from_elsewhere_does_nothing(house: House, origin: str, act: str) -> None:
    """Neither another site nor another program of this machine fills one in for the steward."""
    guest = house.guest()
    fields = {"charter": STUDY, "study": STUDY, "passphrase": SECRET, "reason": "privacy"}

    answer = house.post(guest, act, origin, **fields)

    assert answer.status_code == 403
    assert "came from elsewhere" in words(answer)
    assert guest.get("/").status_code == 200


def test_a_form_that_names_no_origin_does_nothing(house: House) -> None:
    """A browser always says where a form comes from."""
    answer = house.guest().post("/sign", data={"charter": STUDY, "passphrase": SECRET})

    assert answer.status_code == 403


def test_a_wrong_passphrase_asks_again_and_guessing_has_to_wait(
    fresh: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form comes back with the reason; what was typed does not come back with it."""
    house = opened(fresh, monkeypatch)
    guest = house.guest()
    fields = {"charter": STUDY, "typed": fresh.digits, "passphrase": "guess-4711"}

    answers = [house.post(guest, "/sign", **fields) for _ in range(3)]
    early = house.post(guest, "/sign", **{**fields, "passphrase": SECRET})

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert "is wrong; nothing was signed" in words(answers[0])
    assert "guess-4711" not in answers[0].text
    assert early.status_code == 429
    assert "may be tried in" in words(early)
    assert fresh.world.hub.lines == []


def test_a_passphrase_is_written_down_nowhere(
    fresh: Hospital, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in a page, a log, the journal, an address or the hub's hands."""
    house = opened(fresh, monkeypatch)
    caplog.set_level(logging.DEBUG)
    fields = {"charter": STUDY, "typed": fresh.digits, "passphrase": SECRET}

    answer = house.post(house.guest(), "/sign", **fields)

    assert SECRET not in answer.text + str(answer.headers)
    assert SECRET not in caplog.text
    assert SECRET not in str(fresh.client().journal())
    assert SECRET not in str(fresh.world.hub.asked)
    assert SECRET.encode() not in (fresh.world.home / "site.sqlite").read_bytes()


def test_leaving_refusing_and_releasing_go_over_their_pages(
    fresh: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each act once; asked again, each page says that it was done."""
    house = opened(fresh, monkeypatch)
    fresh.signed()
    guest, model = house.guest(), fresh.client().releases()["rows"][0]
    which = {"study": STUDY, "model": model["model_sha256"]}

    yes = {**which, "typed": model["type_to_confirm"], "passphrase": SECRET}
    assert "The hub has it." in words(house.post(guest, "/release", **yes))
    assert "Nothing was done again." in words(house.post(guest, "/release", **yes))
    no = {**which, "reason": "legal", "passphrase": SECRET}
    assert "Objected" in words(house.post(guest, "/object", **no))
    assert "Nothing was done again." in words(house.post(guest, "/object", **no))
    out = {"study": STUDY, "reason": "consent", "typed": fresh.digits}
    assert "Nothing is trained here any more" in words(house.post(guest, "/withdraw", **out))
    assert "Nothing was done again." in words(house.post(guest, "/withdraw", **out))
    assert "left this study" in words(guest.get("/withdraw", params=which))


def test_a_signed_charter_is_left_and_not_refused(
    fresh: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page of refusal leads to the way out."""
    house = opened(fresh, monkeypatch)
    fresh.signed()

    answer = house.guest().get("/refuse", params={"charter": STUDY})

    assert "it cannot be refused, but left" in words(answer)
    assert f"/withdraw?study={STUDY}" in answer.text
    assert "<form" not in answer.text


def test_a_charter_is_refused_over_its_page(
    fresh: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a word of the list; then its page says so, and signing it is still possible."""
    house = opened(fresh, monkeypatch)
    guest, fields = house.guest(), {"charter": STUDY, "reason": "capacity", "passphrase": SECRET}

    assert "no capacity now" in words(house.post(guest, "/refuse", **fields))

    assert "Nothing was done again." in words(house.post(guest, "/refuse", **fields))
    assert len(fresh.world.hub.refusals) == 1


def test_a_charter_against_our_rules_has_no_form(
    fresh: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page names the rule; there is nothing to type."""
    house = opened(fresh, monkeypatch)
    rooms = fresh.open()
    fresh.world.hub.propose(fresh.world.charter(rooms, min_examples=500))

    answer = house.guest().get("/sign", params={"charter": STUDY})

    assert "these rules say no" in words(answer)
    assert "<form" not in answer.text


def test_a_key_without_a_passphrase_is_named_where_it_signs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No field for what does not exist, and the danger in words."""
    with short_folder() as folder:
        bare = Hospital(folder, passphrase=None)
        house = opened(bare, monkeypatch)
        guest = house.guest()
        page = guest.get("/sign", params={"charter": STUDY})
        done = house.post(guest, "/sign", charter=STUDY, typed=bare.digits)

    assert "has no passphrase: whoever uses this page can sign" in words(page)
    assert 'type="password"' not in page.text
    assert "Signed" in words(done)


def test_markup_in_a_charter_stays_text(fresh: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    """A researcher's words are shown, never run."""
    house = opened(fresh, monkeypatch)
    title = "<script>alert(1)</script>"
    fresh.world.hub.propose(fresh.world.charter(fresh.open(), title=title))

    answer = house.guest().get("/sign", params={"charter": STUDY})

    assert "<script>" not in answer.text
    assert title in unescape(answer.text)


@pytest.mark.parametrize("path", ["/sign", "/withdraw", "/release", "/object", "/refuse"])
@pytest.mark.parametrize("number", ["", "zz", "../../etc/passwd", "%00"])
def test_an_act_on_nothing_is_one_sentence(house: House, path: str, number: str) -> None:
    """No study, no charter, no model: said on a page, with the way back."""
    answer = house.guest().get(path, params={"charter": number, "study": number})

    assert answer.status_code in (403, 409)
    assert "Back to the inbox" in words(answer)


def test_a_hub_that_is_away_is_said_on_the_page_of_an_act(
    fresh: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state of its own, not a failure of the console."""
    house = opened(fresh, monkeypatch)
    fresh.world.hub.away = True

    answer = house.guest().get("/sign", params={"charter": STUDY})

    assert answer.status_code == 503
    assert "The hub cannot be reached" in words(answer)


def test_a_node_that_sleeps_is_said_with_the_command(tmp_path: Path) -> None:
    """No socket answers: what the technician types."""
    house = House(settings_of(tmp_path, port=8600), Ticks())

    answer = house.guest().get("/sign", params={"charter": STUDY})

    assert answer.status_code == 409
    assert "consilium site serve" in words(answer)


def test_a_form_that_is_too_large_is_not_read(house: House) -> None:
    """Refused before it is parsed."""
    answer = house.post(house.guest(), "/sign", charter="x" * 20_000)

    assert "too large" in words(answer)


# ---------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    "given",
    [
        {"bind": "0.0.0.0"},  # noqa: S104 - refused
        {"bind": "10.0.0.5"},
        {"public_url": "https://consilium.example"},
        {"public_url": "http://console.example"},
    ],
)
def test_a_console_answers_on_this_machine_only(tmp_path: Path, given: dict[str, str]) -> None:
    """Neither an open address nor a proxy in front of it."""
    with pytest.raises(NotReady):
        load_settings(tmp_path, mode="site", **given)


def test_both_sides_mean_the_same_socket() -> None:
    """Two programs that share no code agree on one name."""
    assert socket_path(Path("/srv/x")) == Path("/srv/x") / site_client.SOCKET
