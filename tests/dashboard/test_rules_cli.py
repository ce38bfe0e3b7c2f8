"""`consilium study check` and `may`: what the rules say, by hospital, before anything is done."""

from __future__ import annotations

import json
from pathlib import Path

from compliance.rules.fold import may
from compliance.rules.verdict import Allowed
from tests.dashboard.test_study_cli import NAMES, Person, celine, desk, hub
from tests.site_node.gate.world import legal_of

__all__ = ["celine", "desk", "hub"]
NORTH, SOUTH = NAMES


def test_each_hospital_has_its_own_refusals_with_what_to_change(
    celine: Person, tmp_path: Path
) -> None:
    """The study first, then each hospital; exit 1, and what no hub can know is said."""
    legal = legal_of(NAMES, celine.house.time.text(days=700))
    legal["sites"][1]["dpia"] = {"required": True, "ref": None, "sha256": None}
    path = celine.draft(tmp_path, legal=legal, max_rounds=0)

    assert celine.run("check", path) == 1

    lines = celine.said.splitlines()
    assert lines[0] == "✕ Every hospital would refuse:"
    assert "max_rounds = 0" in lines[1]
    assert lines[2].startswith("      Change: Choose a number")
    assert f"✓ {NORTH}: nothing" in lines
    south = lines.index(f"✕ {SOUTH} would refuse:")
    assert "dpia" in lines[south + 1]
    assert "Change: Complete this part of the legal block." in lines[south + 2]
    assert "Decided by each hospital itself" in lines[-1]


def test_the_findings_name_their_hospital_for_machines(celine: Person, tmp_path: Path) -> None:
    """With --json each one carries site and fix; a rule that is kept carries neither."""
    path = celine.draft(tmp_path)
    kept = celine.ask("check", path)
    assert {(row["site"], row["fix"]) for row in kept} == {(None, None)}

    legal = legal_of(NAMES, celine.house.time.text(days=700))
    legal["sites"][0]["dpia"] = {"required": True, "ref": None, "sha256": None}
    assert celine.run("check", celine.draft(tmp_path, legal=legal), "--json") == 1
    (refused,) = [row for row in json.loads(celine.said) if not row["allowed"]]
    assert (refused["rule"], refused["site"]) == ("charter.legal", NORTH)
    assert "legal block" in refused["fix"]


def test_what_would_be_allowed_is_answered_as_the_fold_answers(
    celine: Person, tmp_path: Path
) -> None:
    """Exit 0 and 1; the whole statement, who would sign it, and the rule with its words."""
    study = celine.launched(tmp_path)
    state, now = celine.house.hub.ledger.state(study), celine.house.time.text()

    opening = celine.ask("may", study[:8], "round.opened")
    assert celine.run("may", study, "round.opened", "--body", f'{{"sites": ["{NORTH}"]}}') == 1
    assert "round.min_sites: Fewer hospitals take part than agreed." in celine.said
    assert "Agreed: 2." in celine.said
    assert celine.run("may", study, "update.submitted", "--site", SOUTH) == 1
    assert f"update.submitted by {SOUTH}/node" in celine.said

    assert opening["allowed"] is True
    verdict = may(state, "round.opened", opening["body"], opening["actor"], now)
    assert isinstance(verdict, Allowed)
    assert celine.house.hub.ledger.size(study) == state.size


def test_a_question_that_cannot_be_asked_is_told_in_words(celine: Person, tmp_path: Path) -> None:
    """No hospital, no JSON, no such study: the cause and the next step, exit 2."""
    study = celine.launched(tmp_path)

    for words, part in (
        (("may", study, "site.withdrawn"), NORTH),
        (("may", study, "round.opened", "--body", "n=1"), "no JSON object"),
        (("may", "00112233", "round.opened"), "no study begins"),
    ):
        assert celine.run(*words) == 2
        assert part in celine.complained
