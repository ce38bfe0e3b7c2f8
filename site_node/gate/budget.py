"""The privacy budget: steps are reserved before training and charged with the reply that leaves.

An account is a group of patients. All versions of a dataset share it, and datasets with a common
patient are one account, so that neither another name nor another import refills anything. A
reservation counts until its process has ended without an answer: then nothing has left, and it is
void.

Source: design/federation.md §8.2.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from compliance.errors import Refused
from compliance.records.charter import CharterBody
from compliance.records.order import Order
from compliance.records.recipe import Recipe
from compliance.records.types import time_text
from compliance.rules.noise import FREE, cap_of, check_delta, check_terms, sample_rate, steps_of
from site_node.gate.accounts import Accountant, Books, Terms
from site_node.gate.journal import Clock, Journal
from site_node.gate.permits import Datasets, Permit
from site_node.gate.price import Price, price_of
from site_node.settings import Settings
from site_node.store import privacy as table
from site_node.store.journal import Sessions, Transaction
from site_node.store.privacy import RESERVED, SPENT, VOID, AccountRow, ChargeRow

People = Callable[[Path], Sequence[str]]
"""The patient of each training image of a dataset's folder."""

NO_END = "0"
"""An epsilon that nobody reads: the steps beside it are what counts."""


@dataclass(frozen=True)
class Reserved:
    """Steps that may be taken, and what they will have cost.

    Args:
        charge: its number in the account.
        terms: of the study.
        steps: how many may be taken.
        epsilon: of the whole study once they are taken.
    """

    charge: str
    terms: Terms
    steps: int
    epsilon: Decimal

    def plan(self) -> dict[str, Any]:
        """The training's half of it: the fields of `training.work.Noise`."""
        terms = self.terms
        told = {"sigma": terms.sigma, "clip": terms.clip, "sample_rate": _text(terms.rate)}
        return {**told, "steps": self.steps}

    def cost(self, spent: Decimal) -> dict[str, Any]:
        """What the update states: the increase over what the log has of this study so far."""
        rise = max(self.epsilon - spent, Decimal(0))
        return {"epsilon": _text(rise), "delta": _text(self.terms.delta), **self.plan()}


