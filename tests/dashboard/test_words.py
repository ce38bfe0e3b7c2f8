"""Everything that can be said has words, and the words promise nothing that nobody can promise."""

from __future__ import annotations

import inspect
import re
from enum import StrEnum
from pathlib import Path
from typing import get_args

import dashboard
from compliance.records import reasons
from compliance.records.agreement import AgreementDocument
from compliance.records.consortium import DatasetRegistered
from compliance.records.kinds import KINDS
from compliance.records.registry import OfferMade, RequestAnswered
from compliance.report import controls
from compliance.report.export import PURPOSES
from compliance.report.kinds import Kind
from compliance.report.narrative import FIELDS
from compliance.report.renewals import Document
from compliance.report.verify import Result
from compliance.rules.consortium.state import Standing
from compliance.rules.keyring import SPEAKERS
from compliance.rules.phases import Phase
from compliance.rules.signers import OF_CONSORTIUM, OF_STUDY
from dashboard import evidence_words, style, words, words_consortium
from hub.services.sealed import ERASED, KEPT, NEVER
from tests import factories as make
from tests.simulator import Federation

NAMES = {"east.example": "East Clinic", "north.example": "North Hospital"}
FORBIDDEN = re.compile(r"\b(success\w*|compliant|secure|anonymous|trustless)\b", re.IGNORECASE)
AT_THE_HOSPITAL = {reasons.Quarantine}


def test_every_kind_of_entry_has_a_sentence() -> None:
    """What may stand in a log can be told to a person."""
    assert set(words.EVENTS) == set(KINDS)
    assert DatasetRegistered in KINDS.values()


def test_every_reason_has_words() -> None:
    """No reason of a closed list is shown as a code."""
    enums = {
        found
        for _, found in inspect.getmembers(reasons, inspect.isclass)
        if issubclass(found, StrEnum) and found is not StrEnum
    }

    assert set(words.REASONS) == enums - AT_THE_HOSPITAL
    for kind, table in words.REASONS.items():
        assert set(table) == {str(member) for member in kind}, kind


def test_every_state_has_words_and_a_glyph() -> None:
    """State is glyph, word and colour, never colour alone."""
    assert {str(phase) for phase in Phase} <= set(words.PHASES)
    assert set(words.PHASES) | set(words.SITE_STATES) | set(words.STANDINGS) <= set(style.BADGES)
    standings = {str(standing) for standing in Standing} | {"waiting"}
    assert set(words_consortium.STANDINGS) == set(words_consortium.STANDING_MEANS) == standings
    assert set(words_consortium.WAITING) == set(words_consortium.WAITING_MEANS)
    tables = (words_consortium.STANDINGS, words_consortium.WAITING, words_consortium.REACH)
    for table in tables:
        assert set(table) <= set(style.BADGES)
    assert set(words.SITE_STATES) == set(words.SITE_FIXES)
    assert set(words.GLYPHS) == set(style.STATE_COLOURS)


def test_every_text_of_several_says_what_it_would_change() -> None:
    """Kinds, keys' holders, papers and offers of the consortium have words, all of them."""
    assert set(words_consortium.MOTIONS) == OF_CONSORTIUM | OF_STUDY
    assert set(words_consortium.HOLDERS) == SPEAKERS | {"W", "L"}
    for table, record, name in (
        (words_consortium.PAPERS, AgreementDocument, "kind"),
        (words_consortium.OFFERS, OfferMade, "kind"),
        (words_consortium.ANSWERS, RequestAnswered, "answer"),
    ):
        assert set(table) == set(get_args(record.model_fields[name].annotation)), name


def test_everything_that_a_bundle_or_its_verifier_says_has_words() -> None:
    """Laws, statuses, kinds of files, results and documents: the whole of each closed list."""
    asked = {name for name in get_args(controls.Status) if name != "not_selected"}

    assert set(evidence_words.PROFILES) == set(controls.PROFILES)
    assert set(evidence_words.STATUSES) == asked
    assert set(evidence_words.FILES) == {"derived", "signed", *get_args(Kind)}
    assert set(evidence_words.DOCUMENTS) == set(get_args(Document))
    assert set(evidence_words.RESULTS) == set(get_args(Result))
    assert set(evidence_words.VERDICTS) == {0, 1, 2}
    assert set(evidence_words.NARRATIVE) == set(FIELDS)
    assert set(evidence_words.SEALED) == {KEPT, ERASED, NEVER}
    assert set(words.EXPORTS) == set(PURPOSES)


def test_a_round_is_told_with_hospitals_by_their_titles() -> None:
    """Who was used and who was missing, and why; no raw name."""
    body = {
        "round": 3,
        "used": {"east.example": "x"},
        "excluded": {},
        "missing": {"north.example": "offline"},
    }

    said = words.told("round.closed", "hub.example/events", body, NAMES)

    assert said == (
        "Round 3 closed with a new model from East Clinic. "
        "North Hospital was missing: it was not connected."
    )


def test_every_entry_of_a_whole_study_can_be_told() -> None:
    """A real log, entry by entry, in sentences without gaps."""
    from dashboard.reading import kind_of

    study = Federation()
    study.play_round().leave("south.example").stop("hub.example/events")
    titles = {name: f"{name.split('.')[0].title()} Hospital" for name in make.NAMES}

    for note in study.entries:
        kind, actor, _, body = kind_of(note)
        said = words.told(kind, actor, body, titles)
        assert "{" not in said
        assert ".example" not in said
        assert "—" not in said


def test_no_page_promises_what_nobody_can_promise() -> None:
    """Nothing is called a success, compliant, secure or anonymous."""
    folder = Path(dashboard.__file__).parent
    for path in [*folder.glob("tabs/*.py"), *folder.glob("views/*.py"), *folder.glob("*words*.py")]:
        shown = re.findall(r'"([^"\n]*)"', path.read_text(encoding="utf-8"))
        told = [text for text in shown if FORBIDDEN.search(text)]
        assert told == [], path.name


def test_views_ask_no_password_and_write_no_markup() -> None:
    """House rules of pages: no password field, no raw HTML, no cache shared between people."""
    folder = Path(dashboard.__file__).parent
    for path in [*folder.glob("tabs/*.py"), *folder.glob("views/*.py"), folder / "page.py"]:
        code = path.read_text(encoding="utf-8")
        assert 'type="password"' not in code
        assert "unsafe_allow_html" not in code
        assert "st.components" not in code
        for cache in ("cache_data(", "cache_resource("):
            assert cache not in code or f'{cache}scope="session"' in code
