"""An auditor makes every model again from what the hospitals agreed to keep, and finds each lie."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compliance.canonical import decode, encode
from compliance.command import main
from compliance.report import bag
from compliance.report.compare import read_evidence
from compliance.report.reading import read_log
from hub.federation import making
from hub.federation.aggregation import recompute as second_look
from hub.federation.aggregation.clipped_mean import ClippedMean
from hub.federation.aggregation.recompute import Evidence, Told
from hub.federation.aggregation.rule import Undecided
from hub.services.rounds import RoundService
from tests.house import House
from tests.hub.federation.post import Post

THREE = ("east.example", "north.example", "south.example")
ADAM = {
    "name": "clipped_mean.adam",
    "params": {"server_lr": "0.01", "keep_updates": "1"},
    "masked": False,
}


class Case:
    """A finished study whose updates were kept, its bundle and its folder."""

    def __init__(self, house: House, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.house, self.capsys = house, capsys
        house.look()
        made = house.hub.exports.bundle(house.study, out, wait=0)
        self.bundle = Path(made["bundle"])
        self.kept = house.hub.settings.home / "studies" / house.study

    def told(self, work: Path, kept: Path | None = None, **files: bytes) -> list[Told]:
        """What comes of a second look, with changed files of the bundle."""
        evidence = read_evidence(self.bundle)
        _, inside = bag.read_zip(self.bundle.read_bytes())
        log = read_log(evidence.entries, evidence.note)
        inside |= {path.replace("round_", "data/rounds/") + ".json": d for path, d in files.items()}
        work.mkdir()
        inside = {path: data for path, data in inside.items() if data}
        return list(second_look.recompute(Evidence(log, inside, kept or self.kept, work)))

    def run(self, *words: str) -> tuple[int, dict[str, Any]]:
        """The command, for machines."""
        self.capsys.readouterr()
        code = main(["audit", "recompute", str(self.bundle), "--json", *words])
        return code, json.loads(self.capsys.readouterr().out)


def study(
    folder: Path, capsys: pytest.CaptureFixture[str], aggregator: dict[str, Any], rounds: int = 1
) -> Post:
    """Three hospitals that signed so many rounds of a rule."""
    house = House(folder, capsys, THREE)
    house.launch(max_rounds=rounds, round_seconds=600, min_sites=2, aggregator=aggregator)
    return Post(house)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One study for all questions that change nothing of it."""
    folder = tmp_path_factory.mktemp("recompute")

    def made(capsys: pytest.CaptureFixture[str]) -> Case:
        if not hasattr(case, "kept"):
            post = study(folder, capsys, ADAM, rounds=3)
            post.direct()
            case.kept = Case(post.house, folder / "out", capsys)
        case.kept.capsys = capsys
        return case.kept

    return made


def test_every_round_is_recomputed_with_its_server_step(case, capsys, tmp_path):
    """The command says so in words and for machines; the state is followed from its zeros."""
    made = case(capsys)

    code, told = made.run("--home", str(made.house.hub.settings.home))

    assert code == 0
    assert [(row["round"], row["result"]) for row in told["rounds"]] == [
        (1, "agrees"), (2, "agrees"), (3, "agrees"),
    ]  # fmt: skip
    closed = made.house.hub.ledger.state(made.house.study).rounds_closed
    assert all(
        row.model_sha256 in said["detail"] for row, said in zip(closed, told["rounds"], strict=True)
    )
    assert main(["audit", "recompute", str(made.bundle), "--from", str(made.kept)]) == 0
    assert "PASS        round 3" in capsys.readouterr().out


def test_a_bundle_holds_how_each_model_was_made(case, capsys):
    """What the log commits to is opened in the bundle; each state follows the one before."""
    made = case(capsys)
    _, inside = bag.read_zip(made.bundle.read_bytes())

    rounds = sorted(path for path in inside if path.startswith("data/rounds/"))
    details = decode(inside[rounds[0]])["payload"]

    assert rounds == [f"data/rounds/{number}.json" for number in (1, 2, 3)]
    assert details["sites"] == list(THREE)
    assert details["state_before"] is None
    assert decode(inside[rounds[1]])["payload"]["state_before"] == details["state_after"]


