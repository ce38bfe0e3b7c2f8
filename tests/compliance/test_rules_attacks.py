"""One line per attack: who cheats, and which rule names it. Every rule of the fold is in here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from compliance.rules.verdict import ALLOWED, Verdict
from compliance.rules.words import FOLD
from compliance.signing.keys import COSIGNATURE
from compliance.signing.note import parse, seal
from tests import factories as make
from tests import sweeps
from tests.compliance.test_rules_masking import LIES
from tests.simulator import HUB, Federation, refused

EAST, NORTH, SOUTH, WEST = make.NAMES
Attack = Callable[[Federation], Verdict]
OTHER = make.sha("something else")


def sealed(world: Federation, change: Callable[[bytes], bytes]) -> Verdict:
    """An honest stop whose text is changed before it is signed."""
    note = parse(world.draft("study.stopped", {"reason": "safety", "on_behalf": None}, HUB))
    return world.push(seal(change(note.text), world.key(HUB)))


def twice_signed(world: Federation) -> Verdict:
    """One line of a signature stands twice."""
    note = world.draft("study.stopped", {"reason": "safety", "on_behalf": None}, HUB)
    line = note[note.rindex("—".encode()) :]
    return world.push(note + line)


def unsorted(world: Federation) -> Verdict:
    """A relay turns the signature lines round, which would change the leaf."""
    world.stop(f"{NORTH}/node")
    signers = tuple(f"{site}/institution" for site in world.sites)
    body = {"stopped": world.state.stopped}
    note = parse(world.draft("study.resumed", body, signers[0], signers=signers))
    lines = b"".join(f"{line}\n".encode() for line in reversed(note.lines))
    return world.push(note.text + b"\n" + lines)


def replayed(world: Federation) -> Verdict:
    """The same note once more."""
    note = world.draft("site.limited", {"dataset": "cxr", "epsilon": "2.0"}, f"{NORTH}/node")
    world.push(note)
    return world.push(note)


def resigned(world: Federation, nonce: str = "0" * 31 + "f") -> Verdict:
    """The same nonce with other words."""
    world.must("study.stopped", {"reason": "safety", "on_behalf": None}, HUB, nonce=nonce)
    return world.say("study.stopped", {"reason": "legal", "on_behalf": None}, HUB, nonce=nonce)


def from_elsewhere(world: Federation) -> Verdict:
    """A statement made for another study, carried over."""
    other = Federation(title="Another study")
    return world.push(other.opened().draft("round.opened", other.opening(), HUB))


def stolen(world: Federation) -> Verdict:
    """Whoever stole a key goes on using it after its replacement."""
    old = world.key(f"{NORTH}/node")
    replace(world, f"{NORTH}/node", f"{NORTH}/institution", reason="stolen")
    body = {"reason": "safety", "on_behalf": None}
    return world.say("study.stopped", body, f"{NORTH}/node", keys=(old,))


def replace(world: Federation, name: str, *signers: str, **changes: Any) -> Verdict:
    """Somebody replaces a key."""
    body = {"name": name, "vkey": make.vkey(name, generation=1), "reason": "planned"} | changes
    return world.say("key.rotated", body, signers[0], signers=signers)


def amend(world: Federation, *signers: str, **changes: Any) -> Verdict:
    """The researcher and these hospitals put another charter in force."""
    body = make.charter(world.sites) | changes
    amended = {"charter": body, "previous": world.state.version_id}
    names = tuple(f"{site}/institution" for site in signers or world.sites)
    who = (make.RESEARCHER, *names)
    return world.say("charter.amended", amended, make.RESEARCHER, signers=who)


def amend_late(world: Federation) -> Verdict:
    """An amendment on a version that is no longer in force."""
    body = {"charter": make.charter(world.sites, min_examples=30), "previous": OTHER}
    who = (make.RESEARCHER, *(f"{site}/institution" for site in world.sites))
    return world.say("charter.amended", body, make.RESEARCHER, signers=who)


def storm(world: Federation) -> Verdict:
    """More refusals in an hour than anybody reads."""
    body = {"action": "round.opened", "who": HUB, "rule": "site.policy", "round": None}
    for _ in range(20):
        world.must("decision.denied", body | {"suppressed": 0}, f"{NORTH}/node")
    return world.say("decision.denied", body | {"suppressed": 0}, f"{NORTH}/node")


def resume(world: Federation, *sites: str) -> Verdict:
    """These hospitals lift the stop."""
    signers = tuple(f"{site}/institution" for site in sites)
    return world.say("study.resumed", {"stopped": world.state.stopped}, signers[0], signers=signers)


def moved_threshold(second: str) -> Verdict:
    """A hospital tells its threshold, and another one a round later."""
    names = {"primary": "auroc", "metrics": ["auroc", "threshold"], "subgroups": []}
    world = Federation(evaluation=names).opened()
    alone = {"low": None, "high": None}
    assert report(world, values={"threshold": make.value(value="0.47", **alone)}) == ALLOWED
    assert report(world, values={"threshold": make.value(value="0.470", **alone)}) == ALLOWED
    return report(world, values={"threshold": make.value(value=second, **alone)})


def report(world: Federation, **changes: Any) -> Verdict:
    """A hospital reports a measurement of the open round."""
    return world.say("metric.reported", make.metric(NORTH, **changes), f"{NORTH}/node")


def measure(world: Federation, **changes: Any) -> Verdict:
    """The hub lays down contribution inputs."""
    body = {"from_round": 1, "to_round": 1, "rule": "equal", "inputs_sha256": OTHER}
    return world.say("contribution.measured", body | changes, HUB)


def approve(world: Federation, **changes: Any) -> Verdict:
    """A hospital approves a release."""
    model = world.state.model_sha256
    body = {"model_sha256": model, "form": "weights", "checks_sha256": OTHER} | changes
    return world.say("release.approved", body, f"{NORTH}/institution")


def veto(world: Federation) -> Verdict:
    """The hub releases a model over a hospital's refusal."""
    world.play_round().approve(NORTH, EAST)
    body = {"model_sha256": world.state.model_sha256, "reason": "leak_test"}
    world.must("release.refused", body, f"{SOUTH}/institution")
    return world.release()


