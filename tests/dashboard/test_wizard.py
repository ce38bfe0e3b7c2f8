"""The wizard asks the whole charter: each answer reaches the draft, a wrong one is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from compliance.canonical import sha256_id
from compliance.records.charter import Document, Flag, Output
from compliance.records.legal import LegalSite, Transfer
from compliance.rules.duo import Answer
from compliance.rules.fold import may
from compliance.rules.methods import AGGREGATORS, CONTRIBUTIONS, SERVERS
from compliance.rules.quorum import words as quorum_words
from dashboard import agreeing, choices, supposing
from dashboard.drafting import ASKED, answers_of, draft_of, read_draft, write_draft
from hub.services.drafts import KEYS
from tests import factories as make
from tests.dashboard.stage import LAYOUT, SITES, Stage
from tests.dashboard.test_views import asked, button, draw, wire, words

__all__ = ["draw", "wire"]
EAST, NORTH, SOUTH = SITES
SHA = "sha256:" + "ab" * 32
LUNG, PNEUMONIA = "MONDO:0005275", "MONDO:0005249"
Draw = Callable[..., AppTest]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A hub with a running study, and data sets under many terms."""
    made = Stage(tmp_path_factory.mktemp("stage") / "hub")
    made.run(1)
    more = {"lung": ["DS"], "asked": ["GRU", "IRB"], "careful": ["HMB", "NCU"]}
    for name, duo in more.items():
        told = {"dataset": name, "duo": duo, "disease": [LUNG] if name == "lung" else []}
        note = made.registration(NORTH, version=make.sha(f"{name} 1"), **told)
        made.rooms.catalogue.register(NORTH, note)
    return made


def begun(draw: Draw, stage: Stage, **changes: Any) -> AppTest:
    """The wizard with a whole draft in it."""
    at = draw("draft")
    at.session_state["draft answers"] = answers_of(stage.draft(**changes))
    at.session_state["draft turn"] = 1
    return at.run()


def drafted(at: AppTest, stage: Stage) -> dict[str, Any]:
    """The draft that the page would propose."""
    return draft_of(at.session_state["draft answers"], stage.rooms.catalogue.recipes())


def refusals(at: AppTest, stage: Stage) -> dict[str, str]:
    """What the rules say to the page's draft: rule → what was found."""
    researcher = str(make.key(make.RESEARCHER).verifier)
    found = stage.rooms.charters.check(drafted(at, stage), researcher)
    return {row.rule: str(row.found) for row in found if not row.allowed}


def test_a_whole_draft_is_allowed_and_the_page_says_so_for_each_hospital(
    draw: Draw, stage: Stage
) -> None:
    """Nothing to mend, and every hospital stands there with nothing against it."""
    at = begun(draw, stage)

    told = words(at)
    assert refusals(at, stage) == {}
    assert "No rule has anything against this draft." in told
    for title in ("Every hospital", "East Clinic", "North Hospital"):
        assert f":green-badge[✓ nothing] **{title}**" in told


def test_the_quorum_is_said_in_words_while_the_slider_moves(draw: Draw, stage: Stage) -> None:
    """The very sentence that the steward reads; the value reaches the charter."""
    at = begun(draw, stage)
    assert quorum_words(3, 2) in words(at)

    asked(at, "slider", "Cosignatures needed").set_value(3).run()
    assert quorum_words(3, 3) in words(at)
    assert drafted(at, stage)["quorum"] == {"k": 3, "witnesses": list(SITES), "external": []}

    asked(at, "multiselect", "Hospitals that train but").select(SOUTH).run()
    quorum = drafted(at, stage)["quorum"]
    assert quorum["witnesses"] == [EAST, NORTH]
    assert quorum_words(2, quorum["k"]) in words(at)
    assert refusals(at, stage) == {}


