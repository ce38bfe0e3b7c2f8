"""What hospitals may rely on: their word counts, their exit is open, their budget holds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from compliance.records.reasons import Excluded
from compliance.rules.fold import judge, replay
from compliance.rules.phases import Phase
from compliance.rules.verdict import Allowed
from tests import factories as make
from tests.simulator import HUB, Federation, refused

EAST, NORTH, SOUTH, WEST = make.NAMES


@pytest.fixture
def world() -> Federation:
    """Three hospitals that all signed."""
    return Federation()


MINUTES_10 = "2026-11-22T09:10:00Z"


def test_the_borders_of_time_are_inside(world: Federation) -> None:
    """Exactly ten minutes late, ten minutes ahead, at the deadline, at the end: allowed."""
    stop = {"reason": "safety", "on_behalf": None}
    early = world.draft("study.stopped", stop, HUB, time=MINUTES_10)
    assert isinstance(judge(world.state, early, now=make.BEGINS), Allowed)
    world.must("erasure.done", {"what": "sealed", "commitment": None}, HUB, time=MINUTES_10)
    world.must("study.stopped", stop, HUB, time=make.BEGINS)


def test_a_deadline_holds_to_its_second(world: Federation) -> None:
    """An update at the deadline counts; so does the longest deadline and one more second not."""
    world.opened(deadline=make.later(world.time, minutes=61))
    running = world.state.open_round
    assert running is not None
    body = world.training(NORTH)
    world.must("update.submitted", body, f"{NORTH}/node", time=running.deadline)
    late = make.later(running.deadline, seconds=1)
    verdict = world.say("update.submitted", world.training(EAST), f"{EAST}/node", time=late)
    assert refused(verdict) == "round.deadline"
    world.time = running.deadline
    world.must("round.aborted", {"round": 1, "reason": "deadline", "on_behalf": None}, HUB)
    limit = make.later(world.time, seconds=3661)
    assert refused(world.open(deadline=limit)) == "round.deadline"


def test_the_smallest_agreed_numbers_are_enough(world: Federation) -> None:
    """min_examples cases, min_cell positives and negatives, delta as agreed: allowed."""
    world.opened()
    assert isinstance(world.submit(NORTH, n=20, dp=make.cost(sample_rate="1")), Allowed)
    value = make.value(n=10, positives=5)
    world.must("metric.reported", make.metric(NORTH, values={"auroc": value}), f"{NORTH}/node")
    value = make.value(n=5, positives=None)
    world.must("metric.reported", make.metric(NORTH, values={"auroc": value}), f"{NORTH}/node")
    zero = {"dataset": "cxr", "epsilon": "0"}
    world.must("site.limited", zero, f"{EAST}/node")
    assert refused(world.submit(EAST)) == "dp.budget"
    free = make.cost(epsilon="0", delta="0", sigma="0", clip="0", sample_rate="0")
    assert isinstance(world.submit(EAST, dp=free), Allowed)


@pytest.mark.parametrize("change", [{"sigma": "-1"}, {"clip": "-1"}, {"sample_rate": "-0.1"}])
def test_a_cost_below_zero_is_no_statement(world: Federation, change: dict[str, str]) -> None:
    """A negative noise or clip says nothing."""
    world.opened()
    assert refused(world.submit(NORTH, dp=make.cost(**change))) == "dp.missing"
    assert refused(world.submit(NORTH, dp=make.cost(delta="-0.1"))) == "dp.delta"


def test_a_charter_begins_and_ends_on_its_own_seconds() -> None:
    """From starts to expires, both included; a paper ends at its second."""
    start = "2026-11-22T09:01:00Z"
    assert isinstance(Federation(starts=start).open(), Allowed)
    world = Federation()
    world.time = "2027-11-22T08:59:00Z"
    assert isinstance(world.open(), Allowed)
    legal: dict[str, Any] = make.charter()["legal"]
    legal["sites"][0]["dua"]["expires"] = start
    assert refused(Federation(legal=legal).open()) == "legal.expired"
    legal["sites"][0]["dua"]["expires"] = make.later(start, seconds=1)
    assert isinstance(Federation(legal=legal).open(), Allowed)


def test_an_earlier_permit_ends_a_hospitals_part() -> None:
    """Of ethics, agreement and permit the first to end counts."""
    legal: dict[str, Any] = make.charter()["legal"]
    permit = {"ref": "P 1", "sha256": make.sha("p"), "expires": make.BEGINS}
    legal["sites"][0]["permit"] = permit
    world = Federation(legal=legal)
    assert refused(world.open()) == "legal.expired"
    assert isinstance(world.open(sites=[NORTH, SOUTH]), Allowed)


def test_an_honest_study_runs_from_charter_to_release(world: Federation) -> None:
    """Two rounds, two approvals, a released model, and everybody's part counted."""
    world.play_round().play_round().approve(NORTH, EAST)
    assert isinstance(world.release(), Allowed)
    world.shut()

    state = world.state
    assert state.phase is Phase.CLOSED
    assert state.participation == {EAST: 2, NORTH: 2, SOUTH: 2}
    assert state.released == {state.model_sha256: "released"}
    assert [closed.number for closed in state.rounds_closed] == [1, 2]
    assert replay(world.entries).summary() == state.summary()