def review(world: Federation, first: int, last: int) -> Verdict:
    """Somebody claims to have read a range of entries."""
    body = {"from": first, "to": last, "result": "nothing_found", "on_behalf": None}
    return world.say("review.noted", body, HUB)


def reduced(world: Federation, **changes: Any) -> Verdict:
    """A hospital says that its dataset became smaller."""
    body = {
        "dataset": "cxr",
        "from_version": make.sha(f"{NORTH} version 1"),
        "to_version": OTHER,
        "reason": "objection",
    }
    return world.say("dataset.reduced", body | changes, f"{NORTH}/node")


def withdraw_data(world: Federation) -> Federation:
    """A hospital withdraws its dataset."""
    world.must("dataset.withdrawn", {"dataset": "cxr", "reason": "consent"}, f"{NORTH}/node")
    return world


def after(world: Federation, **difference: float) -> Federation:
    """So much time goes by in silence."""
    world.time = make.later(world.time, **difference)
    return world


def expired_papers() -> dict[str, Any]:
    """A legal block in which one hospital's ethics vote ends early."""
    body: dict[str, Any] = make.charter()["legal"]
    body["sites"][1]["ethics"]["expires"] = "2026-11-22T09:00:30Z"
    return body


STOP = {"reason": "safety", "on_behalf": None}
ABORT = {"round": 1, "reason": "too_few", "on_behalf": None}

