"""Journeys in a real browser through the gate: what people see, as pictures, and only our host."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Route,
    expect,
    sync_playwright,
)

from tests import needs
from tests.dashboard.shown import Shown, shown
from tests.hub.house import PASSWORD

ARTEFACTS = Path(__file__).resolve().parent.parent / "artefacts"
LOOPBACK = re.compile(r"^(https?|wss?)://127\.0\.0\.1[:/]|^(data|blob):")
ARGUMENTS = [
    "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-quic",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A hub with a running study, and the dashboard in front."""
    needs.need("browser")
    ARTEFACTS.mkdir(exist_ok=True)
    with shown(tmp_path_factory.mktemp("shown")) as it:
        yield it


@pytest.fixture(scope="module")
def browser(show: Shown) -> Iterator[Browser]:
    """The system's Chromium."""
    path = needs.program(*needs.BROWSERS)
    expect.set_options(timeout=30_000)
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh window that reaches nothing but this machine."""
    window = browser.new_context(
        viewport={"width": 1280, "height": 900},
        locale="en-GB",
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    strangers: list[str] = []

    def guard(route: Route) -> None:
        if LOOPBACK.match(route.request.url):
            route.continue_()
        else:
            strangers.append(route.request.url)
            route.abort()

    window.route("**/*", guard)
    yield window
    window.close()
    assert strangers == []


def sign_in(context: BrowserContext, show: Shown, name: str) -> Page:
    """A page in which this person has signed in; any error of a page fails the test."""
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"the page broke: {error}"))
    page.goto(show.address)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    settled(page)
    return page


def settled(page: Page) -> None:
    """The page is connected and has drawn."""
    frame = page.get_by_test_id("stApp")
    expect(frame).to_have_attribute("data-test-connection-state", "CONNECTED")
    expect(frame).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def opened(page: Page, title: Locator) -> None:
    """Open a fold of the page, and wait until what stands below it moves no more."""
    title.click()
    still(page)


def still(page: Page) -> None:
    """Nothing moves for 20 frames: a click on what still slides down would be lost."""
    page.wait_for_function(
        """() => new Promise(done => {
            let last = -1, same = 0;
            const look = () => {
                const now = document.querySelector("[data-testid=stMain]").scrollHeight;
                same = now === last ? same + 1 : 0;
                last = now;
                same >= 20 ? done(true) : requestAnimationFrame(look);
            };
            look();
        })"""
    )


def picture(page: Page, name: str) -> None:
    """Keep what the page looks like, whole."""
    settled(page)
    height = page.evaluate(
        "Math.max(900, document.querySelector('[data-testid=stMain]').scrollHeight)"
    )
    page.set_viewport_size({"width": 1280, "height": min(int(height) + 40, 4000)})
    settled(page)
    page.screenshot(path=ARTEFACTS / f"{name}.png")
    page.set_viewport_size({"width": 1280, "height": 900})


def part(page: Page, name: str) -> None:
    """Open a part of the study page."""
    page.get_by_role("radio", name=name, exact=True).or_(
        page.get_by_role("button", name=name, exact=True)
    ).first.click()
    settled(page)


def test_a_researcher_finds_a_study_and_follows_it(context: BrowserContext, show: Shown) -> None:
    """Sign in, home, list, and every part of the study."""
    page = sign_in(context, show, "celine")
    expect(page.get_by_role("heading", name="Hello celine")).to_be_visible()
    picture(page, "home")

    page.get_by_role("link", name="Studies", exact=True).click()
    expect(page.get_by_role("heading", name="Studies")).to_be_visible()
    picture(page, "studies")

    page.get_by_role("link", name="Pneumonia on chest radiographs").first.click()
    expect(page.get_by_role("heading", name="Signatures")).to_be_visible()
    picture(page, "study-overview")
    part(page, "Live")
    expect(page.get_by_text("Round 5 of 6. Waiting for North Hospital")).to_be_visible()
    picture(page, "study-live")
    part(page, "Performance")
    expect(page.get_by_role("heading", name="Alone and together")).to_be_visible()
    picture(page, "study-performance")
    part(page, "Log")
    expect(page.get_by_text("Round 4 closed with a new model from")).to_be_visible()
    picture(page, "study-log")
    part(page, "Model")
    expect(page.get_by_role("heading", name="All models")).to_be_visible()
    picture(page, "study-model")


def test_a_researcher_reaches_the_launch_only_over_the_confirm_page(
    context: BrowserContext, show: Shown
) -> None:
    """The button prepares; nothing is launched by it."""
    page = sign_in(context, show, "celine")
    page.goto(f"{show.address}/study?id={show.stage.ready}")
    settled(page)
    page.get_by_role("button", name="Launch the study").click()
    settled(page)
    picture(page, "study-before-launch")

    with context.expect_page() as opened:
        page.get_by_role("link", name="Look and confirm").click()

    expect(opened.value.get_by_text("An entry cannot be taken back")).to_be_visible()
    opened.value.screenshot(path=ARTEFACTS / "confirm.png")
    assert show.stage.rooms.studies.one(show.stage.ready)["state"] == "signed"


def test_a_draft_is_judged_while_it_is_written(context: BrowserContext, show: Shown) -> None:
    """The rules stand beside the form and name what is missing."""
    page = sign_in(context, show, "celine")
    page.get_by_role("link", name="New study", exact=True).click()
    expect(page.get_by_role("heading", name="What the rules say")).to_be_visible()
    page.get_by_label("Title", exact=True).fill("Fractures of the hand")
    page.get_by_label("Title", exact=True).press("Tab")
    settled(page)
    picture(page, "draft-question")
    page.get_by_role("tab", name="2 Data").click()
    page.get_by_role("combobox", name="Data sets").click()
    page.get_by_role("option").first.click()
    page.keyboard.press("Escape")
    settled(page)
    expect(page.get_by_text("to mend")).to_be_visible()
    picture(page, "draft-data")
    page.get_by_role("tab", name="5 Terms").click()
    picture(page, "draft-terms")
    page.get_by_role("tab", name="6 Review").click()
    expect(page.get_by_text("What each hospital would refuse")).to_be_visible()
    expect(page.get_by_role("cell", name="Missing: Controller").first).to_be_visible()
    picture(page, "draft-review")

    expect(page.get_by_role("button", name="Propose to the hospitals")).to_be_disabled()


def test_the_quorum_is_said_in_words_as_the_slider_moves(
    context: BrowserContext, show: Shown
) -> None:
    """With the arrow keys, as somebody without a mouse would do it."""
    page = sign_in(context, show, "celine")
    page.get_by_role("link", name="New study", exact=True).click()
    page.get_by_role("tab", name="2 Data").click()
    page.get_by_role("combobox", name="Data sets").click()
    for title in ("East Clinic", "North Hospital", "South University Hospital"):
        page.get_by_role("option", name=title).first.click()
        settled(page)
    page.keyboard.press("Escape")
    settled(page)
    page.get_by_role("tab", name="4 Training").click()
    expect(page.get_by_text("2 of 3: one hospital may be down").first).to_be_visible()
    page.get_by_role("slider", name="Cosignatures needed").press("ArrowRight")
    settled(page)

    expect(page.get_by_text("3 of 3: nobody may be down.").first).to_be_visible()
    picture(page, "draft-training")


def test_somebody_asks_what_would_be_allowed(context: BrowserContext, show: Shown) -> None:
    """The verdict stands there with its rule; the log has not grown."""
    size = show.stage.rooms.ledger.size(show.stage.study)
    page = sign_in(context, show, "aya")
    page.goto(f"{show.address}/study?id={show.stage.study}")
    settled(page)
    opened(page, page.get_by_text("Would this be allowed?"))
    page.get_by_role("button", name="Ask the rules").click()
    settled(page)

    expect(page.get_by_text("It would be refused: The round has a wrong number")).to_be_visible()
    picture(page, "study-supposed")
    assert show.stage.rooms.ledger.size(show.stage.study) == size


def test_an_administrator_sees_hospitals_and_people(context: BrowserContext, show: Shown) -> None:
    """Who belongs to the consortium, and who may do what."""
    page = sign_in(context, show, "ida")
    page.get_by_role("link", name="Hospitals", exact=True).click()
    expect(page.get_by_role("heading", name="South University Hospital")).to_be_visible()
    picture(page, "hospitals")
    page.get_by_role("link", name="People", exact=True).click()
    expect(page.get_by_text("Data steward of North Hospital")).to_be_visible()
    picture(page, "people")
    page.get_by_role("link", name="My account", exact=True).click()
    expect(page.get_by_role("heading", name="Open sessions")).to_be_visible()
    picture(page, "account")


def test_an_auditor_reads_the_consortium_from_its_own_log(
    context: BrowserContext, show: Shown
) -> None:
    """Agreement, members, a text that waits, witnesses and a hospital's alarm; nothing to sign."""
    page = sign_in(context, show, "aya")
    page.get_by_role("link", name="Consortium", exact=True).click()
    expect(page.get_by_text("2 of 3: one hospital may be down").first).to_be_visible()
    expect(page.get_by_text("A hospital believes a log no more.")).to_be_visible()
    picture(page, "consortium-agreement")
    for name, wanted in (
        ("Members", "Keys in force"),
        ("Registry", "Flower bundles released"),
        ("Studies", "Studies on record"),
        ("Motions", "Waiting for signatures (1)"),
        ("Witnesses", "Witnesses"),
        ("Log", "Entries"),
    ):
        part(page, name)
        expect(page.get_by_role("heading", name=wanted)).to_be_visible()
        picture(page, f"consortium-{name.lower()}")
    part(page, "Motions")
    command = f"consilium site sign {show.motion.removeprefix('sha256:')[:12]}"
    expect(page.get_by_text(command)).to_be_visible()
    expect(page.get_by_role("button", name="Sign", exact=True)).to_have_count(0)


