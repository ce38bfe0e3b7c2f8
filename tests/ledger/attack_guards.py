"""For every attack of design/ledger.md §14: its tests by level, and the guards they stand on.

A trial goes red when its guards are taken out of the program; where one guard stands behind
another, both are named. `test_attack_table.py` tries them all.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.guards import Guard

RULES, HUB, SITE = "compliance.rules.", "hub.services.", "site_node.gate."
STEPS = "compliance.report.steps."
ATTACK = "tests/ledger/test_over_http.py::test_the_door_refuses_and_names_every_attack"
HISTORIES, ROWS = "tests/ledger/test_histories.py", "tests/ledger/test_rows.py"
STATEMENTS, CUTS = "tests/ledger/test_statements.py", "tests/ledger/test_power_cuts.py"
FORMS, FORGETTING = "tests/ledger/test_forms.py", "tests/ledger/test_forgetting.py"
BACK = "tests/site_node/gate/test_restored.py"
FAILOVER, RESTORED = "tests/failover/test_failover.py", "tests/failover/test_restored.py"
CHARTERS = "tests/compliance/test_rules_charter.py"
STORIES = "tests/compliance/test_rules_stories.py"
WITNESS, LIES = "tests/site_node/gate/test_witness.py", "tests/report/test_lies_in_a_bundle.py"
LEDGER, ENDED = "tests/hub/services/test_ledger.py", "tests/hub/services/test_retention.py"
PROPOSALS = "tests/hub/services/test_charters.py"
STANDING = "tests/hub/services/test_standing.py"
RELEASES = "tests/hub/services/test_releases.py"
PERMITS = "tests/site_node/gate/test_permits.py"
FORKS = "tests/report/test_receipts_and_forks.py"
LYING = (
    "tests/stories/test_lying_hub.py::"
    "test_an_auditor_refutes_the_bundle_of_a_hub_that_rewrote_its_log"
)


@dataclass(frozen=True)
class Trial:
    """A test of an attack.

    Args:
        level: kernel, database, HTTP, bundle or site: where the attack is met.
        test: its pytest name.
        guards: without which it goes red.
    """

    level: str
    test: str
    guards: tuple[Guard, ...]


def kernel(test: str, *guards: Guard) -> Trial:
    """A trial of the pure rules."""
    return Trial("kernel", test, guards)


def database(test: str, *guards: Guard) -> Trial:
    """A trial of the hub over its database."""
    return Trial("database", test, guards)


def http(attack: str, *guards: Guard) -> Trial:
    """A trial through the hub's door; without its question to the rules everything comes in."""
    return Trial("HTTP", f"{ATTACK}[{attack}]", guards or (DOOR,))


def bundle(test: str, *guards: Guard) -> Trial:
    """A trial of the offline verifier."""
    return Trial("bundle", test, guards)


def site(test: str, *guards: Guard) -> Trial:
    """A trial of a hospital's own gate."""
    return Trial("site", test, guards)


APPEND = f"{HUB}ledger:LedgerService._take"
DOOR = Guard(APPEND, "if isinstance(verdict, Denied)")
SIGNED = Guard(f"{RULES}arrival:check_signatures", "for line in note.lines")
SPEAKER = Guard(f"{RULES}arrival:belongs", "if actor not in signers")
HISTORY = Guard(f"{HUB}checkpoints:check_history", "if state.origin.rsplit", "return state")
GREW = Guard("compliance.ledger.cosign:answer", "_grew(")
LONGER = Guard("compliance.ledger.cosign:_claimed", "if not 0 <= old_size")
PREFIX = Guard(f"{SITE}witness:Witness._take", "check_prefix(")
ROOT = Guard(f"{SITE}witness:Witness._take", "if state.root() != checkpoint.root")
OWN = Guard(f"{SITE}witness:Witness._take", "self._check_own(")
QUORUM = Guard("compliance.ledger.policy:Policy.judge", "if not self.satisfied")
LEADS = Guard(f"{STEPS}entries:entries_and_root", "if root(")
COUNTED = Guard(f"{STEPS}entries:entries_and_root", "if len(found)")
COSIGNED = Guard("compliance.ledger.cosign:check_cosignature", "if not key.verifies")
TWICE = (Guard(f"{HUB}ledger:_known", "index =", "index = None"),)
OUTRUN = Guard("site_node.store.mirror:extend_log", "if moved.rowcount")
MANIFEST = Guard(f"{STEPS}container:manifests", "for name, covered in")
FORK = Guard("compliance.report.compare:_same_size", "if old.checkpoint.root")
LIMITS = (
    Guard(f"{RULES}arrival:open_note", "if len(data) > MAX_BYTES"),
    Guard("compliance.signing.note:parse", "if len(data) > MAX_BYTES"),
)