ATTACKS: list[tuple[str, str, Attack]] = [
    # --- form ---
    ("note.form", "no signature block", lambda w: w.push(b"consilium/v1\n{}\n")),
    ("note.form", "not UTF-8", lambda w: w.push(b"\xff\n\n" + "— a AAAAAAAA\n".encode())),
    ("note.form", "a line twice", twice_signed),
    ("note.form", "lines turned round", unsorted),
    ("note.form", "a made-up key under a hospital's name",
     lambda w: w.say("study.stopped", STOP, f"{NORTH}/node",
                     keys=(make.key(f"{NORTH}/node", generation=9),))),
    ("note.form", "the old key after its replacement", stolen),
    ("note.form", "the hub adds its signature to a hospital's statement",
     lambda w: w.opened().say("update.submitted", w.training(NORTH), f"{NORTH}/node",
                              signers=(f"{NORTH}/node", HUB))),
    ("note.form", "a witness key signs a statement",
     lambda w: w.say("study.stopped", STOP, HUB, keys=(make.key(make.ORIGIN),))),
    ("note.form", "the hub signs a resume beside the hospitals",
     lambda w: w.stop(HUB).say("study.resumed", {"stopped": 1}, f"{EAST}/institution",
                               keys=(w.key(f"{EAST}/institution"), make.key(make.ORIGIN)))),
    ("note.size", "more than 65,535 bytes", lambda w: w.push(b"x" * 65_536)),
    ("note.size", "65 signatures", lambda w: w.push(b"x\n\n" + "— a AAAAAAAA\n".encode() * 65)),
    ("event.form", "another domain", lambda w: sealed(w, lambda t: t.replace(b"/v1", b"/v2", 1))),
    ("event.form", "a space more", lambda w: sealed(w, lambda t: t.replace(b'{"a', b'{ "a', 1))),
    ("event.form", "true for 1", lambda w: sealed(w, lambda t: t.replace(b'"v":1', b'"v":true'))),
    ("event.form", "1.0 for 1", lambda w: sealed(w, lambda t: t.replace(b'"v":1', b'"v":1.0'))),
    ("event.form", "version 2", lambda w: sealed(w, lambda t: t.replace(b'"v":1', b'"v":2'))),
    ("event.form", "a key twice",
     lambda w: sealed(w, lambda t: t.replace(b'"v":1', b'"v":1,"v":1'))),
    ("event.form", "an unknown envelope key",
     lambda w: sealed(w, lambda t: t.replace(b'"v":1', b'"v":1,"w":1'))),
    ("event.form", "an unknown reason",
     lambda w: sealed(w, lambda t: t.replace(b'"safety"', b'"whim"'))),
    ("event.form", "nested deeper than eight",
     lambda w: sealed(w, lambda t: t.replace(b'"safety"', b"[" * 8 + b"]" * 8))),
    ("event.form", "a nonce too short",
     lambda w: sealed(w, lambda t: t.replace(b'"nonce":"0', b'"nonce":"'))),
    ("event.form", "a denial in words not on the list",
     lambda w: w.say("decision.denied", {"action": "round.opened", "who": None, "round": None,
                                         "rule": "patient.smith", "suppressed": 0}, HUB)),
    ("event.form", "a denial of an act that does not exist",
     lambda w: w.say("decision.denied", {"action": "patient.smith", "who": None, "round": None,
                                         "rule": "site.policy", "suppressed": 0}, HUB)),
    ("event.type", "a kind of the other log",
     lambda w: w.say("study.refused", {"charter": OTHER, "reason": "data"}, HUB)),
    ("event.type", "an invented kind",
     lambda w: sealed(w, lambda t: t.replace(b"study.stopped", b"study.sold"))),
    ("event.type", "a second charter", lambda w: w.push(w.entries[0])),
    ("event.log", "a statement from another study", from_elsewhere),
    ("event.signer", "the hub speaks for a hospital",
     lambda w: w.opened().say("update.submitted", w.training(NORTH), f"{NORTH}/node",
                              keys=(w.key(HUB),))),
    ("event.signer", "one hospital speaks for another",
     lambda w: w.say("site.withdrawn", {"reason": "policy"}, f"{NORTH}/node",
                     keys=(w.key(f"{SOUTH}/node"),))),
    ("event.replay", "the same note again", replayed),
    ("event.replay", "the same nonce with other words", resigned),
    ("authority", "a hospital opens a round",
     lambda w: w.say("round.opened", w.opening(), f"{NORTH}/node")),
    ("authority", "the hub withdraws a hospital",
     lambda w: w.say("site.withdrawn", {"reason": "policy"}, HUB)),
    ("authority", "a node approves a release",
     lambda w: w.play_round().say("release.approved",
                                  {"model_sha256": w.state.model_sha256, "form": "weights",
                                   "checks_sha256": OTHER}, f"{NORTH}/node")),
    ("authority", "the hub resumes alone", lambda w: w.stop(f"{NORTH}/node").say(
        "study.resumed", {"stopped": 1}, HUB)),
    # --- time ---
    ("time.form", "no such day",
     lambda w: sealed(w, lambda t: t.replace(b'"time":"2026-11-22', b'"time":"2026-11-31'))),
    ("time.form", "not UTC", lambda w: sealed(w, lambda t: t.replace(b'Z","type"', b'+","type"'))),
    ("time.form", "a year in which arithmetic ends",
     lambda w: sealed(w, lambda t: t.replace(b'"time":"2026', b'"time":"9999'))),
    ("time.order", "backdated by more than ten minutes",
     lambda w: after(w, hours=1).stop(HUB).say("study.stopped", STOP, HUB, time=make.BEGINS)),
    ("time.order", "several signers, more than thirty days",
     lambda w: resume(after(after(w, days=31).stop(HUB), days=-31), *w.sites)),
    ("time.clock", "from the future",
     lambda w: w.push(w.draft("study.stopped", STOP, HUB, time="2026-11-22T09:30:01Z"),
                      now="2026-11-22T09:20:00Z")),
    # --- amendment ---
    ("amend.previous", "an amendment of an old version", amend_late),
    ("amend.previous", "joining an old version",
     lambda w: w.say("site.joined", {"charter": OTHER}, f"{NORTH}/institution")),
    ("amend.fixed", "another start model", lambda w: amend(w, initial_model_sha256=OTHER)),
    (
        "amend.fixed",
        "another origin of it",
        lambda w: amend(w, start_model={"source": "file", "sha256": OTHER}),
    ),
    ("amend.fixed", "another log key", lambda w: amend(
        w, log_key=make.vkey(make.ORIGIN, generation=1))),
    ("amend.cap", "a cap raised over a hospital's head", lambda w: amend(
        w, EAST, NORTH,
        dp={"unit": "patient", "epsilon": "4.0", "delta": "0.00001", "accountant": "prv"},
        datasets=[make.dataset_row(site, epsilon="4.0") for site in w.sites])),
    ("amend.cap", "privacy dropped over a hospital's head", lambda w: amend(
        w, EAST, NORTH, dp=None,
        datasets=[make.dataset_row(site, epsilon=None) for site in w.sites])),
    ("charter.keys", "an amendment with another key for a hospital", lambda w: amend(
        w, sites=[make.site_keys(EAST) | {"node": make.vkey(f"{EAST}/node", generation=3)},
                  *(make.site_keys(site) for site in (NORTH, SOUTH))])),
    ("charter.signatures", "an amendment by one hospital", lambda w: amend(w, NORTH)),
    ("charter.terms", "an amendment to a million rounds", lambda w: amend(w, max_rounds=10**6)),
    ("charter.form", "an amendment without a title", lambda w: sealed_amendment(w)),
    ("round.sequence", "an amendment while a round is open", lambda w: amend(w.opened())),
    # --- study ---
    ("charter.early", "a round before the start",
     lambda w: Federation(starts="2026-11-23T00:00:00Z").open()),
    ("charter.expired", "a round after the end",
     lambda w: after(w, days=366).open()),
    ("charter.expired", "an update after the end", lambda w: after(
        Federation(expires="2026-11-22T09:30:00Z").opened(), minutes=40).submit(NORTH)),
    ("legal.expired", "a hospital whose ethics vote has ended",
     lambda w: Federation(legal=expired_papers()).open()),
    ("study.stopped", "a round although it is stopped", lambda w: w.stop(f"{NORTH}/node").open()),
    ("study.stopped", "an update although it is stopped",
     lambda w: w.opened().stop(f"{NORTH}/node").submit(SOUTH)),
    ("study.stopped", "a close although it is stopped",
     lambda w: closing_after_stop(w)),
    ("study.closed", "a round although it is closed", lambda w: w.shut().open()),
    ("study.closed", "an amendment although it is closed", lambda w: amend(w.shut())),
    ("study.closed", "a join although it is closed", lambda w: w.shut().say(
        "site.joined", {"charter": w.state.version_id}, f"{NORTH}/institution")),
    ("study.closed", "a second close", lambda w: w.shut().say(
        "study.closed", {"reason": "completed", "on_behalf": None}, HUB)),
    ("study.closed", "a resume although it is closed",
     lambda w: resume(w.stop(HUB).shut(), *w.sites)),
    ("study.closed", "a limit although it is closed", lambda w: w.shut().say(
        "site.limited", {"dataset": "cxr", "epsilon": "1.0"}, f"{NORTH}/node")),
    ("resume.signatures", "one hospital is not asked",
     lambda w: resume(w.stop(f"{SOUTH}/node"), EAST, NORTH)),
    ("resume.signatures", "another stop is lifted", lambda w: w.stop(HUB).stop(HUB).say(
        "study.resumed", {"stopped": 1}, f"{EAST}/institution",
        signers=tuple(f"{site}/institution" for site in w.sites))),
    ("resume.signatures", "nothing is stopped", lambda w: w.say(
        "study.resumed", {"stopped": 1}, f"{EAST}/institution")),
    # --- round opened ---
    ("round.sequence", "a number is left out", lambda w: w.open(round=2)),
    ("round.sequence", "a second round at once", lambda w: w.opened().open()),
    ("round.sequence", "a number is used again", lambda w: aborted(w).open(round=1)),
    ("round.sequence", "an update for no round", lambda w: w.submit(NORTH)),
    ("round.sequence", "an update for another round", lambda w: w.opened().submit(NORTH, round=2)),
    ("round.sequence", "abort of another round",
     lambda w: w.opened().say("round.aborted", ABORT | {"round": 2}, HUB)),
    ("round.sequence", "the study is closed while a round is open", lambda w: w.opened().say(
        "study.closed", {"reason": "completed", "on_behalf": None}, HUB)),
    ("round.max", "one round too many", lambda w: Federation(max_rounds=1).play_round().open()),
    ("round.sites", "a hospital that never signed",
     lambda w: Federation(signed=(EAST, NORTH)).open(sites=list(w.sites))),
    ("round.sites", "a hospital that left", lambda w: w.leave(SOUTH).open(sites=list(w.sites))),
    ("round.sites", "not sorted", lambda w: w.open(sites=[NORTH, EAST])),
    ("round.sites", "a hospital twice", lambda w: w.open(sites=[EAST, EAST, NORTH])),
    ("round.sites", "a stranger", lambda w: w.open(sites=[EAST, NORTH, WEST])),
    ("round.sites", "an update of one who was not asked",
     lambda w: w.opened(sites=[EAST, NORTH]).submit(SOUTH)),
    ("round.sites", "the update of one who left is used", lambda w: used_after_leaving(w)),
    ("round.min_sites", "too few are asked", lambda w: w.open(sites=[NORTH])),
    ("round.min_sites", "too few are used",
     lambda w: w.opened().submitted(NORTH).close()),
    ("round.model", "another model", lambda w: w.open(model_sha256=OTHER)),
    ("round.model", "the start model again",
     lambda w: w.play_round().open(model_sha256=make.sha("model 0"))),
    ("round.bundle", "another program", lambda w: w.open(bundle_sha256=OTHER)),
    ("round.deadline", "more time than agreed",
     lambda w: w.open(deadline=make.later(w.time, hours=2))),
    ("round.deadline", "a deadline in the past", lambda w: w.open(deadline=w.time)),
    ("round.deadline", "an update after the deadline",
     lambda w: after(w.opened(), hours=1).submit(NORTH)),
    # --- round closed ---
    ("round.omission", "a hospital is dropped in silence",
     lambda w: w.opened().submitted(EAST, NORTH).close(missing={})),
    ("round.omission", "used and excluded at once",
     lambda w: w.opened().submitted().close(excluded={NORTH: "outlier"})),
    ("round.omission", "called missing although it submitted", lambda w: silenced(w)),
    ("round.omission", "a stranger takes part",
     lambda w: w.opened().submitted().close(missing={WEST: "late"})),
    ("round.inputs", "another update is used", lambda w: swapped(w)),
    ("round.inputs", "an update that was never submitted",
     lambda w: w.opened().submitted(EAST, NORTH).close(
         missing={}, used={site: make.sha(f"update 1 of {site}") for site in w.sites})),
    ("round.weights", "weights add up to more",
     lambda w: w.opened().submitted().close(weights=dict.fromkeys(w.sites, "0.5"))),
    ("round.weights", "a weight for nobody",
     lambda w: w.opened().submitted().close(weights={EAST: "0.5", NORTH: "0.5"})),
    ("round.weights", "a negative weight", lambda w: w.opened().submitted().close(
        weights={EAST: "1.0", NORTH: "1.0", SOUTH: "-1.0"})),
    ("round.weights", "no weights where the method has them",
     lambda w: w.opened().submitted().close(weights={})),
    ("round.weights", "wrong weights where none were needed", lambda w: Federation(
        aggregator={"name": "median", "params": {}, "masked": False}).opened().submitted().close(
        weights=dict.fromkeys(w.sites, "0.5"))),
    ("round.aggregator", "another method",
     lambda w: w.opened().submitted().close(aggregator="median")),
    ("round.sequence", "the close of another round",
     lambda w: w.opened().submitted().close(round=2)),
    # --- update ---
    ("update.twice", "a second update", lambda w: w.opened().submitted(NORTH).submit(NORTH)),
    ("update.base", "trained on another model",
     lambda w: w.opened().submit(NORTH, base_model_sha256=OTHER)),
    ("update.masked", "masked without agreement",
     lambda w: w.opened().submit(NORTH, masked=True, encoding="masked-u32")),
    ("update.masked", "an encoding that is not offered",
     lambda w: w.opened().submit(NORTH, encoding="packed-f16")),
    ("update.min_examples", "too few patients", lambda w: w.opened().submit(NORTH, n=19)),
    ("dataset.unknown", "data that the charter does not name",
     lambda w: w.opened().submit(NORTH, dataset="ct")),
    ("dataset.unknown", "a limit on unknown data", lambda w: w.say(
        "site.limited", {"dataset": "ct", "epsilon": "1.0"}, f"{NORTH}/node")),
    ("dataset.version", "another version of the data",
     lambda w: w.opened().submit(NORTH, dataset_version=OTHER)),
    ("dataset.version", "a reduction from another version",
     lambda w: reduced(w, from_version=make.sha("?"))),
    ("dataset.version", "a reduction to the same version",
     lambda w: reduced(w, to_version=make.sha(f"{NORTH} version 1"))),
    ("dataset.version", "a metric on another version",
     lambda w: report(w.opened(), dataset_version=OTHER)),
    ("dataset.unknown", "unknown data are withdrawn", lambda w: w.say(
        "dataset.withdrawn", {"dataset": "ct", "reason": "consent"}, f"{NORTH}/institution")),
    ("dataset.unknown", "unknown data become smaller", lambda w: reduced(w, dataset="ct")),
    ("dataset.withdrawn", "withdrawn data", lambda w: withdraw_data(w).opened().submit(NORTH)),
    ("dataset.withdrawn", "withdrawn data at the close",
     lambda w: withdraw_data(w.opened().submitted()).close()),
    ("dp.missing", "no statement of the privacy cost",
     lambda w: w.opened().submit(NORTH, dp=None)),
    ("dp.missing", "a cost that was not agreed",
     lambda w: without_privacy().opened().submit(NORTH, dp=make.cost())),
    ("dp.missing", "a cost that makes no sense",
     lambda w: w.opened().submit(NORTH, dp=make.cost(sample_rate="1.5"))),
    ("dp.budget", "more than the cap, by a trillionth",
     lambda w: w.opened().submit(NORTH, dp=make.cost(epsilon="3.000000000001"))),
    ("dp.budget", "a negative cost",
     lambda w: w.opened().submit(NORTH, dp=make.cost(epsilon="-0.5"))),
    ("dp.budget", "more than the hospital's own lower limit",
     lambda w: limited(w, "0.4").opened().submit(NORTH)),
    ("dp.delta", "a delta above the agreed one",
     lambda w: w.opened().submit(NORTH, dp=make.cost(delta="0.0001"))),
    # --- sites ---
    ("site.unsigned", "a hospital that never signed submits",
     lambda w: Federation(signed=(EAST, NORTH)).opened().submit(SOUTH)),
    ("site.withdrawn", "a hospital that left submits",
     lambda w: w.opened().leave(SOUTH).submit(SOUTH)),
    ("site.withdrawn", "leaving twice", lambda w: w.leave(SOUTH).say(
        "site.withdrawn", {"reason": "policy"}, f"{SOUTH}/node")),
    ("site.limit", "a hospital raises its own limit", lambda w: limited(w, "1.0").say(
        "site.limited", {"dataset": "cxr", "epsilon": "2.0"}, f"{NORTH}/node")),
    ("site.limit", "a limit where no privacy cost was agreed", lambda w: without_privacy().say(
        "site.limited", {"dataset": "cxr", "epsilon": "1.0"}, f"{NORTH}/node")),
    ("site.limit", "a negative limit", lambda w: w.say(
        "site.limited", {"dataset": "cxr", "epsilon": "-1.0"}, f"{NORTH}/node")),
    # --- metrics ---
    ("metric.name", "a name not agreed",
     lambda w: report(w.opened(), values={"auroc.name.smith": make.value()})),
    ("metric.floor", "a count below the floor",
     lambda w: report(w.opened(), values={"auroc": make.value(n=4, positives=None)})),
    ("metric.floor", "few positives",
     lambda w: report(w.opened(), values={"auroc": make.value(positives=4)})),
    ("metric.floor", "few negatives",
     lambda w: report(w.opened(), values={"auroc": make.value(positives=196)})),
    ("metric.floor", "a value whose count is hidden",
     lambda w: report(w.opened(), values={"auroc": make.value(n=None, positives=None)})),
    ("metric.frozen", "a threshold that moves with the results", lambda w: moved_threshold("0.4")),
    ("metric.phase", "training outside a round", lambda w: report(w.opened(), round=None)),
    ("metric.phase", "a round that never was", lambda w: report(w.opened(), round=2)),
    ("metric.phase", "on the market before the release",
     lambda w: report(w.play_round(), phase="post_market", model_sha256=w.state.model_sha256)),
    # --- release ---
    ("release.model", "a model of no round",
     lambda w: approve(w.play_round(), model_sha256=OTHER)),
    ("release.model", "a refusal of an unknown model", lambda w: w.play_round().say(
        "release.refused", {"model_sha256": OTHER, "reason": "other"}, f"{NORTH}/institution")),
    ("release.model", "an unknown model leaves",
     lambda w: w.play_round().approve(NORTH, EAST).release(model_sha256=OTHER)),
    ("release.model", "the start model", lambda w: approve(w)),
    ("release.model", "a metric of an unknown model",
     lambda w: report(w.opened(), model_sha256=OTHER)),
    ("release.model", "a recall of what was never released", lambda w: w.play_round().say(
        "model.recalled", {"model_sha256": w.state.model_sha256, "reason": "safety",
                           "replaced_by": None}, HUB)),
    ("release.output", "another form", lambda w: approve(w.play_round(), form="onnx")),
    ("release.output", "released in another form",
     lambda w: w.play_round().approve(NORTH, EAST).release(form="onnx")),
    ("release.approvals", "too few approvals",
     lambda w: w.play_round().approve(NORTH).release()),
    ("release.approvals", "an approval of one who left",
     lambda w: w.play_round().approve(NORTH, EAST).leave(EAST).release()),
    ("release.refused", "over a veto", veto),
    # --- keys ---
    ("key.name", "a key with another name", lambda w: replace(
        w, f"{NORTH}/node", f"{NORTH}/institution", vkey=make.vkey(f"{SOUTH}/node", generation=1))),
    ("key.name", "a key of another type", lambda w: replace(
        w, f"{NORTH}/node", f"{NORTH}/institution",
        vkey=make.vkey(f"{NORTH}/node", COSIGNATURE, 1))),
    ("key.name", "a key that is not there", lambda w: replace(
        w, f"{WEST}/node", f"{NORTH}/institution")),
    ("key.reuse", "a key that was used before", lambda w: replace(
        w, f"{NORTH}/node", f"{NORTH}/institution", vkey=make.vkey(f"{NORTH}/node"))),
    ("key.authority", "the hub replaces a hospital's key",
     lambda w: replace(w, f"{NORTH}/node", HUB, reason="stolen")),
    ("key.authority", "a hospital replaces another's node key",
     lambda w: replace(w, f"{NORTH}/node", f"{SOUTH}/institution", reason="lost")),
    ("key.authority", "a stolen node key replaces itself",
     lambda w: replace(w, f"{NORTH}/node", f"{NORTH}/node", reason="stolen")),
    ("key.authority", "the hub vouches for a lost researcher",
     lambda w: replace(w, make.RESEARCHER, HUB, reason="lost")),
    ("key.authority", "a lost hospital vouches for itself", lambda w: replace(
        w, f"{NORTH}/institution", f"{EAST}/institution", f"{NORTH}/institution",
        reason="lost")),
    ("key.authority", "hospitals and the hub share a takeover", lambda w: replace(
        w, make.ORIGIN, f"{EAST}/institution", f"{NORTH}/institution", HUB,
        reason="takeover")),
    ("key.authority", "one signature where a takeover of a node was asked", lambda w: replace(
        w, f"{NORTH}/node", f"{NORTH}/institution", reason="takeover")),
    ("key.authority", "two sign what one hospital decides", lambda w: replace(
        w, f"{NORTH}/node", f"{NORTH}/institution", f"{EAST}/institution")),
    ("key.authority", "the hub takes its log key as stolen",
     lambda w: replace(w, make.ORIGIN, HUB, reason="stolen")),
    ("key.authority", "a stolen institution key replaces itself", lambda w: replace(
        w, f"{NORTH}/institution", f"{NORTH}/institution", reason="stolen")),
    ("key.authority", "one hospital of two takes over the hub",
     lambda w: replace(w, HUB, f"{NORTH}/institution", reason="takeover")),
    ("key.authority", "hospitals take over another hospital",
     lambda w: replace(w, f"{NORTH}/institution", f"{EAST}/institution",
                       f"{SOUTH}/institution", reason="takeover")),
    ("key.authority", "the hub plans a hospital's key",
     lambda w: replace(w, f"{NORTH}/institution", HUB)),
    ("key.authority", "a node plans another node's key",
     lambda w: replace(w, f"{NORTH}/node", f"{SOUTH}/node")),
    ("key.authority", "the researcher plans the log key",
     lambda w: replace(w, make.ORIGIN, make.RESEARCHER)),
    ("key.authority", "peers plan a hospital's key", lambda w: replace(
        w, f"{NORTH}/institution", f"{EAST}/institution", f"{SOUTH}/institution")),
    ("key.authority", "peers replace a node key", lambda w: replace(
        w, f"{NORTH}/node", f"{EAST}/institution", f"{SOUTH}/institution", reason="lost")),
    ("key.authority", "fewer peers than one less than signed", lambda w: replace(
        Federation(sites=make.NAMES, signatures_required=4), f"{NORTH}/institution",
        f"{EAST}/institution", f"{SOUTH}/institution", reason="lost")),
    ("key.authority", "half of the peers", lambda w: replace(
        Federation(sites=make.NAMES), HUB, f"{EAST}/institution", f"{SOUTH}/institution",
        reason="takeover")),
    # --- the rest ---
    ("export.range", "more entries than there are",
     lambda w: w.export(size=9)),
    ("export.range", "another root", lambda w: w.stop(HUB).export(size=1)),
    ("review.range", "entries that are not there", lambda w: review(w, 0, 7)),
    ("review.range", "backwards", lambda w: review(w.stop(HUB), 1, 1)),
    ("contribution.range", "a round that is not closed", lambda w: measure(w.opened())),
    ("contribution.range", "rounds backwards",
     lambda w: measure(w.play_round().play_round(), from_round=2, to_round=1)),
    ("contribution.range", "another rule", lambda w: measure(w.play_round(), rule="cases")),
    ("coalition.sweep", "a study without a sweep",
     lambda w: w.play_round().say("coalition.measured", make.coalitions(), f"{NORTH}/node")),
    ("coalition.counts", "more correct cases than cases", lambda w: counted(correct=51)),
    ("coalition.models", "another stack than the others measured",
     lambda w: counted(NORTH, models_sha256=OTHER)),
    ("contribution.inputs", "an account of what nobody measured",
     lambda w: measure(swept(), rule="shapley_exact")),
    ("denied.rate", "a storm of refusals", storm),
]  # fmt: skip


