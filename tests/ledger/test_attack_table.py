"""Every attack of design/ledger.md §14 has its tests, and each goes red without its guard.

`TABLE` names every test of an attack; `attack_guards.TRIALS` one at each level with its guards.
"""

from __future__ import annotations

import ast
import functools
import json
import subprocess
import sys

import pytest

from tests.guards import without
from tests.ledger.attack_guards import TRIALS
from tests.shared import ROOT

HTTP = "tests/ledger/test_over_http.py: test_the_door_refuses_and_names_every_attack"
ATTACKS = "tests/compliance/test_rules_attacks.py: test_the_attack_is_refused_and_named"
WITNESS = "tests/site_node/gate/test_witness.py"
LIES = "tests/report/test_lies_in_a_bundle.py"
HISTORIES, ROWS = "tests/ledger/test_histories.py", "tests/ledger/test_rows.py"
STATEMENTS, CUTS = "tests/ledger/test_statements.py", "tests/ledger/test_power_cuts.py"
CHARTERS, STORIES = (
    "tests/compliance/test_rules_charter.py",
    "tests/compliance/test_rules_stories.py",
)
VECTORS, LEDGER = "tests/vectors/test_format_vectors.py", "tests/hub/services/test_ledger.py"
SEAMS, LIFE = "tests/seams/test_storage_of_a_hub.py", "tests/ledger/test_no_way_round.py"
FORKS, PROPOSALS = "tests/report/test_receipts_and_forks.py", "tests/hub/services/test_charters.py"
RELEASING = "tests/site_node/gate/test_releasing.py"
STANDING = "tests/hub/services/test_standing.py"
STRANGE, FORMS = "tests/ledger/test_strange_bytes.py", "tests/ledger/test_forms.py"
FORGETTING, ENDED = "tests/ledger/test_forgetting.py", "tests/hub/services/test_retention.py"
DESTROYED = "tests/site_node/gate/test_destruction.py"
FAILOVER, RESTORED = "tests/failover/test_failover.py", "tests/failover/test_restored.py"
KEYS, LYING = "tests/compliance/test_rules_keys.py", "tests/stories/test_lying_hub.py"

