"""The console's pages, drawn by Streamlit over a real hospital's desk, in each of their states."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import dashboard.console
from dashboard import session, site_client
from tests.dashboard.consoled import STUDY, Hospital, settings_of, short_folder
from tests.dashboard.test_views import button, words

FOLDER = Path(dashboard.console.__file__).parent
VIEWS = ("inbox", "charter", "studies", "releases", "journal", "data", "health")
HOSTILE = "Look [here](https://evil.example) **now** https://evil.example/x www.evil.example a@b.se"
Draw = Callable[..., AppTest]


@pytest.fixture
def hospital() -> Iterator[Hospital]:
    """A hospital with one charter that waits."""
    with short_folder() as folder:
        yield Hospital(folder)


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Draw:
    """Draw a page of the console of a hospital, or of a home where no node answers."""

    def page(name: str, hospital: Hospital | None, **query: str) -> AppTest:
        home = hospital.world.home if hospital else tmp_path
        monkeypatch.setattr(site_client, "TRANSPORT", hospital.wire() if hospital else None)
        at = AppTest.from_file(str(FOLDER / "frame.py"), default_timeout=60)
        for key, value in session.handed_over(settings_of(home)).items():
            at.secrets[key] = value
        at.query_params.update(query)
        at.run()
        if name != "inbox":
            at.switch_page(f"{name}.py")
            at.query_params.update(query)
            at.run()
        assert not at.exception, [item.message for item in at.exception]
        return at

    return page


def said(at: AppTest) -> str:
    """What a person reads; marks that keep texts from being markup are left out."""
    return words(at).replace("\\", "")


def tables(at: AppTest) -> str:
    """What stands in the tables of a page."""
    return "\n".join(item.value.to_string() for item in at.table).replace("\\", "")


def links(at: AppTest) -> list[str]:
    """Where the buttons of a page lead."""
    return [str(item.proto.url) for item in at.main.get("link_button")]


@pytest.mark.parametrize("view", VIEWS)
def test_a_node_that_sleeps_is_said_on_every_page(draw: Draw, view: str) -> None:
    """What the technician types, and a button to try again; no page breaks."""
    at = draw(view, None, id=STUDY)

    assert "node does not answer" in said(at)
    assert "`consilium site serve`" in said(at)
    assert button(at, "Try again") is not None


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("state", ["waiting", "signed"])
def test_every_page_is_drawn(draw: Draw, hospital: Hospital, view: str, state: str) -> None:
    """Before and after the hospital signed."""
    if state == "signed":
        hospital.signed()

    at = draw(view, hospital, id=STUDY)

    assert "rule says no" not in said(at)
    assert button(at, "Try again") is None


def test_the_inbox_shows_what_waits_and_how_long(draw: Draw, hospital: Hospital) -> None:
    """Title, who asks, days left, signatures."""
    text = said(draw("inbox", hospital))

    for word in ("Waiting for this hospital (1)", "Opacity", "lead.example/r-7", "365 days left"):
        assert word in text + "".join(item.value for item in draw("inbox", hospital).header)
    assert "0 of 2 needed signatures" in text


def test_an_inbox_without_charters_says_how_they_come(draw: Draw, hospital: Hospital) -> None:
    """One sentence and the next step."""
    hospital.world.hub.charter = None

    text = said(draw("inbox", hospital))

    assert "No charter waits for you." in text
    assert "appears here by itself" in text


def test_a_hub_that_is_away_is_a_state_of_the_inbox(draw: Draw, hospital: Hospital) -> None:
    """What was answered here stays in sight."""
    hospital.signed()
    hospital.world.hub.away = True

    text = said(draw("inbox", hospital))

    assert "The hub does not answer" in text
    assert "Opacity" in text
    assert "The hub cannot be reached" not in text


def test_a_charter_cannot_be_read_while_the_hub_is_away(draw: Draw, hospital: Hospital) -> None:
    """Nothing is shown in its place."""
    hospital.world.hub.away = True

    text = said(draw("charter", hospital, id=STUDY))

    assert "The hub cannot be reached" in text


def test_the_card_names_the_source_of_every_line(draw: Draw, hospital: Hospital) -> None:
    """What will happen here, what leaves, the text itself, and two ways to answer."""
    at = draw("charter", hospital, id=STUDY)

    text = said(at)
    for word in (
        "chest: 50 patients; 40 train, 12 test; positive: 10 train", "Our catalogue",
        "0.268 MiB a round, 1.34 MiB in total", "Computed here",
        "none below 5 (the charter says 5, we say 5)", "the one that we trust",
        "no image, header, file name or text", "All 20 rules",
    ):  # fmt: skip
        assert word in text, word
    assert [url.partition("?")[0] for url in links(at)] == ["/sign", "/refuse"]
    assert '"signatures_required": 2' in "\n".join(item.value for item in at.code)


def test_a_charter_against_our_rules_offers_no_signature(draw: Draw, hospital: Hospital) -> None:
    """The rule is named; refusing is still offered."""
    charter = hospital.world.charter(hospital.open(), min_examples=500)
    hospital.world.hub.propose(charter)

    at = draw("charter", hospital, id=STUDY)

    assert "rules say no, so it cannot be signed here" in said(at)
    assert "update.min_examples" in said(at)
    assert [url.partition("?")[0] for url in links(at)] == ["/refuse"]


def test_a_signed_charter_offers_the_way_out(draw: Draw, hospital: Hospital) -> None:
    """And no second signature."""
    hospital.signed()

    at = draw("charter", hospital, id=STUDY)

    assert links(at) == [f"/withdraw?study={STUDY}"]


def test_a_study_that_was_left_can_be_signed_anew_but_not_refused(
    draw: Draw, hospital: Hospital
) -> None:
    """What was said stays said: a refusal would hide that the hospital took part."""
    hospital.signed()
    hospital.open().steward.withdraw(STUDY, "consent")

    at = draw("charter", hospital, id=STUDY)

    assert [url.partition("?")[0] for url in links(at)] == ["/sign"]


def test_a_researchers_words_become_no_link(draw: Draw, hospital: Hospital) -> None:
    """Title and summary are shown as they are; nothing in them leads anywhere."""
    charter = hospital.world.charter(hospital.open(), title=HOSTILE, summary=HOSTILE)
    hospital.world.hub.propose(charter)

    for view in ("inbox", "charter"):
        at = draw(view, hospital, id=STUDY)
        raw = "\n".join([words(at), *(str(item.value) for item in at.header)])
        assert "[here](" not in raw
        assert "https\\://" not in raw
        assert "www\\.evil" not in raw
        assert "evil" in raw


def test_a_study_shows_where_it_is_and_what_left(draw: Draw, hospital: Hospital) -> None:
    """By the own copy of its log, and the ledger of what left."""
    hospital.signed()

    at = draw("studies", hospital)

    assert "rounds are closed" in said(at)
    assert "Cosignatures of checkpoints" in tables(at)
    assert f"/withdraw?study={STUDY}" in links(at)


def test_a_model_shows_what_would_leave_and_two_answers(draw: Draw, hospital: Hospital) -> None:
    """Rounds, numbers, floor, who agreed; not tested is said."""
    hospital.signed()

    at = draw("releases", hospital)

    for word in ("round 1; 1 of at most 5 are closed", "nobody; 2 are needed", "not tested"):
        assert word in said(at)
    assert [url.partition("?")[0] for url in links(at)] == ["/release", "/object"]


def test_a_study_without_a_model_says_why(draw: Draw, hospital: Hospital) -> None:
    """Signed, not yet launched: nothing to decide."""
    hospital.open().steward.approve(STUDY, hospital.secret, None)

    at = draw("releases", hospital)

    assert links(at) == []
    assert "Opacity" in said(at)


def test_the_journal_is_filtered_and_downloaded(draw: Draw, hospital: Hospital) -> None:
    """One kind, or one study; the file has every line."""
    hospital.signed()
    at = draw("journal", hospital)
    assert "Signed a charter" in tables(at)

    at.selectbox[0].select("Signed a charter").run()
    assert "Sent" not in tables(at)
    assert len(at.main.get("download_button")) == 1

    at.text_input[0].input("ffffffffffffffff").run()
    assert "Nothing is written here." in said(at)


def test_what_left_is_told_with_its_chain(draw: Draw, hospital: Hospital) -> None:
    """Sums, every body, and whether the ledger holds."""
    hospital.signed()

    at = draw("journal", hospital, part="What left")

    assert "The chain holds over" in said(at)
    assert "charter.signature" in tables(at)


def test_data_shows_exact_counts_and_what_stayed_out(draw: Draw, hospital: Hospital) -> None:
    """By split and class; quarantine in words."""
    at = draw("data", hospital)

    assert "50 patients" in said(at)
    for word in ("pneumonia", "Text may stand in the image", "Split small"):
        assert word in tables(at), word
    assert '"classes"' in "\n".join(item.value for item in at.code)


def test_health_is_a_ladder_and_names_the_first_fault(draw: Draw, hospital: Hospital) -> None:
    """The lowest rung that is broken is what to mend first; looking again is one button."""
    at = draw("health", hospital)
    assert re.search(r"All \d\d checks are well\.", said(at))
    (hospital.world.home / "keys" / "node.key").chmod(0o644)

    at = button(at, "Look again").click().run()

    assert "Mend this first: " in said(at).replace("**", "")
    assert "chmod 600" in said(at)
    assert "Not well" in said(at)


def test_no_page_asks_for_a_secret_or_writes_markup() -> None:
    """House rules: passphrases have their plain pages; nothing here reads one."""
    for path in FOLDER.glob("*.py"):
        code = path.read_text(encoding="utf-8")
        for word in ('type="password"', "unsafe_allow_html", "st.components", "passphrase="):
            assert word not in code, path.name
        assert "cache_data" not in code


def dumped(at: AppTest) -> dict[str, Any]:
    """What a session of Streamlit holds."""
    return dict(at.session_state._state.filtered_state)


def test_a_session_of_the_pages_holds_no_private_text(draw: Draw, hospital: Hospital) -> None:
    """Nothing is cached: what a page showed is gone with it."""
    hospital.signed()
    for view in ("journal", "charter", "data"):
        held = str(dumped(draw(view, hospital, id=STUDY)))
        assert "chest" not in held
        assert "sha256" not in held
