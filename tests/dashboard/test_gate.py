"""The gate: nobody comes in but by the hub's word, and nobody names himself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from dashboard.gate import identity_headers, inline_script_hashes, safe_next
from tests.dashboard.gated import PASSWORD, Gated, Shut, Time, make_rooms, words


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Gated:
    """A hub with a researcher, and the dashboard on loopback."""
    folder = tmp_path_factory.mktemp("gate")
    time = Time()
    gated = Gated(make_rooms(folder / "hub", time), time, folder / "dashboard")
    gated.enrol("celine", "researcher")
    return gated


@pytest.fixture
def gated(house: Gated) -> Iterator[Gated]:
    """The same house with a hub that answers again."""
    yield house
    house.wire.silent = False


def test_a_stranger_is_sent_to_the_sign_in_page_and_back_afterwards(gated: Gated) -> None:
    """No page of Streamlit is served, and the way back is kept."""
    browser = gated.browser()

    answer = browser.get("/study?id=0011aabb&tab=live")

    assert answer.status_code == 303
    assert unquote(answer.headers["location"]) == "/login?next=/study?id=0011aabb&tab=live"
    assert browser.get("/static/js/index.js").headers["location"] == "/login"
    there = browser.post("/login", name="celine", password=PASSWORD, next="/studies")
    assert (there.status_code, there.headers["location"]) == (303, "/studies")
    assert browser.get("/studies").status_code == 200


def test_a_strangers_live_connection_is_closed(gated: Gated) -> None:
    """The handshake is refused before Streamlit hears of it."""
    with pytest.raises(Shut) as refused:
        gated.browser().open_socket()

    assert refused.value.code == 4401


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "https://evil.example",
        "http://127.0.0.1:9999",
        "http://127.0.0.1:8501.evil.example",
    ],
)
def test_a_live_connection_from_another_page_is_refused(gated: Gated, origin: str | None) -> None:
    """A foreign or missing Origin cannot ride on a person's cookie."""
    browser = gated.signed_in("celine")

    with pytest.raises(Shut):
        browser.open_socket(origin=origin)


def test_nobody_names_himself_by_a_header(gated: Gated) -> None:
    """Forged x-consilium headers vanish, in any spelling, on pages and live connections."""
    browser = gated.signed_in("celine")
    forged = {"x-consilium-user": "admin", "X-Consilium-Roles": "admin", "X-CONSILIUM-SITE": "n"}

    seen = browser.open_socket(**forged)

    expected = [["x-consilium-user", "celine"], ["x-consilium-roles", "researcher"]]
    assert seen == [*expected, ["x-consilium-site", ""]]
    assert browser.get("/", **forged).json() == seen


def test_a_name_of_any_alphabet_passes_the_handshake() -> None:
    """Header values stay ASCII and can be read back."""
    person = {"name": "Zoë 山田", "roles": [{"role": "steward"}], "site": "nörd.example"}

    told = dict(identity_headers(person))

    assert unquote(told[b"x-consilium-user"].decode("ascii")) == "Zoë 山田"
    assert unquote(told[b"x-consilium-site"].decode("ascii")) == "nörd.example"


def test_a_revoked_session_is_out_within_fifteen_seconds(gated: Gated) -> None:
    """The hub's word is believed for 15 s, not longer."""
    browser = gated.signed_in("celine")
    assert browser.get("/").status_code == 200
    session = gated.rooms.accounts.person(browser.token).session
    gated.rooms.accounts.sign_out(session)

    gated.time.forward(seconds=16)

    assert browser.get("/").headers["location"] == "/login"
    with pytest.raises(Shut):
        browser.open_socket()


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/_stcore/agent/sessions"])
def test_what_only_operators_need_is_not_served_at_all(gated: Gated, path: str) -> None:
    """Neither Streamlit's metrics nor its remote control, whoever asks."""
    assert gated.signed_in("celine").get(path).status_code == 404
    assert gated.browser().get(path).status_code == 303


