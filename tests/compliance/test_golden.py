"""The golden log: made by foreign code, folded by ours, the same answer to the last digit."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from compliance.errors import Refused
from compliance.ledger.merkle import leaf_hash
from compliance.records.envelope import parse_event, write_event
from compliance.rules.fold import judge, replay
from compliance.rules.state import StudyState
from compliance.rules.verdict import Denied
from compliance.signing.note import parse
from tests.shared import shared_data


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """The golden log."""
    loaded: dict[str, Any] = json.loads(shared_data("ledger", "golden.json").read_text("utf-8"))
    return loaded


@pytest.fixture(scope="module")
def entries(golden: dict[str, Any]) -> list[bytes]:
    """Its 34 entries."""
    return [entry.encode() for entry in golden["entries"]]


@pytest.fixture(scope="module")
def state(entries: list[bytes]) -> StudyState:
    """The state at its end."""
    return replay(entries)


def test_the_golden_log_folds_to_the_same_state(golden: dict[str, Any], state: StudyState) -> None:
    """Signed, withdrawn, rounds, budgets, versions, participation, releases: all equal."""
    assert state.summary() == golden["fold"]
    assert state.size == 34
    assert state.charter_id == golden["charter_id"]
    assert state.version_id == golden["version_id"]


def test_every_root_of_the_golden_log_can_be_recomputed(
    golden: dict[str, Any], entries: list[bytes], state: StudyState
) -> None:
    """Leaf hashes and the root of every size are those of the foreign implementation."""
    assert [leaf_hash(entry).hex() for entry in entries] == golden["leaf_hashes_hex"]
    roots = [base64.b64encode(state.root(size)).decode() for size in range(35)]
    assert roots == golden["roots_base64_by_size"]


def test_every_golden_statement_is_written_as_it_was_read(entries: list[bytes]) -> None:
    """Reading and writing again gives the same bytes."""
    for entry in entries:
        text = parse(entry).text
        event = parse_event(text)
        again = write_event(
            event.type,
            event.body,
            time=event.time,
            actor=event.actor,
            log=event.log,
            nonce=event.nonce,
            sealed=event.sealed,
        )
        assert again == text


def test_a_changed_letter_in_any_golden_entry_is_refused(entries: list[bytes]) -> None:
    """Whatever is changed in a statement, its signature no longer holds."""
    for index, entry in enumerate(entries):
        state = replay(entries[:index]) if index else None
        at = entry.index(b'"time":"2026') + 20
        changed = entry[:at] + bytes([entry[at] ^ 1]) + entry[at + 1 :]
        assert isinstance(judge(state, changed), Denied), index


def test_a_golden_log_without_one_entry_names_the_place(entries: list[bytes]) -> None:
    """Without the update of the first site, the close of the round no longer holds."""
    with pytest.raises(Refused) as refusal:
        replay(entries[:7] + entries[8:])
    assert refusal.value.rule == "round.inputs"
    assert refusal.value.found == 10


def test_a_rotated_key_held_until_its_rotation(state: StudyState, golden: dict[str, Any]) -> None:
    """The fold knows which key held when, so that old entries stay valid."""
    before = state.keys.at("east.example/node", 13)
    after = state.keys.at("east.example/node", 14)
    assert before is not None
    assert after is not None
    assert before != after
    assert {str(before), str(after)} <= set(golden["vkeys"])
