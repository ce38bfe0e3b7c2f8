"""A person can be erased, and what the person did stays proven."""

from __future__ import annotations

import base64
import csv
import io
import zipfile
from pathlib import Path

import pytest

from compliance.errors import NotReady, Refused
from compliance.records.envelope import Event, parse_event
from compliance.records.kinds import CONSORTIUM
from compliance.report.verify import verify
from compliance.signing.note import parse
from tests.hub.house import NAMES, PASSWORD, House

EAST, NORTH, SOUTH = NAMES
DISPLAY = "Celine Mårtensson-Unusual"
CONTACT = "celine@canary.example"


@pytest.fixture
def celine(house: House):
    """A researcher with a name that occurs nowhere else."""
    accounts = house.rooms.accounts
    code = accounts.add("celine-canary", "researcher", display=DISPLAY, contact=CONTACT)
    accounts.enrol(code, PASSWORD)
    return accounts.sign_in("celine-canary", PASSWORD)[1]


def act(house: House, person, action: str, subject: str, typed: str | None = None, **body):
    """Prepare and confirm an act of the dashboard."""
    intent = house.rooms.intents.prepare(person, action, subject, body)
    number = intent["id"]
    return house.rooms.intents.confirm(person, number, PASSWORD, typed or intent["typed"])["result"]


def said(house: House, log: str, index: int = -1) -> Event:
    """A statement of a log."""
    entries = house.rooms.ledger.entries(log, 0)
    kinds = {"kinds": CONSORTIUM} if log == "consortium" else {}
    return parse_event(parse(entries[index]).text, **kinds)


def test_every_act_names_its_person_by_an_id_that_tells_nothing(house, celine):
    """Proposal, launch, stop: the id is random, and the name is in no entry of either log."""
    house.join(*NAMES)
    draft = house.draft()
    told = act(house, celine, "charter.propose", draft["title"], draft=draft)
    house.study, house.charter_id = told["study"], told["charter_id"]
    house.text = base64.b64decode(house.rooms.charters.get(house.charter_id)["text_base64"])
    house.sign(*NAMES)
    act(house, celine, "charter.launch", house.charter_id)
    act(house, celine, "study.stop", house.study, reason="safety")

    assert said(house, house.study).body.on_behalf.dir == celine.dir
    size = house.rooms.ledger.size("consortium")
    kinds = {
        event.type: event.body.on_behalf
        for event in (said(house, "consortium", n) for n in range(1, size))
        if getattr(event.body, "on_behalf", None) is not None
    }
    assert {"researcher.admitted", "study.proposed", "study.opened"} <= set(kinds)
    assert {who.dir for who in kinds.values()} == {celine.dir}
    names = house.rooms.people.printed(house.rooms.ledger.entries(house.study, 0))
    key = house.rooms.keys.researcher_name(celine.number)
    assert names == {celine.dir: DISPLAY, key: DISPLAY}
    everything = b"".join(
        note for log in ("consortium", house.study) for note in house.rooms.ledger.entries(log, 0)
    )
    assert not [word for word in (DISPLAY, CONTACT, "celine") if word.encode() in everything]


def test_two_people_have_ids_without_a_pattern(house):
    """The id is drawn, not made from name or number: the same name again gets another one."""
    _, first = house.person("omar", "researcher")
    house.person("ada", "admin")
    house.rooms.people.forget("omar", "hub")
    _, again = house.person("omar", "researcher")

    assert len(first.dir) == 26
    assert first.dir != again.dir


def test_a_bundle_prints_names_until_they_are_erased(house, celine, tmp_path: Path):
    """`people.csv` holds who acted and nobody else; then it is gone, and the log verifies."""
    house.launched()
    house.person("omar", "researcher")
    act(house, celine, "study.stop", house.study)
    house.witness(NORTH, SOUTH)
    before = house.rooms.exports.bundle(house.study, tmp_path / "one", wait=0)
    house.person("ada", "admin")

    house.rooms.people.forget("celine-canary", "hub")
    house.witness(NORTH, SOUTH)
    after = house.rooms.exports.bundle(house.study, tmp_path / "two", wait=0)

    assert people(before) == [["key", "name"], [celine.dir, DISPLAY]]
    assert people(after) == []
    policy = house.rooms.ledger.policy(house.study)
    for made in (before, after):
        assert verify(Path(made["bundle"]).read_bytes(), policy).exit_code == 0
    assert DISPLAY not in unpacked(after)