def test_a_page_of_another_role_stays_shut(context: BrowserContext, show: Shown) -> None:
    """A deep link draws the panel that says which role is needed, and nothing else."""
    page = sign_in(context, show, "celine")

    page.goto(f"{show.address}/admin")
    settled(page)

    expect(page.get_by_text("This page is for the role administrator.")).to_be_visible()
    expect(page.get_by_text("Data steward of")).to_have_count(0)
    picture(page, "forbidden")


def fetched(context: BrowserContext, page: Page, folder: Path) -> Path:
    """The file that comes after the yes; its hash stands on the page."""
    with context.expect_page() as opened:
        page.get_by_role("link", name="Look and confirm").click()
    confirm = opened.value
    confirm.get_by_label("Your password").fill(PASSWORD)
    confirm.get_by_role("button", name="Confirm").click()
    with confirm.expect_download() as download:
        confirm.get_by_role("link", name="Download the file").click()
    confirm.screenshot(path=ARTEFACTS / "reports-exported.png")
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    expect(confirm.get_by_text(hashlib.sha512(file.read_bytes()).hexdigest())).to_be_visible()
    return file


def test_an_auditor_exports_downloads_and_verifies_a_bundle(
    context: BrowserContext, show: Shown, tmp_path: Path
) -> None:
    """What is in it, the yes with the password, the one-time link, and every step of the check."""
    stage = show.stage
    page = sign_in(context, show, "aya")
    page.get_by_role("link", name="Reports", exact=True).click()
    expect(page.get_by_role("heading", name="Clauses")).to_be_visible()
    opened(page, page.get_by_text("partial evidence").first)
    opened(page, page.get_by_text(re.compile(r"^All \d+ files$")))
    picture(page, "reports-export")
    page.get_by_role("button", name="Export", exact=True).last.click()
    settled(page)
    bundle, policy = fetched(context, page, tmp_path), tmp_path / "policy.txt"
    policy.write_text(stage.rooms.ledger.policy(stage.study))

    part(page, "Verify a bundle")
    page.locator("input[type=file]").nth(0).set_input_files(bundle)
    page.locator("input[type=file]").nth(1).set_input_files(policy)
    settled(page)
    page.get_by_role("button", name="Verify", exact=True).click()

    expect(page.get_by_text("Every step holds.")).to_be_visible()
    expect(page.get_by_text("16 what is not attested")).to_be_visible()
    picture(page, "reports-verified")
    stage.settle()
    part(page, "Past exports")
    expect(page.get_by_role("cell", name="aya")).to_be_visible()
    picture(page, "reports-past")