def test_signing_out_counts_at_once(gated: Gated) -> None:
    """Here and at the hub; the cookie is gone, and the token opens nothing."""
    browser = gated.signed_in("celine")
    token = browser.token
    assert browser.get("/").status_code == 200

    assert "Sign out?" in words(browser.get("/logout"))
    assert browser.post("/logout").headers["location"] == "/login"

    assert gated.settings.cookie not in browser.client.cookies
    browser.client.cookies.set(gated.settings.cookie, token)
    assert browser.get("/").headers["location"] == "/login"


def test_a_silent_hub_lets_nobody_in(gated: Gated) -> None:
    """The gate fails closed: a page that says so and tries again, never the last answer."""
    browser = gated.signed_in("celine")
    gated.time.forward(seconds=16)
    gated.wire.silent = True

    answer = browser.get("/")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "does not answer" in words(answer)
    with pytest.raises(Shut):
        browser.open_socket()
    assert browser.get("/healthz").json() == {"state": "up"}


@pytest.mark.parametrize(
    "cookie",
    ["", "x", "a" * 64, "../../etc/passwd", "a" * 5000, "%00", "é" * 20],
    ids=["empty", "short", "well formed", "path", "huge", "encoded", "not ascii"],
)
def test_a_made_up_cookie_opens_nothing(gated: Gated, cookie: str) -> None:
    """Whatever its form; the hub alone knows tokens."""
    browser = gated.browser()
    header = f"{gated.settings.cookie}={cookie}".encode()

    answer = browser.client.get("/studies", headers=[(b"cookie", header)])

    assert answer.status_code == 303


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ("/studies", "/studies"),
        ("/study?id=00aa&tab=live", "/study?id=00aa&tab=live"),
        ("/confirm?intent=00aa", "/confirm?intent=00aa"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/%2f%2fevil.example", "/"),
        ("/studies/../../evil", "/"),
        ("/study?id=<script>", "/"),
        ("/study\r\nSet-Cookie: a=b", "/"),
        ("/logout", "/"),
        ("", "/"),
    ],
)
def test_the_way_back_stays_inside(asked: str, there: str) -> None:
    """A link with a foreign `next` leads to our first page."""
    assert safe_next(asked) == there


def test_every_answer_carries_the_strict_headers(gated: Gated) -> None:
    """Forms, redirects and pages; inline scripts run only by the hash of Streamlit's own."""
    for answer in (
        gated.browser().get("/login"),
        gated.browser().get("/"),
        gated.signed_in("celine").get("/"),
    ):
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self' 'sha256-abc='" in policy
        assert "unsafe-eval" not in policy
        assert "connect-src 'self' ws://127.0.0.1:8501;" in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "same-origin"
    assert gated.browser().get("/login").headers["cache-control"] == "no-store"


def test_the_hash_of_streamlits_inline_script_is_computed_from_what_is_installed() -> None:
    """An update of Streamlit changes the policy with it."""
    import streamlit

    page = Path(streamlit.__file__).with_name("static") / "index.html"

    hashes = inline_script_hashes(page)

    assert len(hashes) == page.read_text().count("<script>") == 1
    assert all(len(one) == 44 for one in hashes)


def test_behind_tls_the_cookie_is_bound_to_the_host(gated: Gated, tmp_path: Path) -> None:
    """`__Host-`, Secure, HttpOnly, SameSite=Lax, whole path; browsers stay on TLS."""
    behind = Gated(gated.rooms, gated.time, tmp_path, "https://consilium.example")

    answer = behind.browser().post("/login", name="celine", password=PASSWORD)

    name, _, rest = answer.headers["set-cookie"].partition("=")
    assert name == "__Host-consilium_session"
    assert {"Secure", "HttpOnly", "SameSite=lax", "Path=/"} <= set(rest.split("; "))
    assert "domain" not in rest.lower()
    assert answer.headers["strict-transport-security"]


def test_polls_do_not_keep_a_session_alive(gated: Gated) -> None:
    """Only opening a page counts as use; a page left open still times out."""
    browser = gated.signed_in("celine")
    for _ in range(7):
        gated.time.forward(minutes=5)
        answer = browser.get("/_stcore/host-config", **{"sec-fetch-mode": "cors"})

    assert answer.headers["location"] == "/login"