def people(made) -> list[list[str]]:
    """The rows of a bundle's printed names."""
    with zipfile.ZipFile(made["bundle"]) as file:
        found = [item for item in file.namelist() if item.endswith("/people.csv")]
        return [row for name in found for row in csv.reader(io.StringIO(file.read(name).decode()))]


def unpacked(made) -> str:
    """Everything in a bundle."""
    with zipfile.ZipFile(made["bundle"]) as file:
        return "".join(file.read(name).decode(errors="replace") for name in file.namelist())


def content_of(house: House) -> str:
    """Every byte of the database and of what lies beside it."""
    files = [path for path in house.home.rglob("*") if path.is_file()]
    return "".join(path.read_bytes().decode(errors="replace") for path in files)


def test_erasing_leaves_no_name_in_the_database_or_beside_it(house, celine):
    """Account, directory, intents, sessions, exports: the name and the contact are nowhere."""
    house.join(*NAMES)
    ada = house.person("ada", "admin")[1]
    act(house, ada, "user.add", "celine-canary", role="auditor")
    house.rooms.intents.prepare(celine, "study.stop", "0" * 16, {"reason": "safety"})
    copies = house.home / "exports"
    copies.mkdir()
    (copies / "old.zip").write_bytes(DISPLAY.encode())
    assert "celine-canary" in content_of(house)

    done = act(house, ada, "person.erase", "celine-canary", "celine-c")

    left = content_of(house)
    assert not [word for word in (DISPLAY, CONTACT, "celine-canary") if word in left]
    assert not copies.exists()
    event = said(house, "consortium", done["index"])
    assert (event.type, event.body.what, event.body.commitment) == (
        "erasure.done",
        "directory",
        None,
    )


def test_an_erased_person_is_out_at_once(house, celine):
    """The session ends, the password opens nothing, the key is silent in the consortium."""
    token, _ = house.rooms.accounts.sign_in("celine-canary", PASSWORD)
    house.join(*NAMES)
    draft = house.draft()
    act(house, celine, "charter.propose", draft["title"], draft=draft)
    house.rooms.people.forget("celine-canary", "hub")

    with pytest.raises(Refused, match="session has ended"):
        house.rooms.accounts.person(token)
    with pytest.raises(Refused, match="password is wrong"):
        house.rooms.accounts.sign_in("celine-canary", PASSWORD)
    kinds = [
        said(house, "consortium", n).type for n in range(1, house.rooms.ledger.size("consortium"))
    ]
    assert kinds[-2:] == ["researcher.left", "erasure.done"]


def test_what_is_held_of_a_person_can_be_shown_to_that_person(house, celine):
    """One answer with every place where the person occurs; of others it holds nothing."""
    house.person("omar", "researcher")
    held = house.rooms.people.held("celine-canary")

    assert (held["display"], held["contact"], held["directory"]) == (DISPLAY, CONTACT, celine.dir)
    assert [row["what"] for row in held["operations"]] == ["role.granted", "enrolled", "signed.in"]
    assert "omar" not in str(held)


def test_the_last_administrator_cannot_be_erased(house):
    """Nobody would be left to give a role."""
    house.person("ada", "admin")
    with pytest.raises(NotReady, match="last administrator"):
        house.rooms.people.forget("ada", "hub")
    with pytest.raises(NotReady, match="no account"):
        house.rooms.people.forget("nobody", "hub")

    house.person("omar", "admin")
    house.rooms.people.forget("ada", "hub")

    assert [row["name"] for row in house.rooms.accounts.everybody()] == ["erased-1", "omar"]


def test_an_erasure_that_is_refused_erases_nothing(house, celine, monkeypatch):
    """Name and record go together: the entry cannot be written, so the name stays."""
    house.join(*NAMES)
    house.person("ada", "admin")

    def power_cut(*_: object) -> None:
        raise Refused("event.form")

    monkeypatch.setattr(type(house.rooms.ledger), "say_in", power_cut)
    with pytest.raises(Refused):
        house.rooms.people.forget("celine-canary", "hub")

    assert house.rooms.people.held("celine-canary")["display"] == DISPLAY


def test_an_administrator_can_erase_the_own_name(house):
    """The act ends with its result, although it was prepared by the person who is gone."""
    ada = house.person("ada-canary", "admin")[1]
    house.person("omar", "admin")

    done = act(house, ada, "person.erase", "ada-canary", "ada-cana")

    assert done["account"] == ada.number
    assert "ada-canary" not in content_of(house)
