"""Masks in the log: whose key counts, which lists may stand, and every lie about them."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from compliance.errors import Malformed
from compliance.records.masking import Commitments, Shares, UnmaskOrder, read_any_order, read_paper
from compliance.rules.masking import (
    FIELD,
    WEAK,
    Own,
    may_answer,
    threshold,
)
from compliance.rules.shamir import PRIME, combine, split
from compliance.rules.verdict import Allowed, Denied, Verdict
from tests import factories as make
from tests.simulator import HUB, Federation, refused

EAST, NORTH, SOUTH, WEST = make.NAMES
MASKED = {"name": "fedavg", "params": {"n_ref": "1000"}, "masked": True}
LEAF = make.sha("the lists")
Attack = Callable[[Federation], Verdict]


def liars_needed(sites: int) -> int:
    """How many hospitals must lie with the hub to get two lists of one round answered: 2t - n."""
    return 2 * threshold(sites) - sites


def key(name: str) -> str:
    """A mask key that follows from a name."""
    private = X25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
    return base64.b64encode(private.public_key().public_bytes_raw()).decode()


def world(*, sites: tuple[str, ...] = make.NAMES, **terms: Any) -> Federation:
    """A masked study in which everybody has a key."""
    found = Federation(sites=sites, **{"aggregator": MASKED, "min_sites": 3, **terms})
    for site in sites:
        found.must("mask.key", {"public": key(site)}, f"{site}/node")
    return found


def sent(*silent: str) -> Federation:
    """A round in which everybody but these has sent a masked update."""
    found = world().opened()
    for site in make.NAMES:
        if site not in silent:
            body = found.training(site, encoding="masked-u32", masked=True)
            found.must("update.submitted", body, f"{site}/node")
    return found


def lists(found: Federation, *gone: str, **changes: Any) -> dict[str, Any]:
    """What an honest hub would say at the close of the uploads."""
    submitted = found.state.running.submitted
    alive = {site: body.update_sha256 for site, body in submitted.items() if site not in gone}
    rest = sorted(set(found.state.running.sites) - alive.keys())
    return {"round": 1, "alive": alive, "gone": rest} | changes


def unmasked(found: Federation, *gone: str, **changes: Any) -> Verdict:
    """The hub says its lists."""
    return found.say("round.unmasking", lists(found, *gone, **changes), HUB)


def test_a_masked_round_runs_with_one_hospital_gone() -> None:
    """Keys, updates, lists, a model of exactly those who were in the sum."""
    found = sent(WEST)

    assert isinstance(unmasked(found), Allowed)
    assert isinstance(found.close(), Allowed)

    assert sorted(found.state.rounds_closed[0].used) == [EAST, NORTH, SOUTH]
    assert found.state.mask_keys[WEST] == key(WEST)


def both(found: Federation) -> Verdict:
    """A victim stands in both lists: its update could be uncovered alone."""
    told = lists(found)
    return found.say("round.unmasking", told | {"gone": [NORTH]}, HUB)


def neither(found: Federation) -> Verdict:
    """A victim stands in none."""
    told = lists(found, NORTH)
    return found.say("round.unmasking", told | {"gone": []}, HUB)


def cohort(size: int) -> Attack:
    """So few are said to be alive that the sum is nearly one update."""
    return lambda found: unmasked(found, *make.NAMES[size:])


def twice(found: Federation) -> Verdict:
    """Other lists after the first ones."""
    unmasked(found)
    return unmasked(found, WEST)


def again_on_the_same_model(found: Federation) -> Verdict:
    """The round is aborted after its lists, and the next one begins with the same model."""
    unmasked(found)
    found.must("round.aborted", {"round": 1, "reason": "operator", "on_behalf": None}, HUB)
    return found.open()


def replaced(found: Federation) -> Verdict:
    """A hospital's update hash is another one."""
    told = lists(found)
    told["alive"][NORTH] = make.sha("another")
    return found.say("round.unmasking", told, HUB)


def stranger(found: Federation) -> Verdict:
    """A name that is not in the round."""
    told = lists(found, WEST)
    return found.say("round.unmasking", told | {"gone": ["nobody.example"]}, HUB)


def alive_in_vain(found: Federation) -> Verdict:
    """A hospital that left in the middle of the round is said to be alive."""
    found.leave(WEST)
    return unmasked(found)


def late(found: Federation) -> Verdict:
    """An update after the lists, while one sum is known already."""
    unmasked(found, WEST)
    body = found.training(WEST, encoding="masked-u32", masked=True)
    return found.say("update.submitted", body, f"{WEST}/node")


