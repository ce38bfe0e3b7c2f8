"""README.html: every statement leads to its entry, everybody can read it, it reaches nobody."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import get_args

import pytest

from compliance.records import charter, legal
from compliance.records.kinds import CHARTER, STUDY
from compliance.report import narrative, page_style
from compliance.report.page import page
from compliance.report.people import write_people
from compliance.report.story import release as released
from compliance.report.story import words
from compliance.report.story.pieces import listed
from tests import factories as make
from tests.report.evidence import SITES, told
from tests.report.readers import FORBIDDEN, Outline, card, contrast, log_of, read
from tests.simulator import HUB, Federation

MARKUP = "<script>alert(1)</script><img src=x onerror=y> & \"quoted\" 'too'"
QUESTIONS = [
    "Who decided?",
    "Which data, under which terms and legal basis?",
    "What left each hospital?",
    "How much privacy was spent?",
    "Who trained which round with which code, and who was left out?",
    "What was refused, and why?",
    "Who approved release?",
    "Is the record complete and unaltered, and how do I check without you?",
]


@cache
def story() -> Federation:
    """A study that says nearly everything once."""
    return told()


@cache
def shown() -> Outline:
    """Its page."""
    return read(story())


def titles(outline: Outline) -> list[str]:
    """Section titles without their numbers."""
    return [words.lstrip("0123456789 ") for level, words in outline.headings if level == 2]


def test_every_statement_leads_to_an_entry_of_the_page() -> None:
    """No link is dangling, and each entry of the log has its place."""
    links = [value for value in shown().values("href") if value.startswith("#")]
    places = shown().values("id")

    assert set(links) <= {f"#{place}" for place in places}
    assert {f"e{index}" for index in range(len(story().entries))} <= set(places)
    assert len(places) == len(set(places))
    assert sum(link.startswith("#e") for link in links) > 40


def test_the_questions_of_readers_are_answered_in_their_order() -> None:
    """Privacy officer, ethics board, regulator and security officer find their question."""
    found = [title for title in titles(shown()) if title in QUESTIONS]

    assert found == QUESTIONS
    assert titles(shown())[-1] == "Every entry"
    assert "What this does not prove" in titles(shown())


def test_who_took_part_stands_on_top_in_words() -> None:
    """A hospital that never took part is named in the first sentence."""
    world = Federation(sites=SITES)
    world.opened().submitted(*SITES[:2])
    world.must("round.closed", world.closing(), HUB)

    top = read(world).text.partition("Who, what, when")[0]

    assert "Trained on 2 of 3 hospitals in 1 round" in top
    assert f"No update of {SITES[2]} is in any model." in top
    assert "Witnessed by" in top
    assert "Trained on 3 of 3 hospitals in 2 rounds." in shown().text


def test_a_page_has_one_order_of_headings_and_speaks_its_language() -> None:
    """A screen reader walks from heading to heading; no level is left out."""
    levels = [level for level, _ in shown().headings]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert ("html", {"lang": "en"}) in shown().tags
    assert shown().open == []


def test_every_table_names_its_columns_and_itself() -> None:
    """A cell is never read without its head."""
    tags = [tag for tag, _ in shown().tags]
    heads = [attributes for tag, attributes in shown().tags if tag == "th"]

    assert tags.count("table") == tags.count("caption") == tags.count("thead") > 8
    assert all(attributes == {"scope": "col"} for attributes in heads)


def test_every_colour_of_a_text_is_readable() -> None:
    """At least 4.5 to 1 on every ground on which it stands."""
    for colour in page_style.ON_PAPER:
        assert contrast(colour, page_style.PAPER) >= 4.5, colour
        assert contrast(colour, page_style.WASH) >= 4.5, colour
    for colour in page_style.ON_BAND:
        assert contrast(colour, page_style.BAND) >= 4.5, colour
    assert contrast("#777777", "#ffffff") < 4.5


def test_a_page_asks_nobody_for_anything() -> None:
    """No script, no picture, no style or font from elsewhere; the browser is told so."""
    html = page(log_of(story()), {}).decode()
    policy = {"http-equiv": "Content-Security-Policy",
              "content": "default-src 'none'; style-src 'unsafe-inline'"}  # fmt: skip

    assert ("meta", policy) in shown().tags
    assert {tag for tag, _ in shown().tags}.isdisjoint({"script", "img", "link", "iframe", "form"})
    assert shown().values("src") == []
    assert all(link.startswith("#") for link in shown().values("href"))
    assert "url(" not in html
    assert "@import" not in html


def test_markup_in_a_title_a_name_or_a_card_is_shown_as_text() -> None:
    """What somebody wrote is never run."""
    world = Federation(title=MARKUP, summary=MARKUP)
    world.play_round().approve(*SITES)
    assert world.release() is not None
    attached = card(world.state.model_sha256, intended_use=MARKUP, users="two\nlines\u0000")
    attached["data/people.csv"] = write_people({make.RESEARCHER: MARKUP})

    html = page(log_of(world), attached).decode()
    outline = Outline(html)

    assert "<script" not in html
    assert "<img" not in html
    assert outline.text.count(MARKUP) >= 4
    assert "two lines" in outline.text


def test_no_page_says_more_than_the_log() -> None:
    """None of the words that a lawyer would cross out."""
    for outline in (shown(), read(Federation())):
        for word in FORBIDDEN:
            assert word not in outline.text.lower(), word
        assert "Evidence drawn from a signed log. Not a legal determination." in outline.text


def test_one_log_gives_one_page() -> None:
    """Read again from its bytes, the same page comes out."""
    assert page(log_of(story()), {}) == page(log_of(story()), {})


def test_a_long_log_is_folded_by_round_and_stays_small() -> None:
    """Entries of one round are one fold; a long table scrolls; the page says how it is printed."""
    rows = [make.dataset_row(site, epsilon=None) for site in SITES]
    world = Federation(sites=SITES, max_rounds=110, dp=None, datasets=rows)
    for _ in range(110):
        world.play_round()
    html = page(log_of(world), {})
    outline = Outline(html.decode())

    folds = [attributes for tag, attributes in outline.tags if tag == "details"]
    assert len(folds) > 110
    assert all("open" not in attributes for attributes in folds)
    assert "Folded rounds are not printed" in outline.text
    assert "wide long" in outline.values("class")
    assert len(html) < 1000 * len(world.entries)
    assert all("open" in attributes for tag, attributes in shown().tags if tag == "details")


def test_a_storm_of_refusals_is_cut_and_the_whole_is_named() -> None:
    """A table has an end; the file that holds all rows is named."""
    world = Federation(sites=SITES)
    for number in range(401):
        world.time = make.later(world.time, minutes=3)
        body = {"action": "update.submitted", "who": None, "rule": "site.floor", "round": None,
                "suppressed": 0}  # fmt: skip
        world.must("decision.denied", body, f"{SITES[number % 3]}/node")

    assert (
        "The first 400 of 401 rows. All of them: data/governance/decisions.csv" in read(world).text
    )


def test_every_word_of_a_record_has_words_for_people() -> None:
    """A new kind, term or basis without words fails here, not in a hospital."""
    bases = {
        *get_args(legal.LegalSite.model_fields["lawful_basis"].annotation),
        *get_args(legal.LegalSite.model_fields["special_category_basis"].annotation),
    }
    assert tuple(released.NARRATIVE) == narrative.FIELDS
    assert words.SENTENCE.keys() == {CHARTER, *STUDY}
    assert words.DUO.keys() == set(get_args(charter.Duo))
    assert words.USES.keys() == set(get_args(charter.Purpose.model_fields["use"].annotation))
    assert bases == words.BASES.keys()
    assert words.MECHANISMS.keys() == set(
        get_args(legal.Transfer.model_fields["mechanism"].annotation)
    )


@pytest.mark.parametrize(
    ("actor", "who"),
    [(f"{SITES[0]}/node", SITES[0]), (HUB, "The hub"), (make.RESEARCHER, "The researcher")],
)
def test_a_speaker_is_called_what_he_is(actor: str, who: str) -> None:
    """A hospital by its name, the others by their part."""
    assert words.speaker(actor) == who
    assert listed([]) == "nobody"
    assert listed(["a", "b", "c"]) == "a, b and c"
