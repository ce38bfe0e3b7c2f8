"""A hospital leaves: none of its keys counts any more, and what it curated can be destroyed."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from compliance.command import main
from compliance.errors import Refused
from compliance.ledger.cosign import cosign
from compliance.records.envelope import write_event
from compliance.rules.logs import family_of
from compliance.signing.keys import SigningKey
from compliance.signing.note import parse, seal
from site_node.gate import wiping
from site_node.store import schema
from site_node.store.journal import close_store
from site_node.wiring import Rooms
from tests.house import House
from tests.site_node.imaging.files import Site, all_bytes, folder_of

NORTH, SOUTH = "north.example", "south.example"
STOP: dict[str, object] = {"reason": "safety", "on_behalf": None}


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """A hub and two hospitals with a running study."""
    made = House(tmp_path / "town", capsys)
    made.launch()
    return made


def gone(house: House) -> Rooms:
    """North leaves, and looks at the log that says so."""
    rooms = house.sites[NORTH]
    assert rooms.steward.leave("own_wish")["on_record"]
    rooms.look_at_consortium()
    house.time.forward(seconds=6)
    return rooms


def said(house: House, log: str, kind: str, body: dict[str, object], key: SigningKey) -> bytes:
    """A statement as somebody with this key could make it by hand."""
    state = house.hub.ledger.state_of(log)
    text = write_event(
        kind,
        body,
        time=house.time.text(),
        actor=key.name,
        log=state.charter_id,
        nonce="5" * 32,
        kinds=family_of(log).kinds,
    )
    return seal(text, key)


def test_a_request_and_a_cosignature_of_a_hospital_that_left_are_refused(house: House) -> None:
    """Node and witness key: the hub's door is shut for both."""
    house.sites[NORTH].hub.studies()
    rooms = gone(house)

    with pytest.raises(Refused, match="left"):
        rooms.hub.studies()
    house.hub.ledger.issue_checkpoint(house.study)
    text = parse(house.hub.ledger.checkpoint(house.study, latest=True)).text
    line = cosign(text, rooms.keys.witness, int(house.time().timestamp()))
    with pytest.raises(Refused, match="left"):
        rooms.hub.cosign(house.study, line)


def test_flowers_key_of_a_hospital_that_left_opens_nothing(house: House) -> None:
    """The gateway asks this table before it forwards a request."""
    assert NORTH in house.hub.members.flower_keys()
    gone(house)
    assert NORTH not in house.hub.members.flower_keys()
    assert SOUTH in house.hub.members.flower_keys()


@pytest.mark.parametrize("role", ["node", "institution"])
@pytest.mark.parametrize("log", ["study", "consortium"])
def test_no_statement_of_a_hospital_that_left_is_taken(house: House, log: str, role: str) -> None:
    """Whatever way it comes: the rules of both logs know that it left."""
    rooms = gone(house)
    key = rooms.keys.node if role == "node" else rooms.keys.institution(None)
    name = house.study if log == "study" else "consortium"
    bodies: dict[str, tuple[str, dict[str, object]]] = {
        "study": ("study.stopped", STOP),
        "consortium": ("member.left", {"site": NORTH, "reason": "own_wish"}),
    }
    before = house.hub.ledger.size(name)
    with pytest.raises(Refused) as refusal:
        house.hub.ledger.append(name, said(house, name, *bodies[log], key))
    assert refusal.value.rule == {"study": "site.withdrawn", "consortium": "member.known"}[log]
    assert house.hub.ledger.size(name) == before


def test_the_other_hospital_still_speaks(house: House) -> None:
    """Or the refusals above would show nothing."""
    gone(house)
    note = said(house, house.study, "study.stopped", STOP, house.sites[SOUTH].keys.node)
    house.hub.ledger.append(house.study, note)


def test_the_hospitals_own_key_signs_no_charter_any_more(house: House) -> None:
    """A study that is proposed afterwards cannot be agreed to in its name."""
    gone(house)
    with pytest.raises(Refused, match="not the member's key in force"):
        house.propose(title="A second look")


# ------------------------------------------------------------------------------------ the end here


@pytest.fixture
def full(house: House, tmp_path: Path) -> Rooms:
    """North has really imported something, upgraded its software since, and has left."""
    rooms = house.sites[NORTH]
    Site(rooms.settings.home).take(folder_of(tmp_path / "pacs", 6))
    close_store(rooms.store)
    for revision in ("0001", "head"):
        schema.move(rooms.settings.store_path, revision)
    return gone(house)


def wiped(rooms: Rooms, *words: str) -> int:
    """`consilium site wipe`."""
    return main(["site", "wipe", "--home", str(rooms.settings.home), *words])


def pseudonyms(home: Path) -> list[bytes]:
    """Every patient's pseudonym of the catalogue."""
    with sqlite3.connect(home / "site.sqlite") as database:
        found = database.execute("SELECT DISTINCT patient FROM objects").fetchall()
    return [row[0].encode() for row in found if row[0]]


def test_what_was_curated_is_gone_and_the_records_stay(
    full: Rooms, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No pseudonym in any byte of the home, no image, no secret; journal and logs are there."""
    home, source = full.settings.home, tmp_path / "pacs"
    names, files = pseudonyms(home), sorted(source.iterdir())
    assert len(names) > 1
    entries = full.mirror.consortium().size  # type: ignore[union-attr]
    capsys.readouterr()

    assert wiped(full, "--yes", "--json") == 0

    told = json.loads(capsys.readouterr().out)
    assert told["objects"] == 6
    assert {"datasets", "secret.key", "site.before.sqlite"} <= set(told["names"])
    for path, data in all_bytes(home):
        assert not [name for name in names if name in data], f"a pseudonym stands in {path}"
    assert not (home / "datasets").exists()
    assert (home / "keys" / "institution.key").exists()
    assert sorted(source.iterdir()) == files
    assert full.mirror.consortium().size == entries  # type: ignore[union-attr]
    assert full.journal.lines()[-1]["kind"] == "data.wiped"


def test_the_keys_go_only_when_asked(full: Rooms) -> None:
    """Afterwards nobody can sign for this hospital here."""
    assert wiped(full, "--yes", "--keys") == 0
    assert not (full.settings.home / "keys").exists()


def test_a_member_is_not_wiped(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """It would be asked for rounds; the sentence names what comes first."""
    rooms = house.sites[NORTH]
    shutil.copytree(rooms.settings.keys, rooms.settings.home / "datasets")
    assert wiped(rooms, "--yes") == 2
    assert "Run `consilium site leave` first" in capsys.readouterr().err
    assert (rooms.settings.home / "datasets").exists()


def test_a_no_destroys_nothing(full: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no way back, so a person is asked."""
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert wiped(full) != 0
    assert (full.settings.home / "secret.key").exists()


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_power_cut_is_ended_by_the_next_try(
    full: Rooms, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Killed between two steps: run again, and nothing is left."""
    done: list[Path] = []
    remove = wiping._remove

    def dying(path: Path) -> None:
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(path)
        remove(path)

    with monkeypatch.context() as patch:
        patch.setattr(wiping, "_remove", dying)
        assert wiped(full, "--yes") == 130
    assert wiped(full, "--yes") == 0
    assert not (full.settings.home / "secret.key").exists()
    assert not (full.settings.home / "datasets").exists()


def test_a_folder_without_a_site_is_named_and_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing mistake makes no new home."""
    for verb in ("wipe", "upgrade"):
        assert main(["site", verb, "--home", str(tmp_path / "none")]) == 2
        assert "no site lives in" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
