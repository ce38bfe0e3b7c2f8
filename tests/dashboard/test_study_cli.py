"""`consilium study`: what a researcher types, against a real hub over TLS."""

from __future__ import annotations

import json
import shutil
import stat
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from compliance.canonical import sha256_id
from compliance.command import main
from compliance.errors import Unreachable
from compliance.records.envelope import parse_event
from compliance.records.layout import model_sha256
from compliance.records.recipe import layout_of, shipped
from compliance.signing.note import parse
from dashboard.desk import Desk
from dashboard.watch import Watcher
from tests.dashboard.served import PASSWORD, Served, served
from tests.house import House
from tests.site_node.gate.world import legal_of

NAMES = ("north.example", "south.example")


class Person:
    """A researcher with a home, a password file, and the command line."""

    def __init__(
        self, hub: Served, folder: Path, capsys: pytest.CaptureFixture[str], name: str
    ) -> None:
        self.hub, self.home, self._capsys, self.name = hub, folder / "home", capsys, name
        self.house = hub.house
        self.secret = folder / "password"
        self.secret.touch(mode=0o600)
        self.secret.write_text(PASSWORD + "\n")
        self.said = self.complained = ""

    def run(self, *words: str) -> int:
        """One command; what it said is kept."""
        code = main(["study", *words, "--home", str(self.home)])
        self.said, self.complained = self._capsys.readouterr()
        return code

    def ask(self, *words: str) -> Any:
        """One command with `--json` that must succeed."""
        assert self.run(*words, "--json") == 0, self.complained
        return json.loads(self.said)

    def login(self, *more: str, name: str = "") -> int:
        """Sign in at the hub."""
        where = ("--address", self.hub.address, "--ca", str(self.hub.ca))
        secret = ("--password-file", str(self.secret))
        return self.run("login", name or self.name, *where, *secret, *more)

    def studies(self) -> int:
        """How many studies there are."""
        return len(self.ask("list"))

    def draft(self, folder: Path, **changes: Any) -> str:
        """A charter's draft as a YAML file."""
        path = folder / "charter.yaml"
        draft = {
            "title": "Opacity",
            "summary": "Whether an opacity is seen.",
            "recipe": {"id": "cnn2d-small"},
            "datasets": [{"site": name, "id": "chest"} for name in NAMES],
            "legal": legal_of(NAMES, self.house.time.text(days=700)),
            **changes,
        }
        path.write_text(yaml.safe_dump(draft))
        return str(path)

    def launched(self, folder: Path) -> str:
        """A proposed, signed and launched study."""
        study = str(self.ask("propose", self.draft(folder, max_rounds=1))["study"])
        for rooms in self.house.sites.values():
            rooms.steward.approve(study, None, None)
        self.ask("launch", study)
        self.house.study = study
        return study


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A hub with two hospitals, and a researcher who enrolled."""
    quiet: Any = SimpleNamespace(readouterr=lambda: ("", ""))
    house = House(tmp_path_factory.mktemp("house"), quiet)
    house.time.now = datetime.now(UTC).replace(microsecond=0)
    with served(house) as it:
        yield it


@pytest.fixture(scope="module")
def desk(hub: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a researcher who is signed in."""
    folder = tmp_path_factory.mktemp("celine")
    quiet: Any = SimpleNamespace(readouterr=lambda: ("", ""))
    enter(Person(hub, folder, quiet, "celine"))
    return folder / "home"


