"""`consilium site …` over real TLS on loopback: every command, every bad input one sentence."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from compliance.report.verify import verify
from site_node.wiring import open_site
from tests.site_node.gate.world import STUDY, US, key
from tests.site_node.shell import Site, launched, proposed


def test_a_site_joins_with_one_code(site: Site) -> None:
    """The three words of the guide; the answer names what comes next."""
    code, out = site.run("join", site.world.code(), "--no-passphrase")

    assert code == 0
    assert "has joined hub.example" in out
    assert "NO passphrase" in out
    assert "site import" in out


def test_a_passphrase_comes_from_a_file(site: Site, tmp_path: Path) -> None:
    """A script joins with a protected key."""
    secret = tmp_path / "secret"
    secret.write_text("correct horse battery\n")

    site.ask("join", site.world.code(), "--passphrase-file", str(secret))

    keys = open_site(site.world.home).keys
    assert keys.institution("correct horse battery").name == f"{US}/institution"


def test_nobody_at_the_keyboard_is_answered_with_the_option(site: Site) -> None:
    """Without a terminal the command asks for the file, and makes no key."""
    code, _ = site.run("join", site.world.code())

    assert code == 2
    assert "--passphrase-file" in site.said
    assert not site.world.home.exists()


def test_a_used_code_is_refused_with_one_sentence(member: Site, tmp_path: Path) -> None:
    """Reused: refused by the hub, exit 1, nothing left behind."""
    member.world.home = tmp_path / "second"

    code, _ = member.run("join", member.world.code(), "--no-passphrase")

    assert code == 1
    assert "ask for a new one" in member.said
    assert not member.world.home.exists()


def test_a_hub_that_is_down_is_one_sentence(site: Site, tmp_path: Path) -> None:
    """Nobody listens: what to check, exit 2."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    site.world.hub.address = f"https://127.0.0.1:{port}"

    code, _ = site.run("join", site.world.code(), "--no-passphrase")

    assert code == 2
    assert "does not answer" in site.said
    assert not site.world.home.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("studies",),
        ("show", STUDY),
        ("approve", STUDY, "--yes"),
        ("refuse", STUDY, "--reason", "privacy"),
        ("withdraw", STUDY),
        ("serve",),
    ],
)
def test_a_home_without_a_member_says_join(site: Site, words: tuple[str, ...]) -> None:
    """Each command that needs a member says which one comes first."""
    code, _ = site.run(*words)

    assert code == 2
    assert "site join" in site.said


@pytest.mark.parametrize("deed", ["show", "approve", "withdraw"])
def test_an_unknown_study_is_one_sentence(member: Site, deed: str) -> None:
    """A wrong id: how to list the right ones, exit 2, also as JSON."""
    extra = ("--yes",) if deed == "approve" else ()

    code, out = member.run(deed, "ffffffffffff", *extra, "--json")

    assert code == 2
    assert "site studies" in json.loads(out)["error"]["sentence"]


@pytest.mark.usefixtures("shelf")
def test_the_steward_reads_signs_and_lists(member: Site) -> None:
    """Studies → show → approve, as the guide says."""
    proposed(member)

    assert member.ask("studies")[0]["own_answer"] == "waiting"
    card = member.ask("show", STUDY)
    assert card["datasets"][0]["cases"]["train"] == 40
    _, page = member.run("show", STUDY)
    assert "nothing else" in page
    _, policy = member.run("show", STUDY, "--policy")
    assert policy.rstrip("\n") == card["policy"].rstrip("\n")
    code, _ = member.run("approve", STUDY)
    assert (code, "--yes" in member.said) == (2, True)
    assert member.ask("approve", STUDY, "--yes")["sent"]
    assert member.ask("studies")[0]["own_answer"] == "signed"