def test_a_researcher_writes_the_card_and_looks_at_it(context: BrowserContext, show: Shown) -> None:
    """Nine texts, and the card as it would be made now; unwritten ones say that they are."""
    page = sign_in(context, show, "celine")
    page.goto(f"{show.address}/study?id={show.stage.study}&tab=Model")
    settled(page)
    opened(page, page.get_by_text("What the card says in words"))
    page.get_by_label("What it is for", exact=True).fill("A second look at radiographs.")
    page.get_by_label("What it is not for").fill("Films of children.")
    still(page)
    page.get_by_role("button", name="Look at the card").click()
    settled(page)

    expect(page.get_by_text("to be completed by the developer").last).to_be_visible()
    picture(page, "study-card")
    expect(page.get_by_role("button", name="Release the newest model")).to_be_disabled()


def test_an_auditor_opens_a_sealed_remark(context: BrowserContext, show: Shown) -> None:
    """Checked in the dashboard against the entry."""
    stage = show.stage
    _, person = stage.rooms.accounts.sign_in("aya", PASSWORD)
    body = {"result": "opened_case", "from": 0, "to": 9, "remark": "Round 2 lacks one hospital."}
    stage.rooms.acts["review.note"].do(person, stage.study, body)
    stage.settle()
    page = sign_in(context, show, "aya")
    page.goto(f"{show.address}/study?id={stage.study}&tab=Log")
    settled(page)
    opened(page, page.get_by_text("Sealed remarks and details"))
    page.get_by_role("button", name="Open it here").click()
    settled(page)

    expect(page.get_by_text("Round 2 lacks one hospital.")).to_be_visible()
    picture(page, "study-sealed")


