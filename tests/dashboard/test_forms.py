"""The plain pages: sign-in, enrolment, and acts that are done exactly once after a yes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.dashboard.gated import PASSWORD, Browser, Gated, Time, make_rooms, words
from tests.house import House


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Gated:
    """A hub with an administrator and a researcher."""
    folder = tmp_path_factory.mktemp("forms")
    time = Time()
    it = Gated(make_rooms(folder / "hub", time), time, folder / "dashboard")
    it.enrol("maria", "admin")
    it.enrol("celine", "researcher")
    return it


@pytest.fixture
def maria(gated: Gated) -> Browser:
    """The administrator's browser."""
    return gated.signed_in("maria")


def members(gated: Gated) -> list[str]:
    """The hospitals that are invited."""
    return [row["name"] for row in gated.rooms.members.members()]


def test_a_one_time_link_becomes_an_account_that_is_signed_in(gated: Gated) -> None:
    """The page greets by name; the link is worth nothing afterwards."""
    code = gated.rooms.accounts.add("noor", "auditor")
    browser = gated.browser()
    assert "Welcome, noor" in words(browser.get(f"/enrol?code={code}"))

    short = browser.post("/enrol", code=code, password="short", again="short")
    differ = browser.post("/enrol", code=code, password=PASSWORD, again=PASSWORD + "x")
    done = browser.post("/enrol", code=code, password=PASSWORD, again=PASSWORD)

    assert (short.status_code, differ.status_code, done.status_code) == (400, 400, 303)
    assert "fewer than 12" in words(short)
    assert "differ" in words(differ)
    assert dict(browser.get("/").json())["x-consilium-user"] == "noor"
    assert "used or expired" in words(browser.get(f"/enrol?code={code}"))


def test_a_wrong_password_is_told_without_saying_which_part(gated: Gated) -> None:
    """Unknown name and wrong password read the same; the name stays in its field."""
    browser = gated.browser()

    wrong = browser.post("/login", name="celine", password="not the password")
    unknown = browser.post("/login", name="nobody", password="not the password")

    assert (wrong.status_code, unknown.status_code) == (401, 401)
    assert words(wrong) == words(unknown)
    assert 'value="celine"' in wrong.text
    assert gated.settings.cookie not in browser.client.cookies


def test_many_wrong_passwords_have_to_wait(gated: Gated) -> None:
    """After five failures each try waits longer; nobody is locked out for good."""
    gated.enrol("peter", "researcher")
    browser = gated.browser()
    for _ in range(5):
        browser.post("/login", name="peter", password="wrong wrong wrong")

    held = browser.post("/login", name="peter", password=PASSWORD)

    assert held.status_code == 429
    assert "Try again in" in words(held)
    gated.time.forward(seconds=2)
    assert browser.post("/login", name="peter", password=PASSWORD).status_code == 303


@pytest.mark.parametrize("path", ["/login", "/enrol", "/confirm", "/logout"])
@pytest.mark.parametrize("origin", [None, "null", "https://evil.example"])
def test_a_form_from_another_page_is_not_taken(
    gated: Gated, maria: Browser, path: str, origin: str | None
) -> None:
    """Another site cannot fill in a form for a person."""
    answer = maria.post(path, origin=origin, name="maria", password=PASSWORD)

    assert answer.status_code == 403
    assert "nothing was done" in words(answer)
    assert maria.get("/").status_code == 200


def test_a_confirmed_act_is_done_once_however_often_it_is_sent(
    gated: Gated, maria: Browser
) -> None:
    """Two clicks, a reload, a second tab: one invitation, one code, the same page."""
    number = maria.prepare("site.invite", "once.example", {"title": "Once"})
    page = words(maria.get(f"/confirm?intent={number}&back=/sites"))
    assert "Invite the hospital once.example" in page
    assert "shown once" in page

    first = maria.post("/confirm", intent=number, password=PASSWORD, back="/sites")
    second = maria.post("/confirm", intent=number, password=PASSWORD, back="/sites")

    assert first.status_code == second.status_code == 200
    assert "consilium1-" in words(first)
    assert words(first) == words(second)
    assert 'href="/sites"' in first.text
    assert members(gated).count("once.example") == 1
    assert "done already" in words(maria.get(f"/confirm?intent={number}"))


def test_without_the_password_nothing_is_done(gated: Gated, maria: Browser) -> None:
    """The step-up asks for it once more, and a wrong one leaves all as it was."""
    number = maria.prepare("site.invite", "never.example")

    missing = maria.post("/confirm", intent=number)
    wrong = maria.post("/confirm", intent=number, password="not the password")

    assert (missing.status_code, wrong.status_code) == (401, 401)
    assert "nothing was done" in words(wrong)
    assert "never.example" not in members(gated)


