"""The state of a study: what everybody knows who read its log from the start.

Only `advance` writes here. It changes the state in place and copies nothing, so that the thousandth
entry costs as much as the first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from compliance.errors import Refused
from compliance.records.charter import CharterBody
from compliance.records.coalitions import CoalitionMeasured
from compliance.records.decisions import ReviewNoted
from compliance.records.reasons import Excluded, Missing
from compliance.records.rounds import UpdateSubmitted
from compliance.rules.phases import STEPS, Phase
from compliance.rules.reports import Reports
from compliance.rules.said import LogState

Pair = tuple[str, str]
DENIALS_PER_HOUR = 20


@dataclass(frozen=True)
class Unmasking:
    """The lists of a masked round, and their place in the log."""

    index: int
    alive: dict[str, str]
    gone: tuple[str, ...]


@dataclass
class OpenRound:
    """The round that is running."""

    number: int
    index: int
    sites: list[str]
    model_sha256: str
    deadline: str
    submitted: dict[str, UpdateSubmitted] = field(default_factory=dict)
    mask_keys: dict[str, str] = field(default_factory=dict)
    unmasking: Unmasking | None = None


@dataclass(frozen=True)
class ClosedRound:
    """A round that gave a model."""

    number: int
    index: int
    used: dict[str, str]
    excluded: dict[str, Excluded]
    missing: dict[str, Missing]
    weights: dict[str, Decimal]
    model_sha256: str
    time: str


@dataclass(kw_only=True)
class StudyState(LogState):
    """Where a study stands after `size` entries.

    `signed` are all hospitals that signed the charter in force, `withdrawn` those that left since;
    `active_sites()` is the difference.
    """

    charter: CharterBody
    phase: Phase = Phase.READY
    signed: set[str] = field(default_factory=set)
    withdrawn: set[str] = field(default_factory=set)
    open_round: OpenRound | None = None
    rounds_opened: int = 0
    rounds_closed: list[ClosedRound] = field(default_factory=list)
    closed_numbers: set[int] = field(default_factory=set)
    model_sha256: str = ""
    models: set[str] = field(default_factory=set)
    dataset_versions: dict[Pair, str] = field(default_factory=dict)
    datasets_withdrawn: set[Pair] = field(default_factory=set)
    epsilon_cap: dict[Pair, Decimal] = field(default_factory=dict)
    epsilon_spent: dict[Pair, Decimal] = field(default_factory=dict)
    metrics: Reports = field(default_factory=Reports)
    points: dict[Pair, str] = field(default_factory=dict)
    approvals: dict[Pair, set[str]] = field(default_factory=dict)
    refusals: dict[str, set[str]] = field(default_factory=dict)
    released: dict[str, str] = field(default_factory=dict)
    participation: dict[str, int] = field(default_factory=dict)
    coalitions: dict[str, list[tuple[str, CoalitionMeasured]]] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    stopped: int | None = None
    closed: str | None = None
    open_cases: dict[int, ReviewNoted] = field(default_factory=dict)
    mask_keys: dict[str, str] = field(default_factory=dict)
    mask_keys_seen: set[str] = field(default_factory=set)
    unmasked: set[str] = field(default_factory=set)

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self.charter.origin

    @property
    def log_key(self) -> str:
        """Verifier key of the log, as the charter in force names it."""
        return self.charter.log_key

    @property
    def signatures_required(self) -> int:
        """How many institutions must sign a charter."""
        return self.charter.signatures_required

    def active_sites(self) -> list[str]:
        """Hospitals that signed the charter in force and have not left, sorted."""
        return sorted(self.signed - self.withdrawn)

    @property
    def running(self) -> OpenRound:
        """The open round, for those who asked before whether there is one.

        Raises:
            Refused: no round is open.
        """
        if self.open_round is None:
            raise Refused("round.sequence", found="no open round")
        return self.open_round

    @property
    def last_base(self) -> str:
        """The model from which the last closed round went on; the newest one before the first."""
        made = [
            self.charter.initial_model_sha256,
            *(row.model_sha256 for row in self.rounds_closed),
        ]
        return made[-2] if len(made) > 1 else made[-1]

    def spent(self, site: str, dataset: str) -> Decimal:
        """Epsilon that this dataset has cost in this study so far."""
        return self.epsilon_spent.get((site, dataset), Decimal(0))

    def is_round_model(self, model_sha256: str) -> bool:
        """Whether a closed round made this model."""
        return model_sha256 in self.models and model_sha256 != self.charter.initial_model_sha256

    def moved(self, kind: str) -> None:
        """Take the step of the table, if it has one for this kind."""
        self.phase = STEPS.get((self.phase, kind), self.phase)

    def summary(self) -> dict[str, Any]:
        """The state in plain values, equal for all who read the same log."""
        return {
            "signed": sorted(self.signed),
            "withdrawn": sorted(self.withdrawn),
            "rounds_opened": self.rounds_opened,
            "rounds_closed": len(self.rounds_closed),
            "model": self.model_sha256,
            "epsilon_spent": _by_pair(self.epsilon_spent),
            "epsilon_cap": _by_pair(self.epsilon_cap),
            "dataset_versions": _by_pair(self.dataset_versions),
            "participation": dict(sorted(self.participation.items())),
            "released": dict(sorted(self.released.items())),
            "closed": self.closed,
            "stopped": self.stopped,
        }


def _by_pair(values: dict[Pair, Any]) -> dict[str, str]:
    rows = sorted(values.items())
    return {
        f"{site}|{dataset}": format(value, "f") if isinstance(value, Decimal) else value
        for (site, dataset), value in rows
    }