def other_model(found: Federation) -> Verdict:
    """The model is said to be made of fewer than were unmasked."""
    unmasked(found)
    told = found.closing()
    rest = {site: sha for site, sha in told["used"].items() if site != WEST}
    weights = {EAST: "0.4", NORTH: "0.3", SOUTH: "0.3"}
    return found.close(used=rest, weights=weights, excluded={WEST: "outlier"})


def rekeyed(found: Federation) -> Verdict:
    """A key that is changed while a round is open."""
    return found.say("mask.key", {"public": key("later")}, f"{NORTH}/node")


LIES: dict[str, tuple[Attack, str]] = {
    "the victim in both lists": (both, "mask.lists"),
    "the victim in none": (neither, "mask.lists"),
    "a cohort of one": (cohort(1), "mask.threshold"),
    "a cohort of two": (cohort(2), "mask.threshold"),
    "a second list": (twice, "mask.once"),
    "a second list for the same model": (again_on_the_same_model, "mask.once"),
    "another hash": (replaced, "mask.lists"),
    "a stranger": (stranger, "mask.lists"),
    "one that left": (alive_in_vain, "mask.lists"),
    "an update after the lists": (late, "mask.lists"),
    "a model without an unmasking": (lambda found: found.close(), "mask.lists"),
    "a model of others": (other_model, "mask.lists"),
    "a new key in the middle": (rekeyed, "mask.key"),
    "lists of another round": (lambda found: unmasked(found, round=2), "round.sequence"),
}


@pytest.mark.parametrize(("lie", "rule"), LIES.values(), ids=LIES)
def test_no_lie_about_the_lists_stands_in_the_log(lie: Attack, rule: str) -> None:
    """The fold of every hospital, witness and auditor says no, so no share is opened for it."""
    assert refused(lie(sent())) == rule


def test_whoever_leaves_after_the_lists_stays_in_this_one_sum() -> None:
    """Nobody can be taken out of it any more; the next round is without it."""
    found = sent()
    unmasked(found)
    found.leave(WEST)

    assert isinstance(found.close(), Allowed)
    assert isinstance(found.open(), Allowed)
    assert found.state.running.sites == [EAST, NORTH, SOUTH]


@pytest.mark.parametrize("number", [*sorted(WEAK), FIELD, FIELD + 1, (1 << 255) + 9])
def test_a_key_that_makes_every_secret_zero_is_none(number: int) -> None:
    """Points of small order (RFC 7748 §6.1) and second forms of a number are refused."""
    public = number.to_bytes(32, "little")
    if number % FIELD in WEAK:
        with pytest.raises(ValueError, match="shared"):
            X25519PrivateKey.from_private_bytes(bytes(range(32))).exchange(
                X25519PublicKey.from_public_bytes(public)
            )
    found = Federation(sites=make.NAMES, aggregator=MASKED, min_sites=3)
    body = {"public": base64.b64encode(public).decode()}
    assert refused(found.say("mask.key", body, f"{NORTH}/node")) == "mask.key"


def test_nobody_publishes_a_key_that_was_there_before() -> None:
    """A hospital that copies another's key would learn that one's seeds when it is gone."""
    found = world()
    assert refused(found.say("mask.key", {"public": key(EAST)}, f"{WEST}/node")) == "mask.key"
    assert isinstance(found.say("mask.key", {"public": key("new")}, f"{WEST}/node"), Allowed)
    assert refused(found.say("mask.key", {"public": key(WEST)}, f"{WEST}/node")) == "mask.key"


def test_a_round_needs_a_key_of_everybody_in_it_and_three_hospitals() -> None:
    """A key comes from the node of a masked study, and counts from the next round on."""
    found = Federation(sites=make.NAMES, aggregator=MASKED, min_sites=3)
    for site in (EAST, NORTH, SOUTH):
        found.must("mask.key", {"public": key(site)}, f"{site}/node")
    assert refused(found.open()) == "mask.key"
    assert isinstance(found.open(sites=[EAST, NORTH, SOUTH]), Allowed)
    plain = Federation()
    assert refused(plain.say("mask.key", {"public": key(EAST)}, f"{EAST}/node")) == "mask.key"
    assert refused(found.say("mask.key", {"public": key(WEST)}, HUB)) == "authority"