def _lied(data: bytes, **changes: Any) -> bytes:
    opened = decode(data)
    return encode({"salt": opened["salt"], "payload": opened["payload"] | changes})


def test_details_that_the_log_does_not_commit_to_are_refused(case, capsys, tmp_path):
    """Whoever changes a scalar afterwards changes the hash."""
    made = case(capsys)
    _, inside = bag.read_zip(made.bundle.read_bytes())
    lie = _lied(inside["data/rounds/2.json"], total="0x1.8000000000000p+1")

    told = made.told(tmp_path / "work", round_2=lie)

    assert [row.result for row in told] == ["agrees", "differs", "cannot tell"]
    assert "sealed" in told[1].detail


def test_erased_details_leave_the_models_checkable(case, capsys, tmp_path):
    """One's own scalars lead to the same bytes on the same kind of machine."""
    told = case(capsys).told(tmp_path / "work", round_1=b"", round_2=b"", round_3=b"")

    assert [row.result for row in told] == ["agrees"] * 3
    assert "measured again" in told[0].detail


@pytest.mark.parametrize(
    ("damage", "result", "words"),
    [("changed", "differs", "not the one it signed"), ("gone", "cannot tell", "was not kept")],
)
def test_an_update_that_is_not_there_as_it_was_is_named(
    case, capsys, tmp_path, damage, result, words
):
    """A changed file refutes, a missing one leaves the question open; the rounds before agree."""
    made = case(capsys)
    kept = tmp_path / "kept"
    shutil.copytree(made.kept, kept)
    used = made.house.hub.ledger.state(made.house.study).rounds_closed[1].used
    path = kept / "updates" / f"{used['north.example'][7:]}.f32"
    if damage == "gone":
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[7] ^= 1
        path.write_bytes(data)

    told = made.told(tmp_path / "work", kept)

    assert told[0].result == "agrees"
    assert told[1].result == result
    assert "north.example" in told[1].detail
    assert words in told[1].detail
    assert told[2].result == "cannot tell"


def test_a_hub_that_adds_to_a_model_is_found(tmp_path, capsys, monkeypatch):
    """Everything is signed and sealed, and one number of the model is not what the updates give."""
    real = making.make_model

    def cheating(rounds, study, spool, counted):
        made, weights = real(rounds, study, spool, counted)
        values = np.fromfile(made.model, dtype="<f4")
        values[5] += 0.5
        values.tofile(made.model)
        return made, weights

    monkeypatch.setattr("hub.federation.director.make_model", cheating)
    kept = {"name": "fedavg", "params": {"keep_updates": "1"}, "masked": False}
    post = study(tmp_path, capsys, kept)
    post.direct()

    code, told = Case(post.house, tmp_path / "out", capsys).run(
        "--home", str(post.house.hub.settings.home)
    )

    assert code == 1
    assert {row["result"] for row in told["rounds"]} == {"differs"}
    assert "the log has another" in told["rounds"][0]["detail"]


def test_a_hub_that_weighs_as_it_likes_is_found(tmp_path, capsys, monkeypatch):
    """Factors on record lead to the model, but do not follow from the updates."""
    real = ClippedMean.plan

    def biased(self, votes, sections):
        plan = real(self, votes, sections)
        return replace(plan, factors=(plan.factors[0] * 1.001, *plan.factors[1:]))

    rule = {"name": "clipped_mean", "params": {"keep_updates": "1"}, "masked": False}
    post = study(tmp_path, capsys, rule)
    monkeypatch.setattr(ClippedMean, "plan", biased)
    post.direct()
    monkeypatch.setattr(ClippedMean, "plan", real)

    told = Case(post.house, tmp_path / "out", capsys).told(tmp_path / "work")

    assert told[0].result == "differs"
    assert "factors on record do not follow" in told[0].detail


