"""Attached files are what the log names; derived tables are made from them and from the log."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from compliance.canonical import sha256_id
from compliance.errors import Malformed, NotProven
from compliance.records.envelope import Event, parse_event
from compliance.report.account import inputs_files
from compliance.rules.contribution import by_inputs, by_round, rounded, shapley, split
from compliance.signing.note import parse
from tests import factories as make
from tests.report.evidence import SITES, check, example, failed, files_of, lied
from tests.simulator import Federation
from tests.sweeps import accounted, rule

PROGRAM = b"the Flower bundle"
DESCRIPTION = b'{"name": "chest radiographs"}'
PROTOCOL = b"protocol of the study"
DESCRIBED = f"data/{SITES[0]}-{make.DATASET}.croissant.json"
SEEDS = {"v": 1, "sites": list(SITES[:2]), "seeds": {
    "1": {"1": "0.6", "2": "0.5", "3": "0.9"}, "2": {"1": "0.8", "2": "0.5", "3": "0.9"},
}}  # fmt: skip


def study(**charter: object) -> Federation:
    """One round under a charter that names a program, a description and a protocol."""
    rows = [make.dataset_row(name, description_sha256=sha256_id(DESCRIPTION)) for name in SITES]
    protocol = {"kind": "protocol", "ref": "Protocol 1", "sha256": sha256_id(PROTOCOL)}
    fields = {"bundle_sha256": sha256_id(PROGRAM), "datasets": rows, "documents": [protocol]}
    return Federation(sites=SITES, **(fields | charter)).play_round()


ATTACHED = {
    "workflow/study-app.fab": PROGRAM,
    DESCRIBED: DESCRIPTION,
    "documents/protocol.txt": PROTOCOL,
}


def test_files_that_the_charter_names_are_compared_with_their_hashes():
    """Program, description and document: three files, all of the agreed content."""
    world = study()

    report = check(files_of(world, attachments=ATTACHED), world)

    assert report.exit_code == 0, report.plain()
    assert report.steps[12].detail == "3 files"


@pytest.mark.parametrize("path", ATTACHED)
def test_an_attached_file_with_another_content_is_named(path):
    """The exporter signs it, the log does not."""
    world = study()
    files = files_of(world, attachments=ATTACHED)

    report = check(lied(files, {f"data/{path}": b"something else"}), world)

    assert f"data/{path}" in failed(report)[13]


def test_a_description_under_another_hospitals_name_is_named():
    """The hash is right, the hospital is not one of this study."""
    world = study()
    files = files_of(world, attachments={"data/evil.example-cxr.croissant.json": DESCRIPTION})

    assert "evil.example" in failed(check(files, world))[13]


def shares(files: dict[str, bytes]) -> list[list[str]]:
    """Rows of the table of contributions."""
    return [line.split(",") for line in files["data/contribution.csv"].decode().splitlines()[1:]]


def test_agreed_shares_by_cases_follow_from_the_log_alone():
    """Nobody needs to hand in anything."""
    world = study(contribution={"rule": "cases", "params": {}})

    rows = shares(files_of(world))

    assert [(row[3], row[5], row[6]) for row in rows] == [
        (SITES[0], "120", "0.333334"), (SITES[1], "120", "0.333333"), (SITES[2], "120", "0.333333")
    ]  # fmt: skip


def worth(_seed: int, coalition: int, _site: str) -> int:
    """The first hospital helps, the second less, the third not at all."""
    return 20 + 11 * (coalition & 1) + 7 * (coalition >> 1 & 1)


def test_shapley_shares_are_made_again_from_what_the_hospitals_measured():
    """The file of inputs is the log's own; with it or without it the same shares follow."""
    world = accounted(study(contribution=rule(), max_rounds=1), worth)
    ((path, inputs),) = inputs_files(world.state, events_of(world)).items()
    index = str(len(world.entries) - 1)

    given = files_of(world, attachments={path.removeprefix("data/"): inputs})
    without = files_of(world)

    assert path == "data/contribution/1-1.json"
    assert check(given, world).exit_code == 0
    assert [row[6] for row in shares(given)] == ["0.611111", "0.388889", "0.000000"]
    assert shares(given) == shares(without)
    assert {row[7] for row in shares(given)} == {index}
    assert shares(given)[2][9:13] == ["0.000000"] * 4
    lie = lied(given, {path: inputs.replace(b"[50,20", b"[50,40", 1)})
    assert 13 in failed(check(lie, world))


def events_of(world: Federation) -> list[Event]:
    """The statements of a log."""
    return [parse_event(parse(note).text) for note in world.entries]


