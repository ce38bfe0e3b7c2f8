"""README.html in a real browser: on a screen, on a telephone and on A4, and it reaches nobody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from pypdf import PdfReader

from compliance.report.page import page as made
from compliance.report.people import write_people
from tests import factories as make
from tests import needs
from tests.report.evidence import SITES, review, told
from tests.report.readers import log_of
from tests.simulator import HUB, Federation

ARTEFACTS = Path(__file__).resolve().parent.parent / "artefacts"
A4_PIXELS = 688
"""Width of A4 between its margins, 182 mm at 96 dots an inch."""

CUT = """() => [...document.querySelectorAll('table, td, dd, p, h1, h2, h3')]
  .filter(one => one.tagName === 'TABLE' ? one.offsetWidth > one.parentElement.clientWidth + 1
                                         : one.scrollWidth > one.clientWidth + 1
                                           && getComputedStyle(one).display !== 'inline')
  .map(one => one.textContent.slice(0, 60))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    needs.need("browser")
    ARTEFACTS.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=needs.program(*needs.BROWSERS),
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )
        yield started
        started.close()


@pytest.fixture
def sheet(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """The page of a study with long names, opened from a file; any request fails the test."""
    long = {make.RESEARCHER: "Prof. Dr. Maximiliane-Alexandra von und zu Hohenlohe-Langenburg"}
    world = told()
    for _ in range(40):
        world.must("review.noted", review(len(world.entries)), HUB)
    text = made(log_of(world), {"data/people.csv": write_people(long)})
    (tmp_path / "README.html").write_bytes(text)
    sheet, asked = browser.new_page(viewport={"width": 1280, "height": 900}), []
    sheet.on("request", lambda request: asked.append(request.url))
    sheet.on("pageerror", lambda error: pytest.fail(f"the page broke: {error}"))
    sheet.on("console", lambda said: pytest.fail(f"the browser complains: {said.text}"))
    sheet.goto((tmp_path / "README.html").as_uri())
    yield sheet
    assert [url for url in asked if not url.endswith("/README.html")] == []
    sheet.close()


def test_the_page_fits_a_screen_and_a_telephone(sheet: Page) -> None:
    """Nothing is wider than what people look at; wide tables scroll in their own frame."""
    sheet.screenshot(path=ARTEFACTS / "report-screen.png", full_page=True)
    assert sheet.evaluate("document.documentElement.scrollWidth") == 1280
    assert sheet.evaluate(CUT) == []

    sheet.set_viewport_size({"width": 390, "height": 844})
    sheet.screenshot(path=ARTEFACTS / "report-telephone.png")
    assert sheet.evaluate("document.documentElement.scrollWidth") == 390


def test_the_page_prints_on_a4_without_a_cut_table(sheet: Page) -> None:
    """Every table is as wide as the paper at most, its head repeats, every entry is there."""
    sheet.set_viewport_size({"width": A4_PIXELS, "height": 900})
    sheet.emulate_media(media="print")
    sheet.screenshot(path=ARTEFACTS / "report-print.png", full_page=True)
    assert sheet.evaluate(CUT) == []
    assert sheet.evaluate("document.documentElement.scrollWidth") == A4_PIXELS

    path = ARTEFACTS / "report-printed.pdf"
    sheet.pdf(path=path, prefer_css_page_size=True)
    pages = [" ".join(one.extract_text().split()) for one in PdfReader(path).pages]
    assert sum("Witnessed at the latest" in text for text in pages) >= 2
    assert "Not a legal determination." in pages[-1]
    assert "Pneumonia on chest radiographs" in pages[0]


def test_a_link_opens_the_fold_of_its_entry(browser: Browser, tmp_path: Path) -> None:
    """Without any script: the browser unfolds what a link leads to."""
    rows = [make.dataset_row(site, epsilon=None) for site in SITES]
    world = Federation(sites=SITES, max_rounds=90, dp=None, datasets=rows)
    for _ in range(90):
        world.play_round()
    (tmp_path / "long.html").write_bytes(made(log_of(world), {}))
    sheet = browser.new_page(java_script_enabled=False)
    sheet.goto((tmp_path / "long.html").as_uri())
    assert not sheet.locator("#e300").is_visible()

    sheet.goto((tmp_path / "long.html").as_uri() + "#e300")

    sheet.locator("#e300").wait_for(state="visible", timeout=10_000)
    sheet.screenshot(path=ARTEFACTS / "report-long.png")
    sheet.close()