@pytest.fixture
def celine(hub: Served, desk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Person:
    """A researcher who is signed in and has no key of her own."""
    shutil.copytree(desk, tmp_path / "home")
    return Person(hub, tmp_path, capsys, "celine")


@pytest.fixture
def newcomer(hub: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Person:
    """A researcher who signed in just now."""
    return enter(
        Person(hub, tmp_path, capsys, f"p-{tmp_path.name[-12:].strip('_').replace('_', '-')}")
    )


def enter(person: Person) -> Person:
    """Come by a one-time code."""
    code = person.house.hub.accounts.add(person.name, "researcher")
    assert person.login("--enrol", code) == 0, person.complained
    return person


def test_a_study_may_begin_with_a_file(celine: Person, tmp_path: Path) -> None:
    """Its hash stands in the charter, and the command compares what the hub made of it."""
    file = tmp_path / "start.f32"
    layout = layout_of(shipped()["cnn2d-small"])
    file.write_bytes(struct.pack("<f", 0.01) * layout.count)

    told = celine.ask("propose", celine.draft(tmp_path), "--start", str(file))

    body = celine.house.hub.charters.get(told["charter_id"])["body"]
    assert body["start_model"] == {"source": "file", "sha256": sha256_id(file.read_bytes())}
    assert body["initial_model_sha256"] == model_sha256(layout.sha256, file.read_bytes())
    file.write_bytes(file.read_bytes()[4:])
    assert celine.run("propose", celine.draft(tmp_path), "--start", str(file)) == 1
    assert "bare values" in celine.complained
    assert celine.run("propose", celine.draft(tmp_path), "--start", str(tmp_path / "none")) == 2


@pytest.mark.parametrize("signed", [False, True])
def test_a_hub_that_writes_another_start_is_found_out(
    newcomer: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signed: bool
) -> None:
    """Before the own key signs; where the hub signs, before anybody launches it."""
    count = layout_of(shipped()["cnn2d-small"]).count
    (tmp_path / "start.f32").write_bytes(struct.pack("<f", 0.01) * count)
    if signed:
        assert newcomer.run("key") == 0, newcomer.complained
    starts, before = newcomer.house.hub.starts, newcomer.studies()
    find = starts.find

    def another(*words: Any) -> Any:
        layout, values, start = find(*words)
        return layout, bytes(len(values)), start

    monkeypatch.setattr(starts, "find", another)
    words = ("propose", newcomer.draft(tmp_path), "--start", str(tmp_path / "start.f32"))

    assert newcomer.run(*words) != 0

    assert "Do not launch it." in newcomer.complained
    assert newcomer.studies() == before + (not signed)


def close(house: House) -> None:
    """The hub closes the study as completed."""
    body = {"reason": "completed", "on_behalf": None}
    house.hub.ledger.say(house.study, "study.closed", body)


def test_address_certificate_and_session_stay_in_private_files(celine: Person) -> None:
    """After one sign-in no command needs an address again, and nobody else reads the token."""
    files = {path.name: path for path in celine.home.iterdir()}

    assert set(files) == {"study.toml", "study-ca.pem", "study-session"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o600}
    assert isinstance(celine.ask("list"), list)


def test_a_study_goes_from_draft_to_completed_on_the_command_line(
    celine: Person, tmp_path: Path
) -> None:
    """Check, propose, launch by a prefix, watch to the end, read numbers and recipe."""
    path = celine.draft(tmp_path, max_rounds=1)
    assert all(row["allowed"] for row in celine.ask("check", path))
    study = celine.launched(tmp_path)
    close(celine.house)

    assert celine.run("watch", study[:6]) == 0
    assert "completed" in celine.said
    lines = celine.ask("watch", study)
    assert (lines["rounds_closed"], lines["closed"]) == (0, "completed")
    assert celine.ask("metrics", study) == []
    assert celine.ask("recipe", study, "--out", str(tmp_path / "recipe.json"))
    charter = celine.house.hub.charters.of_study(study)["body"]
    assert sha256_id((tmp_path / "recipe.json").read_bytes()) == charter["recipe"]["sha256"]


def test_a_model_is_released_on_the_command_line_after_the_hospitals_agreed(
    celine: Person, tmp_path: Path
) -> None:
    """Before: exit 1, and the sentence names who has not agreed. After: entry and card are told."""
    study = celine.launched(tmp_path)
    model = celine.house.close_round()
    assert celine.run("release", study) == 1
    assert f"{NAMES[0]}, {NAMES[1]}" in celine.complained
    for rooms in celine.house.sites.values():
        rooms.releasing.approve(study)

    told = celine.ask("release", study[:8])

    assert (told["model_sha256"], told["agreed"]) == (model, list(NAMES))
    assert celine.run("release", study) == 2
    assert "released already" in celine.complained


def test_the_narrative_of_a_card_is_written_in_a_file(celine: Person, tmp_path: Path) -> None:
    """Lines of one text are joined; a field that no card has is named, and nothing is released."""
    study = celine.launched(tmp_path)
    celine.house.close_round()
    for rooms in celine.house.sites.values():
        rooms.releasing.approve(study)
    path = tmp_path / "card.yaml"
    path.write_text("praise: the best\n")
    assert celine.run("release", study, "--narrative", str(path)) == 2
    assert "praise" in celine.complained
    path.write_text("intended_use: |\n  A second look\n  at radiographs.\nrisks:\n")

    celine.ask("release", study, "--narrative", str(path))

    told = json.loads(celine.house.hub.releases.card(study))["narrative"]
    assert told["intended_use"] == "A second look at radiographs."
    assert told["risks"] is None


def test_every_rule_that_refuses_a_charter_is_named(celine: Person, tmp_path: Path) -> None:
    """Impossible numbers and a missing legal block are told in words; nothing is stored."""
    path, before = celine.draft(tmp_path, min_sites=9, legal=None), celine.studies()

    assert celine.run("propose", path) == 1

    assert "legal" in celine.complained
    assert "Nothing was proposed" in celine.complained
    assert celine.studies() == before


def test_a_charter_signed_with_the_own_key_is_self_signed(newcomer: Person, tmp_path: Path) -> None:
    """The hub cannot have written it; before there was a key, it says hub-attested."""
    assert newcomer.ask("propose", newcomer.draft(tmp_path))["signed"] == "hub-attested"
    made = newcomer.ask("key")

    told = newcomer.ask("propose", newcomer.draft(tmp_path))

    assert told["signed"] == "self-signed"
    charter = newcomer.house.hub.charters.of_study(told["study"])
    assert charter["body"]["researcher"] == made["vkey"]
    assert stat.S_IMODE(Path(made["file"]).stat().st_mode) == 0o600
    assert newcomer.ask("key")["vkey"] == made["vkey"]


@pytest.mark.parametrize("own_key", [False, True])
def test_a_stop_is_on_record_with_the_one_who_signed_it(
    request: pytest.FixtureRequest, tmp_path: Path, own_key: bool
) -> None:
    """The own key signs where there is one, else the hub; watching ends with 1."""
    celine: Person = request.getfixturevalue("newcomer" if own_key else "celine")
    if own_key:
        celine.ask("key")
    study = celine.launched(tmp_path)

    remark = tmp_path / "why.txt"
    remark.write_text("A film was\nmixed up.\n")

    told = celine.ask("stop", study, "--reason", "safety", "--remark-file", str(remark))

    entry = celine.house.hub.ledger.entries(study, told["index"])[0]
    event = parse_event(parse(entry).text)
    assert event.type == "study.stopped"
    assert event.actor.startswith("hub.example/r-" if own_key else "hub.example/events")
    assert told["signed"] == ("self-signed" if own_key else "hub-attested")
    assert event.sealed == told["sealed"] is not None
    assert celine.ask("sealed", study, str(told["index"])) == {"remark": "A film was mixed up."}
    assert celine.run("watch", study) == 1
    assert "stopped" in celine.said


def test_watching_goes_on_when_the_hub_was_away(celine: Person, tmp_path: Path) -> None:
    """A hiccup of the hub ends nothing; the end of the study does."""
    study = celine.launched(tmp_path)
    turns = iter(
        [lambda: away(celine, True), lambda: away(celine, False), lambda: close(celine.house)]
    )
    desk = Desk(home=celine.home, clock=celine.house.time, nonce=lambda: "0" * 32)

    with desk.open_hub() as hub:
        watcher = Watcher(hub, study, sleep=lambda _: next(turns)(), every=0.1)
        seen = list(watcher.changes())

    assert [row["closed"] for row in seen] == [None, "completed"]


def test_watching_a_hub_that_stays_away_ends_in_words(celine: Person) -> None:
    """After the patience is over: nobody waits for ever."""
    desk = Desk(home=celine.home, clock=celine.house.time, nonce=lambda: "0" * 32)
    waited: list[float] = []
    away(celine, True)
    try:
        with desk.open_hub() as hub, pytest.raises(Unreachable, match="Try again later"):
            list(Watcher(hub, "00aa", sleep=waited.append, every=10, patience=30).changes())
    finally:
        away(celine, False)

    assert waited == [10, 10, 10]


def away(person: Person, state: bool) -> None:
    """The hub goes away, or comes back."""
    person.hub.away = state


def test_a_hub_that_is_down_is_told_in_one_sentence(celine: Person) -> None:
    """Nothing answers at this port; nothing is kept of the attempt."""
    words = ("--address", "https://127.0.0.1:9", "--password-file", str(celine.secret))

    assert celine.run("login", "celine", *words) == 2

    assert "https://127.0.0.1:9 does not answer" in celine.complained
    assert celine.hub.address in (celine.home / "study.toml").read_text()


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("launch", "00112233"), 2, "no study begins"),
        (("launch", "0011"), 2, "at least 6"),
        (("propose", "nowhere.yaml"), 2, "cannot be read"),
        (("login", "celine", "--password-file", "nowhere"), 2, "cannot be read"),
        (("login", "celine", "--address", "http://hub.example"), 2, "https://"),
        (("login", "celine", "--address", "https://127.0.0.1:9"), 2, "nobody is here to type"),
    ],
)
def test_bad_input_gets_one_sentence_and_changes_nothing(
    celine: Person, words: tuple[str, ...], code: int, part: str
) -> None:
    """A wrong id, file, address: the cause, the next step, and a code that is not 0."""
    before = {path: path.read_bytes() for path in celine.home.iterdir()}

    assert celine.run(*words) == code

    assert part in celine.complained
    assert "Traceback" not in celine.complained
    assert {path: path.read_bytes() for path in celine.home.iterdir()} == before