def test_a_witness_from_outside_counts_and_a_wrong_key_is_named(draw: Draw, stage: Stage) -> None:
    """Its key goes into the charter; what is no verifier key is refused with its place."""
    at = begun(draw, stage)
    vkey = str(make.key("outside.example", 4).verifier)

    asked(at, "text_area", "Witnesses from outside").input(f"outside {vkey}").run()
    assert drafted(at, stage)["quorum"]["external"] == [{"name": "outside", "vkey": vkey}]
    assert quorum_words(4, 3) in words(at)
    assert refusals(at, stage) == {}

    asked(at, "text_area", "Witnesses from outside").input("outside").run()
    assert "charter.form" in refusals(at, stage)
    assert "Witness from outside (verifier key)" in words(at)
    assert button(at, "Propose to the hospitals").disabled is True


def test_release_terms_reach_the_charter_and_none_is_refused(draw: Draw, stage: Stage) -> None:
    """What may be handed out, how many must agree, and whether one can say no."""
    at = begun(draw, stage)
    asked(at, "number_input", "Hospitals that must agree").set_value(3).run()
    asked(at, "checkbox", "One hospital alone can say no").uncheck().run()
    asked(at, "multiselect", "What may be handed out").select("metrics_only").run()

    release = drafted(at, stage)["release"]
    assert release == {"outputs": ["weights", "metrics_only"], "k": 3, "veto": False}
    assert refusals(at, stage) == {}

    asked(at, "multiselect", "What may be handed out").set_value([]).run()
    assert refusals(at, stage) == {"charter.form": "release.outputs"}
    assert "missing What may be handed out" in words(at)


def test_the_rule_of_shares_is_agreed_before_the_run(draw: Draw, stage: Stage) -> None:
    """Measured shares ask for repetitions and a least share; too few are refused."""
    at = begun(draw, stage)
    assert not [item for item in at.number_input if item.label.startswith("Repetitions")]
    asked(at, "selectbox", "Rule").select("shapley_exact").run()
    asked(at, "number_input", "Repetitions").set_value(7).run()
    asked(at, "number_input", "Least share").set_value(0.1).run()

    told = drafted(at, stage)["contribution"]
    assert told == {"rule": "shapley_exact", "params": {"seeds": "7", "floor": "0.1"}}
    assert refusals(at, stage) == {}

    wrong = stage.draft(contribution={"rule": "shapley_exact", "params": {"seeds": "2"}})
    found = stage.rooms.charters.check(wrong, str(make.key(make.RESEARCHER).verifier))
    assert "charter.terms" in {row.rule for row in found if not row.allowed}


def test_transfers_and_the_rest_of_the_legal_block_are_asked(draw: Draw, stage: Stage) -> None:
    """Countries with their ground, permit, objections, the basis in the USA."""
    at = begun(draw, stage)
    asked(at, "text_input", "Transfers to other").input("us, JP").run()
    assert "Transfer (what permits it)" in words(at)
    asked(at, "selectbox", "US: permitted by").select("scc").run()
    asked(at, "selectbox", "JP: permitted by").select("adequacy").run()
    asked(at, "selectbox", "Basis in the USA").select("waiver").run()
    asked(at, "text_input", "Data permit (EHDS)").input("EHDS 7").run()
    assert refusals(at, stage)["charter.form"].startswith("legal.sites.0.permit")
    asked(at, "text_input", "SHA-256 of the permit").input("ab" * 32).run()
    asked(at, "date_input", "Permit good until").set_value("2028-01-02").run()
    asked(at, "date_input", "Objections checked").set_value("2026-11-20").run()

    legal = drafted(at, stage)["legal"]
    assert legal["transfers"] == [
        {"country": "US", "mechanism": "scc"},
        {"country": "JP", "mechanism": "adequacy"},
    ]
    row = legal["sites"][0]
    assert row["permit"] == {"ref": "EHDS 7", "sha256": SHA, "expires": "2028-01-02T00:00:00Z"}
    assert (row["objections_checked"], row["us_basis"]) == ("2026-11-20T00:00:00Z", "waiver")
    assert refusals(at, stage) == {}