def swept() -> Federation:
    """A study whose sweep is due."""
    return Federation(contribution=sweeps.rule(), max_rounds=1).play_round()


def counted(site: str = EAST, correct: int = 30, **changes: Any) -> Verdict:
    """A hospital measures the coalitions of a seed after the first one did."""
    world = swept()
    if site != EAST:
        world.must("coalition.measured", sweeps.said(world, EAST), f"{EAST}/node")
    body = sweeps.said(world, site, worth=lambda *_: correct, **changes)
    return world.say("coalition.measured", body, f"{site}/node")


def sealed_amendment(world: Federation) -> Verdict:
    """An amendment whose charter lacks a title."""
    body = {"charter": make.charter(world.sites), "previous": world.state.version_id}
    note = parse(world.draft("charter.amended", body, make.RESEARCHER))
    text = note.text.replace(b'"title":"Pneumonia', b'"titel":"Pneumonia')
    assert text != note.text
    return world.push(seal(text, world.key(make.RESEARCHER)))


def closing_after_stop(world: Federation) -> Verdict:
    """The hub closes a round that ended with a stop."""
    body = world.opened().submitted().closing()
    return world.stop(f"{NORTH}/node").say("round.closed", body, HUB)


def aborted(world: Federation) -> Federation:
    """A round that ended without a model."""
    world.opened().must("round.aborted", ABORT, HUB)
    return world