def test_a_wrong_password_and_a_foreign_code_are_refused(celine: Person) -> None:
    """Neither tells which part was wrong, and the code stays good for its owner."""
    code = celine.house.hub.accounts.add("david", "researcher")
    assert celine.login("--enrol", code) == 1
    assert "david's" in celine.complained
    assert celine.house.hub.accounts.enrolment(code)["name"] == "david"

    celine.secret.write_text("quite another password\n")

    assert celine.login() == 1
    assert "name or the password" in celine.complained


def test_a_password_file_that_others_can_read_is_refused(celine: Person) -> None:
    """With the command that mends it."""
    celine.secret.chmod(0o644)

    assert celine.login() == 2
    assert "chmod 600" in celine.complained


def test_after_signing_out_the_token_is_worth_nothing(newcomer: Person) -> None:
    """The session ends at the hub, not only here."""
    token = (newcomer.home / "study-session").read_text()

    newcomer.ask("logout")

    assert newcomer.run("list") == 2
    (newcomer.home / "study-session").write_text(token)
    assert newcomer.run("list") == 1
    assert "session has ended" in newcomer.complained


@pytest.mark.parametrize("own", [False, True])
def test_other_terms_are_laid_before_the_hospitals_and_hold_when_they_signed(
    newcomer: Person, tmp_path: Path, own: bool
) -> None:
    """By the own key, or the one that the hub keeps with the password; nothing changes before."""
    if own:
        newcomer.ask("key")
    study, house = newcomer.launched(tmp_path), newcomer.house
    path = tmp_path / "changes.yaml"
    path.write_text("max_rounds: 4\nrelease: {k: 2}\n")

    told = newcomer.ask("amend", study, str(path), "--password-file", str(newcomer.secret))

    assert told["signed"] == ("self-signed" if own else "hub-attested")
    assert house.hub.ledger.state(study).charter.max_rounds == 1
    house.look()
    for rooms in house.sites.values():
        rooms.motions.sign(rooms.motions.find(told["id"]), None, None)
    now = house.hub.ledger.state(study).charter
    assert (now.max_rounds, now.release.k, now.release.veto) == (4, 2, True)


def test_what_cannot_be_amended_is_refused_before_anybody_is_asked(
    celine: Person, tmp_path: Path
) -> None:
    """The log's own key, and a study of somebody else."""
    study = celine.launched(tmp_path)
    path = tmp_path / "changes.yaml"
    for text, said in (("log_key: x\n", "amend.fixed"), ("max_rounds: 0x\n", "max_rounds")):
        path.write_text(text)
        code = celine.run("amend", study, str(path), "--password-file", str(celine.secret))
        assert code in (1, 2)
        assert said in celine.complained
    assert [row for row in celine.house.hub.motions.all() if row["log"] == study] == []
