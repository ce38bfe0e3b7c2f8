"""How a model was made stands in the bundle, opened; the log commits to it, and a lie is named."""

from __future__ import annotations

from typing import Any

import pytest

from compliance.canonical import decode, encode
from compliance.errors import Malformed
from compliance.records.details import read_details
from compliance.records.sealed import Sealed, seal_payload
from compliance.report.made import files_of as opened_files
from compliance.report.made import path_of, write_opened
from compliance.report.reading import read_log
from tests.report.evidence import SITES, check, failed, files_of, lied, witnessed
from tests.simulator import HUB, Federation

PATH = "data/rounds/1.json"


def details(**changes: Any) -> dict[str, Any]:
    """The details of a first round of three hospitals."""
    body = {
        "v": 1, "round": 1, "sites": list(SITES), "n": [10, 20, 30], "reference": None,
        "reference_norm": None, "norms": [(1.5).hex()] * 3, "cosines": [], "distances": [],
        "factors": [(0.1).hex(), (5e-324).hex(), (0.0).hex()], "total": (1.0).hex(),
        "neighbours": ["7", "3", "f"], "state_before": None, "state_after": None,
    }  # fmt: skip
    return body | changes


def study(payload: dict[str, Any]) -> tuple[Federation, Sealed]:
    """One round whose end commits to these details."""
    world, sealed = Federation(sites=SITES), seal_payload(payload, bytes(16))
    world.opened().submitted()
    world.must("round.closed", world.closing(), HUB, sealed=sealed.commitment)
    return world, sealed


def bundle(world: Federation, sealed: Sealed) -> dict[str, bytes]:
    """A bundle with them."""
    log = read_log(world.entries, witnessed(world))
    kept = {sealed.commitment: (sealed.salt, sealed.data)}
    found = opened_files(log, kept.get)
    return files_of(world, attachments={path.removeprefix("data/"): d for path, d in found.items()})


def test_details_that_the_log_commits_to_are_in_the_bundle_and_hold():
    """One file a round, compared at the step of attached files."""
    world, sealed = study(details())

    files = bundle(world, sealed)

    assert decode(files[PATH])["payload"] == details()
    assert check(files, world).exit_code == 0


def test_erased_details_are_left_out_and_everything_else_holds():
    """Nobody can tell from the log what they were."""
    world, _ = study(details())
    log = read_log(world.entries, witnessed(world))

    assert opened_files(log, lambda _: None) == {}
    assert check(files_of(world), world).exit_code == 0


@pytest.mark.parametrize(
    "data",
    [
        write_opened(bytes(16), encode(details(n=[10, 20, 31]))),
        write_opened(bytes(15) + b"\1", encode(details())),
        b"{}",
        b"[]",
        encode({"payload": details(), "salt": 7}),
        encode({"payload": details(), "salt": "xyz"}),
        encode({"payload": [], "salt": "00" * 16}),
    ],
)
def test_other_details_than_the_log_commits_to_are_named(data):
    """A changed scalar, another salt, another form."""
    world, sealed = study(details())

    report = check(lied(bundle(world, sealed), {PATH: data}), world)

    assert PATH in failed(report)[13] or "round details" in failed(report)[13] or (
        "sealed" in failed(report)[13]
    )  # fmt: skip


def test_details_of_another_round_do_not_count():
    """Committed to by this round, and speaking of the next one."""
    world, sealed = study(details(round=2))
    files = files_of(world) | {}

    report = check(lied(files, {PATH: write_opened(sealed.salt, sealed.data)}), world)

    assert "speaks of round 2" in failed(report)[13]


def test_details_of_a_round_that_commits_to_nothing_are_named():
    """A round of before this version, or one that was never closed."""
    world = Federation(sites=SITES).play_round()

    for number in (1, 9):
        data = write_opened(bytes(16), encode(details(round=number)))
        report = check(lied(files_of(world), {path_of(number): data}), world)
        assert "commits to its details" in failed(report)[13]


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"sites": list(reversed(SITES))},
        {"sites": [SITES[0], SITES[0], SITES[1]]},
        {"n": [10, 20]},
        {"norms": [(1.5).hex()]},
        {"norms": ["1.5"] * 3},
        {"norms": [(-1.5).hex()] * 3},
        {"norms": [float("inf").hex()] * 3},
        {"cosines": ["nan"] * 3},
        {"factors": [(1.0).hex()] * 4},
        {"distances": [(1.0).hex()] * 2},
        {"neighbours": ["0x7"] * 3},
        {"neighbours": ["7"]},
        {"total": 60},
        {"surprise": 1},
    ],
)
def test_details_of_another_form_are_refused(changes):
    """Lists fit the hospitals, and numbers are written in one way."""
    read_details(details())
    with pytest.raises(Malformed, match="round details"):
        read_details(details(**changes))


def test_details_of_sixty_four_hospitals_with_all_distances_fit():
    """The largest round: names of a hundred letters, two thousand distances."""
    names = [f"{'h' * 60}-{number:02d}.{'example' * 5}" for number in range(64)]
    number = (1 / 3 * 1e-300).hex()
    payload = details(
        sites=names, n=[10**6] * 64, norms=[number] * 64, factors=[number] * 64,
        cosines=[number] * 64, distances=[number] * 2016, neighbours=["f" * 16] * 64,
    )  # fmt: skip

    sealed = seal_payload(read_details(payload).plain(), bytes(16))

    assert len(sealed.data) < 65_536


@pytest.mark.parametrize(
    ("params", "rounds", "said"),
    [
        ({"keep_updates": "1"}, 1, "from the updates: say `consilium audit recompute BUNDLE`"),
        ({}, 1, "from the updates: the charter keeps no updates"),
        ({"keep_updates": "1"}, 0, None),
    ],
)
def test_the_verifier_says_that_it_made_no_model_again(params, rounds, said):
    """A bundle that holds does not mean that a model was recomputed."""
    rule = {"name": "fedavg", "params": params, "masked": False}
    world = Federation(sites=SITES, aggregator=rule)
    if rounds:
        world.opened().submitted()
        world.must("round.closed", world.closing(), HUB)

    report = check(files_of(world), world)

    assert report.exit_code == 0
    told = report.steps[-1].detail
    assert said in told if said else "made again" not in told
