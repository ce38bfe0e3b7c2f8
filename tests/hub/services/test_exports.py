"""What is handed out was witnessed, verified and put on record first."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from compliance.command import main as command
from compliance.errors import ConsiliumError, NotReady, Refused
from compliance.records.envelope import parse_event
from compliance.report.reading import read_log
from compliance.report.request import Request
from compliance.report.verify import verify
from compliance.signing.note import parse
from hub.services.attachments import Attachments
from tests import factories as make
from tests.hub.house import NAMES, House, behind_the_hubs_back

EAST, NORTH, SOUTH = NAMES


@pytest.fixture
def study(house: House) -> str:
    """A launched study."""
    return house.launched()


def test_a_log_without_quorum_is_not_exported(house, study, tmp_path):
    """One cosignature of two: the sentence says for whom we wait, and no file is left."""
    house.witness(NORTH)

    with pytest.raises(NotReady, match="not witnessed"):
        house.rooms.exports.bundle(study, tmp_path / "out", wait=0)

    assert not (tmp_path / "out").exists()
    assert house.rooms.ledger.size(study) == 1


def test_an_export_verifies_offline_and_is_itself_an_entry(house, study, tmp_path):
    """The auditor's file, the record in the log and the root in it agree."""
    house.rooms.ledger.append(study, house.limit(NORTH))
    house.witness(NORTH, SOUTH)

    made = house.rooms.exports.bundle(study, tmp_path / "out", purpose="ethics", wait=0)

    report = verify(Path(made["bundle"]).read_bytes(), house.rooms.ledger.policy(study))
    assert report.exit_code == 0
    event = parse_event(parse(house.rooms.ledger.entries(study, made["index"])[0]).text)
    assert event.type == "export.created"
    assert (event.body.size, event.body.purpose) == (2, "ethics")
    assert event.body.manifest_sha256 == made["manifest_sha256"]
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".zip"]


def test_an_export_that_is_not_recorded_is_not_handed_out(house, study, tmp_path):
    """A purpose outside the list: no entry, no file, not even a part of one."""
    house.witness(NORTH, SOUTH)

    with pytest.raises(ConsiliumError):
        house.rooms.exports.bundle(study, tmp_path / "out", purpose="curiosity", wait=0)

    assert list((tmp_path / "out").glob("*")) == []
    assert house.rooms.ledger.size(study) == 1


def test_a_log_changed_under_the_hub_is_not_exported(house, study, tmp_path):
    """The bundle is verified as an auditor would before anybody gets it."""
    house.rooms.ledger.append(study, house.limit(NORTH))
    house.witness(NORTH, SOUTH)
    behind_the_hubs_back(house.rooms.database, "DROP TRIGGER log_entry_no_update")
    old = house.rooms.ledger.entries(study, 1)[0]
    change = "UPDATE log_entry SET leaf = :leaf WHERE idx = 1"
    leaf = old.replace(b'"policy"', b'"erased"')
    behind_the_hubs_back(house.rooms.database, change, leaf=leaf)

    with pytest.raises(ConsiliumError):
        house.rooms.exports.bundle(study, tmp_path / "out", wait=0)

    assert not list(tmp_path.glob("out/*.zip"))


def test_a_folder_that_cannot_be_written_is_told_and_nothing_is_recorded(house, study, tmp_path):
    """A file stands where the folder should be."""
    house.witness(NORTH, SOUTH)
    (tmp_path / "out").write_text("a file")

    with pytest.raises(NotReady, match="cannot be written"):
        house.rooms.exports.bundle(study, tmp_path / "out", wait=0)

    assert house.rooms.ledger.size(study) == 1


def test_a_ticket_gives_its_file_once_and_for_a_minute(house, tmp_path):
    """A link in a browser's history opens nothing."""
    exports = house.rooms.exports
    used, late = (exports.ticket(tmp_path / "a", "a.zip") for _ in range(2))
    assert exports.redeem(used) == (tmp_path / "a", "a.zip")
    house.time.forward(seconds=60)

    for ticket in (used, late, "0" * 64):
        with pytest.raises(Refused, match="used or expired"):
            exports.redeem(ticket)


