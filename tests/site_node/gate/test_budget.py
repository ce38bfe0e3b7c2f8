"""The privacy account: steps are reserved, charged with the reply, never refilled or overspent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from compliance.errors import Refused
from compliance.rules.noise import rounded_up
from site_node.gate.accounts import Spell
from site_node.store import privacy as table
from site_node.store.privacy import RESERVED, SPENT, VOID
from tests.site_node.gate.ledgers import Ledger, by_steps, order, people, real


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An account without a cap of its own; a step costs 0.1."""
    return Ledger(tmp_path / "home")


def test_what_a_round_costs_is_the_increase_of_the_whole(tmp_path: Path) -> None:
    """After every round the sum that is stated equals the accountant's figure, within 1 %."""
    ledger = Ledger(tmp_path / "home", price=real)
    stated = Decimal(0)

    for number in range(1, 4):
        reserved = ledger.train(ledger.study(spent=str(stated)), number)
        cost = reserved.cost(stated)
        stated += Decimal(cost["epsilon"])
        spell = (Decimal(2), Decimal("0.25"), 8 * number)
        assert stated == rounded_up(real([spell], Decimal("0.00001")))

    assert cost["steps"] == 8
    assert (cost["sigma"], cost["clip"], cost["sample_rate"]) == ("2", "1", "0.25")
    assert Decimal(cost["epsilon"]) < stated / 3  # later rounds cost less than the first


def test_training_stops_before_the_step_that_would_overspend(ledger: Ledger) -> None:
    """Of eight steps the four that fit are taken; then not one more."""
    first = ledger.train(ledger.study(cap="1.2"), 1)
    last = ledger.train(ledger.study(cap="1.2"), 2)

    assert (first.steps, last.steps, last.epsilon) == (8, 4, Decimal("1.2"))
    with (
        pytest.raises(Refused) as caught,
        ledger.budget.reserved(ledger.study(cap="1.2"), order(3)),
    ):
        pass
    assert caught.value.rule == "dp.budget"
    assert ledger.charges() == [(SPENT, "study-1", 8), (SPENT, "study-1", 4)]


def test_the_hospitals_own_cap_holds_over_all_studies(tmp_path: Path) -> None:
    """Another study, another version, another name for the same patients: one sum."""
    shelves = {"v1": people(1, 2, 3), "v2": people(7, 8, 9), "other": people(9, 10)}
    ledger = Ledger(tmp_path / "home", own_cap=Decimal("2.7"), shelves=shelves)
    ledger.train(ledger.study("study-1"))
    ledger.train(ledger.study("study-2", version="v2"))
    ledger.train(ledger.study("study-3", dataset="renamed", version="other"))

    last = ledger.train(ledger.study("study-4", version="v1"))

    assert last.steps == 3
    assert sum(steps for _, _, steps in ledger.charges()) == 27
    [account] = ledger.budget.accounts()
    assert (account["datasets"], account["epsilon"]) == (["chest", "renamed"], "2.7")
    assert (account["left"], account["patients"]) == ("0", 7)


def test_datasets_of_different_patients_do_not_pay_for_each_other(tmp_path: Path) -> None:
    """Until one of them takes in a patient of the other: then they are one for ever."""
    shelves = {"a": people(1, 2), "b": people(3, 4), "both": people(2, 3), "later": people(4, 5)}
    ledger = Ledger(tmp_path / "home", own_cap=Decimal("1.9"), shelves=shelves)
    ledger.train(ledger.study(dataset="left", version="a"))

    assert ledger.train(ledger.study(dataset="right", version="b")).steps == 8
    assert ledger.train(ledger.study(dataset="left", version="both")).steps == 3
    with pytest.raises(Refused, match="2 of all"):
        ledger.train(ledger.study(dataset="right", version="later"))


def test_a_study_has_its_own_part_beside_the_whole(ledger: Ledger) -> None:
    """Two studies of one account: each states only what it cost itself."""
    ledger.train(ledger.study("study-1"))

    second = ledger.train(ledger.study("study-2"))

    assert second.epsilon == Decimal("0.8")
    with ledger.sessions() as session:
        assert [row.eps_total for row in table.charges(session)] == ["0.8", "1.6"]


def test_a_training_without_an_answer_costs_nothing(ledger: Ledger) -> None:
    """Refused, too late, out of memory: nothing left the house."""
    with pytest.raises(MemoryError), ledger.budget.reserved(ledger.study(), order()):
        raise MemoryError

    assert ledger.charges() == [(VOID, "study-1", 8)]
    assert ledger.train(ledger.study(cap="0.8")).steps == 8
    assert ledger.journal.lines()[1]["kind"] == "privacy.void"