def test_dates_and_documents_reach_the_charter_and_a_short_retention_is_refused(
    draw: Draw, stage: Stage
) -> None:
    """The end, how long the records are kept, and a document by reference and hash."""
    at = begun(draw, stage)
    asked(at, "date_input", "Good until (else").set_value("2027-06-30").run()
    asked(at, "date_input", "Records kept").set_value("2027-07-30").run()
    assert "retention_until" in refusals(at, stage)["charter.terms"]
    asked(at, "date_input", "Records kept").set_value("2034-07-30").run()
    asked(at, "multiselect", "Kinds of documents").select("protocol").run()
    assert refusals(at, stage)["charter.form"].startswith("documents.0")
    asked(at, "text_input", "Study protocol: reference").input("P 1").run()
    asked(at, "text_input", "Study protocol: SHA-256").input("ab" * 32).run()

    draft = drafted(at, stage)
    assert (draft["expires"], draft["retention_until"][:10]) == (
        "2027-06-30T00:00:00Z",
        "2034-07-30",
    )
    assert draft["documents"] == [{"kind": "protocol", "ref": "P 1", "sha256": SHA}]
    assert refusals(at, stage) == {}


def test_only_what_was_agreed_may_be_measured(draw: Draw, stage: Stage) -> None:
    """The chosen numbers and the one that counts stand in the charter."""
    at = begun(draw, stage)
    asked(at, "multiselect", "Only these numbers").set_value(["accuracy", "loss"]).run()
    asked(at, "selectbox", "The one that counts").select("loss").run()

    told = drafted(at, stage)["evaluation"]
    assert told == {"primary": "loss", "metrics": ["accuracy", "loss"], "subgroups": []}
    assert refusals(at, stage) == {}


MATRIX: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"use": "HMB"}, {"cxr": "approve", "lung": "deny", "asked": "abstain", "careful": "approve"}),
    ({"use": "HMB", "commercial": True},
     {"cxr": "approve", "lung": "deny", "asked": "abstain", "careful": "deny"}),
    ({"use": "DS", "disease": PNEUMONIA},
     {"cxr": "approve", "lung": "deny", "asked": "abstain", "careful": "approve"}),
    ({"use": "DS", "disease": PNEUMONIA, "ancestors": LUNG},
     {"cxr": "approve", "lung": "approve", "asked": "abstain", "careful": "approve"}),
    ({"use": "POA"}, {"cxr": "deny", "lung": "deny", "asked": "abstain", "careful": "deny"}),
    ({"use": "HMB", "flags": ["paediatric"]},
     {"cxr": "abstain", "lung": "deny", "asked": "abstain", "careful": "abstain"}),
]  # fmt: skip


@pytest.mark.parametrize(("purpose", "answers"), MATRIX)
def test_the_terms_of_each_data_set_answer_while_the_purpose_is_written(
    draw: Draw, stage: Stage, purpose: dict[str, Any], answers: dict[str, str]
) -> None:
    """Fits, against, or the committee decides: the answer of the rule, per data set."""
    at = draw("draft")
    at.session_state["draft answers"] = dict(purpose)
    at.session_state["draft turn"] = 1
    at.run()

    told = words(at)
    for name, answer in answers.items():
        (line,) = [row for row in told.splitlines() if f"**North Hospital** · {name} " in row]
        assert choices.DUO_ANSWERS[answer] in line


def test_a_missing_ancestor_is_hinted_at_and_a_code_with_its_name_refused(
    draw: Draw, stage: Stage
) -> None:
    """The page names the code that the data are for, and what a code looks like."""
    at = draw("draft")
    asked(at, "selectbox", "Use of the data").select("DS").run()
    asked(at, "text_input", "Disease codes").input(PNEUMONIA).run()
    assert f"they are for {LUNG}: name it if your disease is a kind of it" in words(at)

    asked(at, "text_input", "Disease codes").input("pneumonia").run()
    assert "a disease is a code such as MONDO:0005249" in words(at)


def test_an_open_question_asks_for_the_committees_decision(draw: Draw, stage: Stage) -> None:
    """Without it the charter is refused; with reference and hash it is not."""
    rows = [{"site": EAST, "id": "cxr"}, {"site": NORTH, "id": "asked"}]
    rows += [{"site": SOUTH, "id": "cxr"}]
    at = begun(draw, stage, datasets=rows)
    assert refusals(at, stage) == {"charter.duo": f"{NORTH} asked"}
    assert ":red-badge[✕ refuses] **North Hospital**" in words(at)
    assert ":green-badge[✓ nothing] **East Clinic**" in words(at)

    asked(at, "text_input", "Decision of North Hospital").input("DAC 12").run()
    assert refusals(at, stage)["charter.form"].startswith("datasets.1.dac")
    asked(at, "text_input", "SHA-256 of the decision of North").input("AB" * 32).run()

    assert refusals(at, stage) == {}
    assert drafted(at, stage)["datasets"][1]["dac"] == {"ref": "DAC 12", "sha256": SHA}


