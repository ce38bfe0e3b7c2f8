"""Records of a study stay until the agreed day, no case is open and two people agree."""

from __future__ import annotations

from typing import Any

import pytest

from compliance.errors import NotReady
from compliance.records.charter import CharterBody
from compliance.report.renewals import Renewal, renewals
from compliance.rules.retention import days_left, legal_holds, may_destroy
from compliance.rules.verdict import Allowed
from tests import factories as make
from tests.simulator import HUB, Federation

EAST, NORTH, SOUTH = make.NAMES[:3]
UNTIL = "2033-11-20T09:00:00Z"
TWO = ("ada", "ben")


def finding(answer: Allowed | NotReady) -> str:
    """Why the records stay."""
    assert isinstance(answer, NotReady), "they may be destroyed"
    return str(answer)


def noted(world: Federation, start: int, end: int, result: str) -> None:
    """A review of some entries."""
    body = {"from": start, "to": end, "result": result, "on_behalf": None}
    world.must("review.noted", body, HUB)


@pytest.fixture
def closed() -> Federation:
    """A study that is over."""
    return Federation().play_round().shut()


def test_records_stay_until_the_agreed_day_and_the_answer_names_it(closed: Federation) -> None:
    """A second before it is too early; at it they may go."""
    before = finding(may_destroy(closed.state, make.later(UNTIL, seconds=-1), TWO))

    assert UNTIL in before
    assert "1 more days" in before
    assert may_destroy(closed.state, UNTIL, TWO) == Allowed()
    assert may_destroy(closed.state, make.later(UNTIL, days=400), TWO) == Allowed()


@pytest.mark.parametrize("people", [(), ("ada",), ("ada", "ada")])
def test_one_administrator_alone_destroys_nothing(
    closed: Federation, people: tuple[str, ...]
) -> None:
    """Two different people confirm; one who confirms twice counts once."""
    answer = finding(may_destroy(closed.state, UNTIL, people))

    assert f"{len(set(people))} of 2 administrators" in answer


def test_an_open_case_keeps_the_records_until_it_is_closed(closed: Federation) -> None:
    """Legal hold: the finding names the entry of the review that opened the case."""
    noted(closed, 0, 3, "opened_case")
    opened = len(closed.entries) - 1
    held = finding(may_destroy(closed.state, UNTIL, TWO))
    noted(closed, 0, 3, "nothing_found")
    still = legal_holds(closed.state)

    noted(closed, 0, 3, "closed_case")

    assert f"entry {opened}." in held
    assert still == [opened]
    assert may_destroy(closed.state, UNTIL, TWO) == Allowed()


@pytest.mark.parametrize(("start", "end"), [(1, 5), (0, 4), (2, 3)])
def test_a_case_is_not_closed_by_a_look_at_a_part_of_its_entries(
    closed: Federation, start: int, end: int
) -> None:
    """Whoever closes a case has looked at all that it is about."""
    noted(closed, 0, 5, "opened_case")

    noted(closed, start, end, "closed_case")

    assert len(legal_holds(closed.state)) == 1


def test_one_review_closes_every_case_within_it_and_no_other(closed: Federation) -> None:
    """Two cases about the first entries, one about later ones."""
    for start, end in ((0, 3), (1, 2), (2, 6)):
        noted(closed, start, end, "opened_case")
    last = len(closed.entries) - 1

    noted(closed, 0, 5, "closed_case")

    assert legal_holds(closed.state) == [last]


def test_days_until_destruction_are_counted_whole(closed: Federation) -> None:
    """A begun day counts; from the day on there is none left."""
    times = (
        {"days": -2},
        {"days": -1, "seconds": -1},
        {"days": -1},
        {"seconds": -1},
        {},
        {"days": 9},
    )

    left = [days_left(closed.state, make.later(UNTIL, **shift)) for shift in times]

    assert left == [2, 2, 1, 1, 0, 0]


# --- what ends soon ---

NOW = "2026-11-22T09:00:00Z"


def row(site: str, **expires: str | None) -> dict[str, Any]:
    """A hospital's legal row whose papers end at these times."""
    paper = {"ref": "P", "sha256": make.sha("paper")}
    ends: dict[str, str | None] = {"ethics": None, "dua": None, "permit": None, **expires}
    permit = {**paper, "ref": "EHDS 7", "expires": ends["permit"]} if ends["permit"] else None
    return make.legal_row(
        site,
        ethics={"status": "approved", **paper, "ref": "REC 1", "expires": ends["ethics"]},
        dua={**paper, "ref": "DUA 1", "expires": ends["dua"]},
        permit=permit,
    )


def chartered(*rows: dict[str, Any], expires: str = "2027-11-22T09:00:00Z") -> CharterBody:
    """A charter with these legal rows."""
    legal = make.charter()["legal"] | {"sites": list(rows)}
    return CharterBody.model_validate(make.charter(legal=legal, expires=expires))


def test_papers_that_end_within_sixty_days_are_named_with_who_can_renew_them() -> None:
    """The most urgent stands first; what ended already has days below zero."""
    charter = chartered(
        row(EAST, ethics="2027-01-21T09:00:00Z", dua="2027-01-22T09:00:00Z"),
        row(NORTH, permit="2026-11-20T09:00:00Z"),
        row(SOUTH, dua="2026-11-23T08:59:59Z"),
    )

    found = renewals(charter, NOW)

    who = make.RESEARCHER
    assert found == [
        Renewal(NORTH, "permit", "EHDS 7", "2026-11-20T09:00:00Z", -2,
                (who, f"{NORTH}/institution")),
        Renewal(SOUTH, "agreement", "DUA 1", "2026-11-23T08:59:59Z", 0,
                (who, f"{SOUTH}/institution")),
        Renewal(EAST, "ethics", "REC 1", "2027-01-21T09:00:00Z", 60,
                (who, f"{EAST}/institution")),
    ]  # fmt: skip


def test_a_charter_that_ends_is_everybodys_to_renew() -> None:
    """One row, with the researcher and every institution."""
    charter = chartered(row(EAST), row(NORTH), row(SOUTH), expires="2026-12-01T09:00:00Z")

    (found,) = renewals(charter, NOW)

    institutions = tuple(f"{site}/institution" for site in (EAST, NORTH, SOUTH))
    assert (found.site, found.document, found.days_left) == ("", "charter", 9)
    assert found.renew == (make.RESEARCHER, *institutions)
    assert renewals(charter, NOW, within_days=8) == []


def test_a_paper_without_an_end_is_never_due() -> None:
    """No date, no row, however far one looks ahead."""
    charter = chartered(row(EAST), row(NORTH), row(SOUTH))

    assert [found.document for found in renewals(charter, NOW, within_days=99_999)] == ["charter"]
