"""The console in a real browser: a steward decides by keyboard alone, each page can be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from site_node.console.door import Door
from tests import needs
from tests.dashboard.consoled import SECRET, STUDY, Hospital, apart, door_of, pages, short_folder
from tests.dashboard.test_browser import ARGUMENTS, ARTEFACTS, LOOPBACK, opened, settled

WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
GRAVE = ("serious", "critical")
MOST_TABS = 60


@dataclass
class Console:
    """A hospital whose console is open."""

    hospital: Hospital
    door: Door
    window: BrowserContext
    page: Page
    address: str

    def card(self) -> dict[str, Any]:
        """The card as the hospital tells it now."""
        told = apart(lambda: self.hospital.client().charter(STUDY))
        return dict(told["card"])

    def go(self, path: str) -> Page:
        """Open a page by its address."""
        self.page.goto(self.address + path)
        return self.page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    needs.need("browser")
    ARTEFACTS.mkdir(exist_ok=True)
    expect.set_options(timeout=60_000)
    with sync_playwright() as driver:
        path = needs.program(*needs.BROWSERS)
        started = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def console(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Console]:
    """A window in which the one-time link was opened; it reaches nothing but this machine."""
    strangers: list[str] = []

    def guard(route: Route) -> None:
        if LOOPBACK.match(route.request.url):
            route.continue_()
        else:
            strangers.append(route.request.url)
            route.abort()

    with short_folder() as folder:
        hospital = apart(lambda: Hospital(folder))
        if getattr(request, "param", "") == "signed":
            apart(hospital.signed)
        with door_of(hospital) as door, pages(hospital.world.home) as link:
            window = browser.new_context(
                viewport=WIDE, locale="en-GB", timezone_id="UTC", reduced_motion="reduce"
            )
            window.route("**/*", guard)
            page = window.new_page()
            page.on("pageerror", lambda error: pytest.fail(f"the page broke: {error}"))
            page.goto(link)
            settled(page)
            yield Console(hospital, door, window, page, link.partition("/enter")[0])
            window.close()
    assert strangers == []


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has the focus is called so; fails when the keyboard cannot reach it."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        focus = page.evaluate(
            "() => { const e = document.activeElement;"
            " if (!['A', 'BUTTON', 'INPUT'].includes(e.tagName)) return '';"
            " return [e.getAttribute('aria-label'), e.innerText,"
            " ...Array.from(e.labels || []).map(l => l.innerText)].join(' ') }"
        )
        if name in focus:
            return
    raise AssertionError(f"{name} is not reached by {MOST_TABS} times Tab")


def picture(page: Page, name: str) -> None:
    """Keep what the page looks like, whole, on a desk and on a telephone."""
    for width, size in (("wide", WIDE), ("narrow", NARROW)):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        if page.get_by_test_id("stApp").count():
            page.reload()
            settled(page)
            height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
            page.set_viewport_size({"width": size["width"], "height": min(int(height), 4000)})
            settled(page)
        page.screenshot(path=ARTEFACTS / f"console-{name}-{width}.png", full_page=True)
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]


def grave(page: Page) -> list[str]:
    """What axe-core calls serious or critical on this page: rule and place."""
    needs.need("axe")
    page.evaluate(Path(needs.AXE).read_text(encoding="utf-8"))
    found: dict[str, Any] = page.evaluate("() => axe.run(document)")
    return [
        f"{row['id']}: {node['html'][:120]}"
        for row in found["violations"]
        if row["impact"] in GRAVE
        for node in row["nodes"]
    ]


def test_a_steward_decides_a_study_by_keyboard_alone(console: Console) -> None:
    """From the link to the waiting charter, its card, the passphrase, and the word Signed."""
    page, keys = console.page, console.page.keyboard
    expect(page.get_by_role("heading", name="Waiting for this hospital (1)")).to_be_visible()
    picture(page, "inbox")
    tab_to(page, "Read and decide")
    keys.press("Enter")
    expect(page.get_by_role("heading", name="What will happen here")).to_be_visible()
    settled(page)
    expect(
        page.get_by_text("counts none below").or_(page.get_by_text("none below 5"))
    ).to_be_visible()
    picture(page, "charter")

    tab_to(page, "Sign this charter")
    with console.window.expect_page() as window:
        keys.press("Enter")
    form = window.value
    expect(form.get_by_role("heading", name="Sign “Opacity”?")).to_be_visible()
    picture(form, "sign")
    tab_to(form, "Type the first 8 characters")
    form.keyboard.type(apart(lambda: console.hospital.digits))
    tab_to(form, "Passphrase")
    form.keyboard.type(SECRET)
    form.keyboard.press("Enter")
    expect(form.get_by_role("heading", name="Signed")).to_be_visible()
    picture(form, "sign-done")
    tab_to(form, "Back to the charter")
    form.keyboard.press("Enter")
    settled(form)

    expect(form.get_by_role("link", name="Leave the study")).to_be_visible()
    expect(form.get_by_text("Waits for your answer")).to_have_count(0)
    assert len(console.hospital.world.hub.lines) == 1
    assert console.card()["own_answer"] == "signed"


VIEWS = ("", "studies", "releases", "journal", "data", "health")


@pytest.mark.parametrize("console", ["signed"], indirect=True)
def test_every_page_can_be_used_without_sight_or_mouse(console: Console) -> None:
    """axe-core finds nothing serious on any page, plain or not; each is kept as a picture."""
    number = console.card()["charter_id"]
    found = {}
    for view in (*VIEWS, f"charter?id={number}", "journal?part=What+left"):
        page = console.go(f"/{view}")
        settled(page)
        name = view.partition("=What+")[2] or view.partition("?")[0] or "inbox"
        picture(page, f"signed-{name}")
        for fold in page.get_by_test_id("stExpander").locator("summary").all():
            opened(page, fold)
        found[name] = grave(page)
    plain = (
        f"withdraw?study={STUDY}", f"release?study={STUDY}", f"object?study={STUDY}",
        f"refuse?charter={number}", f"sign?charter={number}", "leave",
    )  # fmt: skip
    for form in plain:
        page = console.go(f"/{form}")
        name = form.partition("?")[0]
        picture(page, f"form-{name}")
        found[name] = grave(page)

    console.window.clear_cookies()
    for name, form in (("stranger", ""), ("used-link", "enter?key=x")):
        page = console.go(f"/{form}")
        picture(page, f"form-{name}")
        found[name] = grave(page)

    assert {name: rows for name, rows in found.items() if rows} == {}


def test_what_is_silent_is_said_on_a_finished_page(console: Console) -> None:
    """The hub away, then the node asleep: states of their own, kept as pictures."""
    console.hospital.world.hub.away = True
    page = console.go("/")
    settled(page)
    expect(page.get_by_text("The hub does not answer, so new charters")).to_be_visible()
    picture(page, "hub-away")
    assert grave(page) == []

    page = console.go(f"/charter?id={STUDY}")
    settled(page)
    expect(page.get_by_text("The hub cannot be reached.")).to_be_visible()
    picture(page, "charter-hub-away")

    console.door.stop()
    page = console.go("/health")
    settled(page)
    expect(page.get_by_text("This hospital's node does not answer.")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    picture(page, "asleep")
    assert grave(page) == []