def test_without_the_charters_word_no_update_is_kept(tmp_path, capsys):
    """Single updates tell more than their mean: they go when the round is closed."""
    post = study(tmp_path, capsys, {"name": "fedavg", "params": {}, "masked": False})
    post.direct()
    case = Case(post.house, tmp_path / "out", capsys)

    code, told = case.run("--home", str(post.house.hub.settings.home))

    assert code == 2
    assert not (case.kept / "updates").exists()
    assert "was not kept" in told["rounds"][0]["detail"]


class PowerCut(Exception):
    """The hub ends here."""


@pytest.mark.parametrize("rule", ["median.yogi"])
def test_a_power_cut_between_state_and_record_changes_no_byte(tmp_path, capsys, monkeypatch, rule):
    """State and model lie in place, the transaction did not happen: the same bytes come again."""
    agreed = {"name": rule, "params": {"server_lr": "0.1"}, "masked": False}
    found = []
    for name in ("calm", "cut"):
        post = study(tmp_path / name, capsys, agreed, rounds=3)
        rooms, cuts = post.house.hub, []
        if name == "cut":
            place = RoundService._put_in_place

            def cut(self, study, state, made, place=place, cuts=cuts):
                entered = place(self, study, state, made)
                if state.running.number == 2 and not cuts:
                    cuts.append(entered)
                    raise PowerCut
                return entered

            monkeypatch.setattr(RoundService, "_put_in_place", cut)
            with pytest.raises(PowerCut):
                post.direct()
            rooms.ledger._states.clear()
        post.direct()
        folder = rooms.registry.folder(post.house.study)
        states = {path.name: path.read_bytes() for path in (folder / "state").iterdir()}
        closed = rooms.ledger.state(post.house.study).rounds_closed
        found.append(([row.model_sha256 for row in closed], states))

    assert found[0] == found[1]
    assert sorted(found[0][1]) == ["2.f64", "3.f64"]


def test_a_study_whose_server_state_is_damaged_stops_and_says_so(tmp_path, capsys):
    """No model is made from a guess; the round is aborted and the study stopped."""
    post = study(tmp_path, capsys, ADAM, rounds=2)
    rooms = post.house.hub
    real = RoundService.close

    def damaging(self, lease, account, made):
        name = real(self, lease, account, made)
        path = rooms.registry.state_path(post.house.study, 1)
        data = bytearray(path.read_bytes())
        data[-40] ^= 1
        path.write_bytes(data)
        return name

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RoundService, "close", damaging)
        post.direct()

    state = rooms.ledger.state(post.house.study)
    assert len(state.rounds_closed) == 1
    assert state.stopped is not None
    assert any("store.missing" in line for line in post.said)


def test_a_study_without_its_server_state_is_not_run(tmp_path, capsys):
    """On a successor the state is not there: no run is started, and the study is named."""
    post = study(tmp_path, capsys, ADAM, rounds=2)
    rooms, seen = post.house.hub, []
    real = RoundService.close

    def one_round(self, lease, account, made):
        real(self, lease, account, made)
        raise PowerCut

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RoundService, "close", one_round)
        with pytest.raises(PowerCut):
            post.direct()
    seen.append(rooms.runs.without_model())
    rooms.registry.state_path(post.house.study, 1).unlink()

    assert seen == [[]]
    assert rooms.runs.without_model() == [post.house.study]
    assert rooms.runs.wanted() == []


def test_no_update_that_the_reference_trusts_makes_no_model(tmp_path, capsys):
    """The round is aborted on record; three in a row stop the study."""
    post = study(tmp_path, capsys, {"name": "median", "params": {}, "masked": False})

    def nobody(*_):
        raise Undecided("round", "no update points the way of the reference update")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hub.federation.director.make_model", nobody)
        post.direct()

    state = post.house.hub.ledger.state(post.house.study)
    assert state.rounds_closed == []
    assert state.stopped is not None
