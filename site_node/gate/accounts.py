"""Sums over a privacy account: what the past costs, and how many more steps fit under the caps.

Pure: the charges and the accountant are handed in.

Source: design/federation.md §8.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from compliance.rules.noise import largest_delta, rounded_up
from site_node.store.privacy import VOID, ChargeRow

Spell = tuple[Decimal, Decimal, int]
"""Noise multiplier, sample rate, steps."""

Accountant = Callable[[Iterable[Spell], Decimal], float]
"""An accountant: epsilon of spells at a delta; infinite where it cannot say."""


@dataclass(frozen=True)
class Terms:
    """What one study asks of one dataset here.

    Args:
        log: id of the charter.
        sigma: noise multiplier.
        clip: largest norm of a patient's gradient.
        rate: chance of each patient to be in a step.
        steps: of one round.
        cap: this study's largest epsilon on this dataset.
        delta: at which the cap is meant.
        patients: in the training part.
    """

    log: str
    sigma: str
    clip: str
    rate: Decimal
    steps: int
    cap: Decimal
    delta: Decimal
    patients: int

    def spell(self, steps: int) -> Spell:
        """So many steps of this study."""
        return Decimal(self.sigma), self.rate, steps


@dataclass(frozen=True)
class Books:
    """One account: charges that count, how many people are behind it, the hospital's own cap.

    Args:
        charges: as they stand now; void ones do not count.
        people: different patients of all datasets of the account.
        own_cap: over all studies; None where the policy says nothing.
        price: the accountant.
    """

    charges: Sequence[ChargeRow]
    people: int
    own_cap: Decimal | None
    price: Accountant

    @property
    def delta(self) -> Decimal:
        """At which the sum over all studies is meant."""
        return largest_delta(self.people)

    def study(self, terms: Terms, steps: int = 0) -> Decimal | None:
        """Epsilon of this study's part with so many steps more; None where it has no end."""
        return _stated(self.price([*self._spells(terms.log), terms.spell(steps)], terms.delta))

    def total(self, spells: Iterable[Spell] = ()) -> Decimal | None:
        """Epsilon of all studies together, with spells to come; None where it has no end."""
        return _stated(self.price([*self._spells(), *spells], self.delta))

    def fits(self, terms: Terms, steps: int) -> bool:
        """Whether so many steps more stay below the study's cap and the hospital's own."""
        part = self.study(terms, steps)
        if part is None or part > terms.cap:
            return False
        if self.own_cap is None:
            return True
        whole = self.total([terms.spell(steps)])
        return whole is not None and whole <= self.own_cap

    def most_steps(self, terms: Terms, wanted: int) -> int:
        """The largest number of steps, up to what is wanted, that fits; 0 when not even one."""
        if wanted < 1 or self.fits(terms, wanted):
            return max(wanted, 0)
        fit, over = 0, wanted
        while over - fit > 1:
            middle = (fit + over) // 2
            fit, over = (middle, over) if self.fits(terms, middle) else (fit, middle)
        return fit

    def _spells(self, log: str | None = None) -> list[Spell]:
        return [
            (Decimal(row.sigma), Decimal(row.sample_rate), row.steps)
            for row in self.charges
            if row.state != VOID and log in (None, row.log)
        ]


def _stated(epsilon: float) -> Decimal | None:
    return None if epsilon == float("inf") else rounded_up(epsilon)