def test_a_reservation_counts_while_its_training_goes_on(ledger: Ledger) -> None:
    """Two trainings at a time cannot both take the last step."""
    with ledger.budget.reserved(ledger.study("study-1", cap="1"), order()):
        other = Ledger(ledger.home, own_cap=Decimal(1))
        with other.budget.reserved(other.study("study-2"), order()) as second:
            assert second is not None
            assert second.steps == 2
        assert (RESERVED, "study-1", 8) in ledger.charges()


def test_two_studies_that_race_for_one_account_do_not_both_win(tmp_path: Path) -> None:
    """While the first works out what fits, the second takes it: the first must look again."""
    late: list[Ledger] = []

    def slowly(history: Iterable[Spell], delta: Decimal) -> float:
        if late:
            rival = late.pop()
            rival.train(rival.study("rival"))
        return by_steps(history, delta)

    cap = Decimal("1.1")
    late.append(Ledger(tmp_path / "home", own_cap=cap))
    ledger = Ledger(tmp_path / "home", own_cap=cap, price=slowly)

    assert ledger.train(ledger.study("first")).steps == 3
    assert ledger.charges() == [(SPENT, "rival", 8), (SPENT, "first", 3)]


def test_a_process_that_is_killed_between_reserving_and_charging_has_spent_nothing(
    ledger: Ledger,
) -> None:
    """Kill -9: the reservation stands until somebody asks again, then it is void, once."""
    command = [sys.executable, "-m", "tests.site_node.gate.ledgers", str(ledger.home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"reserved\n"
        own = Ledger(ledger.home, own_cap=Decimal("0.9"))
        assert own.train(own.study("alive")).steps == 1  # the other one still trains
        child.kill()
        child.wait()
    assert (RESERVED, "dying", 8) in ledger.charges()

    ledger.train(ledger.study("next"))

    assert (VOID, "dying", 8) in ledger.charges()
    assert not list((ledger.home / "run" / "privacy").iterdir())


def test_what_was_charged_once_is_neither_charged_again_nor_given_back(ledger: Ledger) -> None:
    """A reservation is settled once, in the database too."""
    with ledger.budget.reserved(ledger.study(), order()) as reserved:
        assert reserved is not None
        with ledger.sessions.begin() as session:
            ledger.budget.charge(session, reserved)
        with pytest.raises(Refused), ledger.sessions.begin() as session:
            ledger.budget.charge(session, reserved)
    with ledger.sessions() as session:
        row = table.find_charge(session, reserved.charge)
        assert row is not None
        assert row.state == SPENT
        with pytest.raises(IntegrityError):
            table.add(session, row.settled(VOID, "later"))


@pytest.mark.parametrize("name", ["privacy_account", "privacy_patient", "privacy_charge"])
@pytest.mark.parametrize("deed", ["UPDATE {} SET dataset = 'x'", "DELETE FROM {}"])
def test_no_line_of_the_account_is_changed_or_deleted(ledger: Ledger, name: str, deed: str) -> None:
    """The database itself refuses."""
    ledger.train(ledger.study())
    sentence = deed.format(name).replace(
        "SET dataset", "SET at" if "charge" in name else "SET dataset"
    )

    with ledger.sessions() as session, pytest.raises(IntegrityError, match="append-only"):
        session.connection().exec_driver_sql(sentence)


def test_an_accountant_that_cannot_say_lets_nothing_happen(tmp_path: Path) -> None:
    """Without a price, no step."""
    ledger = Ledger(tmp_path / "home", price=lambda *_: float("inf"))

    with pytest.raises(Refused) as caught:
        ledger.train(ledger.study())

    assert (caught.value.rule, caught.value.found) == (
        "dp.budget",
        "no bound of this study, no bound of all",
    )
    assert ledger.charges() == []


def test_a_study_of_images_needs_one_image_of_each_patient(tmp_path: Path) -> None:
    """Otherwise a patient with ten images would be hidden a tenth as well."""
    ledger = Ledger(tmp_path / "home", shelves={"v1": ["a", "a", "b"]})
    permit = ledger.study()
    permit.charter.dp = permit.charter.dp.model_copy(update={"unit": "image"})

    with pytest.raises(Refused, match="one, where the unit is image"):
        ledger.train(permit)


def test_a_delta_that_lets_a_patient_through_is_refused(tmp_path: Path) -> None:
    """At most a tenth of one patient."""
    ledger = Ledger(tmp_path / "home", shelves={"v1": people(*range(20_000))})

    with pytest.raises(Refused) as caught:
        ledger.train(ledger.study())

    assert (caught.value.rule, caught.value.agreed) == ("dp.delta", "0.000005000000")


def test_a_patient_stands_in_the_account_under_no_name(ledger: Ledger) -> None:
    """Not even under the pseudonym."""
    ledger.train(ledger.study())

    assert b"patient 1" not in (ledger.home / "site.sqlite").read_bytes()
