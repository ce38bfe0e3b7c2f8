"""Hub, hospitals, researcher and thieves of one study, played by hypothesis against a real hub.

Honest and dishonest statements by right and wrong keys, in any order, also across a restart. After
every step a second, independent reading of the log (`accounts.py`) must agree.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from compliance.errors import Malformed
from compliance.rules.fold import replay
from compliance.signing.keys import SigningKey
from compliance.signing.note import parse, seal
from tests import factories as make
from tests.hub.house import House
from tests.ledger.accounts import Account
from tests.ledger.at_hub import NUMBERS, AtHub, begun, origin_of
from tests.simulator import HUB

SITES = make.NAMES[:3]
NAMES = [HUB, make.RESEARCHER, *(f"{site}/{role}" for site in SITES for role in
                                 ("institution", "node", "witness"))]  # fmt: skip
site = st.sampled_from(SITES)
sites = st.lists(site, unique=True, max_size=3).map(sorted)
name = st.sampled_from(NAMES)
epsilon = st.sampled_from(["0.4", "0.9", "1.3", "2.9999", "3.0", "3.000000000001", "-0.5", "0"])
honest = st.sampled_from([True, True, True, True, False])
STOP = {"reason": "safety", "on_behalf": None}


def _spent(table: dict[tuple[str, str], Decimal]) -> dict[tuple[str, str], Decimal]:
    return {pair: spent for pair, spent in table.items() if spent}


class Life(RuleBasedStateMachine):
    """One study, lived by whoever wants to cheat."""

    house: ClassVar[House]

    @initialize(
        signed=st.sampled_from([SITES, SITES[:2]]),
        first=st.sampled_from(["", "one", "none", "not proposed"]),
        days=st.sampled_from([0, 0, 0, 1]),
    )
    def begin(self, signed: tuple[str, ...], first: str, days: int) -> None:
        """A charter signed by all, or by two of three, after somebody tried it with too few."""
        rows = [make.dataset_row(one, epsilon="3.0") for one in SITES]
        terms: dict[str, Any] = {"datasets": rows, "max_rounds": 50}
        terms["starts"] = make.later(make.BEGINS, days=days)
        if first:
            self.begin_with_too_few(first, terms)
        self.world = AtHub(self.house, next(NUMBERS), signed=signed, **terms)
        self.account = Account(self.world.entries[0])
        self.read = 1
        self.old: list[SigningKey] = []

    def begin_with_too_few(self, who: str, terms: dict[str, Any]) -> None:
        """The hub begins a study that was not signed enough; if it does, it is read."""
        number = next(NUMBERS)
        origin = origin_of(number)
        body = make.charter(SITES, origin=origin, log_key=make.vkey(origin), **terms)
        hands = [f"{site}/institution" for site in SITES]
        signers = {"none": [], "one": hands[:1], "not proposed": hands}[who]
        signers += [make.RESEARCHER] * (who != "not proposed")
        entry0 = begun(self.house, number, body, *signers)
        if entry0 is not None:
            Account(entry0)

    def hands(self, names: list[str], how: str) -> tuple[SigningKey, ...]:
        """The keys of these names: those in force, replaced ones, or invented ones."""
        if how == "stale" and self.old:
            return (self.old[-1],)
        made = [self.world.key(one) for one in names]
        return tuple(made) if how != "invented" else (make.key(names[0], generation=77),)

    def attempt(self, kind: str, body: dict[str, Any], actor: str, *names: str, how: str) -> None:
        """Say something with some keys; it may be refused, in the ways that are known."""
        try:
            keys = self.hands(list(names) or [actor], how)
            note = self.world.draft(kind, body, actor, keys=keys)
        except Malformed:
            return
        self.world.push(note)

    @rule(who=sites, by_hub=honest, how=st.sampled_from(["right", "right", "stale", "invented"]))
    def open(self, who: list[str], by_hub: bool, how: str) -> None:
        """Somebody opens a round of some hospitals."""
        body = self.world.opening(sites=who or self.world.state.active_sites())
        actor = HUB if by_hub else f"{SITES[0]}/node"
        self.attempt("round.opened", body, actor, how=how)

    @rule()
    def open_honestly(self) -> None:
        """The hub opens a round of all who may."""
        self.attempt("round.opened", self.world.opening(), HUB, how="right")

    @rule(costs=st.lists(epsilon, min_size=3, max_size=3), ended=honest)
    def play(self, costs: list[str], ended: bool) -> None:
        """A round is opened, every hospital of it sends something, and it is closed."""
        self.open_honestly()
        for who, cost in zip(SITES, costs, strict=True):
            body = self.world.training(who, dp=make.cost(epsilon=cost))
            self.attempt("update.submitted", body, f"{who}/node", how="right")
        if ended:
            self.close("")

    @precondition(lambda self: self.world.state.open_round is not None)
    @rule(who=site, cost=epsilon)
    def submit_in_turn(self, who: str, cost: str) -> None:
        """A hospital submits an update of the open round, whatever happened to it meanwhile."""
        body = self.world.training(who, dp=make.cost(epsilon=cost))
        self.attempt("update.submitted", body, f"{who}/node", how="right")

    @precondition(lambda self: self.world.state.stopped is not None)
    @rule()
    def resume_honestly(self) -> None:
        """All active hospitals lift the stop together."""
        self.resume(self.world.state.active_sites(), hub_too=False)

    @rule(who=site, cost=epsilon, n=st.sampled_from([120, 120, 20, 19]), by=name, fair=honest)
    def submit(self, who: str, cost: str, n: int, by: str, fair: bool) -> None:
        """A hospital, or somebody in its name, submits an update."""
        body = self.world.training(who, n=n, dp=make.cost(epsilon=cost))
        node = f"{who}/node"
        self.attempt("update.submitted", body, node, node if fair else by, how="right")

    @rule(dropped=st.sampled_from(["", "", *SITES]))
    def close(self, dropped: str) -> None:
        """The hub closes the round, perhaps without one of those who sent something."""
        if self.world.state.open_round is None:
            return
        body = self.world.closing()
        body["used"].pop(dropped, None)
        self.attempt("round.closed", body, HUB, how="right")

    @rule()
    def abort(self) -> None:
        """The hub gives a round up."""
        body = {"round": self.world.state.rounds_opened, "reason": "operator", "on_behalf": None}
        self.attempt("round.aborted", body, HUB, how="right")

    @rule(who=site, by=name, fair=honest)
    def leave(self, who: str, by: str, fair: bool) -> None:
        """A hospital, or somebody in its name, leaves."""
        node = f"{who}/node"
        self.attempt(
            "site.withdrawn", {"reason": "policy"}, node, node if fair else by, how="right"
        )

    @rule(who=site, role=st.sampled_from(["institution", "institution", "node"]), now=honest)
    def join(self, who: str, role: str, now: bool) -> None:
        """A hospital signs later, or comes back; perhaps to a version that is gone."""
        version = self.world.state.version_id if now else make.sha("another version")
        self.attempt("site.joined", {"charter": version}, f"{who}/{role}", how="right")

    @rule(who=site)
    def withdraw_data(self, who: str) -> None:
        """A hospital takes its data back."""
        body = {"dataset": make.DATASET, "reason": "consent"}
        self.attempt("dataset.withdrawn", body, f"{who}/node", how="right")

    @rule(who=site, to=epsilon)
    def limit(self, who: str, to: str) -> None:
        """A hospital sets its own limit."""
        body = {"dataset": make.DATASET, "epsilon": to}
        self.attempt("site.limited", body, f"{who}/node", how="right")

    @rule(by=name)
    def stop(self, by: str) -> None:
        """Somebody stops the study."""
        self.attempt("study.stopped", STOP, by, how="right")

    @rule(hands=st.one_of(sites, st.just(list(SITES))), hub_too=st.booleans())
    def resume(self, hands: list[str], hub_too: bool) -> None:
        """Some hospitals, and perhaps the hub, lift the stop."""
        names = [f"{one}/institution" for one in hands] + [HUB] * (hub_too and not hands)
        if names:
            body = {"stopped": self.world.state.stopped or 1}
            self.attempt("study.resumed", body, names[0], *names, how="right")

    @rule(
        hands=st.one_of(sites, st.just(list(SITES))),
        cap=st.sampled_from(["3.0", "3.0", "4.0", "1.0"]),
        kept=st.sampled_from([SITES, SITES, SITES[:2]]),
    )
    def amend(self, hands: list[str], cap: str, kept: tuple[str, ...]) -> None:
        """The researcher and some hospitals put another charter in force."""
        now = self.world.state.charter.plain()
        body = now | {
            "sites": [row for row in now["sites"] if row["name"] in kept],
            "datasets": [row | {"epsilon": cap} for row in now["datasets"] if row["site"] in kept],
            "dp": now["dp"] | {"epsilon": cap},
            "quorum": {"k": 2, "witnesses": list(kept), "external": []},
            "legal": now["legal"]
            | {"sites": [row for row in now["legal"]["sites"] if row["site"] in kept]},
        }
        amended = {"charter": body, "previous": self.world.state.version_id}
        names = [make.RESEARCHER, *(f"{one}/institution" for one in hands)]
        self.attempt("charter.amended", amended, make.RESEARCHER, *names, how="right")

    @rule(
        lost=name,
        hands=st.lists(name, unique=True, min_size=1, max_size=3),
        reason=st.sampled_from(["planned", "lost", "stolen", "takeover"]),
        own=honest,
        number=st.integers(1, 6),
    )
    def rotate(self, lost: str, hands: list[str], reason: str, own: bool, number: int) -> None:
        """Somebody replaces a key, often the one who may."""
        holder, _, role = lost.rpartition("/")
        right = f"{holder}/institution" if role in ("node", "witness") else lost
        names = [right] if own else hands
        kind = 4 if role == "witness" else 1
        before = len(self.world.entries)
        fresh = make.key(lost, kind, generation=number)
        body = {"name": lost, "vkey": str(fresh.verifier), "reason": reason}
        self.attempt("key.rotated", body, names[0], *names, how="right")
        if len(self.world.entries) > before:
            self.old.append(self.world.key(lost))
            self.world.keys[lost] = fresh

    @rule(number=st.integers(0, 40))
    def replay_entry(self, number: int) -> None:
        """Somebody sends an old entry again: the log stays as long as it was."""
        size = self.world.rooms.ledger.size(self.world.study)
        self.world.push(self.world.entries[number % len(self.world.entries)])
        assert self.world.rooms.ledger.size(self.world.study) == size

    @rule(number=st.integers(1, 40), by=name)
    def sign_again(self, number: int, by: str) -> None:
        """Somebody signs another's words, or the same words again."""
        text = parse(self.world.entries[number % len(self.world.entries)]).text
        key = self.world.key(by)
        if key.kind == 1:
            self.world.push(seal(text, key))

    @rule(hours=st.sampled_from([1, 24]))
    def wait(self, hours: int) -> None:
        """Time goes by."""
        self.world.time = make.later(self.world.time, hours=hours)

    @precondition(lambda self: len(self.world.entries) > 3)
    @rule()
    def restart(self) -> None:
        """Another process goes on over the same database."""
        self.world.rooms = self.house.again()

    @rule(by=st.sampled_from([HUB, make.RESEARCHER, f"{SITES[0]}/node"]), really=st.integers(0, 9))
    def end(self, by: str, really: int) -> None:
        """Somebody closes the study; seldom, for afterwards there is little left to try."""
        if really == 0:
            body = {"reason": "completed", "on_behalf": None}
            self.attempt("study.closed", body, by, how="right")

    @invariant()
    def both_readers_agree(self) -> None:
        """The second reader finds nothing forbidden, and the same rights as the fold."""
        if not hasattr(self, "world"):
            return
        account, ledger = self.account, self.world.rooms.ledger
        for entry in ledger.entries(self.world.study, self.read):
            account.take(entry)
            self.read += 1
        state = ledger.state(self.world.study)
        assert set(state.active_sites()) == account.active
        assert _spent(state.epsilon_spent) == _spent(account.spent)
        assert state.epsilon_cap == account.caps, "another limit than the hospital's own"
        assert (state.open_round is None) == (account.round is None)
        assert (state.stopped is not None) == account.stopped
        assert account.round is None or not account.stopped

    def teardown(self) -> None:
        """The state rebuilt from the entries is the one that was kept."""
        if not hasattr(self, "world"):
            return
        ledger = self.world.rooms.ledger
        entries, kept = ledger.entries(self.world.study, 0), ledger.state(self.world.study)
        again = replay(entries)
        assert again.summary() == kept.summary()
        assert again.root() == kept.root()
