"""Entry 0: nobody is bound by what he did not sign, and not everything can be agreed."""

from __future__ import annotations

from typing import Any

import pytest

from compliance.records.charter import CharterBody, CharterDataset, Purpose
from compliance.records.envelope import write_event
from compliance.rules.check import check_charter
from compliance.rules.duo import Answer, match
from compliance.rules.fold import judge
from compliance.rules.methods import reference_of
from compliance.rules.verdict import Allowed
from compliance.signing.keys import COSIGNATURE, SigningKey
from compliance.signing.note import seal
from tests import factories as make
from tests.simulator import Federation, refused

EAST, NORTH, SOUTH, WEST = make.NAMES
NOW = "2026-11-22T09:00:00Z"


def legal(**changes: Any) -> dict[str, Any]:
    """The legal block with changes."""
    body: dict[str, Any] = make.charter()["legal"]
    return body | changes


def dpia_without_hash() -> dict[str, Any]:
    """A hospital that must have an impact assessment and names none."""
    row = make.legal_row(NORTH, dpia={"required": True, "ref": "DPIA 1", "sha256": None})
    return legal(sites=[make.legal_row(EAST), row, make.legal_row(SOUTH)])


def rows(**changes: Any) -> list[dict[str, Any]]:
    """Datasets of three hospitals, the second one changed."""
    names = make.NAMES[:3]
    return [make.dataset_row(name, **(changes if name == NORTH else {})) for name in names]


def purpose(**changes: Any) -> dict[str, Any]:
    """The purpose with changes."""
    body: dict[str, Any] = make.charter()["purpose"]
    return body | changes


def sites(**changes: Any) -> list[dict[str, Any]]:
    """Hospitals, the second one with other keys."""
    names = make.NAMES[:3]
    return [make.site_keys(name) | (changes if name == NORTH else {}) for name in names]


def under(name: str, other: str) -> str:
    """The key of one name, written under another."""
    return str(SigningKey(name, 1, make.key(other).seed).verifier)