def test_each_hospital_sees_its_own_points_before_anything_is_proposed(
    draw: Draw, stage: Stage
) -> None:
    """Rule, what was found, what can be agreed, what to change; the study's own points apart."""
    draft = stage.draft(max_rounds=5)
    draft["legal"]["sites"][1]["dpia"] = {"required": True, "ref": None, "sha256": None}
    at = begun(draw, stage, legal=draft["legal"], max_rounds=5)

    told = words(at)
    assert ":red-badge[✕ refuses] **North Hospital**" in told
    assert ":green-badge[✓ nothing] **Every hospital**" in told
    cells = [str(table.value.to_dict("list")) for table in at.table]
    assert any("charter.legal" in text and "Complete this part" in text for text in cells)


def test_the_choice_starts_again_when_the_number_of_hospitals_changes(
    draw: Draw, stage: Stage
) -> None:
    """A quorum of one hospital is not kept for three: the proposed numbers follow."""
    at = draw("draft")
    data = asked(at, "multiselect", "Data sets")
    data.select(f"{NORTH}|cxr").run()
    assert drafted(at, stage)["quorum"]["k"] == 1
    for site in (EAST, SOUTH):
        asked(at, "multiselect", "Data sets").select(f"{site}|cxr").run()

    draft = drafted(at, stage)
    assert (draft["quorum"]["k"], draft["signatures_required"]) == (2, 3)
    assert (draft["release"]["k"], draft["min_sites"]) == (2, 2)


def test_a_study_may_begin_with_a_file_and_the_page_says_so(draw: Draw, stage: Stage) -> None:
    """Handed in once, checked beside the other rules, kept in the draft; none yet is refused."""
    at = begun(draw, stage)
    asked(at, "selectbox", "First weights").set_value("file").run()
    assert "charter.form" in refusals(at, stage)

    other = np.zeros(LAYOUT.count + 1, "<f4").tobytes()
    at.file_uploader[0].upload("other.f32", other, "application/octet-stream").run()
    assert "bare values" in words(at)
    given = np.full(LAYOUT.count, 0.01, "<f4").tobytes()
    at.file_uploader[0].upload("start.f32", given, "application/octet-stream").run()

    assert drafted(at, stage)["start_model"] == {"file": sha256_id(given)}
    assert refusals(at, stage) == {}
    assert f"At the hub: `{sha256_id(given)[7:15]}`" in words(at)
    kept = read_draft(write_draft(drafted(at, stage)).encode())
    assert answers_of(kept)["start_file"] == sha256_id(given)
    asked(at, "selectbox", "First weights").set_value("drawn").run()
    assert "start_model" not in drafted(at, stage)


def test_a_study_may_begin_with_what_another_one_released(draw: Draw, stage: Stage) -> None:
    """Only studies that released a model can be chosen; choosing none yet is refused."""
    at = begun(draw, stage)
    asked(at, "selectbox", "First weights").set_value("released").run()
    assert "No study of this consortium has released a model yet." in words(at)
    assert "charter.form" in refusals(at, stage)
    stage.agree(*SITES)
    stage.witness(*SITES)
    stage.rooms.releases.release(stage.study)

    at = begun(draw, stage, start_model={"study": ""})
    asked(at, "selectbox", "Released by the study").set_value(stage.study).run()

    assert drafted(at, stage)["start_model"] == {"study": stage.study}
    assert refusals(at, stage) == {}


def test_the_form_knows_every_field_of_a_draft() -> None:
    """No field of a kept draft goes along unseen."""
    assert ASKED == KEYS


