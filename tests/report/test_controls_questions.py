"""A question to a log finds what it asks for, and not what only looks like it."""

from __future__ import annotations

from tests import factories as make
from tests.report.evidence import SITES
from tests.report.test_controls import bare, by_id, golden, log_of
from tests.simulator import Federation


def test_a_value_from_training_is_no_monitoring_after_release() -> None:
    """Five values were reported; the one measured in use is the one that counts."""
    reported = [index for index, _ in golden().of_kind("metric.reported")]

    assert by_id(golden())["ai-act-72"]["entries"] == [[29, 29]]
    assert reported == [3, 4, 5, 6, 29]


def test_a_round_in_which_nobody_was_left_out_shows_no_exclusion() -> None:
    """Only the round that names a hospital as excluded or missing answers."""
    rows = by_id(log_of(Federation(sites=SITES).play_round()))

    assert rows["ai-act-15"]["status"] == "none"
    assert [11, 11] in by_id(golden())["ai-act-15"]["entries"]
    assert not any(a <= 21 <= b for a, b in by_id(golden())["ai-act-15"]["entries"])


def test_an_update_without_a_privacy_cost_is_no_evidence_of_one() -> None:
    """A study that agreed on no privacy budget is missing that part, and it is said."""
    data = [make.dataset_row(name, epsilon=None) for name in SITES]
    rows = by_id(log_of(Federation(sites=SITES, dp=None, datasets=data).play_round()))

    assert rows["gdpr-89-1"]["outside"].endswith("None in this log: a stated privacy cost.")


def test_an_impact_assessment_that_nobody_made_is_not_shown() -> None:
    """Saying that none is required refers to none."""
    legal = make.charter(SITES)["legal"]
    unmade = {"required": False, "ref": None, "sha256": None}
    rows = [make.legal_row(name, dpia=unmade) for name in SITES]
    without = by_id(log_of(Federation(sites=SITES, legal=legal | {"sites": rows})))

    assert without["gdpr-35"]["status"] == "none"
    assert by_id(bare())["gdpr-35"]["status"] == "partial"