@pytest.mark.usefixtures("shelf")
def test_a_charter_that_the_own_policy_refuses_ends_with_one(
    member: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The floor in site.toml is this hospital's; the refusal names rule, found and agreed."""
    world = member.world
    monkeypatch.setenv("CONSILIUM_SITE_MIN_EXAMPLES", "50")
    proposed(member)

    code, _ = member.run("approve", STUDY, "--yes")

    assert code == 1
    assert "floor" in member.said
    assert world.hub.lines == []


@pytest.mark.usefixtures("shelf")
def test_a_refusal_needs_a_reason_of_the_list(member: Site) -> None:
    """Free text is answered with the list."""
    proposed(member)

    code, _ = member.run("refuse", STUDY, "--reason", "because")

    assert code == 2
    assert "purpose, privacy" in member.said
    assert member.ask("refuse", STUDY, "--reason", "legal")["refused"] == "legal"


def test_the_doctor_ends_with_two_when_something_is_wrong(site: Site) -> None:
    """Codes for machines, fixes for people."""
    site.world.home.mkdir(mode=0o700)

    code, out = site.run("doctor", "--json")

    told = json.loads(out)
    assert code == 2
    assert {row["code"] for row in told["checks"] if not row["well"]} >= {"never_joined"}


def test_the_journal_shows_what_left(member: Site) -> None:
    """Joining is the first line; the newest come last."""
    assert member.ask("journal")[0]["kind"] == "joined"
    assert "cosignature" in member.run("journal", "--limit", "1")[1]


@pytest.mark.usefixtures("shelf")
def test_the_hospital_exports_its_own_evidence(member: Site, tmp_path: Path) -> None:
    """`audit export` in a site's home reads the mirror; the hub is not asked."""
    launched(member)
    member.world.hub.asked.clear()

    code, out = member.run("export", STUDY, "--out", str(tmp_path / "out"), "--json", group="audit")

    told = json.loads(out)
    assert code == 0
    assert verify(Path(told["bundle"]).read_bytes(), told["policy"]).exit_code == 0
    assert member.world.hub.asked == []


@pytest.mark.usefixtures("shelf")
def test_a_steward_agrees_to_a_release_or_objects(member: Site) -> None:
    """The page is read first; the yes is typed or given by --yes; a no carries its reason."""
    launched(member)
    with open_site(member.world.home) as rooms:
        model = member.world.close_round(rooms)

    code, _ = member.run("release", STUDY)
    assert (code, "--yes" in member.said, model in member.said) == (2, True, True)
    told = member.ask("release", STUDY, "--yes")
    assert (told["answer"], told["model_sha256"], told["sent"]) == ("agreed", model, True)
    code, _ = member.run("release", STUDY, "--object", "because")
    assert (code, "leak_test" in member.said) == (2, True)
    assert member.ask("release", STUDY, "--object", "legal")["answer"] == "objected"
    assert member.world.hub.log.state is not None
    assert member.world.hub.log.state.refusals == {model: {US}}


@pytest.mark.usefixtures("shelf")
def test_a_withdrawal_is_one_command(member: Site) -> None:
    """It counts here at once and is in the log when the hub answers."""
    launched(member)

    told = member.ask("withdraw", STUDY, "--reason", "consent")

    assert told["on_record"]
    assert member.world.hub.log.state is not None
    assert member.world.hub.log.state.withdrawn == {US}


@pytest.mark.usefixtures("shelf")
def test_a_forged_yes_in_the_hubs_database_shows_as_nobody_signed(member: Site) -> None:
    """The hub says we signed; the command shows only what verifies, and our own memory."""
    world = member.world
    proposed(member)
    world.hub.lines.append(key(f"{US}/institution").line(world.hub.charter or b""))

    card = member.ask("show", STUDY)

    assert (card["signed"], card["own_answer"]) == ([], None)


def test_a_misspelt_setting_is_refused_with_a_suggestion(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A floor that is not read would be no floor."""
    monkeypatch.setenv("CONSILIUM_SITE_MIN_EXAMPELS", "50")

    code, _ = site.run("datasets")

    assert code == 2
    assert "min_examples" in site.said


def test_a_model_that_is_no_model_is_one_sentence(member: Site, tmp_path: Path) -> None:
    """Missing, empty or foreign files are named before anything is computed."""
    out = str(tmp_path / "scores.csv")
    for data in (None, b"", b"x" * 100, b"\xff" * 8):
        path = tmp_path / "model.safetensors"
        if data is not None:
            path.write_bytes(data)
        code, _ = member.run("evaluate", str(path), "--dataset", "chest", "--out", out)
        assert code == 2
        assert "model" in member.said
    assert not Path(out).exists()


def test_a_database_that_cannot_be_written_is_one_sentence(member: Site) -> None:
    """A broken disk ends with what to do, not with a trace."""
    for path in member.world.home.glob("site.sqlite*"):
        path.write_bytes(b"this is no database at all" * 100)

    code, _ = member.run("journal")

    assert code == 2
    assert "doctor" in member.said