def used_after_leaving(world: Federation) -> Verdict:
    """The hub uses the update of a hospital that left during the round."""
    return world.opened().submitted().leave(SOUTH).close()


def silenced(world: Federation) -> Verdict:
    """The hub calls a hospital missing whose update is in the log."""
    body = world.opened().submitted().closing()
    used = {site: value for site, value in body["used"].items() if site != NORTH}
    return world.close(used=used, missing={NORTH: "no_answer"})


def swapped(world: Federation) -> Verdict:
    """The hub swaps the updates of two hospitals."""
    used = dict(world.opened().submitted().closing()["used"])
    used[EAST], used[NORTH] = used[NORTH], used[EAST]
    return world.close(used=used)


def without_privacy() -> Federation:
    """A study without a privacy cap."""
    rows = [make.dataset_row(site, epsilon=None) for site in make.NAMES[:3]]
    return Federation(dp=None, datasets=rows)


def limited(world: Federation, epsilon: str) -> Federation:
    """A hospital lowers its own limit."""
    body = {"dataset": "cxr", "epsilon": epsilon}
    world.must("site.limited", body, f"{NORTH}/node")
    return world


@pytest.mark.parametrize(
    ("rule", "attack"),
    [pytest.param(rule, attack, id=f"{rule}: {words}") for rule, words, attack in ATTACKS],
)
def test_the_attack_is_refused_and_named(rule: str, attack: Attack) -> None:
    """Whoever cheats is told by which rule, and the log stays as it was."""
    assert refused(attack(Federation())) == rule


OF_THE_TEXT = {
    "charter.form", "charter.keys", "charter.signatures", "charter.duo", "charter.quorum",
    "charter.terms", "charter.legal",
}  # fmt: skip
"""Rules of entry 0; their attacks stand in test_rules_charter."""


def test_every_rule_of_the_fold_is_reached_by_an_attack() -> None:
    """A rule without an attack would be a rule nobody has seen refuse."""
    of_masks = {rule for _, rule in LIES.values()}
    reached = {rule for rule, _, _ in ATTACKS} | OF_THE_TEXT | of_masks
    assert reached == set(FOLD)
