"""report.pdf: for an archive and for a screen reader, the same bytes each time, on every page."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from functools import cache

import pytest
from pypdf import PdfReader

from compliance.report.page import page
from compliance.report.people import write_people
from hub.services.report_pdf import TEMPLATE, render
from tests import factories as make
from tests.report.evidence import SITES, told
from tests.report.readers import FORBIDDEN, card, log_of
from tests.shared import ROOT
from tests.simulator import Federation

ZERO_WIDTH = "\u200b"
MARKUP = '#set page(width: 1pt) $x$ *bold* <b> @ref // \\ "quoted" [a] _b_ `c` ] {'


def pages(made: bytes | None) -> list[str]:
    """The words of every page."""
    assert made is not None
    read = PdfReader(io.BytesIO(made))
    return [page.extract_text().replace(ZERO_WIDTH, "") for page in read.pages]


@cache
def example() -> bytes:
    """The report of a study that says nearly everything once."""
    made = render(log_of(told()), {})
    assert made is not None
    return made


def test_one_log_gives_the_same_bytes() -> None:
    """No clock and no font of the machine is in it."""
    assert render(log_of(told()), {}) == example()


def test_another_place_and_language_give_the_same_bytes() -> None:
    """Time zone, locale and hash seed of the machine are not in it."""
    script = (
        "import hashlib; from tests.hub.services.test_report_pdf import example; "
        "from compliance.report.page import page; from tests.report.evidence import told; "
        "from tests.report.readers import log_of; "
        "print(hashlib.sha256(example() + page(log_of(told()), {})).hexdigest())"
    )
    there = {"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "77"}
    made = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=ROOT, env=there, check=True,
        capture_output=True, text=True, timeout=120,
    ).stdout.strip()  # fmt: skip

    assert made == hashlib.sha256(example() + page(log_of(told()), {})).hexdigest()


def test_the_file_is_made_for_archives_and_for_screen_readers() -> None:
    """PDF/A-2a and PDF/UA-1 are claimed, and the file is tagged, titled and in English."""
    read = PdfReader(io.BytesIO(example()))
    metadata = read.trailer["/Root"]["/Metadata"].get_object().get_data().decode()

    assert "<pdfaid:part>2</pdfaid:part><pdfaid:conformance>A</pdfaid:conformance>" in metadata
    assert "<pdfuaid:part>1</pdfuaid:part>" in metadata
    assert read.trailer["/Root"]["/MarkInfo"]["/Marked"]
    assert read.trailer["/Root"]["/Lang"] == "en"
    assert read.metadata is not None
    assert read.metadata.title == "Pneumonia on chest radiographs: evidence report"
    assert b"/TH" in example() or "/TH" in str(read.trailer["/Root"]["/StructTreeRoot"])


def test_every_page_says_which_log_it_is_about() -> None:
    """Size, root and page number at the foot of each page, and what it is not."""
    log, found = log_of(told()), pages(example())

    for number, text in enumerate(found, 1):
        assert f"Size {len(log.entries)}, root " in text
        assert log.checkpoint.root.hex() not in text
        assert f"Page {number} of {len(found)}" in text
        assert "Not a legal determination." in text


def test_every_signer_and_every_refusal_stands_in_it() -> None:
    """The paper names whoever signed, with the sentence of each rule."""
    log, text = log_of(told()), "\n".join(pages(example()))
    flat = text.replace("\n", "")

    for index in range(len(log.entries)):
        for name in log.signers(index):
            assert name in flat, name
    assert "approved the protocol" in text.replace("\n", " ")
    assert "hub-attested" in flat
    assert log.state.charter_id in flat
    assert "site.floor" in flat


def test_markup_in_a_title_or_a_name_is_printed_as_text() -> None:
    """What somebody wrote is neither run nor lost."""
    world = Federation(title=MARKUP, summary=MARKUP)
    attached = {"data/people.csv": write_people({make.RESEARCHER: "#panic()"})}

    found = pages(render(log_of(world), attached))

    assert "#set page(width: 1pt) $x$ *bold* <b> @ref //" in " ".join(found[0].split())
    assert "#panic()" in "".join(found)


@pytest.mark.parametrize(
    ("title", "printed"),
    [
        ("Lungenentzündung ě ő ș ź Ωμέγα Жизнь", "Lungenentzündung ě ő ș ź Ωμέγα Жизнь"),
        ("肺炎 study", "[U+80BA][U+708E] study"),
        ("a \U0001f600 b", "a [U+1F600] b"),
        ("private \ue000 use", "private [U+E000] use"),
        ("a\u0485 beside", "a[U+0485] beside"),
        ("joined 👩‍⚕️ here", "joined [U+1F469]"),
    ],
)
def test_a_letter_that_no_font_has_is_printed_as_its_number(title: str, printed: str) -> None:
    """And the page says where the exact text stands."""
    text = " ".join(pages(render(log_of(Federation(title=title)), {}))[0].split())

    assert printed in text
    assert ("exact text stands in README.html" in text) == ("[U+" in printed)


def test_a_narrative_with_strange_bytes_does_not_stop_the_report() -> None:
    """A card is a foreign file: its control characters become spaces."""
    world = Federation(sites=SITES)
    world.play_round().approve(*SITES)
    assert world.release() is not None
    attached = card(world.state.model_sha256, users="a\u0000b\u2028c\ud83dd \u202e 病")

    assert "a b c" in "".join(pages(render(log_of(world), attached)))


def test_a_long_log_is_printed_without_its_list_of_entries() -> None:
    """Every round stands on paper; where every entry stands is said."""
    rows = [make.dataset_row(site, epsilon=None) for site in SITES]
    world = Federation(sites=SITES, max_rounds=60, dp=None, datasets=rows)
    for _ in range(60):
        world.play_round()

    found = pages(render(log_of(world), {}))
    text = " ".join("".join(found).split())

    assert len(found) < 20
    assert "too many for paper" in text
    assert "data/events.csv" in text
    assert world.state.rounds_closed[59].model_sha256[7:23] in text


def test_no_word_on_paper_says_more_than_the_log() -> None:
    """None of the words that a lawyer would cross out."""
    text = " ".join("\n".join(pages(example())).split()).lower()

    for word in FORBIDDEN:
        assert word not in text, word


def test_a_hub_without_typst_makes_no_pdf(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundle goes out without it; README.html says the same."""
    monkeypatch.setitem(sys.modules, "typst", None)

    assert render(log_of(told()), {}) is None


def test_the_template_travels_with_the_program() -> None:
    """A file beside the code: the wheel takes whole packages."""
    assert TEMPLATE.parent.name == "services"
    assert TEMPLATE.read_text(encoding="utf-8").count("sys.inputs") == 1