def order(found: Federation, **changes: Any) -> UnmaskOrder:
    """The order to unmask, as an honest hub sends it."""
    running = found.state.running
    told = {
        "v": 1, "kind": "unmask", "log": found.state.charter_id, "round": 1, "leaf": LEAF,
        "entry": running.unmasking.index if running.unmasking else running.index,
        "layout_sha256": make.sha("layout"), "model_sha256": running.model_sha256,
        "deadline": running.deadline,
        "shares": {site: "AAAA" for site in (running.unmasking.alive if running.unmasking else ())
                   } or {EAST: "AAAA"},
    }  # fmt: skip
    return UnmaskOrder.model_validate(told | changes)


def north(found: Federation, **changes: Any) -> Own:
    """What north remembers."""
    update = found.state.running.submitted[NORTH].update_sha256
    own = Own(NORTH, update, dict(found.state.running.mask_keys), None)
    return replace(own, **changes)


def test_a_hospital_answers_an_honest_hub_and_the_same_list_again() -> None:
    """The conditions hold; what it answered before is no obstacle for the same list."""
    found = sent(WEST)
    unmasked(found)
    assert isinstance(may_answer(found.state, order(found), north(found)), Allowed)
    assert isinstance(may_answer(found.state, order(found), north(found, answered=LEAF)), Allowed)


def forged(found: Federation, alive: dict[str, str] | None, gone: tuple[str, ...] = ()) -> None:
    """Lists in the fold as if a rule had been passed over: the hospital asks once more."""
    running = found.state.running
    assert running.unmasking is not None
    running.unmasking = replace(
        running.unmasking, alive=running.unmasking.alive if alive is None else alive, gone=gone
    )


def few(found: Federation) -> dict[str, str]:
    """Two alive."""
    alive = found.state.running.unmasking.alive  # type: ignore[union-attr]
    return {site: alive[site] for site in (EAST, NORTH)}


ASKED: dict[str, tuple[Callable[[Federation], Verdict], str]] = {
    "no list in the log": (
        lambda f: (setattr(f.state.running, "unmasking", None),
                   may_answer(f.state, order(f), north(f)))[1], "mask.lists"),
    "another entry": (lambda f: may_answer(f.state, order(f, entry=3), north(f)), "mask.lists"),
    "another round": (lambda f: may_answer(f.state, order(f, round=2), north(f)),
                      "round.sequence"),
    "another model": (lambda f: may_answer(f.state, order(f, model_sha256=LEAF), north(f)),
                      "round.model"),
    "the victim in both lists": (
        lambda f: (forged(f, None, (NORTH,)), may_answer(f.state, order(f), north(f)))[1],
        "mask.lists"),
    "the victim in none": (
        lambda f: (forged(f, few(f), ()), may_answer(f.state, order(f), north(f)))[1],
        "mask.lists"),
    "a cohort of two": (
        lambda f: (forged(f, few(f), (SOUTH, WEST)), may_answer(f.state, order(f), north(f)))[1],
        "mask.threshold"),
    "itself gone": (
        lambda f: (forged(f, {s: v for s, v in f.state.running.unmasking.alive.items()  # type: ignore[union-attr]
                              if s != NORTH}, (NORTH,)),
                   may_answer(f.state, order(f), north(f)))[1], "mask.own"),
    "its own hash replaced": (
        lambda f: may_answer(f.state, order(f), north(f, update_sha256=LEAF)), "mask.own"),
    "nothing was sent": (
        lambda f: may_answer(f.state, order(f), north(f, update_sha256=None)), "mask.own"),
    "other keys": (
        lambda f: may_answer(f.state, order(f), north(f, keys={NORTH: key(NORTH)})), "mask.key"),
    "another list was answered": (
        lambda f: may_answer(f.state, order(f), north(f, answered=make.sha("first"))),
        "mask.once"),
    "shares of some only": (
        lambda f: may_answer(f.state, order(f, shares={EAST: "AAAA"}), north(f)), "mask.lists"),
    "shares of a stranger": (
        lambda f: may_answer(f.state, order(f, shares={s: "AAAA" for s in (*make.NAMES, "a.b")}),
                             north(f)), "mask.lists"),
    "it has left": (
        lambda f: (f.leave(NORTH), may_answer(f.state, order(f), north(f)))[1], "site.withdrawn"),
}  # fmt: skip


@pytest.mark.parametrize(("ask", "rule"), ASKED.values(), ids=ASKED)
def test_a_hospital_opens_nothing_for_a_lying_hub(
    ask: Callable[[Federation], Verdict], rule: str
) -> None:
    """Each condition of the page is asked again at the hospital, whatever its fold let in."""
    found = sent()
    unmasked(found)
    assert refused(ask(found)) == rule