TRIALS: dict[str, list[Trial]] = {
    "an_edited_row_is_named": [
        database(f"{ROWS}::test_an_edited_row_is_named[sqlite]", SIGNED, HISTORY),
        bundle(f"{LYING}[edited]", LEADS),
    ],
    "a_deleted_row": [
        database(f"{ROWS}::test_a_deleted_row_is_named[sqlite]", HISTORY),
        database(f"{ROWS}::test_a_truncated_log_is_named[sqlite]", HISTORY),
        bundle(f"{LIES}::test_entries_that_are_left_out_are_noticed_by_their_number", COUNTED),
        bundle(f"{LYING}[left out]", LEADS, COUNTED),
        bundle(f"{LYING}[truncated]", LEADS, COUNTED),
        site(f"{WITNESS}::test_a_log_that_was_rolled_back_raises_an_alarm",
             PREFIX, LONGER, GREW, ROOT),
    ],
    "a_reordered_row": [
        database(f"{ROWS}::test_a_reordered_row_is_named[sqlite]", HISTORY),
        bundle(f"{LYING}[reordered]", LEADS),
    ],
    "a_rewritten_history_finds_no_quorum": [
        kernel(f"{HISTORIES}::test_a_rewritten_history_finds_no_quorum", GREW),
        database(f"{ROWS}::test_a_witness_that_saw_the_log_refuses_the_changed_one[sqlite]", GREW),
        bundle(f"{LYING}[rewritten]", QUORUM),
        site(f"{WITNESS}::test_a_rewritten_history_gets_no_cosignature_and_raises_an_alarm",
             PREFIX, GREW, ROOT),
    ],
    "another_history_of_the_same_length_is_refused": [
        kernel(f"{HISTORIES}::test_another_history_of_the_same_length_is_refused", GREW),
        bundle(f"{LYING}[forked]", LEADS),
        site(f"{WITNESS}::test_two_histories_of_one_length_are_an_alarm", PREFIX, GREW, ROOT),
        site(f"{BACK}::test_a_hub_that_goes_back_gets_no_cosignature_from_a_restored_witness",
             Guard(f"{SITE}restored:Restored.rests", "return mark", "return False")),
    ],
    "two_faces_are_proven_to_a_third_party": [
        kernel(f"{HISTORIES}::test_two_faces_are_proven_to_a_third_party", FORK),
        bundle(f"{FORKS}::test_two_faces_of_one_log_are_proven_with_bundles", FORK,
               Guard("compliance.report.compare:compare", "if tree_of(")),
    ],
    "one_witness_is_one_voice": [
        kernel(f"{HISTORIES}::test_one_witness_is_one_voice", QUORUM),
        kernel(f"{HISTORIES}::test_a_strangers_cosignature_is_no_voice", QUORUM),
        kernel(f"{HISTORIES}::test_a_checkpoint_by_another_log_key_is_forbidden",
               Guard("compliance.ledger.checkpoint:open_checkpoint",
                     "raise NotProven('checkpoint.key', 'the log has", "return checkpoint")),
        database(f"{LEDGER}::test_one_witness_is_one_voice",
                 Guard(f"{HUB}checkpoints:take_cosignature", "if policy.satisfied",
                       "rows.mark_quorum(session, log, row.size)")),
        site(f"{WITNESS}::test_a_checkpoint_signed_by_another_key_is_an_alarm",
             Guard("compliance.ledger.checkpoint:open_checkpoint",
                   "raise NotProven('checkpoint.key', 'the log has", "return checkpoint")),
    ],
    "the_hub_cannot_speak_for_a_hospital": [
        kernel(f"{STATEMENTS}::test_the_hub_cannot_speak_for_a_hospital", SPEAKER),
        kernel(f"{HISTORIES}::test_an_entry_past_the_hubs_own_check_gets_no_cosignature", SPEAKER),
        http("event.signer: the hub speaks for a hospital"),
        bundle(f"{LIES}::test_a_statement_in_a_foreign_name_is_named_by_entry", SPEAKER),
        bundle(f"{LYING}[forged]", SIGNED),
        site(f"{WITNESS}::test_a_statement_in_our_name_that_we_never_made_is_an_alarm",
             OWN),
        site(f"{WITNESS}::test_a_charter_with_foreign_keys_under_our_name_is_an_alarm",
             Guard(f"{SITE}suspicion:check_charter", "_check_mine("), OWN),
    ],
    "a_statement_counts_once_and_here": [
        kernel(f"{STATEMENTS}::test_a_statement_counts_once_and_here",
               Guard(f"{RULES}arrival:belongs", "if state.nonces.holds")),
        database(f"{LEDGER}::test_the_same_statement_sent_again_gets_the_same_place", *TWICE),
        http("event.replay: the same nonce with other words"),
        http("event.log: a statement from another study"),
    ],
    "time_cannot_be_bent": [
        kernel(f"{STATEMENTS}::test_time_cannot_be_bent",
               Guard(f"{RULES}arrival:belongs", "if said.moment < state.newest")),
        database(f"{LEDGER}::test_a_statement_from_the_future_is_refused",
                 Guard(APPEND, "verdict =", "verdict = family.judge(state, note)")),
        database(f"{LEDGER}::test_words_from_before_the_cosignatures_of_a_quiet_log_are_refused"
                 "[25-False]", Guard(APPEND, "checkpoints.check_age(")),
        site("tests/site_node/gate/test_consortium_log.py::"
             "test_words_put_into_the_past_are_refused",
             Guard(f"{SITE}witness:Witness._take", "check_age(")),
        http("time.order: backdated by more than ten minutes"),
        http("time.clock: from the future",
             Guard(APPEND, "verdict =", "verdict = family.judge(state, note)")),
        bundle(f"{LIES}::test_a_statement_newer_than_every_cosignature_is_named",
               Guard(f"{STEPS}witnesses:not_after_witnesses", "if seconds_of(newest)")),
    ],
    "there_is_one_way_to_write_it": [
        kernel(f"{FORMS}::test_there_is_one_way_to_write_it[a key that stands twice]",
               Guard("compliance.canonical:_no_duplicates", "if len(found)")),
        kernel(f"{FORMS}::test_there_is_one_way_to_write_it[base64 with loose bits]",
               Guard("compliance.signing.keys:decode_base64", "if ")),
        http("event.form: a space more"),
        http("note.form: lines turned round"),
    ],
    "every_byte_counts": [
        kernel(f"{HISTORIES}::test_every_byte_counts[1]", COSIGNED),
        kernel(f"{HISTORIES}::test_every_byte_counts[128]",
               Guard("compliance.signing.note:parse", "raise Malformed('note', 'it is not UTF-8')",
                     "raise")),
    ],
    "nobody_is_bound_by_what_he_did_not_sign": [
        kernel(f"{CHARTERS}::test_nobody_is_bound_by_what_he_did_not_sign"
               "[charter.signatures-signers0]",
               Guard(f"{RULES}charter:check_signed", "if signed < body.signatures_required")),
        kernel(f"{CHARTERS}::test_a_word_changed_after_signing_unbinds_everybody", SIGNED),
        database(f"{PROPOSALS}::test_too_few_signatures_open_nothing",
                 Guard(f"{HUB}ledger:LedgerService.begin", "if isinstance(verdict, Denied)")),
        database(f"{PROPOSALS}::test_a_database_that_says_signed_launches_nothing"
                 "[a signature made up]",
                 Guard(f"{HUB}ledger:LedgerService.begin", "if isinstance(verdict, Denied)")),
        http("charter.signatures: an amendment by one hospital"),
        bundle(f"{LYING}[rewritten from the charter on]",
               Guard(f"{STEPS}entries:charter", "if expected is not None")),
        site(f"{WITNESS}::test_a_charter_that_carries_our_signature_although_we_never_signed_is_"
             "an_alarm", Guard(f"{SITE}suspicion:_check_mine", "if signed and"), OWN),
    ],
    "data_terms_bind_the_purpose": [
        kernel(f"{CHARTERS}::test_data_terms_bind_the_purpose[GRU-duo1-deny]",
               Guard(f"{RULES}duo:_deny_use", "return f'purpose")),
    ],
    "nobody_is_dropped_in_silence": [
        kernel(f"{STATEMENTS}::test_nobody_is_dropped_in_silence",
               Guard(f"{RULES}rounds:may_close", "_omission(")),
        kernel(f"{STATEMENTS}::test_a_swapped_program_or_model_opens_no_round",
               Guard(f"{RULES}rounds:may_open", "_start(")),
        http("round.omission: a hospital is dropped in silence"),
        http("round.bundle: another program"),
        http("round.inputs: another update is used"),
    ],
    "the_budget_holds_to_the_last_digit": [
        kernel(f"{STORIES}::test_the_budget_holds_to_the_last_digit",
               Guard(f"{RULES}updates:_privacy", "if epsilon < 0 or")),
        http("dp.budget: more than the cap, by a trillionth"),
        http("update.min_examples: too few patients"),
        http("round.deadline: an update after the deadline"),
    ],
    "one_hospital_can_stop_it_all_must_restart_it": [
        kernel(f"{STORIES}::test_one_hospital_can_stop_it_all_must_restart_it",
               Guard(f"{RULES}authority:_check_phase", "if said.kind in MOVING")),
        kernel(f"{STORIES}::test_one_hospital_can_stop_it_all_must_restart_it",
               Guard(f"{RULES}decisions:may_resume", "if said.signers != needed")),
        http("study.stopped: a round although it is stopped"),
        http("resume.signatures: one hospital is not asked"),
        http("site.withdrawn: a hospital that left submits"),
    ],
    "a_model_leaves_with_consent_only": [
        kernel(f"{STATEMENTS}::test_a_model_leaves_with_consent_only",
               Guard(f"{RULES}releases:may_release", "if not counted.enough")),
        database(f"{RELEASES}::test_one_hospital_too_few_keeps_the_model_here",
                 Guard(f"{HUB}releases:ReleaseService.release", "check_consent("),
                 Guard(f"{RULES}releases:may_release", "if not counted.enough")),
        http("release.approvals: too few approvals"),
        site("tests/site_node/gate/test_releasing.py::"
             "test_a_hub_that_releases_with_one_yes_too_few_gets_no_cosignature",
             Guard(f"{RULES}releases:may_release", "if not counted.enough")),
    ],
    "a_stolen_key_is_worth_nothing_afterwards": [
        kernel(f"{STATEMENTS}::test_a_stolen_key_is_worth_nothing_afterwards", SIGNED),
        kernel(f"{STATEMENTS}::test_a_lost_institution_key_is_replaced_by_the_others",
               Guard(f"{RULES}keys:may_rotate", "if _own_hand", "return ALLOWED")),
        database(f"{STANDING}::test_a_stolen_node_key_is_worth_nothing_after_its_rotation",
                 Guard(f"{HUB}members:MemberService._admit", "if not request.verifies")),
        http("note.form: the old key after its replacement"),
    ],
    "forgetting_keeps_the_proof": [
        database(f"{FORGETTING}::test_forgetting_keeps_the_proof[sqlite]",
                 Guard(f"{HUB}sealed:SealedService.erase", "rows.empty(")),
        database(f"{FORGETTING}::test_an_erased_payload_does_not_come_back",
                 Guard(f"{HUB}sealed:SealedService.keep", "if row is None",
                       "rows.add_sealed(session, row)")),
        database(f"{ENDED}::test_one_administrator_alone_destroys_nothing",
                 Guard(f"{HUB}retention:RetentionService._destroy", "self._must(")),
        database(f"{ENDED}::test_two_administrators_destroy_the_records_as_a_whole[sqlite]",
                 Guard(f"{HUB}retention:RetentionService._destroy", "rows.destroy_rows(")),
        site("tests/site_node/gate/test_destruction.py::test_before_the_agreed_day_the_copy_stays",
             Guard(f"{SITE}destruction:Destruction.look", "if isinstance(answer, NotReady)")),
    ],
    "any_member_can_carry_on": [
        http("key.authority: one hospital of two takes over the hub"),
        database(f"{FAILOVER}::test_one_hospital_alone_hands_the_log_to_nobody",
                 Guard(f"{RULES}keys:_peers", "return enough", "return True")),
        database(f"{FAILOVER}::test_a_rebuilt_hub_says_nothing_before_the_takeover",
                 Guard(f"{HUB}ledger:LedgerService._may_write", "if not own and")),
        database(f"{RESTORED}::test_a_hub_from_an_old_backup_appends_nothing",
                 Guard(f"{HUB}ledger:LedgerService._may_write", "self.held.check(")),
        site(f"{FAILOVER}::test_a_site_follows_nobody_with_another_certificate",
             Guard(f"{SITE}following:Following.follow", "check_fingerprint(")),
    ],
    "a_witness_never_goes_back": [
        site(f"{HISTORIES}::test_a_witness_never_goes_back", OUTRUN),
        site(f"{HISTORIES}::test_two_processes_over_one_mirror_keep_one_history", OUTRUN),
        site(f"{WITNESS}::test_the_faster_of_two_processes_wins_and_nothing_goes_back",
             Guard(f"{SITE}witness:Witness._take", "if state.size != known.size")),
    ],
    "a_power_cut_leaves_no_half_truth": [
        database(f"{CUTS}::test_a_power_cut_leaves_no_half_truth[sqlite]",
                 Guard(f"{HUB}ledger:LedgerService.append", "if also is not None",
                       "if also is not None:\n    session.commit()\n    also(session)")),
        database(f"{CUTS}::test_a_power_cut_after_the_entry_is_healed_by_sending_it_again[sqlite]",
                 *TWICE),
        site(f"{CUTS}::test_a_witness_killed_before_it_sent_cosigns_the_same_checkpoint",
             Guard(f"{SITE}witness:Witness._same", "if head.cosignature and")),
    ],
    "a_storm_is_counted_not_stored": [
        kernel(f"{STORIES}::test_a_storm_ends_after_an_hour",
               Guard(f"{RULES}decisions:may_deny", "if times and")),
        Trial("HTTP",
              "tests/hub/api/test_logs.py::test_a_storm_of_refusals_is_counted_and_not_written",
              (Guard(f"{RULES}decisions:may_deny", "if times and"),)),
        site("tests/site_node/gate/test_release.py::test_a_storm_is_counted_not_stored",
             Guard(f"{SITE}refusals:Refusals.refuse", "storm =", "storm = False")),
    ],
    "slow_signatures_are_not_backdating": [
        kernel(f"{STORIES}::test_slow_signatures_are_not_backdating",
               Guard(f"{RULES}arrival:belongs", "allowed =", "allowed = SEVERAL_LATENESS")),
        http("time.order: several signers, more than thirty days"),
    ],
    "a_long_weekend_is_no_attack": [
        site(f"{WITNESS}::test_a_long_weekend_is_no_attack",
             Guard(f"{SITE}suspicion:check_age", "if predates(",
                   "raise contradiction('time.clock', said)")),
    ],
    "the_largest_charter_fits": [
        kernel(f"{FORMS}::test_the_largest_note_is_read_and_one_byte_more_is_not", *LIMITS),
        http("note.size: more than 65,535 bytes", *LIMITS),
    ],
    "a_changed_bundle_is_named": [
        bundle(f"{LIES}::test_a_flipped_byte_in_any_file_is_named", MANIFEST),
        bundle(f"{LIES}::test_a_file_that_is_added_taken_away_or_renamed_is_named", MANIFEST),
    ],
    "strange_bytes_only_make_it_say_no": [
        kernel("tests/ledger/test_strange_bytes.py::test_strange_bytes_only_make_it_say_no[note]",
               Guard("compliance.signing.note:parse", "raise Malformed('note', 'it is not UTF-8')",
                     "raise")),
    ],
}  # fmt: skip
"""Row of the table → its trials."""