def test_an_act_that_cannot_be_undone_asks_for_typing(gated: Gated) -> None:
    """The first characters of the study, as the page shows them."""
    browser = gated.signed_in("celine")
    number = browser.prepare("study.stop", "00112233445566aa", {"reason": "safety"})
    page = browser.get(f"/confirm?intent={number}")
    assert "type 00112233" in words(page)
    assert 'href="/study?id=00112233445566aa"' in page.text, "the way back is that of the act"

    answer = browser.post("/confirm", intent=number, typed="11223344")

    assert answer.status_code == 403
    assert "Type 00112233 to confirm" in words(answer)


def test_a_launch_is_confirmed_by_the_name_of_its_study(tmp_path: Path) -> None:
    """The page says the title where the hub says an id; two yeses are one launch."""
    quiet: Any = SimpleNamespace(readouterr=lambda: ("", ""))
    house = House(tmp_path, quiet)
    gated = Gated(house.hub, house.time, tmp_path / "dashboard")
    gated.enrol("celine", "researcher")
    charter = house.propose()
    for rooms in house.sites.values():
        rooms.steward.approve(house.study, None, None)
    browser = gated.signed_in("celine")
    number = browser.prepare("charter.launch", charter)
    page = words(browser.get(f"/confirm?intent={number}"))
    yes = {"intent": number, "password": PASSWORD, "typed": charter[7:15]}

    first, second = browser.post("/confirm", **yes), browser.post("/confirm", **yes)

    assert "Launch the study of charter “Opacity”" in page
    assert charter not in page
    assert words(first) == words(second)
    assert f"/study?id={house.study}" in first.text
    assert house.hub.ledger.size(house.study) == 1


def test_an_expired_act_is_looked_at_again(gated: Gated, maria: Browser) -> None:
    """After five minutes the page asks to begin again; nothing is done."""
    number = maria.prepare("site.invite", "late.example")
    gated.time.forward(minutes=5, seconds=1)

    answer = maria.post("/confirm", intent=number, password=PASSWORD)

    assert "Please look again" in words(answer)
    assert "late.example" not in members(gated)


def test_nobody_confirms_the_act_of_another(gated: Gated, maria: Browser) -> None:
    """Not another person, and not another session of the same person."""
    number = maria.prepare("site.invite", "other.example")

    for browser in (gated.signed_in("celine"), gated.signed_in("maria", anew=True)):
        assert browser.get(f"/confirm?intent={number}").status_code == 409
        assert browser.post("/confirm", intent=number, password=PASSWORD).status_code == 409
    assert "other.example" not in members(gated)


def test_a_new_account_gets_a_link_to_this_dashboard(gated: Gated, maria: Browser) -> None:
    """The one-time link works as it is shown."""
    number = maria.prepare("user.add", "omar", {"role": "researcher"})
    page = maria.post("/confirm", intent=number, password=PASSWORD)
    link = next(word for word in words(page).split() if "/enrol?code=" in word)
    assert link.startswith(gated.settings.origin)

    answer = gated.browser().get(link.removeprefix(gated.settings.origin))

    assert "Welcome, omar" in words(answer)


def test_a_file_passes_through_once_and_only_for_those_who_are_in(
    gated: Gated, maria: Browser, tmp_path: Path
) -> None:
    """The browser talks to the dashboard alone; the ticket is used up by the first download."""
    file = tmp_path / "bundle.zip"
    file.write_bytes(b"evidence" * 100_000)
    ticket = gated.rooms.exports.ticket(file, "bundle.zip")
    assert gated.browser().get(f"/ticket/{ticket}").headers["location"] == "/login"

    answer = maria.get(f"/ticket/{ticket}")

    assert answer.content == file.read_bytes()
    assert 'filename="bundle.zip"' in answer.headers["content-disposition"]
    again = maria.get(f"/ticket/{ticket}")
    assert (again.status_code, "used or expired" in words(again)) == (403, True)


def test_what_a_person_typed_comes_back_as_text_only(gated: Gated) -> None:
    """A name made of markup stays a name."""
    answer = gated.browser().post("/login", name='"><script>alert(1)</script>', password="x")

    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_a_form_of_megabytes_is_not_read(gated: Gated) -> None:
    """A few fields are all that a form holds."""
    answer = gated.browser().post("/login", name="a" * 20_000, password="x")

    assert answer.status_code == 403
    assert "too large" in words(answer)


def test_while_the_hub_is_silent_a_form_says_so(gated: Gated) -> None:
    """One sentence and a retry, and the password is not lost in a trace."""
    gated.wire.silent = True
    try:
        answer = gated.browser().post("/login", name="celine", password=PASSWORD)
    finally:
        gated.wire.silent = False

    assert answer.status_code == 503
    assert "does not answer" in words(answer)
    assert PASSWORD not in answer.text