def test_a_stopped_study_is_not_unmasked() -> None:
    """Nothing is opened after a stop."""
    found = sent()
    unmasked(found)
    asked, own = order(found), north(found)
    found.stop(HUB)
    assert refused(may_answer(found.state, asked, own)) == "study.stopped"


def test_a_split_lie_needs_more_liars_than_two_thresholds_leave() -> None:
    """Two lists of one round need two groups of t; they overlap in 2t - n hospitals or more."""
    told = {3: 3, 4: 3, 5: 4, 6: 5, 7: 5, 10: 7, 20: 14}
    assert {n: threshold(n) for n in told} == told
    for n in range(3, 32):
        t = threshold(n)
        assert t <= n
        assert liars_needed(n) == 2 * t - n
        assert 3 * liars_needed(n) > n
    for n in range(3, 8):
        groups = [set(group) for group in itertools.combinations(range(n), threshold(n))]
        least = min(len(one & other) for one in groups for other in groups)
        assert least == liars_needed(n)


def test_shares_give_the_secret_from_any_t_and_no_fewer() -> None:
    """Every group of t, in any order; t - 1 shares fit to every secret."""
    source = itertools.count()

    def drawn(count: int) -> bytes:
        return hashlib.shake_256(str(next(source)).encode()).digest(count)

    secret = int.from_bytes(hashlib.sha256(b"seed").digest(), "big")
    shares = dict(enumerate(split(secret, 4, 6, drawn), 1))
    for group in itertools.combinations(shares, 4):
        assert combine({x: shares[x] for x in reversed(group)}) == secret
    few = {x: shares[x] for x in (1, 2, 3)}
    assert combine(few) != secret
    for other in (0, 1, PRIME - 1):
        curve = {0: other, **few}
        fourth = (
            sum(y * _basis(list(curve), x, 4) for x, y in curve.items()) % PRIME
        )  # the share that hospital 4 would hold, were this the secret
        assert combine({**few, 4: fourth}) == other
    with pytest.raises(ValueError, match="field"):
        split(PRIME, 2, 3, drawn)


def _basis(places: list[int], x: int, at: int) -> int:
    value = 1
    for other in places:
        if other != x:
            value = value * (at - other) * pow(x - other, -1, PRIME) % PRIME
    return value


@pytest.mark.parametrize(
    ("form", "data"),
    [
        (Shares, b'{"to":{},"v":1}'),
        (Shares, b'{"to":{"a.b":"AAA"},"v":1}'),
        (Shares, b'{"to":{"a.b":"AAB="},"v":1}'),
        (Shares, b'{"to":{"a.b":"AAAA"},"v":1,"x":1}'),
        (Shares, b'{"v":1,"to":{"a.b":"AAAA"}}'),
        (Commitments, b'{"own":"sha256:00","pairs":{},"v":1}'),
        (Commitments, b""),
    ],
)
def test_papers_have_one_form(form: Any, data: bytes) -> None:
    """Beside a masked update nothing else travels."""
    with pytest.raises(Malformed):
        read_paper(form, data)


def test_an_order_to_unmask_is_read_back() -> None:
    """Both forms of orders have one reader."""
    found = sent()
    unmasked(found)
    asked = order(found)
    assert read_any_order(asked.encode()) == asked
    assert not isinstance(asked, Denied)


TERMS: dict[str, dict[str, Any]] = {
    "without n_ref": {"aggregator": MASKED | {"params": {}}},
    "n_ref of nothing": {"aggregator": MASKED | {"params": {"n_ref": "0"}}},
    "a range of nothing": {"aggregator": MASKED | {"params": {"n_ref": "9", "mask_range": "0"}}},
    "with weight_cap": {"aggregator": MASKED | {"params": {"n_ref": "9", "weight_cap": "1"}}},
    "of two": {"min_sites": 2},
    "n_ref without masks": {"aggregator": MASKED | {"masked": False}},
    "kept": {"aggregator": MASKED | {"params": {"n_ref": "9", "keep_updates": "1"}}},
    "median": {"aggregator": MASKED | {"name": "median"}},
    "sweep": {"contribution": {"rule": "shapley_exact", "params": {"seeds": "5"}}},
}


@pytest.mark.parametrize("terms", TERMS.values(), ids=TERMS)
def test_what_masks_exclude_cannot_be_agreed(terms: dict[str, Any]) -> None:
    """The charter says no before anybody signs."""
    from compliance.rules.fold import judge

    body = make.charter(make.NAMES, **{"aggregator": MASKED, "min_sites": 3, **terms})
    assert refused(judge(None, make.entry0(body))) == "charter.terms"
