"""A site's privacy account over a real database, asked by studies that are made up of few words.

Run as `python -m tests.site_node.gate.ledgers HOME`, it reserves steps, says so, and waits.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from compliance.records.charter import PrivacyTerms
from compliance.records.recipe import shipped, with_changes
from site_node.gate.accounts import Spell
from site_node.gate.budget import Budget, Reserved
from site_node.gate.journal import Journal
from site_node.store import privacy as table
from site_node.store.schema import open_store

SITE = "north.example"
NOW = datetime(2026, 11, 22, 9, 0, 0, tzinfo=UTC)
TERMS = PrivacyTerms(unit="patient", epsilon="100", delta="0.00001", accountant="prv")
RECIPE = with_changes(
    shipped()["cnn2d-small-dp"],
    {"dp": {"sigma": "2", "batch": 10}, "local": {"steps": 8}},
)


def by_steps(history: Iterable[Spell], _: Decimal) -> float:
    """An accountant for whom a step costs 0.1, whatever the noise."""
    return sum(steps for _, _, steps in history) / 10


def real(history: Iterable[Spell], delta: Decimal) -> float:
    """The accountant that reports."""
    from site_node.training.accounting import epsilon_of

    return epsilon_of(history, delta)


def people(*numbers: int) -> list[str]:
    """Patients by number."""
    return [f"patient {number}" for number in numbers]


@dataclass
class Ledger:
    """A budget, and the parts that tests look at."""

    home: Path
    own_cap: Decimal | None = None
    price: Callable[[Iterable[Spell], Decimal], float] = by_steps
    shelves: dict[str, Sequence[str]] = field(default_factory=dict)
    names: Iterable[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.home.mkdir(exist_ok=True)
        self.sessions = open_store(self.home / "site.sqlite")
        self.journal = Journal(sessions=self.sessions, clock=lambda: NOW)
        policy = SimpleNamespace(max_epsilon=self.own_cap)
        counted = iter(self.names)
        self.budget = Budget(
            settings=SimpleNamespace(site=SITE, home=self.home, policy=policy),  # type: ignore[arg-type]  # what a budget reads of them
            sessions=self.sessions,
            journal=self.journal,
            price=self.price,
            catalogue=SimpleNamespace(),  # type: ignore[arg-type]  # never asked here
            people=lambda folder: self.shelves.get(folder.name, people(*range(40))),
            recall=lambda: None,
            clock=lambda: NOW,
            nonce=lambda: f"{self.home.name}-{id(self)}-{next(counted)}",
        )

    def study(
        self,
        log: str = "study-1",
        *,
        dataset: str = "chest",
        version: str = "v1",
        cap: str = "100",
        spent: str = "0",
    ) -> Any:
        """What a permit of such a study says, as far as the budget asks it."""
        pair = (SITE, dataset)
        state = SimpleNamespace(
            charter_id=log,
            epsilon_cap={pair: Decimal(cap)},
            spent=lambda *_: Decimal(spent),
        )
        return SimpleNamespace(
            study=log,
            state=state,
            charter=SimpleNamespace(dp=TERMS),
            recipe=RECIPE,
            dataset=SimpleNamespace(id=dataset, site=SITE),
            dataset_version=version,
            dataset_dir=self.home / dataset / version,
        )

    def train(self, permit: Any, number: int = 1) -> Reserved:
        """Reserve, train, charge."""
        with self.budget.reserved(permit, order(number)) as reserved:
            assert reserved is not None
            with self.sessions.begin() as session:
                self.budget.charge(session, reserved)
        return reserved

    def charges(self) -> list[tuple[str, str, int]]:
        """State, study and steps of every charge."""
        with self.sessions() as session:
            return [(row.state, row.log, row.steps) for row in table.charges(session)]


def order(number: int = 1) -> Any:
    """A training order of a round."""
    return SimpleNamespace(kind="train", round=number, model_sha256=f"model {number}")


if __name__ == "__main__":
    ledger = Ledger(Path(sys.argv[1]))
    with ledger.budget.reserved(ledger.study("dying"), order()):
        print("reserved", flush=True)
        sys.stdin.read()