def test_one_hospital_can_stop_it_all_must_restart_it(world: Federation) -> None:
    """A stop ends the open round and is not ignored; only all active hospitals lift it."""
    world.opened().submitted(NORTH).stop(f"{SOUTH}/node")
    assert world.state.phase is Phase.STOPPED
    assert world.state.open_round is None
    stop = world.state.stopped
    everyone = tuple(f"{site}/institution" for site in world.sites)

    assert refused(world.open()) == "study.stopped"
    assert refused(world.submit(SOUTH)) == "study.stopped"
    for rule, hands in (("authority", (HUB,)), ("resume.signatures", everyone[:2])):
        told = world.say("study.resumed", {"stopped": stop}, hands[0], signers=hands)
        assert refused(told) == rule
    world.must("study.resumed", {"stopped": stop}, everyone[0], signers=everyone)

    assert world.state.stopped is None
    world.play_round()
    assert world.state.rounds_closed[0].number == 2


@pytest.mark.parametrize("who", [f"{NORTH}/node", f"{NORTH}/institution", HUB, make.RESEARCHER])
def test_anybody_with_a_key_of_the_study_can_stop_it(world: Federation, who: str) -> None:
    """The emergency brake asks nobody."""
    assert world.opened().stop(who).state.phase is Phase.STOPPED


def test_a_stop_after_the_end_stays_on_record(world: Federation) -> None:
    """A closed study stays closed, and a late stop is still written down."""
    world.shut().stop(f"{NORTH}/node")
    assert world.state.phase is Phase.CLOSED
    assert world.state.stopped == 2


def test_a_hospital_that_left_comes_back_with_its_own_key(world: Federation) -> None:
    """Leaving needs nobody; coming back needs the institution."""
    world.leave(SOUTH)
    assert world.state.active_sites() == [EAST, NORTH]

    world.must("site.joined", {"charter": world.state.version_id}, f"{SOUTH}/institution")

    assert world.state.active_sites() == [EAST, NORTH, SOUTH]


def test_an_update_of_one_who_left_is_excluded_and_the_round_goes_on(world: Federation) -> None:
    """The round closes without it, and the reason is on record."""
    body = world.opened().submitted().leave(SOUTH).closing()
    del body["used"][SOUTH]
    changes = {
        "used": body["used"],
        "weights": {EAST: "0.5", NORTH: "0.5"},
        "excluded": {SOUTH: "withdrawn"},
    }
    assert isinstance(world.close(**changes), Allowed)
    assert world.state.rounds_closed[0].excluded == {SOUTH: Excluded.WITHDRAWN}
    assert world.state.participation == {EAST: 1, NORTH: 1}


def test_the_budget_holds_to_the_last_digit(world: Federation) -> None:
    """A thousand small steps may fill the cap exactly, and not one trillionth more."""
    world.opened()
    assert isinstance(world.submit(NORTH, dp=make.cost(epsilon="2.999999999999")), Allowed)
    world.submitted(EAST)
    world.must("round.closed", world.closing(), HUB)
    world.opened()
    assert refused(world.submit(NORTH, dp=make.cost(epsilon="0.000000000002"))) == "dp.budget"
    assert isinstance(world.submit(NORTH, dp=make.cost(epsilon="0.000000000001")), Allowed)
    assert world.state.spent(NORTH, make.DATASET) == Decimal("3.000000000000")


def test_an_update_that_is_not_used_still_costs(world: Federation) -> None:
    """What left the hospital is spent, whatever the hub does with it."""
    world.opened().submitted()
    used = {site: make.sha(f"update 1 of {site}") for site in (EAST, NORTH)}
    weights = {EAST: "0.5", NORTH: "0.5"}
    body = world.closing(used=used, weights=weights, excluded={SOUTH: "norm_bound"})
    world.must("round.closed", body, HUB)
    assert world.state.spent(SOUTH, make.DATASET) == Decimal("0.5")
    assert SOUTH not in world.state.participation


def test_a_reduced_dataset_is_the_only_version_that_may_train(world: Federation) -> None:
    """After an objection the smaller version is in force, by the node's word alone."""
    version, smaller = make.sha(f"{NORTH} version 1"), make.sha("smaller")
    body = {"dataset": "cxr", "from_version": version, "to_version": smaller}
    world.must("dataset.reduced", body | {"reason": "objection"}, f"{NORTH}/node")
    world.opened()
    assert refused(world.submit(NORTH, dataset_version=version)) == "dataset.version"
    assert isinstance(world.submit(NORTH, dataset_version=smaller), Allowed)


def test_a_method_without_weights_closes_without_weights() -> None:
    """The median has no weights to tell; unequal shares would be made up."""
    world = Federation(aggregator={"name": "median", "params": {}, "masked": False})
    world.opened().submitted()
    assert isinstance(world.close(weights={}), Allowed)


