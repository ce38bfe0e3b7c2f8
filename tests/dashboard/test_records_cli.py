"""Review, sealed remark and the end of retention on the command line, against a real hub."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compliance.errors import NotReady
from compliance.records.sealed import seal_payload
from tests.dashboard.served import Served, served
from tests.dashboard.test_study_cli import Person, enter
from tests.house import House
from tests.hub.house import rows_of

CANARY = "The canary of ward seven sang"


class Town:
    """A hub with two hospitals, a launched study, and people at their desks."""

    def __init__(self, hub: Served, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.hub, self.folder, self._capsys = hub, folder, capsys
        celine = enter(self.person("celine"))
        self.study = celine.launched(folder)
        self.celine = celine

    def person(self, name: str, role: str = "") -> Person:
        """Somebody with a home; with a role, enrolled and signed in."""
        folder = self.folder / name
        folder.mkdir()
        made = Person(self.hub, folder, self._capsys, name)
        if role:
            code = self.hub.house.hub.accounts.add(name, role)
            assert made.login("--enrol", code) == 0, made.complained
        return made

    def remark(self, text: str = CANARY) -> str:
        """A file with a remark."""
        path = self.folder / "remark.txt"
        path.write_text(text + "\n")
        return str(path)

    def end_of_retention(self) -> None:
        """The last day of the charter is over."""
        until = self.hub.house.hub.ledger.state(self.study).charter.retention_until
        self.hub.house.time.now = datetime.fromisoformat(until)


@pytest.fixture
def town(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Town]:
    """One hub per test: time passes here."""
    quiet: Any = SimpleNamespace(readouterr=lambda: ("", ""))
    house = House(tmp_path / "house", quiet)
    house.time.now = datetime.now(UTC).replace(microsecond=0)
    with served(house) as hub:
        yield Town(hub, tmp_path, capsys)


def test_an_auditor_opens_a_case_and_the_researcher_reads_the_remark(town: Town) -> None:
    """The entry tells the result; the words are checked against it. The administrator has none."""
    aya, ida = town.person("aya", "auditor"), town.person("ida", "admin")

    said = aya.ask("review", town.study, "--result", "opened_case", "--remark-file", town.remark())

    assert said["sealed"].startswith("sha256:")
    index = str(said["index"])
    for reader in (aya, town.celine):
        assert reader.ask("sealed", town.study, index) == {"remark": CANARY}
    assert ida.run("sealed", town.study, index) == 1
    assert CANARY not in ida.said + ida.complained
    assert ida.run("sealed", town.study) == 0
    assert ida.said == f"entry {index}  review.noted  {town.hub.house.hub.keys.events.name}  kept\n"


def test_a_hub_that_shows_another_remark_is_caught_here(town: Town) -> None:
    """A hub patched to lie: the desk compares with the entry itself, not with the hub's word."""
    aya = town.person("aya", "auditor")
    told = aya.ask("review", town.study, "--result", "nothing_found",
                   "--remark-file", town.remark())  # fmt: skip
    fake = seal_payload({"remark": "All is well"}, bytes(16))
    lie = {"salt": fake.salt.hex(), "payload": fake.payload, "commitment": fake.commitment}
    town.hub.house.hub.sealed.open = lambda *_: lie  # type: ignore[method-assign]

    assert aya.run("sealed", town.study, str(told["index"])) == 1

    assert "All is well" not in aya.said
    assert "not those that the statement commits to" in aya.complained


def test_a_remark_that_cannot_be_read_says_nothing(town: Town) -> None:
    """No file, no review: half a statement is none."""
    aya = town.person("aya", "auditor")
    size = town.hub.house.hub.ledger.size(town.study)

    code = aya.run("review", town.study, "--result", "opened_case", "--remark-file", "nowhere.txt")

    assert code == 2
    assert "cannot be read" in aya.complained
    assert town.hub.house.hub.ledger.size(town.study) == size


def test_a_study_ends_at_the_hub_by_two_people_and_at_each_hospital_by_itself(town: Town) -> None:
    """Refused before the day and alone; then log, copies and updates are gone everywhere."""
    house = town.hub.house
    sites = list(house.sites.values())
    for rooms in sites:
        rooms.witness.step("consortium")
        rooms.witness.step(town.study)
    ida, ben = town.person("ida", "admin"), town.person("ben", "admin")
    secret = ("--yes", "--password-file", str(ida.secret))
    assert ida.run("destroy", town.study, *secret) == 2
    assert "must be kept until" in ida.complained
    town.end_of_retention()
    assert ida.login() == ben.login() == 0

    asked = ida.ask("destroy", town.study, *secret)
    assert ida.run("destroy", town.study, "--confirm", *secret) == 2
    assert "another administrator" in ida.complained.lower()
    told = ben.ask("destroy", town.study, "--confirm", *secret)

    assert (asked["state"], told["state"]) == ("prepared", "destroyed")
    assert ben.ask("list") == []
    assert not list(house.hub.settings.home.rglob(f"*{town.study}*"))
    for rooms in sites:
        rooms.look_at_consortium()
        rooms.look_again(town.study)
        assert rooms.destruction.destroy(town.study)["on_record"]
        assert rooms.mirror.head(town.study) is None
    kinds = [event.actor for event in house.hub.ledger.events("consortium", "erasure.done")]
    assert kinds == [house.hub.keys.events.name, *(f"{name}/node" for name in house.sites)]
    house.hub.ready()


def test_without_a_yes_nothing_is_asked_for(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is read first: what goes, and that it does not come back."""
    ida = town.person("ida", "admin")
    town.end_of_retention()
    assert ida.login() == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))

    assert ida.run("destroy", town.study) == 1

    assert "another administrator confirms within 7 days" in ida.complained
    assert rows_of(town.hub.house.hub.database, "tombstone") == []


def test_a_stop_stands_even_if_its_remark_does_not_arrive(town: Town) -> None:
    """The brake comes first; what was lost is said, with the way to say it again."""
    researcher = town.person("rosa", "researcher")
    researcher.ask("key")
    study = researcher.launched(town.folder)
    hub = town.hub.house.hub

    def shut(*_: object) -> None:
        raise NotReady("the disk is full.", "Free space.")

    hub.sealed.keep = shut  # type: ignore[method-assign]

    assert researcher.run("stop", study, "--remark-file", town.remark()) == 2

    assert "the study is stopped (entry 1)" in researcher.complained
    assert "consilium study review" in researcher.complained
    assert hub.ledger.state(study).phase.value == "stopped"
