"""SCAFFOLD between rounds: the control moves only by the own log, and equals the definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compliance.canonical import sha256_id
from compliance.records.layout import model_sha256
from compliance.records.order import Order
from compliance.records.recipe import layout_of
from site_node.gate.controls import Controls, model_of
from site_node.gate.permits import Permit
from site_node.store import controls as table
from site_node.store.journal import close_store
from site_node.store.schema import open_store
from site_node.training.session import Job, handle_on
from site_node.training.vectors import start_vector
from tests import factories as make
from tests.simulator import Federation
from tests.site_node.training.tables import MemoryTable, table_recipe
from tests.site_node.training.test_linear import batches, gradient

RECIPE = table_recipe(local={"scaffold": True, "steps": 12, "batch": 8})
LAYOUT = layout_of(RECIPE)
RATE, STEPS = 0.1, 12
CASES = {"east.example": 40, "north.example": 24, "south.example": 22}
SITES = tuple(CASES)


class Hospital:
    """One hospital: its cases, its store, its control variates."""

    def __init__(self, home: Path, site: str, seed: int) -> None:
        home.mkdir()
        self.site, self.home = site, home
        self.data = MemoryTable(CASES[site], seed=seed)
        self.sessions = open_store(home / "site.sqlite")
        self.controls = Controls(home=home, site=site, sessions=self.sessions)

    def permit(self, federation: Federation) -> Permit:
        """What the gate would permit."""
        return Permit(
            study="00112233445566aa",
            state=federation.state,
            charter=federation.state.charter,
            dataset=federation.state.charter.datasets_of(self.site)[0],
            dataset_version=make.sha("cases"),
            dataset_dir=self.home,
            examples=CASES[self.site],
            patients=CASES[self.site],
            recipe=RECIPE,
            layout=LAYOUT,
            seed=0,
            min_examples=1,
            min_cell=5,
        )

    def train(self, federation: Federation, model: Any, *, keep: bool = True) -> Any:
        """Carry out the order of the open round; returns control and update."""
        permit, order = self.permit(federation), order_of(federation)
        control = self.controls.at(permit, order, model.tobytes())
        delta = self.update(model, control, federation.state.running.number)
        if keep:
            sent = delta.astype("<f4").tobytes()
            with self.sessions.begin() as session:
                for act in self.controls.beside(permit, order, model.tobytes(), sent, STEPS):
                    act(session)
        return control, delta

    def update(self, model: Any, control: bytes, number: int) -> Any:
        """Train on this model with this control."""
        held = np.frombuffer(control, "<f4")
        seed = seed_of(self.site, number)
        job = Job("train", RECIPE, LAYOUT, model, Path(), seed, [], 5, control=held)
        return handle_on(self.data, job).delta


def seed_of(site: str, number: int) -> int:
    """The seed of a round and site."""
    return 100 * number + SITES.index(site)


def order_of(federation: Federation) -> Order:
    """The order of the open round."""
    running = federation.state.running
    return Order(
        kind="train",
        log=federation.state.charter_id,
        entry=running.index,
        leaf=make.sha("leaf"),
        round=running.number,
        layout_sha256=LAYOUT.sha256,
        model_sha256=running.model_sha256,
        deadline=running.deadline,
    )


@pytest.fixture
def hospitals(tmp_path: Path) -> Any:
    """Three hospitals with other patients each."""
    made = {site: Hospital(tmp_path / site, site, n) for n, site in enumerate(SITES)}
    yield made
    for hospital in made.values():
        close_store(hospital.sessions)


def named(model: Any) -> str:
    """The name of a model."""
    return model_sha256(LAYOUT.sha256, model.tobytes())


def begun() -> tuple[Federation, Any]:
    """A study of the three, and its start model."""
    start = start_vector(LAYOUT, 5)
    return Federation(sites=SITES, initial_model_sha256=named(start)), start


def play(
    federation: Federation, hospitals: Any, model: Any, *, used: Any = SITES, trained: Any = SITES
) -> Any:
    """One round: these train, the updates of these are used; returns the new model."""
    federation.opened(model_sha256=named(model))
    deltas = {site: hospitals[site].train(federation, model)[1] for site in trained}
    for site, delta in deltas.items():
        sent = sha256_id(delta.astype("<f4").tobytes())
        federation.must(
            "update.submitted",
            federation.training(site, update_sha256=sent, n=CASES[site]),
            f"{site}/node",
        )
    total = sum(CASES[site] for site in used)
    step = sum(CASES[site] / total * deltas[site].astype(np.float64) for site in used)
    made = (model.astype(np.float64) + step).astype(np.float32)
    body = federation.closing(model_sha256=named(made))
    body["excluded"] = {site: "outlier" for site in trained if site not in used}
    body["used"] = {site: sha for site, sha in body["used"].items() if site in used}
    body["weights"] = _shares(sorted(body["used"]))
    federation.must("round.closed", body, make.EVENTS)
    return made


def _shares(sites: list[str]) -> dict[str, str]:
    from tests.simulator import shares

    return shares(sites)


def plain_local(site: str, data: Any, number: int, start: Any, shift: Any) -> Any:
    """A hospital's steps, a value at a time: w <- w - rate * (gradient - shift)."""
    weights = start.copy()
    for values, labels in batches(data, RECIPE, seed_of(site, number)):
        weights = weights - RATE * (gradient(weights, values, labels) - shift)
    return weights