def test_every_choice_has_words() -> None:
    """Each closed list of the records can be chosen, and nothing else."""
    ground = get_args(Transfer.model_fields["mechanism"].annotation)
    kinds = get_args(Document.model_fields["kind"].annotation)
    american = get_args(get_args(LegalSite.model_fields["us_basis"].annotation)[0])

    assert set(choices.FLAGS) == set(get_args(Flag))
    assert set(choices.OUTPUTS) == set(get_args(Output))
    assert set(choices.SHARES) == set(CONTRIBUTIONS)
    assert set(choices.AGGREGATORS) == set(AGGREGATORS)
    assert set(choices.SERVERS) == SERVERS | {"none"}
    assert set(choices.TRANSFERS) == set(ground)
    assert set(choices.DOCUMENTS) == set(kinds) == set(agreeing.DOCUMENTS)
    assert set(choices.US_BASES) == set(american)
    assert set(choices.DUO_ANSWERS) == {str(answer) for answer in Answer}


def test_a_whole_charter_goes_through_the_form_and_stays_as_it_was(stage: Stage) -> None:
    """Also what the form does not ask: odd changes, a second document of a kind, times."""
    recipes = stage.rooms.catalogue.recipes()
    vkey = str(make.key("outside.example", 4).verifier)
    draft = stage.draft(
        recipe={"id": "cnn2d-small", "changes": {"augment": {"flip": False, "rotate": "5"}}},
        quorum={"k": 2, "witnesses": [EAST, NORTH],
                "external": [{"name": "outside", "vkey": vkey}]},
        release={"outputs": ["metrics_only"], "k": 1, "veto": False},
        contribution={"rule": "shapley_sampled",
                      "params": {"seeds": "6", "floor": "0.05", "pooled": "1"}},
        evaluation={"primary": "loss", "metrics": ["loss"], "subgroups": ["sex.f"]},
        documents=[{"kind": "other", "ref": "A", "sha256": SHA},
                   {"kind": "other", "ref": "B", "sha256": SHA}],
        expires="2027-06-30T11:12:13Z", retention_until="2034-07-30T01:02:03Z",
        aggregator={"name": "fedavg", "params": {"norm_max": "5"}, "masked": False},
    )  # fmt: skip

    again = draft_of(answers_of(read_draft(write_draft(draft).encode())), recipes)

    assert {name: again[name] for name in draft} == draft


def test_the_example_file_goes_through_the_form_and_stays_as_it_was(stage: Stage) -> None:
    """What a researcher wrote by hand can be gone on with in the wizard, and back."""
    example = Path(supposing.__file__).parents[1] / "docs" / "examples" / "charter.yaml"
    draft = read_draft(example.read_bytes())

    again = draft_of(answers_of(draft), stage.rooms.catalogue.recipes())

    assert {name: again[name] for name in draft} == draft
    assert set(again) == set(draft)


# ------------------------------------------------------------------ would this be allowed?


@pytest.mark.parametrize("kind", supposing.ACTS)
def test_a_supposed_act_gets_the_verdict_of_the_fold(draw: Draw, stage: Stage, kind: str) -> None:
    """The page says what the rules say, and the log stays as it was."""
    at = draw("study", "aya", id=stage.study)
    size = stage.rooms.ledger.size(stage.study)
    asked(at, "selectbox", "Suppose that").select(kind).run()
    button(at, "Ask the rules").click().run()

    told = words(at)
    shown = next(item.value for item in at.json)
    actor = told.split("entries; `")[1].split("`")[0]
    state = stage.rooms.ledger.state(stage.study)
    verdict = may(state, kind, json.loads(shown)["body"], actor, stage.time.text())
    rule = getattr(verdict, "rule", None)
    assert ("It would be allowed" in told) is (rule is None)
    assert rule is None or f"Rule] `{rule}`" in told
    assert stage.rooms.ledger.size(stage.study) == size


def test_too_few_cases_are_refused_before_anybody_sends_them(draw: Draw, stage: Stage) -> None:
    """With the number found and the number agreed, in an open round."""
    stage.open_round()
    at = draw("study", id=stage.study)
    asked(at, "selectbox", "Suppose that").select("update.submitted").run()
    asked(at, "number_input", "Cases").set_value(3).run()
    button(at, "Ask the rules").click().run()

    assert "Fewer cases than agreed" in words(at)
    assert "Found: 3. Agreed: 20." in words(at)