def with_row(**changes: Any) -> dict[str, Any]:
    """The legal block with another row for one hospital."""
    names = make.NAMES[:3]
    return legal(sites=[
        make.legal_row(name, **(changes if name == NORTH else {})) for name in names
    ])  # fmt: skip


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("charter.keys", {"hub_key": make.vkey("other.example/events")}),
    ("charter.keys", {"log_key": make.vkey("hub.example/study/ffffffffffffffff")}),
    ("charter.keys", {"researcher": make.vkey("lead.example/admin")}),
    ("charter.keys", {"researcher": make.vkey("lead.example/r-")}),
    ("charter.keys", {"researcher": make.vkey("lead.example/r-x")}),
    ("charter.keys", {"researcher": make.vkey("lead.example/7")}),
    ("charter.keys", {"researcher": make.vkey(make.RESEARCHER, COSIGNATURE)}),
    ("charter.keys", {"sites": sites(node=under(f"{NORTH}/node", f"{NORTH}/institution"))}),
    ("charter.keys", {"researcher": under(make.RESEARCHER, make.EVENTS)}),
    ("charter.keys", {"sites": sites(node=make.vkey(f"{SOUTH}/node"))}),
    ("charter.keys", {"sites": sites(witness=make.vkey(f"{NORTH}/witness"))}),
    ("charter.terms", {"min_sites": 1}),
    ("charter.terms", {"min_sites": 4}),
    ("charter.terms", {"min_examples": 0}),
    ("charter.terms", {"min_cell": 0}),
    ("charter.terms", {"max_rounds": 0}),
    ("charter.terms", {"max_rounds": 1001}),
    ("charter.terms", {"round_seconds": 59}),
    ("charter.terms", {"signatures_required": 1}),
    ("charter.terms", {"signatures_required": 4}),
    ("charter.terms", {"release": {"outputs": ["weights"], "k": 4, "veto": True}}),
    ("charter.terms", {"release": {"outputs": ["weights", "weights"], "k": 2, "veto": True}}),
    ("charter.terms", {"expires": "2026-11-22T08:00:00Z"}),
    ("charter.terms", {"expires": "2031-11-24T08:00:00Z"}),
    ("charter.terms", {"retention_until": "2028-01-01T00:00:00Z"}),
    ("charter.terms", {"datasets": rows()[:2]}),
    ("charter.terms", {"datasets": [*rows(), make.dataset_row(WEST)]}),
    ("charter.terms", {"datasets": [*rows(), make.dataset_row(NORTH)]}),
    ("charter.terms", {"datasets": rows(epsilon=None)}),
    ("charter.terms", {"datasets": rows(epsilon="3.1")}),
    ("charter.terms", {"datasets": rows(epsilon="0")}),
    ("charter.terms", {"dp": None}),
    ("charter.terms", {"sites": list(reversed(sites()))}),
    ("charter.terms", {"purpose": purpose(disease=[])}),
    ("charter.terms", {"purpose": purpose(use="HMB")}),
    ("charter.terms", {"evaluation": {"primary": "f1", "metrics": ["auroc"], "subgroups": []}}),
    ("charter.terms", {"aggregator": {"name": "krum", "params": {}, "masked": False}}),
    ("charter.terms", {"aggregator": {"name": "fedavg.lion", "params": {}, "masked": False}}),
    ("charter.terms", {"aggregator": {"name": "median", "params": {}, "masked": True}}),
    ("charter.terms", {"aggregator": {"name": "fedavg", "params": {"f": "1"}, "masked": False}}),
    ("charter.terms", {"aggregator": {"name": "trimmed_mean", "params": {"f": "1"},
                                      "masked": False}}),
    ("charter.terms", {"aggregator": {"name": "trimmed_mean", "params": {}, "masked": False},
                       "min_sites": 3}),
    ("charter.terms", {"aggregator": {"name": "nnm_trimmed", "params": {"f": "1"},
                                      "masked": False}, "min_sites": 3}),
    ("charter.terms", {"aggregator": {"name": "fltrust", "params": {}, "masked": False}}),
    ("charter.terms", {"aggregator": {"name": "clipped_mean", "params": {"weight_cap": "0.4"},
                                      "masked": False}}),
    ("charter.terms", {"contribution": {"rule": "auction", "params": {}}}),
    ("charter.terms", {"contribution": {"rule": "shapley_exact", "params": {"seeds": "4"}}}),
    ("charter.terms", {"contribution": {"rule": "shapley_proxy", "params": {"seeds": "5"}},
                       "aggregator": {"name": "fedavg", "params": {}, "masked": True}}),
    ("charter.terms", {"dp": {"unit": "patient", "epsilon": "0", "delta": "0.00001",
                              "accountant": "prv"}}),
    ("charter.terms", {"dp": {"unit": "patient", "epsilon": "3.0", "delta": "1",
                              "accountant": "prv"}}),
    ("charter.terms", {"dp": {"unit": "patient", "epsilon": "3.0", "delta": "0",
                              "accountant": "prv"}}),
    ("charter.terms", {"aggregator": {"name": "fedavg.adam", "params": {"beta3": "1"},
                                      "masked": False}}),
    ("charter.terms", {"aggregator": {"name": "fedavg", "params": {"offences": "0"},
                                      "masked": False}}),
    ("charter.terms", {"aggregator": {"name": "fedavg", "params": {"offences": "2.5"},
                                      "masked": False}}),
    ("charter.terms", {"aggregator": {"name": "fedavg", "params": {"weight_cap": "1.1"},
                                      "masked": False}}),
    ("charter.terms", {"aggregator": {"name": "trimmed_mean", "params": {"f": "1.5"},
                                      "masked": False}, "min_sites": 3}),
    ("charter.terms", {"aggregator": {"name": "fedavg.adam", "params": {}, "masked": False}}),
    ("charter.terms", {"aggregator": {"name": "fedavg.adam", "params": {"server_lr": "0"},
                                      "masked": False}}),
    ("charter.terms", {"aggregator": {"name": "median.yogi",
                                      "params": {"server_lr": "1", "beta2": "1"},
                                      "masked": False}}),
    ("charter.terms", {"aggregator": {"name": "fedavg", "params": {"keep_updates": "0.5"},
                                      "masked": False}}),
    ("charter.terms", {"aggregator": {"name": "fedavg", "params": {"keep_updates": "1"},
                                      "masked": True}}),
    ("charter.terms", {"aggregator": {"name": "fltrust", "params": {}, "masked": False},
                       "datasets": [*rows(), make.dataset_row(NORTH, id="root"),
                                    make.dataset_row(EAST, id="root")]}),
    ("charter.terms", {"aggregator": {"name": "fltrust", "params": {}, "masked": False},
                       "datasets": [*rows(), make.dataset_row(NORTH, id="root")],
                       "min_sites": 1}),
    ("charter.terms", {"title": "A Byzantine-robust model"}),
    ("charter.terms", {"summary": "It is Robust against liars.", "min_sites": 3,
                       "aggregator": {"name": "trimmed_mean", "params": {"f": "1"},
                                      "masked": False}}),
    ("charter.quorum", {"quorum": {"k": 4, "witnesses": list(make.NAMES[:3]), "external": []}}),
    ("charter.quorum", {"quorum": {"k": 0, "witnesses": list(make.NAMES[:3]), "external": []}}),
    ("charter.quorum", {"quorum": {"k": 1, "witnesses": [WEST], "external": []}}),
    ("charter.quorum", {"quorum": {"k": 1, "witnesses": [EAST, EAST], "external": []}}),
    ("charter.quorum", {"quorum": {"k": 1, "witnesses": [EAST], "external": [
        {"name": "any", "vkey": make.vkey("w.example/witness", COSIGNATURE)}]}}),
    ("charter.keys", {"quorum": {"k": 1, "witnesses": [EAST], "external": [
        {"name": "archive", "vkey": make.vkey("w.example/witness")}]}}),
    ("charter.legal", {"legal": legal(sites=[make.legal_row(EAST)])}),
    ("charter.legal", {"legal": legal(processing_agreement=None)}),
    ("charter.legal", {"legal": legal(purposes=["product_development"])}),
    ("charter.legal", {"legal": dpia_without_hash()}),
    ("charter.legal", {"legal": with_row(
        dpia={"required": True, "ref": None, "sha256": make.sha("dpia")})}),
    ("charter.duo", {"datasets": rows(duo=[])}),
    ("charter.duo", {"datasets": rows(duo=["GRU", "HMB"])}),
    ("charter.duo", {"datasets": rows(duo=["POA"])}),
    ("charter.duo", {"datasets": rows(duo=["HMB", "IRB"])}),
    ("charter.duo", {"datasets": rows(duo=["DS"], disease=["MONDO:0000001"])}),
    ("charter.duo", {"datasets": rows(duo=["HMB", "NPU"]), "purpose": purpose(for_profit=True)}),
    ("charter.duo", {"datasets": rows(duo=["HMB", "NCU"]), "purpose": purpose(commercial=True)}),
    ("charter.duo", {"purpose": purpose(flags=["paediatric"])}),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "changes"), WRONG)