def test_three_rounds_equal_scaffold_as_published(hospitals: Any) -> None:
    """Option II of the paper with c and c_i on their way, in plain loops (arXiv 1910.06378)."""
    federation, model = begun()
    weights = model.astype(np.float64)
    c, own = np.zeros(LAYOUT.count), {site: np.zeros(LAYOUT.count) for site in SITES}
    total = sum(CASES.values())

    for number in (1, 2, 3):
        model = play(federation, hospitals, model)
        new, change = np.zeros(LAYOUT.count), np.zeros(LAYOUT.count)
        for site in SITES:
            share = CASES[site] / total
            local = plain_local(site, hospitals[site].data, number, weights, own[site] - c)
            fresh = own[site] - c + (weights - local) / (STEPS * RATE)
            new, change = new + share * local, change + share * (fresh - own[site])
            own[site] = fresh
        weights, c = new, c + change

        assert np.abs(model - weights).max() < 1e-6


def test_a_hospital_that_was_left_out_stays_where_it_was(hospitals: Any) -> None:
    """Three rounds, one of them without south: plain loops of h, which moves only where used."""
    federation, model = begun()
    weights, control = model.astype(np.float64), {site: np.zeros(LAYOUT.count) for site in SITES}
    rounds = {1: SITES, 2: SITES[:2], 3: SITES}

    for number, used in rounds.items():
        model = play(federation, hospitals, model, used=used)
        local = {
            site: plain_local(site, hospitals[site].data, number, weights, control[site])
            for site in SITES
        }
        total = sum(CASES[site] for site in used)
        new = sum(CASES[site] / total * local[site] for site in used)
        for site in used:
            control[site] = control[site] + (new - local[site]) / (RATE * STEPS)
        weights = new

        assert np.abs(model - weights).max() < 1e-6
    federation.opened(model_sha256=named(model))
    for site in SITES:
        held = np.frombuffer(hospitals[site].train(federation, model)[0], "<f4")
        assert np.abs(held - control[site]).max() < 1e-5


def test_the_same_order_gives_the_same_bytes(hospitals: Any) -> None:
    """Asked again before and after the answer was kept, also by another process."""
    federation, model = begun()
    model = play(federation, hospitals, model)
    federation.opened(model_sha256=named(model))
    hospital = hospitals["east.example"]

    first = hospital.train(federation, model, keep=False)
    second = hospital.train(federation, model)
    other = Controls(home=hospital.home, site=hospital.site, sessions=hospital.sessions)
    third = other.at(hospital.permit(federation), order_of(federation), model.tobytes())

    assert first[0] == second[0] == third
    assert np.frombuffer(third, "<f4").any()
    assert first[1].tobytes() == second[1].tobytes()


def test_a_model_of_another_round_moves_no_control(hospitals: Any) -> None:
    """Who missed the model that its own update went into keeps the control of before."""
    federation, model = begun()
    model = play(federation, hospitals, model)
    model = play(federation, hospitals, model)
    before = hospitals["east.example"].train(
        federation.opened(model_sha256=named(model)), model, keep=True
    )[0]
    federation.must("round.aborted", _aborted(federation), make.EVENTS)

    model = play(federation, hospitals, model, used=SITES[1:], trained=SITES[1:])
    federation.opened(model_sha256=named(model))
    after = hospitals["east.example"].train(federation, model)[0]

    assert after == before


def _aborted(federation: Federation) -> dict[str, Any]:
    return {"round": federation.state.running.number, "reason": "too_few", "on_behalf": None}


def test_only_an_update_that_the_log_names_counts_as_used(hospitals: Any) -> None:
    """The hub's word in a message counts nothing: the own fold over the own copy does."""
    federation, model = begun()
    play(federation, hospitals, model, used=SITES[:2])
    closed = federation.state.rounds_closed[0]

    assert model_of(federation.state, SITES[0], closed.used[SITES[0]]) == closed.model_sha256
    assert model_of(federation.state, SITES[1], closed.used[SITES[0]]) is None
    assert model_of(federation.state, SITES[2], make.sha("anything")) is None
    assert model_of(federation.state, SITES[0], None) is None


def test_two_rounds_are_kept_and_no_file_without_its_row(hospitals: Any) -> None:
    """A long study does not fill the disk; a file that is gone begins again at zero."""
    federation, model = begun()
    for _ in range(4):
        model = play(federation, hospitals, model)
    hospital = hospitals["east.example"]
    folder = hospital.home / "models" / "00112233445566aa" / "controls"

    with hospital.sessions() as session:
        rows = [table.find_control(session, federation.state.charter_id, n) for n in range(1, 5)]
        named_files = table.control_files(session, "00112233445566aa")
    assert [row is not None for row in rows] == [False, False, True, True]
    assert {f"sha256:{path.stem}" for path in folder.iterdir()} == named_files
    for path in folder.iterdir():
        path.unlink()
    federation.opened(model_sha256=named(model))
    assert not np.frombuffer(hospital.train(federation, model)[0], "<f4").any()


def test_a_recipe_without_scaffold_keeps_nothing(hospitals: Any) -> None:
    """No control, no row, no file."""
    federation, model = begun()
    federation.opened(model_sha256=named(model))
    hospital = hospitals["east.example"]
    permit = hospital.permit(federation)
    plain = Permit(**(vars(permit) | {"recipe": table_recipe()}))

    assert hospital.controls.at(plain, order_of(federation), model.tobytes()) is None
    assert hospital.controls.beside(plain, order_of(federation), b"", b"", STEPS) == ()
    assert not (hospital.home / "models").exists()