def test_shapley_values_are_exact_and_shares_add_up_to_one():
    """Efficiency, symmetry and the zero player, in fractions."""
    worth = {1: Fraction(1), 2: Fraction(1), 3: Fraction(3), 4: Fraction(0), 5: Fraction(1),
             6: Fraction(1), 7: Fraction(3)}  # fmt: skip

    values = shapley(["a", "b", "c"], worth)

    assert values == {"a": Fraction(3, 2), "b": Fraction(3, 2), "c": Fraction(0)}
    assert rounded(split(values, Fraction(1, 10))) == {
        "a": "0.450000", "b": "0.450000", "c": "0.100000",
    }  # fmt: skip
    assert split({"a": Fraction(-1), "b": Fraction(0)}) == {
        "a": Fraction(1, 2),
        "b": Fraction(1, 2),
    }
    assert rounded({}) == {}
    assert by_round("equal", [{"a": 9, "b": 1}, {"a": 5}]) == {
        "a": Fraction(3, 4), "b": Fraction(1, 4),
    }  # fmt: skip


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {**SEEDS, "v": 2},
        {**SEEDS, "sites": ["b", "a"]},
        {**SEEDS, "seeds": {}},
        {**SEEDS, "seeds": {"1": {"1": 0.5, "2": "0.5", "3": "1"}}},
        {**SEEDS, "seeds": {"1": {"1": "0.5", "3": "1"}}},
        {**SEEDS, "seeds": {"1": {"1": "1e9", "2": "0", "3": "1"}}},
        {**SEEDS, "seeds": []},
    ],
)
def test_inputs_in_another_form_give_no_share(inputs):
    """A fraction as a number, a missing coalition, another version: no share is guessed."""
    with pytest.raises(Malformed):
        by_inputs(inputs)


def test_a_path_that_no_kind_knows_is_not_attached():
    """A bundle holds what an auditor can place."""
    world, _ = example()
    for path in ("documents/../x", "workflow/x.exe", "model/zz/card.json", "state.json"):
        with pytest.raises(NotProven):
            files_of(world, attachments={path: b"x"})


def test_records_of_processing_are_filled_from_the_charter_and_marked_where_they_are_not():
    """What only the controller knows is not guessed; risks are headings."""
    _, files = example()

    ropa = json.loads(files["data/privacy/ropa_art30.json"])
    dpia = json.loads(files["data/privacy/dpia_inputs.json"])

    assert ropa["a_controllers"][0]["controller"] == "East Hospital"
    assert ropa["a_controllers"][0]["contact"] == "to be completed by the controller"
    assert ropa["f_erasure"] == "2033-11-20T09:00:00Z"
    assert {row["assessment"] for row in dpia["c_risks"]} == {"to be completed by the controller"}
    assert dpia["d_measures"]["refusals_so_far"] == {"site.floor": 3}
    assert ropa["size"] == dpia["size"] == 21
    assert ropa["statement"].endswith("Not a legal determination.")


def test_the_privacy_ledger_adds_up_and_shows_the_cap_of_the_moment():
    """A hospital lowered its cap after the first round; the second row shows it."""
    _, files = example()

    rows = [line.split(",") for line in files["data/privacy/dp_ledger.csv"].decode().splitlines()]
    of_south = [row[4:7] for row in rows if row[1] == SITES[2]]

    assert of_south == [["0.5", "0.5", "3.0"], ["0.5", "1.0", "2.0"]]


def test_signatures_say_what_they_mean():
    """21 CFR 11.50: name, time and meaning of every signature, cosignatures too."""
    _, files = example()

    rows = files["data/governance/signatures.csv"].decode()

    permit = "approved the protocol and permits use of cxr until 2027-11-22"
    decided = ("authored", permit, "agreed to resume", "approved release", "stopped")
    for words in (*decided, "witnessed", "reviewed"):
        assert words in rows
    assert rows.count("hub-attested") == 1


RUBBISH = (b"", b"\x00\xff", b"[]", b"{}", b"null", b'{"v":1}', b"\n\n", b'{"narrative":5}')
STRANGE = (*RUBBISH, b"[" * 20_000, b'key,name\na,"', b"key,name\n" + b"x" * 200_000 + b",y\n")


def test_strange_bytes_in_any_attached_file_only_make_the_verifier_say_no():
    """Never a trace: each kind of file, each kind of rubbish, signed by the exporter."""
    world, files = example()
    model = next(path for path in files if path.endswith("modelcard.md")).rpartition("/")[0]
    paths = [*(f"data/{path}" for path in ATTACHED), f"{model}/card.json", "data/people.csv",
             f"{model}/model.safetensors", "data/contribution/1-1.json", "data/controls.json",
             f"data/privacy/deid/{SITES[0]}-{make.DATASET}.json", "data/report.pdf",
             "data/consortium/0.note", "data/consortium/checkpoint"]  # fmt: skip
    for path in paths:
        for data in STRANGE:
            report = check(lied(files, {path: data}), world)

            assert len(report.steps) == 16
            assert report.exit_code == 1, (path, data[:20])