def test_a_charter_that_cannot_be_agreed_is_refused(rule: str, changes: dict[str, Any]) -> None:
    """The rule is named at entry 0, and the wizard names the same one."""
    body = make.charter(**changes)
    assert refused(judge(None, make.entry0(body))) == rule
    assert rule in {found.rule for found in check_charter(body, NOW) if not found.allowed}


def test_a_complete_charter_is_allowed_and_every_rule_says_so() -> None:
    """The wizard shows a line for each rule that has nothing against it."""
    findings = check_charter(make.charter(), NOW)

    assert all(finding.allowed for finding in findings)
    assert "charter.duo" in {finding.rule for finding in findings}
    assert isinstance(judge(None, make.entry0(make.charter()), now=NOW), Allowed)


def test_a_draft_with_holes_is_answered_field_by_field() -> None:
    """Whoever has not finished writing is told which fields are missing or wrong."""
    draft = make.charter(min_sites="two")
    del draft["title"]

    findings = check_charter(draft, NOW)

    assert {finding.found for finding in findings} == {"title", "min_sites"}
    assert {finding.rule for finding in findings} == {"charter.form"}


def test_papers_that_have_expired_are_named_to_the_writer() -> None:
    """A charter of yesterday cannot be begun today."""
    findings = check_charter(make.charter(), "2029-01-01T00:00:00Z")
    refusing = {finding.rule for finding in findings if not finding.allowed}
    assert refusing == {"charter.expired", "legal.expired"}


@pytest.mark.parametrize(
    ("rule", "signers"),
    [
        ("charter.signatures", (f"{NORTH}/institution", make.RESEARCHER)),
        ("charter.signatures", (f"{NORTH}/institution", f"{EAST}/institution")),
        ("note.form", (f"{NORTH}/institution", f"{EAST}/institution", make.EVENTS,
                       make.RESEARCHER)),
        ("note.form", (f"{NORTH}/institution", f"{WEST}/institution", make.RESEARCHER)),
    ],
)  # fmt: skip
def test_nobody_is_bound_by_what_he_did_not_sign(rule: str, signers: tuple[str, ...]) -> None:
    """Too few hospitals, no researcher, or a key that signs no charters: no study."""
    assert refused(judge(None, make.entry0(make.charter(), *signers))) == rule