def test_a_model_comes_from_a_closed_round_only(house, study):
    """The start model is no result, and an unknown name finds nothing."""
    initial = house.rooms.ledger.state(study).model_sha256

    for name in (None, initial, make.sha("other"), "../../keys/events.key"):
        with pytest.raises(NotReady, match="no closed round"):
            house.rooms.exports.model_file(study, name)


def test_a_changed_model_file_is_refused(house, study):
    """A model is named by its hash: what has another hash is not that model."""
    registry = house.rooms.registry
    name = house.rooms.ledger.state(study).model_sha256
    data = registry.read(study, name)
    assert registry.safetensors(study, name).endswith(data)
    registry.path(study, name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    for read in (registry.read, registry.safetensors):
        with pytest.raises(NotReady, match="was changed"):
            read(study, name)


def test_a_model_file_tells_what_it_is(house, study):
    """Readable by any safetensors reader: header, names, shapes, and the packed values."""
    name = house.rooms.ledger.state(study).model_sha256
    data = house.rooms.registry.safetensors(study, name)

    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    told = header.pop("__metadata__")

    assert (told["study"], told["model_sha256"]) == (study, name)
    assert max(row["data_offsets"][1] for row in header.values()) == len(data) - 8 - size


def test_a_vector_of_another_length_is_no_model(house, study):
    """Nothing is written under a name that it does not deserve."""
    layout = house.rooms.registry.layout(study)

    with pytest.raises(ConsiliumError):
        house.rooms.registry.put(study, layout, bytes(8), "round")


def test_the_bundle_holds_no_secret(house, study, tmp_path):
    """No key, no password hash, no database travels in the evidence."""
    house.person("celine", "researcher")
    house.witness(NORTH, SOUTH)
    made = house.rooms.exports.bundle(study, tmp_path / "out", wait=0)

    with zipfile.ZipFile(made["bundle"]) as bundle:
        everything = b"".join(bundle.read(name) for name in bundle.namelist())
    for secret in (b"argon2", b'"seed"', b"PRIVATE KEY", b"celine", b"SQLite format"):
        assert secret not in everything


def test_two_exports_of_one_size_are_the_same_bytes_and_the_first_gets_its_receipt(
    house, study, tmp_path
):
    """The log grows by the export itself; an older size gives the same file again."""
    house.rooms.ledger.append(study, house.limit(NORTH))
    house.witness(NORTH, SOUTH)
    exports = house.rooms.exports
    first = exports.export(Request(study=study, out=tmp_path / "a", wait=0))
    assert first["receipt"] is None
    with pytest.raises(NotReady, match="not witnessed"):
        exports.receipt(study, first["manifest_sha256"])
    house.witness(NORTH, SOUTH)

    again = exports.export(Request(study=study, out=tmp_path / "a", as_of=2, wait=0))

    assert again["sha512"] == first["sha512"]
    receipt = Path(first["bundle"] + ".receipt").read_bytes()
    assert receipt == exports.receipt(study, first["manifest_sha256"])
    data, policy = Path(first["bundle"]).read_bytes(), house.rooms.ledger.policy(study)
    assert verify(data, policy, receipt=receipt).exit_code == 0


def test_an_older_size_that_nobody_witnessed_is_not_exported(house, study, tmp_path):
    """A number of entries alone is no evidence."""
    house.witness(NORTH, SOUTH)
    house.rooms.ledger.append(study, house.limit(NORTH))

    for size in (2, 77):
        with pytest.raises(NotReady, match="no checkpoint of"):
            house.rooms.exports.export(Request(study=study, out=tmp_path, as_of=size, wait=0))


def test_the_sentence_for_a_missing_quorum_counts(house, study, tmp_path):
    """The reader sees how many are missing, and of whom."""
    house.witness(NORTH)

    with pytest.raises(NotReady, match=r"not witnessed yet: 1 of the 2") as raised:
        house.rooms.exports.export(Request(study=study, out=tmp_path, wait=0))

    assert SOUTH in str(raised.value)


def test_documents_travel_when_the_charter_names_them_and_no_others(house, study, tmp_path):
    """A folder with the ethics vote; then with a letter that nobody signed."""
    house.witness(NORTH, SOUTH)
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "ethics vote (1).pdf").write_bytes(b"paper")
    asked = Request(study=study, out=tmp_path / "out", documents=folder, wait=0)

    made = house.rooms.exports.export(asked)
    (folder / "letter.txt").write_bytes(b"unsigned")

    with zipfile.ZipFile(made["bundle"]) as bundle:
        assert any(name.endswith("documents/ethics_vote__1_.pdf") for name in bundle.namelist())
    with pytest.raises(NotReady, match=r"no document letter\.txt"):
        house.rooms.exports.export(asked)
    with pytest.raises(NotReady, match="cannot be read"):
        house.rooms.exports.export(replace(asked, documents=tmp_path / "none"))


