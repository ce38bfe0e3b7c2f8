"""What a study with noise costs this hospital's patients, before anybody signs: numbers and words.

Source: design/federation.md §8.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import Any

from compliance.errors import ConsiliumError, NotReady, Refused
from compliance.records.charter import CharterBody
from compliance.records.recipe import Recipe
from site_node.gate.accounts import Books, Terms

HUNDREDTH = Decimal("0.01")
WITHOUT = "No noise is added; nothing is spent from a privacy budget (epsilon)."

Priced = Callable[[str, CharterBody, Recipe], "Price | None"]
"""What a charter (by its id) costs here; None where its dataset is not here."""


@dataclass(frozen=True)
class Price:
    """What a study would cost, all epsilons rounded up; None where there is no bound.

    Args:
        terms: the study's.
        rounds: most rounds of the charter.
        first: epsilon of the first round.
        planned: epsilon of the whole study, if every round takes all its steps.
        fit: steps that fit under both caps from now on.
        spent: epsilon of all studies on these patients so far.
        own_cap: the hospital's own cap over all studies; None without one.
    """

    terms: Terms
    rounds: int
    first: Decimal | None
    planned: Decimal | None
    fit: int
    spent: Decimal | None
    own_cap: Decimal | None

    @property
    def left(self) -> Decimal | None:
        """What is left of the hospital's own cap; None without one."""
        if self.own_cap is None or self.spent is None:
            return None
        return max(self.own_cap - self.spent, Decimal(0))

    def plain(self) -> dict[str, Any]:
        """For machines."""
        terms = self.terms
        return {
            "patients": terms.patients,
            "sigma": terms.sigma,
            "clip": terms.clip,
            "sample_rate": f"{terms.rate.normalize():f}",
            "steps_a_round": terms.steps,
            "rounds": self.rounds,
            "delta": f"{terms.delta:f}",
            "epsilon_first_round": _text(self.first),
            "epsilon_planned": _text(self.planned),
            "epsilon_cap": f"{terms.cap:f}",
            "steps_that_fit": self.fit,
            "own_spent": _text(self.spent),
            "own_cap": _text(self.own_cap),
            "own_left": _text(self.left),
        }

    def words(self) -> str:
        """For people."""
        terms, whole = self.terms, self.terms.steps * self.rounds
        plan = (
            f"Noise hides each patient: epsilon {up(self.planned)} over {self.rounds} rounds of "
            f"{terms.steps} steps ({up(self.first)} in the first), agreed are at most "
            f"{terms.cap:f} at delta {terms.delta:f}."
        )
        said = [plan]
        if self.fit == 0:
            said.append("Not one step fits: this hospital would not train.")
        elif self.fit < whole:
            rounds = self.fit / terms.steps
            said.append(
                f"Only {self.fit} of {whole} steps fit: training here ends after about "
                f"{rounds:.1f} rounds."
            )
        if self.own_cap is None:
            said.append(f"Spent by all studies so far: {up(self.spent)}; we set no cap of our own.")
        else:
            said.append(
                f"Spent by all studies so far: {up(self.spent)} of our {self.own_cap:f}; "
                f"{down(self.left)} are left."
            )
        return " ".join(said)


def price_of(terms: Terms, rounds: int, books: Books) -> Price:
    """Work out what a study costs, on top of what the account holds."""
    return Price(
        terms=terms,
        rounds=rounds,
        first=books.study(terms, terms.steps),
        planned=books.study(terms, terms.steps * rounds),
        fit=books.most_steps(terms, terms.steps * rounds),
        spent=books.total(),
        own_cap=books.own_cap,
    )


def privacy_words(body: CharterBody, price: Price | None) -> str:
    """The line of the card: what is agreed, and what it would cost here."""
    if body.dp is None:
        return WITHOUT
    if price is not None:
        return price.words()
    return (
        f"Epsilon {body.dp.epsilon} per dataset over the whole study, delta {body.dp.delta}; what "
        f"it costs here cannot be told, for the dataset is not here or does not fit."
    )


def check_price(question: Callable[[], Price | None]) -> None:
    """Refuse a study that does not fit or could not take a single step here.

    A dataset that is not here is another rule's matter.

    Raises:
        Refused: `dp.budget`, `dp.delta` or `recipe.dp`.
    """
    try:
        price = question()
    except NotReady:
        return
    if price is not None and price.fit == 0:
        cap = "none" if price.own_cap is None else f"{price.own_cap:f}"
        raise Refused("dp.budget", _text(price.spent), f"{price.terms.cap:f}, of all {cap}")


def tried(question: Callable[[], Price | None]) -> Price | None:
    """A price, or None where a rule or a missing dataset stands in its way."""
    try:
        return question()
    except ConsiliumError:
        return None


def up(value: Decimal | None) -> str:
    """An epsilon for people: two places, never less than it is."""
    return "without bound" if value is None else f"{value.quantize(HUNDREDTH, ROUND_UP):f}"


def down(value: Decimal | None) -> str:
    """What is left, for people: two places, never more than it is."""
    return "nothing" if value is None else f"{value.quantize(HUNDREDTH, ROUND_DOWN):f}"


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"