def test_a_word_changed_after_signing_unbinds_everybody() -> None:
    """A signature holds for the text and nothing else."""
    note = make.entry0(make.charter())
    assert refused(judge(None, note.replace(b"Pneumonia on", b"Pneumonia in"))) == "note.form"


def test_only_a_charter_begins_a_study() -> None:
    """Any other statement is refused as entry 0."""
    text = write_event(
        "study.stopped",
        {"reason": "safety", "on_behalf": None},
        time=NOW,
        actor=make.EVENTS,
        log=make.sha("x"),
        nonce="0" * 32,
    )
    assert refused(judge(None, seal(text, make.key(make.EVENTS)))) == "event.type"


def test_a_field_that_is_no_longer_there_is_named_by_form() -> None:
    """The closed form of the charter holds for entry 0."""
    note = make.entry0(make.charter()).replace(b'"min_cell":5', b'"min_cell":"5"')
    assert refused(judge(None, note)) == "charter.form"


def test_a_charter_from_the_future_is_refused_where_it_arrives() -> None:
    """Ten minutes ahead of this clock is not the present."""
    note = make.entry0(make.charter(), time="2026-11-22T09:10:01Z")
    assert refused(judge(None, note, now=NOW)) == "time.clock"
    assert isinstance(judge(None, note), Allowed)


def test_a_late_signer_joins_with_its_own_key() -> None:
    """The third hospital signs a day later and takes part from then on."""
    world = Federation(signed=(EAST, NORTH))
    assert world.state.active_sites() == [EAST, NORTH]

    world.must("site.joined", {"charter": world.state.version_id}, f"{SOUTH}/institution")

    assert world.state.active_sites() == [EAST, NORTH, SOUTH]
    world.play_round()


@pytest.mark.parametrize(
    ("use", "duo", "answer"),
    [
        ("GRU", ["GRU"], Answer.APPROVE),
        ("GRU", ["HMB"], Answer.DENY),
        ("HMB", ["HMB"], Answer.APPROVE),
        ("HMB", ["DS"], Answer.DENY),
        ("DS", ["DS"], Answer.APPROVE),
        ("POA", ["POA"], Answer.APPROVE),
        ("POA", ["GRU", "NPOA"], Answer.DENY),
        ("MDS", ["DS"], Answer.APPROVE),
        ("MDS", ["HMB", "NMDS"], Answer.APPROVE),
        ("DS", ["NRES", "CC"], Answer.APPROVE),
        ("DS", ["NRES", "IRB"], Answer.ABSTAIN),
        ("POA", ["GRU", "NPOA", "IRB"], Answer.DENY),
    ],
)
def test_data_terms_bind_the_purpose(use: str, duo: list[str], answer: Answer) -> None:
    """Deny is final, before abstain, before approve."""
    wanted = Purpose.model_validate(purpose(use=use))
    row = make.dataset_row(NORTH, duo=duo, disease=["MONDO:0005249"])
    assert match(wanted, CharterDataset.model_validate(row))[0] is answer


def test_methods_without_the_disease_are_denied_where_methods_are_excluded() -> None:
    """NMDS permits methods only on the data's own disease."""
    wanted = Purpose.model_validate(purpose(use="MDS"))
    row = make.dataset_row(NORTH, duo=["HMB", "NMDS"], disease=["MONDO:0000001"])
    assert match(wanted, CharterDataset.model_validate(row))[0] is Answer.DENY


def test_an_open_question_is_answered_by_the_hospitals_own_decision() -> None:
    """With the data access decision of the owner, an abstention becomes a yes."""
    decided = rows(duo=["HMB", "IRB"], dac={"ref": "DAC 12", "sha256": make.sha("dac")})
    assert isinstance(judge(None, make.entry0(make.charter(datasets=decided))), Allowed)