def test_printed_names_are_in_the_bundle_unless_they_are_left_out(house, study, tmp_path):
    """The directory gives the names; without it, or when told so, the keys are printed."""
    house.witness(NORTH, SOUTH)
    note = house.rooms.ledger.checkpoint(study)
    log = read_log(house.rooms.ledger.entries(study, 0), note)
    gathers = Attachments(
        database=house.rooms.database,
        ledger=house.rooms.ledger,
        releases=house.rooms.releases,
        home=tmp_path,
        names=lambda _: {f"{NORTH}/institution": "Nora North"},
    )
    asked = Request(study=study, out=tmp_path)

    assert b"Nora North" in gathers.of(study, log, asked)["people.csv"]
    assert "people.csv" not in gathers.of(study, log, replace(asked, names=False))


def test_progress_is_told_while_a_bundle_is_made(house, study, tmp_path):
    """A person at a terminal sees what takes so long."""
    house.witness(NORTH, SOUTH)
    told: list[str] = []

    house.rooms.exports.export(Request(study=study, out=tmp_path, wait=0), tell=told.append)

    assert any("building" in line for line in told)
    assert any("verifying" in line for line in told)


def test_the_command_writes_a_bundle_tells_progress_apart_and_explains_a_missing_quorum(
    house, study, tmp_path, capsys
):
    """JSON on standard output alone; who reads along sees progress on the other one."""
    words = ["audit", "export", study, "--home", str(house.home), "--wait", "0", "--json"]
    assert command([*words, "--out", str(tmp_path / "early")]) == 2
    assert "not witnessed yet: 0 of the 2" in capsys.readouterr().err
    house.witness(NORTH, SOUTH)

    code = command([*words, "--out", str(tmp_path / "out"), "--purpose", "ethics"])

    told = capsys.readouterr()
    assert code == 0
    assert Path(json.loads(told.out)["bundle"]).is_file()
    assert "verifying" in told.err
    assert not (tmp_path / "early").exists()
    assert command([*words, "--out", str(tmp_path), "--purpose", "fun"]) == 2


def test_the_profiles_of_an_export_are_chosen_and_recorded_in_it(house, study, tmp_path):
    """Clauses of the laws that were asked for; the bundle verifies with that choice."""
    house.witness(NORTH, SOUTH)
    asked = Request(study=study, out=tmp_path, profiles=("hipaa",), wait=0)

    made = house.rooms.exports.export(asked)

    data = Path(made["bundle"]).read_bytes()
    with zipfile.ZipFile(made["bundle"]) as bundle:
        (name,) = (path for path in bundle.namelist() if path.endswith("data/controls.json"))
        assert json.loads(bundle.read(name))["profiles"] == ["hipaa"]
    assert verify(data, house.rooms.ledger.policy(study)).exit_code == 0
    with pytest.raises(NotReady, match="no choice of profiles"):
        house.rooms.exports.export(replace(asked, profiles=("iso",)))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"names": "no"}, "names is yes or no"),
        ({"profiles": "gdpr"}, "profiles is a list"),
        ({"profiles": [1]}, "profiles is a list"),
        ({"documents": "/etc"}, "no field documents"),
        ({"out": "/srv"}, "no field out"),
        ({"profiles": ["gdpr", "gdpr"]}, "no choice of profiles"),
        ({"profiles": ["vatican"]}, "no choice of profiles"),
        ({"purpose": "gossip"}, "no purpose"),
    ],
)
def test_an_export_asked_for_in_another_form_is_refused_and_the_field_is_named(
    house, study, body, why
):
    """No option of the command line can be slipped into the act; nothing is recorded."""
    _, person = house.person("david", "auditor")
    house.witness(NORTH, SOUTH)
    size = house.rooms.ledger.size(study)

    with pytest.raises(ConsiliumError, match=why):
        house.rooms.acts["export.create"].do(person, study, body)

    assert house.rooms.ledger.size(study) == size
