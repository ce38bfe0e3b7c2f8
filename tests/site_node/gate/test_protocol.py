"""Sites of the release before work with this hub; older and newer ones wait and lose nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from compliance.errors import Unreachable
from compliance.protocol import OLDEST, PROTOCOL
from hub.services.authority import make_authority
from site_node.federation.agent import versions
from site_node.gate.doctor import examine
from site_node.wiring import Rooms
from tests.house import House

NORTH = "north.example"


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """A hub of this release and two hospitals."""
    return House(tmp_path, capsys)


@pytest.fixture
def north(house: House, tmp_path: Path) -> Rooms:
    """A hospital whose authority file begins at the time of this house."""
    rooms = house.sites[NORTH]
    make_authority(tmp_path / "tls", "hub.example", "127.0.0.1", house.time.now)
    shutil.copy(tmp_path / "tls" / "ca.pem", rooms.settings.ca_path)
    return rooms


@pytest.fixture
def speak(monkeypatch: pytest.MonkeyPatch):
    """Let every site speak another protocol from now on: a release before or after this one."""
    return lambda number: monkeypatch.setattr("site_node.gate.hub_client.PROTOCOL", number)


def rows_of(rooms: Rooms) -> dict[str, tuple[bool, str]]:
    """What the doctor says: by code, whether it is well and what was found."""
    return {row.code: (row.well, row.finding) for row in examine(rooms.patient)}


def test_a_study_runs_with_sites_of_the_release_before(house, speak):
    """From the charter to a witnessed model, every request with the older number."""
    speak(OLDEST)

    house.launch()
    house.close_round()

    assert len(house.hub.ledger.state(house.study).rounds_closed) == 1


@pytest.mark.parametrize("number", [OLDEST - 1, PROTOCOL + 1])
def test_what_a_refused_site_says_waits_for_the_update(house, speak, number):
    """A withdrawal is neither lost nor taken for refused."""
    house.launch()
    north = house.sites[NORTH]
    speak(number)
    assert not north.steward.withdraw(house.study, "consent")["on_record"]
    north.statements.deliver(north.hub)
    assert north.statements.waiting() == 1

    speak(PROTOCOL)
    north.statements.deliver(north.hub)

    assert north.statements.waiting() == 0
    assert house.hub.ledger.state(house.study).withdrawn == {NORTH}


def test_a_site_that_is_too_old_is_told_so_by_doctor_and_hub(house, monkeypatch):
    """The hub is two releases ahead: the row names what to install."""
    monkeypatch.setattr("hub.api.language.PROTOCOL", PROTOCOL + 2)
    monkeypatch.setattr("compliance.protocol.OLDEST", PROTOCOL + 1)

    with pytest.raises(Unreachable, match="consilium site upgrade"):
        house.sites[NORTH].hub.studies()
    well, finding = rows_of(house.sites[NORTH])["update_required"]

    assert not well
    assert f"protocol {PROTOCOL + 2}" in finding


def test_an_update_that_is_available_is_said_and_nothing_is_wrong(house, monkeypatch):
    """The hub is one release ahead and still listens."""
    monkeypatch.setattr("hub.api.language.PROTOCOL", PROTOCOL + 1)

    well, finding = rows_of(house.sites[NORTH])["protocol"]

    assert well
    assert "update is available" in finding


def test_a_hub_that_is_older_is_named(house, monkeypatch):
    """The site was upgraded first: its technician is not to blame the network."""
    monkeypatch.setattr("hub.api.language.PROTOCOL", PROTOCOL - 1)

    well, finding = rows_of(house.sites[NORTH])["hub_older"]

    assert not well
    assert "already" in finding


def test_the_hub_hears_what_a_site_speaks():
    """With each sign of life."""
    assert versions()["protocol"] == PROTOCOL


def test_the_dates_of_certificates_leave_as_codes_only(house, north):
    """The agent tells the hub a word, the doctor tells the technician the file and the day."""
    from site_node.gate.certificates import codes_of

    assert codes_of(north.settings, house.time.now) == {"hub": "good"}
    house.time.forward(days=3650)
    codes = codes_of(north.settings, house.time.now)
    well, finding = rows_of(north)["certificate_ends"]

    assert codes == {"hub": "ended"}
    assert not well
    assert "2036" in finding


def test_a_receivers_certificate_is_looked_at_when_it_is_on(house, north, tmp_path):
    """Switched off, nobody needs it."""
    from site_node.gate.certificates import codes_of
    from site_node.settings import load_settings

    home = north.settings.home
    files = {"scp_certificate": tmp_path / "none.pem", "scp_key": tmp_path / "none.key"}

    off = load_settings(home, **files)
    on = load_settings(home, scp_allow=("CT1@10.0.0.5",), **files)

    assert codes_of(off, house.time.now) == {"hub": "good"}
    assert codes_of(on, house.time.now) == {"hub": "good", "receiver": "unreadable"}
