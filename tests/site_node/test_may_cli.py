"""`consilium site may`: a steward asks the own copy of a log, and the hub is not needed."""

from __future__ import annotations

import json

import httpx
import pytest

from compliance.records.types import time_text
from compliance.rules.fold import may
from compliance.rules.verdict import Allowed, Denied
from site_node.wiring import open_site
from tests.site_node.gate.world import STUDY, US
from tests.site_node.shell import Site, launched

pytestmark = pytest.mark.usefixtures("shelf")


def _fold(member: Site, told: dict[str, object]) -> Allowed | Denied:
    with open_site(member.world.home) as rooms:
        state = rooms.mirror.state(STUDY)
        body = dict(told["body"])  # type: ignore[call-overload]
        return may(state, str(told["type"]), body, str(told["actor"]), time_text(rooms.clock()))


def test_the_own_copy_answers_without_the_hub(
    member: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No connection is opened, and the verdict is that of the own fold."""
    launched(member)
    monkeypatch.setattr(httpx.Client, "send", lambda *_, **__: pytest.fail("the hub was asked"))
    before = len(member.world.hub.log.entries)

    yes = member.ask("may", STUDY[:8], "site.withdrawn")
    code, out = member.run("may", STUDY, "update.submitted", "--json")
    no = json.loads(out)

    assert (yes["allowed"], yes["actor"]) == (True, f"{US}/node")
    assert isinstance(_fold(member, yes), Allowed)
    assert (code, no["rule"]) == (1, "round.sequence")
    verdict = _fold(member, no)
    assert isinstance(verdict, Denied)
    assert verdict.rule == no["rule"]
    assert len(member.world.hub.log.entries) == before


def test_a_refusal_says_what_was_found_and_agreed(member: Site) -> None:
    """The rule in words, and on what the answer rests."""
    launched(member)

    code, out = member.run("may", STUDY, "dataset.withdrawn", "--body", '{"dataset": "other"}')

    assert code == 1
    assert "dataset.unknown: The charter names no such dataset of this hospital." in out
    assert "By this hospital's own copy of the log; the hub was not asked." in out


def test_a_copy_that_is_not_believed_answers_nothing(member: Site) -> None:
    """After an alarm the verdict would be the liar's: the alarm is told instead."""
    launched(member)
    with open_site(member.world.home) as rooms:
        rooms.mirror.raise_alarm(STUDY, "own.forged", "entry 3 is not ours", b"", {})

    code, _ = member.run("may", STUDY, "site.withdrawn")

    assert code == 1
    assert "not believed: entry 3 is not ours" in member.said


def test_a_study_that_is_not_here_is_said(member: Site) -> None:
    """Nothing is asked of the hub instead."""
    code, _ = member.run("may", "ffffffff", "site.withdrawn")

    assert code == 2
    assert "site studies" in member.said