TABLE: dict[str, list[str]] = {
    "an_edited_row_is_named": [
        f"{ROWS}: test_an_edited_row_is_named",
        f"{SEAMS}: test_a_changed_entry_keeps_the_hub_from_serving",
    ],
    "a_deleted_row": [
        f"{ROWS}: test_a_deleted_row_is_named",
        f"{ROWS}: test_a_truncated_log_is_named",
        f"{LIES}: test_entries_that_are_left_out_are_noticed_by_their_number",
    ],
    "a_reordered_row": [f"{ROWS}: test_a_reordered_row_is_named"],
    "a_rewritten_history_finds_no_quorum": [
        f"{HISTORIES}: test_a_rewritten_history_finds_no_quorum",
        f"{ROWS}: test_a_witness_that_saw_the_log_refuses_the_changed_one",
        f"{WITNESS}: test_a_rewritten_history_gets_no_cosignature_and_raises_an_alarm",
        f"{LYING}: test_a_hub_that_rewrites_its_log_is_caught_by_every_hospital",
        f"{LYING}: test_an_auditor_refutes_the_bundle_of_a_hub_that_rewrote_its_log",
    ],
    "another_history_of_the_same_length_is_refused": [
        f"{HISTORIES}: test_another_history_of_the_same_length_is_refused",
        f"{WITNESS}: test_two_histories_of_one_length_are_an_alarm",
        f"{WITNESS}: test_a_log_that_was_rolled_back_raises_an_alarm",
    ],
    "two_faces_are_proven_to_a_third_party": [
        f"{HISTORIES}: test_two_faces_are_proven_to_a_third_party",
        f"{FORKS}: test_two_faces_of_one_log_are_proven_with_bundles",
    ],
    "one_witness_is_one_voice": [
        f"{HISTORIES}: test_one_witness_is_one_voice",
        f"{HISTORIES}: test_a_strangers_cosignature_is_no_voice",
        f"{HISTORIES}: test_a_checkpoint_by_another_log_key_is_forbidden",
        f"{LEDGER}: test_one_witness_is_one_voice",
    ],
    "the_hub_cannot_speak_for_a_hospital": [
        f"{STATEMENTS}: test_the_hub_cannot_speak_for_a_hospital",
        f"{HISTORIES}: test_an_entry_past_the_hubs_own_check_gets_no_cosignature",
        f"{WITNESS}: test_a_statement_in_our_name_that_we_never_made_is_an_alarm",
        f"{LIES}: test_a_statement_in_a_foreign_name_is_named_by_entry",
        HTTP,
    ],
    "a_statement_counts_once_and_here": [
        f"{STATEMENTS}: test_a_statement_counts_once_and_here",
        f"{SEAMS}: test_one_statement_sent_to_two_hubs_at_once_stands_once",
        HTTP,
    ],
    "time_cannot_be_bent": [
        f"{STATEMENTS}: test_time_cannot_be_bent",
        f"{LEDGER}: test_a_statement_from_the_future_is_refused",
        f"{LIES}: test_a_statement_newer_than_every_cosignature_is_named",
        HTTP,
    ],
    "there_is_one_way_to_write_it": [
        f"{FORMS}: test_there_is_one_way_to_write_it",
        "tests/compliance/test_canonical.py: test_every_other_encoding_is_refused",
        HTTP,
    ],
    "every_byte_counts": [
        f"{HISTORIES}: test_every_byte_counts",
        f"{VECTORS}: test_no_byte_of_a_checkpoint_with_exactly_its_quorum_can_change",
    ],
    "nobody_is_bound_by_what_he_did_not_sign": [
        f"{CHARTERS}: test_nobody_is_bound_by_what_he_did_not_sign",
        f"{CHARTERS}: test_a_word_changed_after_signing_unbinds_everybody",
        f"{CHARTERS}: test_a_late_signer_joins_with_its_own_key",
        f"{PROPOSALS}: test_a_database_that_says_signed_launches_nothing",
        f"{LIFE}: test_no_sequence_of_statements_leads_round_signatures_budget_or_withdrawal",
        f"{LIFE}: test_without_its_guard_a_promise_is_broken_and_noticed",
    ],
    "data_terms_bind_the_purpose": [f"{CHARTERS}: test_data_terms_bind_the_purpose"],
    "nobody_is_dropped_in_silence": [
        f"{STATEMENTS}: test_nobody_is_dropped_in_silence",
        f"{STATEMENTS}: test_a_swapped_program_or_model_opens_no_round",
        ATTACKS,
        HTTP,
    ],
    "the_budget_holds_to_the_last_digit": [
        f"{STORIES}: test_the_budget_holds_to_the_last_digit",
        f"{STATEMENTS}: test_an_exponent_is_no_number_here",
        HTTP,
    ],
    "one_hospital_can_stop_it_all_must_restart_it": [
        f"{STORIES}: test_one_hospital_can_stop_it_all_must_restart_it",
        HTTP,
    ],
    "a_model_leaves_with_consent_only": [
        f"{STATEMENTS}: test_a_model_leaves_with_consent_only",
        "tests/hub/services/test_releases.py: test_one_hospital_too_few_keeps_the_model_here",
        f"{RELEASING}: test_a_hub_that_releases_with_one_yes_too_few_gets_no_cosignature",
        HTTP,
    ],
    "a_stolen_key_is_worth_nothing_afterwards": [
        f"{STATEMENTS}: test_a_stolen_key_is_worth_nothing_afterwards",
        f"{STATEMENTS}: test_a_lost_institution_key_is_replaced_by_the_others",
        f"{STANDING}: test_a_stolen_node_key_is_worth_nothing_after_its_rotation",
        HTTP,
    ],
    "forgetting_keeps_the_proof": [
        f"{STATEMENTS}: test_forgetting_keeps_the_proof",
        f"{STATEMENTS}: test_a_sealed_payload_cannot_be_guessed_or_exchanged",
        f"{FORGETTING}: test_forgetting_keeps_the_proof",
        f"{FORGETTING}: test_an_erased_payload_does_not_come_back",
        f"{FORGETTING}: test_nothing_of_an_erased_detail_is_left_in_the_files_of_the_hub",
        f"{ENDED}: test_two_administrators_destroy_the_records_as_a_whole",
        f"{ENDED}: test_another_study_stays_as_it_was_with_every_proof",
        f"{DESTROYED}: test_a_hospital_destroys_its_copy_as_a_whole",
    ],
    "any_member_can_carry_on": [
        f"{KEYS}: test_any_member_can_carry_on",
        f"{FAILOVER}: test_any_member_can_carry_on",
        f"{FAILOVER}: test_one_hospital_alone_hands_the_log_to_nobody",
        f"{FAILOVER}: test_two_histories_in_two_mirrors_are_a_fork_and_named",
        f"{RESTORED}: test_a_hub_from_an_old_backup_appends_nothing",
    ],
    "a_witness_never_goes_back": [
        f"{HISTORIES}: test_a_witness_never_goes_back",
        f"{HISTORIES}: test_two_processes_over_one_mirror_keep_one_history",
        f"{WITNESS}: test_the_faster_of_two_processes_wins_and_nothing_goes_back",
    ],
    "a_power_cut_leaves_no_half_truth": [
        f"{CUTS}: test_a_power_cut_leaves_no_half_truth",
        f"{CUTS}: test_a_power_cut_after_the_entry_is_healed_by_sending_it_again",
        f"{CUTS}: test_a_power_cut_before_the_commit_destroys_nothing",
        f"{CUTS}: test_a_power_cut_after_the_commit_is_finished_at_the_next_start",
        f"{CUTS}: test_a_witness_killed_before_it_sent_cosigns_the_same_checkpoint",
    ],
    "a_storm_is_counted_not_stored": [
        "tests/site_node/gate/test_release.py: test_a_storm_is_counted_not_stored",
        "tests/hub/api/test_logs.py: test_a_storm_of_refusals_is_counted_and_not_written",
        f"{STORIES}: test_a_storm_ends_after_an_hour",
    ],
    "slow_signatures_are_not_backdating": [f"{STORIES}: test_slow_signatures_are_not_backdating"],
    "a_long_weekend_is_no_attack": [f"{WITNESS}: test_a_long_weekend_is_no_attack"],
    "the_largest_charter_fits": [
        f"{CHARTERS}: test_the_largest_charter_fits",
        f"{FORMS}: test_the_largest_note_is_read_and_one_byte_more_is_not",
        HTTP,
    ],
    "a_changed_bundle_is_named": [
        f"{LIES}: test_a_flipped_byte_in_any_file_is_named",
        f"{LIES}: test_a_file_that_is_added_taken_away_or_renamed_is_named",
    ],
    "strange_bytes_only_make_it_say_no": [
        f"{STRANGE}: test_strange_bytes_only_make_it_say_no",
        f"{STRANGE}: test_ten_thousand_strange_bytes_only_make_it_say_no",
    ],
}
"""Row of the table → where it is tested: kernel, database, site, bundle, HTTP."""


@functools.cache
def names_in(file: str) -> set[str]:
    """The names of the tests in a file."""
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", TABLE)
def test_every_attack_has_its_test(row: str) -> None:
    """Whoever renames or deletes one is told here which attack is no longer tried."""
    for place in TABLE[row]:
        file, _, name = place.partition(": ")
        assert name in names_in(file), place


@pytest.mark.parametrize("row", TABLE)
def test_every_attack_has_a_trial_with_guards_that_are_there(row: str) -> None:
    """Whoever moves a guard or a test is told here which trial would try nothing any more."""
    for trial in TRIALS[row]:
        file, _, name = trial.test.partition("[")[0].partition("::")
        assert name in names_in(file), trial.test
        for guard in trial.guards:
            without(guard)


@pytest.mark.long
@pytest.mark.parametrize("row", TABLE)
def test_an_attack_is_not_refused_without_its_guard(row: str) -> None:
    """Each trial of the attack goes red when its guards are taken out of the program."""
    words = [sys.executable, "-m", "tests.ledger.without", row]
    done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, timeout=600)
    found = [json.loads(line) for line in done.stdout.splitlines()]

    assert [told for told in found if told["outcome"] != "red"] == []
    assert len(found) == len(TRIALS[row])