def test_weights_may_miss_one_by_a_billionth(world: Federation) -> None:
    """Thirds do not add up to one exactly."""
    world.opened().submitted()
    third = dict.fromkeys(world.sites, "0.333333333333")
    assert isinstance(world.close(weights=third), Allowed)


def test_a_veto_is_lifted_by_the_hospital_that_gave_it(world: Federation) -> None:
    """A refusal takes approvals back; a later approval takes the refusal back."""
    world.play_round().approve(NORTH).play_round().approve(NORTH, EAST)
    model, first = world.state.model_sha256, world.state.rounds_closed[0].model_sha256
    body = {"model_sha256": model, "reason": "performance"}
    world.must("release.refused", body, f"{NORTH}/institution")
    assert refused(world.release()) == "release.refused"
    assert world.state.approvals[first, "weights"] == {NORTH}
    world.approve(NORTH)
    assert isinstance(world.release(), Allowed)


def test_without_veto_a_refusal_only_takes_its_own_approval() -> None:
    """Where the charter gives no veto, k approvals are enough."""
    world = Federation(release={"outputs": ["weights"], "k": 2, "veto": False})
    world.play_round().approve(NORTH, EAST)
    body = {"model_sha256": world.state.model_sha256, "reason": "other"}
    world.must("release.refused", body, f"{SOUTH}/institution")
    assert isinstance(world.release(), Allowed)


def test_a_recalled_model_stays_visible_for_ever(world: Federation) -> None:
    """A recall marks the model; nothing is taken out of the record."""
    world.play_round().approve(NORTH, EAST)
    world.release()
    model = world.state.model_sha256
    body = {"model_sha256": model, "reason": "safety", "replaced_by": None}
    unknown = body | {"replaced_by": make.sha("unknown")}
    assert refused(world.say("model.recalled", unknown, HUB)) == "release.model"
    world.must("model.recalled", body, f"{NORTH}/institution")
    assert world.state.released == {model: "recalled"}


def test_a_released_model_may_be_watched_on_the_market(world: Federation) -> None:
    """Numbers that are not told are null, all of them together."""
    world.play_round().approve(NORTH, EAST)
    world.release()
    hidden = make.value(value=None, low=None, high=None, n=None, positives=None)
    body = make.metric(
        NORTH,
        phase="post_market",
        round=None,
        model_sha256=world.state.model_sha256,
        values={"auroc": hidden},
    )
    world.must("metric.reported", body, f"{NORTH}/node")
    assert world.state.metrics[0][1] == NORTH


def test_a_storm_ends_after_an_hour(world: Federation) -> None:
    """Twenty refusals an hour, then again."""
    body = {"action": "round.opened", "who": HUB, "rule": "site.policy", "round": None}
    for _ in range(20):
        world.must("decision.denied", body | {"suppressed": 0}, f"{NORTH}/node")
    one_more = world.say("decision.denied", body | {"suppressed": 0}, f"{NORTH}/node")
    assert refused(one_more) == "denied.rate"
    world.must("decision.denied", body | {"suppressed": 0}, f"{SOUTH}/node")
    world.time = make.later(world.time, minutes=45)
    world.must("decision.denied", body | {"suppressed": 7}, f"{NORTH}/node")
    assert len(world.state.denials) == 22


def test_papers_without_an_end_do_not_expire() -> None:
    """Null says that the paper has no end."""
    legal: dict[str, Any] = make.charter()["legal"]
    legal["sites"][0]["dua"]["expires"] = None
    legal["sites"][0]["ethics"]["expires"] = None
    Federation(legal=legal).play_round()


def test_slow_signatures_are_not_backdating(world: Federation) -> None:
    """A text that many must sign may wait for twenty days; a single statement may not."""
    world.stop(HUB)
    everyone = tuple(f"{site}/institution" for site in world.sites)
    note = world.draft(
        "study.resumed", {"stopped": world.state.stopped}, everyone[0], signers=everyone
    )
    alone = world.draft("site.limited", {"dataset": "cxr", "epsilon": "1.0"}, f"{NORTH}/node")
    world.time = make.later(world.time, days=20)
    world.must("erasure.done", {"what": "sealed", "commitment": None}, HUB)
    assert refused(world.push(alone)) == "time.order"
    assert isinstance(world.push(note), Allowed)


def test_an_export_names_the_entries_and_root_of_its_log(world: Federation) -> None:
    """Everybody can recompute the root that an export claims."""
    world.play_round()
    assert isinstance(world.export(), Allowed)


def test_a_sealed_review_and_an_erasure_are_recorded(world: Federation) -> None:
    """The detail can be forgotten; that there was a review cannot."""
    body = {"from": 0, "to": 1, "result": "nothing_found", "on_behalf": None}
    world.must("erasure.done", {"what": "sealed", "commitment": None}, f"{NORTH}/node")
    world.must("review.noted", body, f"{NORTH}/institution", sealed=make.sha("salted"))
