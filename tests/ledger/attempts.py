"""Whole attempts: chance alone seldom comes to a hospital that leaves before a round is closed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests import factories as make
from tests.ledger.life import SITES, Life, site


class Attempts(Life):
    """One study's life, in which some acts are several steps in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.barred: set[str] = set()

    @rule(
        who=site,
        way=st.sampled_from(["site", "data", "limit"]),
        sent_first=st.booleans(),
        over=st.sampled_from(["0.000000000001", "0.1"]),
    )
    def take_back(self, who: str, way: str, sent_first: bool, over: str) -> None:
        """In a round, a hospital leaves, takes its data back or lowers its limit; all goes on."""
        if self.world.state.open_round is None:
            self.open_honestly()
        for other in set(SITES) - {who}:
            self.submit_in_turn(other, "0.01")
        if sent_first:
            self.submit_in_turn(who, "0.01")
        limit = self.account.spent.get((who, make.DATASET), Decimal(0))
        if way == "site":
            self.leave(who, who, fair=True)
        elif way == "data":
            self.withdraw_data(who)
        else:
            self.limit(who, f"{limit:f}")
        self.submit_in_turn(who, over if way == "limit" else "0.01")
        if self.world.state.open_round is not None:
            self.close("")
            self.abort()

    @rule(submitted=st.booleans(), really=st.integers(0, 9))
    def outlive(self, submitted: bool, really: int) -> None:
        """The charter runs out; then a round is opened, or an update of an open one is sent."""
        if really == 0:
            self.open_honestly()
            if not submitted:
                self.abort()
            self.world.time = self.world.state.charter.expires
            if submitted:
                self.submit_in_turn(SITES[0], "0.01")
            else:
                self.open_honestly()

    @rule(who=site)
    def open_by_the_program(self, who: str) -> None:
        """The others suspend a hospital; the hub's own program opens the next round."""
        if not self.barred:
            self.among_members(lambda: self.house.suspend(who))
            self.barred.add(who)
        if self.world.open_by_the_program():
            asked = set(self.world.state.running.sites)
            assert not asked & self.barred, "a suspended hospital is asked"

    def among_members(self, act: Callable[[], object]) -> None:
        """Something is said in the consortium's log, whose time goes its own way."""
        before = self.house.time.now
        members = self.house.rooms.ledger.consortium()
        self.house.time.now = members.newest + timedelta(minutes=1)
        act()
        self.house.time.now = before

    def teardown(self) -> None:
        """The suspended are admitted again: the next life has the same hub."""
        for who in sorted(self.barred):
            self.among_members(lambda who=who: self.house.admit(who))
        super().teardown()