@pytest.mark.parametrize(
    "changes",
    [
        {"aggregator": {"name": "fedavg.yogi", "params": {"server_lr": "0.1"}, "masked": False}},
        {"aggregator": {"name": "clipped_mean", "params": {"weight_cap": "0.5"}, "masked": False}},
        {"aggregator": {"name": "fedavg", "params": {"n_ref": "1"}, "masked": True},
         "min_sites": 3},
        {"aggregator": {"name": "trimmed_mean", "params": {"f": "1"}, "masked": False},
         "min_sites": 3},
        {"aggregator": {"name": "fltrust", "params": {}, "masked": False},
         "datasets": [*rows(), make.dataset_row(NORTH, id="root")]},
        {"aggregator": {"name": "median.yogi", "params": {
            "server_lr": "100", "beta1": "0", "beta2": "0.999", "tau": "1", "norm_max": "0.001",
            "offences": "1", "keep_updates": "1"}, "masked": False}},
        {"summary": "A robot reads it."},
        {"contribution": {"rule": "shapley_exact", "params": {"seeds": "5"}}},
        {"dp": None, "datasets": [make.dataset_row(s, epsilon=None) for s in make.NAMES[:3]]},
        {"legal": with_row(dpia={"required": False, "ref": None, "sha256": None})},
        {"legal": legal(processor=None, processing_agreement=None)},
        {"legal": legal(purposes=["product_development"]), "purpose": purpose(commercial=True)},
        {"max_rounds": 1000, "round_seconds": 604_800, "min_sites": 3, "min_cell": 1},
        {"expires": "2031-11-23T08:00:00Z", "retention_until": "2032-05-24T08:00:00Z"},
        {"quorum": {"k": 1, "witnesses": [EAST], "external": [
            {"name": "archive", "vkey": make.vkey("w.example/witness", COSIGNATURE)}]}},
    ],
)  # fmt: skip
def test_what_lies_just_inside_the_terms_can_be_agreed(changes: dict[str, Any]) -> None:
    """The borders themselves are allowed."""
    assert isinstance(judge(None, make.entry0(make.charter(**changes))), Allowed)


@pytest.mark.parametrize(("sites", "allowed"), [(1, False), (2, True), (32, True), (33, False)])
def test_a_study_has_two_to_thirty_two_hospitals(sites: int, allowed: bool) -> None:
    """One hospital is no federation, and more do not fit an entry."""
    names = [f"h{number:02d}.example" for number in range(sites)]
    body = make.charter(names)
    small = {"signatures_required": 1, "min_sites": 1} if sites == 1 else {}
    findings = check_charter(body | small, NOW)
    told = [finding for finding in findings if finding.found == f"{sites} sites"]
    assert bool(told) is not allowed


def test_exact_shares_are_for_eight_hospitals_at_most() -> None:
    """All coalitions of nine would be five hundred trainings."""
    rule = {"contribution": {"rule": "shapley_exact", "params": {"seeds": "5"}}}
    names = [f"h{number}.example" for number in range(9)]
    refusing = [found for found in check_charter(make.charter(names, **rule), NOW)
                if not found.allowed]  # fmt: skip
    assert [found.agreed for found in refusing] == ["at most 8"]
    eight = check_charter(make.charter(names[:8], **rule), NOW)
    assert all(found.allowed for found in eight)


def test_the_most_robust_rule_needs_five() -> None:
    """Below five hospitals nothing can be called robust."""
    rule = {"aggregator": {"name": "nnm_trimmed", "params": {"f": "1"}, "masked": False}}
    names = [f"h{number}.example" for number in range(5)]
    for least, allowed in ((4, False), (5, True)):
        body = make.charter(names, min_sites=least, **rule)
        assert isinstance(judge(None, make.entry0(body)), Allowed) is allowed


@pytest.mark.parametrize("least", [4, 5])
@pytest.mark.parametrize(
    ("rule", "bears"),
    [("nnm_trimmed", True), ("median", True), ("clipped_mean", False), ("fltrust", False)],
)
def test_a_study_calls_itself_robust_with_five_and_a_rule_that_bears_liars(
    rule: str, bears: bool, least: int
) -> None:
    """The word is refused below five hospitals a round, and where the rule only limits damage."""
    names = [f"h{number}.example" for number in range(6)]
    params = {"f": "1"} if rule == "nnm_trimmed" else {}
    told = {"name": rule, "params": params, "masked": False}

    body = make.charter(names, title="A robust model", min_sites=least, aggregator=told)

    words = [f.found for f in check_charter(body, NOW) if "robust" in str(f.found)]
    assert (words == []) is (bears and least == 5)


def test_the_reference_is_the_hospital_with_the_root_dataset() -> None:
    """Its update is the measure; other rules have none."""
    shelf = [*rows(), make.dataset_row(NORTH, id="root")]
    for rule, wanted in (("fltrust", NORTH), ("median", None)):
        told = {"name": rule, "params": {}, "masked": False}
        body = make.charter(datasets=shelf, aggregator=told)
        assert reference_of(CharterBody.model_validate(body)) == wanted


def test_the_largest_charter_fits() -> None:
    """32 hospitals with 33 signatures stay below the size of an entry."""
    names = [f"hospital-{number:02d}.example" for number in range(32)]
    note = make.entry0(make.charter(names))
    assert len(note) <= 65_535
    assert isinstance(judge(None, note), Allowed)
