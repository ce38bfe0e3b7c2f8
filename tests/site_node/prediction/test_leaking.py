"""Before a model leaves it is tested for leaks; where it leaks, the default is to object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compliance.canonical import decode, encode, sha256_id
from compliance.errors import NotReady, Refused
from compliance.records.envelope import parse_event
from compliance.signing.note import parse
from dashboard.console_words import LEAKS as CONSOLE
from site_node.gate.leaks import HOLDS, LEAKS, NOT_TESTED, judged
from site_node.gate.model_page import model_lines
from site_node.store import predictions as table
from site_node.store import studies as documents
from tests.site_node.gate.world import STUDY, VERSION
from tests.site_node.prediction.released import Hospital, model_file

AUC = {"value": "0.914", "low": "0.870", "high": "0.958"}
TPR = {"value": "0.310", "low": "0.240", "high": "0.390"}


def quiet(*_: Any) -> None:
    """Nobody looks on."""


def found(*, leaks: bool) -> dict[str, Any]:
    """What a test said."""
    row = {"class": "normal", "members": 120, "others": 130, "auc": AUC, "tpr": TPR}
    few = {"class": "pneumonia", "members": 40, "others": 12, "auc": None, "tpr": None}
    told = {"outcome": "tested", "leaks": leaks, "least": 100, "classes": [row, few]}
    return told | {"v": 1, "dataset": "chest", "version": VERSION}


@pytest.fixture
def north(tmp_path: Path) -> Hospital:
    """A hospital that is asked for its yes."""
    return Hospital(tmp_path / "n", cases=0, release=False)


def after_test(north: Hospital, *, leaks: bool) -> None:
    """The model was tested here with this outcome."""
    with north.rooms.store.begin() as session:
        table.keep_leak_test(session, north.model, VERSION, encode(found(leaks=leaks)))


def test_a_leak_refuses_the_yes_until_the_steward_overrules_it(north: Hospital) -> None:
    """The page says it with numbers; the default is to object; the test is in the signed report."""
    after_test(north, leaks=True)
    text = "\n".join(model_lines(north.rooms.releasing.show(STUDY)))
    assert "AUC 0.914 (0.870 to 0.958), found at 1 % false 0.310" in text
    assert "default is to object" in text
    assert "pneumonia: 40 trained on, 12 not: not tested" in text

    for despite in (None, "small_cells"):
        with pytest.raises(Refused) as error:
            north.rooms.releasing.approve(STUDY, despite=despite)
        assert error.value.rule == "site.leak"
    told = north.rooms.releasing.approve(STUDY, despite="leak_test")

    with north.rooms.store() as session:
        report = decode(documents.find_document(session, str(told["checks_sha256"])) or b"")
    body = parse_event(parse(north.world.hub.log.entries[-1]).text).body.plain()
    assert body["checks_sha256"] == told["checks_sha256"] == sha256_id(encode(report))
    assert report["membership_test"] == LEAKS
    assert report["leak_tests"] == [found(leaks=True)]


def test_an_objection_needs_no_overruling(north: Hospital) -> None:
    """The reason of the closed list goes on record."""
    after_test(north, leaks=True)

    north.rooms.releasing.refuse(STUDY, None, "leak_test", None)

    body = parse_event(parse(north.world.hub.log.entries[-1]).text).body.plain()
    assert body["reason"] == "leak_test"


def test_a_model_without_a_leak_is_agreed_to_as_before(north: Hospital) -> None:
    """And the page says what was tested."""
    after_test(north, leaks=False)

    assert "no leak found" in "\n".join(model_lines(north.rooms.releasing.show(STUDY)))
    assert north.rooms.releasing.approve(STUDY)["answer"] == "agreed"


def test_of_several_tests_the_worst_counts() -> None:
    """Each word has words for people in the console."""
    leak, none = found(leaks=True), found(leaks=False) | {"outcome": NOT_TESTED}

    words = [judged(rows) for rows in ([], [none], [none, found(leaks=False)], [none, leak])]

    assert words == [NOT_TESTED, NOT_TESTED, HOLDS, LEAKS]
    assert {*words} == {*CONSOLE}


def test_a_model_that_did_not_come_here_is_not_tested(north: Hospital, tmp_path: Path) -> None:
    """Said in the journal, and the steward may still answer; another model's file is refused."""
    with pytest.raises(NotReady, match="did not come"):
        north.rooms.leak_testing.run(STUDY, None, None, quiet)
    north.rooms.leak_testing.attempt(STUDY, None, quiet)
    other = model_file(tmp_path / "m.safetensors", north.vector * 2)
    with pytest.raises(NotReady, match="another model"):
        north.rooms.leak_testing.run(STUDY, None, other, quiet)

    assert "leak.not.tested" in [row["kind"] for row in north.rooms.journal.lines()]
    assert north.rooms.releasing.show(STUDY)["checks"]["membership_test"] == NOT_TESTED


def test_the_test_runs_on_the_registered_version_and_is_kept(tmp_path: Path) -> None:
    """Before the steward is asked, from the model that came in; too few patients is said."""
    north = Hospital(tmp_path / "n", release=False)
    north.rooms.weights.keep(STUDY, north.model, north.vector.astype("<f4").tobytes())

    north.rooms.leak_testing.attempt(STUDY, None, quiet)

    page = north.rooms.releasing.show(STUDY)
    (kept,) = page["checks"]["leak_tests"]
    assert (kept["outcome"], kept["version"]) == (NOT_TESTED, north.dataset.version)
    assert sum(row["members"] + row["others"] for row in kept["classes"]) == 20
    assert "fewer than 100 patients" in "\n".join(model_lines(page))
    lines = len(north.rooms.journal.lines())
    north.rooms.leak_testing.attempt(STUDY, None, quiet)
    assert len(north.rooms.journal.lines()) == lines