def test_a_researcher_asks_how_many_and_reads_the_answers(
    context: BrowserContext, show: Shown
) -> None:
    """The words of the data sets are offered; what each hospital told stands by itself."""
    show.stage.counted()
    page = sign_in(context, show, "celine")
    page.get_by_role("link", name="How many", exact=True).click()
    expect(page.get_by_role("heading", name="How many")).to_be_visible()
    page.get_by_role("combobox", name="Body part").click()
    page.get_by_role("option", name="chest").click()
    settled(page)
    opened(page, page.get_by_text("modality cr, body part chest, age 60-69"))
    expect(page.get_by_text("fewer than 10, or none")).to_be_visible()
    page.get_by_role("button", name="Ask every hospital").click()
    settled(page)
    picture(page, "counts")

    with context.expect_page() as confirm:
        page.get_by_role("link", name="Look and confirm").click()
    expect(confirm.value.get_by_text("Each hospital answers by itself")).to_be_visible()
    confirm.value.get_by_role("button", name="Confirm").click()
    expect(confirm.value.get_by_text("Every hospital is asked")).to_be_visible()
    confirm.value.get_by_role("link", name="See the answers").click()
    settled(confirm.value)
    answers = confirm.value.get_by_text("no answer yet").filter(visible=True)
    expect(answers).to_have_count(3)