class Budget:
    """Keeps the account of this site.

    Args:
        settings: names the site; its policy holds the own cap over all studies.
        sessions: the site's database.
        journal: told of every reservation and of what became of it.
        price: the accountant.
        catalogue: the site's curated datasets.
        people: reads whose images a dataset trains on.
        recall: makes a restored home remember first, or refuses.
        clock: the time now.
        nonce: names a charge.
    """

    def __init__(  # noqa: PLR0913 - built by hand in one place, each part named
        self,
        *,
        settings: Settings,
        sessions: Sessions,
        journal: Journal,
        price: Accountant,
        catalogue: Datasets,
        people: People,
        recall: Callable[[], None],
        clock: Clock,
        nonce: Callable[[], str],
    ) -> None:
        self._settings, self._sessions, self._journal = settings, sessions, journal
        self._price, self._people, self._recall = price, people, recall
        self._catalogue = catalogue
        self._clock, self._nonce = clock, nonce
        self._locks = settings.home / "run" / "privacy"

    @contextmanager
    def reserved(self, permit: Permit, order: Order) -> Iterator[Reserved | None]:
        """Hold steps for one training; what is not charged within the block is void after it.

        Raises:
            Refused: `dp.budget`: not one step fits; `dp.delta`, `recipe.dp`, or the account of a
                restored home is not complete yet.
        """
        if permit.charter.dp is None or order.kind != "train":
            yield None
            return
        self._recall()
        names = self._people(permit.dataset_dir)
        cap = permit.state.epsilon_cap[str(self._settings.site), permit.dataset.id]
        terms = terms_of(permit.state.charter_id, permit.charter, permit.recipe, names, cap)
        self._enter(permit, terms, names)
        charge = self._nonce()
        with self._held(charge):
            try:
                yield self._reserve(permit, order, terms, charge)
            finally:
                self._void(charge)

    def charge(self, session: Transaction, reserved: Reserved) -> None:
        """Charge what was reserved, in the transaction that keeps the signed reply."""
        row = table.find_charge(session, reserved.charge)
        if row is None or row.state != RESERVED:
            raise Refused("dp.missing", sentence="These steps are not reserved in the account.")
        table.add(session, row.settled(SPENT, time_text(self._clock())))

    def restated(self, permit: Permit) -> dict[str, Any] | None:
        """What an answer that is given again costs: nothing, once the log has its first one."""
        if permit.charter.dp is None:
            return None
        with self._sessions() as session:
            rows = table.charges(session)
        mine = [row for row in rows if row.log == permit.state.charter_id and row.state == SPENT]
        epsilon = max((Decimal(row.eps_study) for row in mine), default=Decimal(0))
        site, last = str(self._settings.site), mine[-1] if mine else None
        rise = max(epsilon - permit.state.spent(site, permit.dataset.id), Decimal(0))
        told = {**FREE, "epsilon": _text(rise), "delta": permit.charter.dp.delta}
        if last is not None:
            told |= {"sigma": last.sigma, "clip": last.clip, "sample_rate": last.sample_rate}
        return told

    def books(self, dataset: str, names: Sequence[str] = ()) -> Books:
        """The account of a dataset as it stands now.

        Args:
            dataset: its name.
            names: patients of a version that has not trained yet; they are not entered.
        """
        with self._sessions() as session:
            group = table.group_of(session, dataset, tokens(names))
            rows, people = table.charges(session, group), table.people_in(session, group)
        people = max(people, len(set(names)))
        return Books(rows, people, self._settings.policy.max_epsilon, self._price)

    def accounts(self) -> list[dict[str, Any]]:
        """Every account with its charges, for this hospital's own people."""
        with self._sessions() as session:
            names = [row.account for row in table.charges(session)]
            names += [row.dataset for row in table.accounts(session)]
            groups = {tuple(table.group_of(session, name)) for name in sorted(set(names))}
        return [self._account(group) for group in sorted(groups)]

    def _account(self, group: tuple[str, ...]) -> dict[str, Any]:
        books = self.books(group[0])
        epsilon, cap = books.total(), books.own_cap
        left = None if cap is None or epsilon is None else max(cap - epsilon, Decimal(0))
        return {
            "datasets": list(group),
            "patients": books.people,
            "delta": f"{books.delta:f}",
            "epsilon": None if epsilon is None else _text(epsilon),
            "cap": None if cap is None else _text(cap),
            "left": None if left is None else _text(left),
            "charges": [row.plain() for row in books.charges],
        }

    def priced(self, charter_id: str, charter: CharterBody, recipe: Recipe) -> Price | None:
        """What a study would cost here; None without noise.

        Raises:
            Refused, NotReady: recipe, delta or dataset do not fit, or the dataset is not here.
        """
        site = str(self._settings.site)
        cap, named = cap_of(charter, site), charter.datasets_of(site)
        if cap is None or not named:
            return None
        summary = self._catalogue.get(named[0].id, named[0].version)
        names = self._people(Path(summary.dir))
        terms = terms_of(charter_id, charter, recipe, names, cap)
        return price_of(terms, charter.max_rounds, self.books(named[0].id, names))

    def _enter(self, permit: Permit, terms: Terms, names: Sequence[str]) -> None:
        row = AccountRow(
            dataset=permit.dataset.id,
            dataset_version=permit.dataset_version,
            patients=terms.patients,
            delta=_text(terms.delta),
            at=time_text(self._clock()),
        )
        with self._sessions.begin() as session:
            if not table.knows(session, row.dataset, row.dataset_version):
                table.enter(session, row, tokens(names))

    def _reserve(self, permit: Permit, order: Order, terms: Terms, charge: str) -> Reserved:
        """Work out what fits, then write it down if nobody else has meanwhile."""
        while True:
            self._void_left_behind()
            with self._sessions() as session:
                seen = table.newest(session)
            books = self.books(permit.dataset.id)
            steps = books.most_steps(terms, terms.steps)
            epsilon = books.study(terms, steps)
            if steps == 0 or epsilon is None:
                found = books.study(terms, 1), books.total([terms.spell(1)])
                raise Refused("dp.budget", *_worded(found, terms.cap, books.own_cap))
            total = books.total([terms.spell(steps)])
            row = _row(permit, order, terms, charge, steps)
            row.eps_study, row.eps_total = _text(epsilon), _text(total) if total else NO_END
            row.at = time_text(self._clock())
            with self._sessions.begin() as session:
                table.lock(session)
                if table.newest(session) != seen:
                    continue
                table.add(session, row)
                self._journal.within(
                    session,
                    "privacy.reserved",
                    study=permit.study,
                    round=order.round,
                    steps=steps,
                    planned=terms.steps,
                    epsilon=row.eps_study,
                )
            return Reserved(charge, terms, steps, epsilon)

    @contextmanager
    def _held(self, charge: str) -> Iterator[None]:
        """Hold a file while the work goes on; the system lets go of it when this process dies."""
        self._locks.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._locks / f"{charge}.lock"
        with path.open("w", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def _void_left_behind(self) -> None:
        """End reservations whose process is gone: nothing of them left the house."""
        with self._sessions() as session:
            open_ones = [row for row in table.charges(session) if row.state == RESERVED]
        for row in open_ones:
            path = self._locks / f"{row.charge}.lock"
            try:
                with path.open("r", encoding="ascii") as file:
                    if not _free(file):
                        continue
            except FileNotFoundError:
                pass
            self._void(row.charge)
            path.unlink(missing_ok=True)

    def _void(self, charge: str) -> None:
        with self._sessions.begin() as session:
            table.lock(session)
            row = table.find_charge(session, charge)
            if row is None or row.state != RESERVED:
                return
            table.add(session, row.settled(VOID, time_text(self._clock())))
            self._journal.within(session, "privacy.void", round=row.round, steps=row.steps)


def terms_of(
    charter_id: str, charter: CharterBody, recipe: Recipe, names: Sequence[str], cap: Decimal
) -> Terms:
    """What a study asks of a dataset, from the charter, the recipe and the patients behind it.

    Raises:
        Refused: `recipe.dp` or `dp.delta`.
    """
    check_terms(charter.dp, recipe)
    if charter.dp is None or recipe.dp is None:
        raise Refused("recipe.dp", sentence="This study trains without noise.")
    patients = len(set(names))
    check_delta(charter.dp, patients)
    if charter.dp.unit == "image" and patients != len(names):
        raise Refused("recipe.dp", "several images of a patient", "one, where the unit is image")
    return Terms(
        log=charter_id,
        sigma=recipe.dp.sigma,
        clip=recipe.dp.clip,
        rate=sample_rate(recipe.dp.batch, patients),
        steps=steps_of(recipe.local, recipe.dp.batch, patients),
        cap=cap,
        delta=Decimal(charter.dp.delta),
        patients=patients,
    )


def tokens(names: Sequence[str]) -> list[str]:
    """Patients as the account keeps them: hashes of pseudonyms, which are keyed themselves."""
    unique = sorted(set(names))
    return [hashlib.sha256(f"consilium/privacy/v1\n{name}".encode()).hexdigest() for name in unique]


def _row(permit: Permit, order: Order, terms: Terms, charge: str, steps: int) -> ChargeRow:
    return ChargeRow(
        charge=charge,
        settles=0,
        account=permit.dataset.id,
        dataset_version=permit.dataset_version,
        log=terms.log,
        round=order.round,
        base_sha256=order.model_sha256,
        sigma=terms.sigma,
        clip=terms.clip,
        sample_rate=_text(terms.rate),
        steps=steps,
        state=RESERVED,
    )


def _worded(
    found: tuple[Decimal | None, Decimal | None], cap: Decimal, own_cap: Decimal | None
) -> tuple[str, str]:
    """What one more step would come to, and what is allowed."""
    part, whole = ("no bound" if value is None else _text(value) for value in found)
    own = "none" if own_cap is None else f"{own_cap:f}"
    return f"{part} of this study, {whole} of all", f"{cap:f} of this study, {own} of all"


def _text(value: Decimal) -> str:
    """A decimal as records carry it."""
    plain = f"{value:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _free(file: IO[str]) -> bool:
    """Whether nobody holds this file."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
