"""A token in every place where an identifier could stand: none of them gets out."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import sys
from contextlib import closing
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest

from compliance.command import main
from site_node.imaging.deid import actions as do
from site_node.imaging.deid import rules
from site_node.imaging.deid.copy_file import copy_file
from site_node.imaging.deid.deidentify import Traces
from site_node.imaging.deid.order import Order
from site_node.imaging.deid.profiles import STRICT, TRAINING, Profile
from site_node.imaging.deid.rules import RULES, Rule
from site_node.imaging.examine import examine
from site_node.imaging.keys import SiteKeys
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.recipe import ImportRecipe
from tests.site_node.imaging.canaries import CHAIN, Canaries
from tests.site_node.imaging.e1_1 import rows
from tests.site_node.imaging.files import SECRET, cleaning

KEYS = SiteKeys(SECRET)


def seed() -> int:
    """A new one per run; pytest prints it when a test fails."""
    made = secrets.randbits(32)
    print(f"seed {made}", file=sys.stderr)
    return made


def copy(data: bytes, profile: Profile = TRAINING) -> bytes:
    """The bytes of the copy of a file."""
    out = BytesIO()
    copy_file(data, Order(profile), KEYS, out)
    return out.getvalue()


KINDS = {
    "explicit": {},
    "implicit": {"implicit": True},
    "lies": {"lies": True},
}


@pytest.mark.parametrize("profile", [TRAINING, STRICT], ids=lambda profile: profile.name)
@pytest.mark.parametrize("kind", KINDS)
def test_no_planted_token_is_in_a_copy(kind: str, profile: Profile) -> None:
    """Every row of E.1-1 at four levels, private, curves, overlays, meta, padding, unused bits."""
    canaries = Canaries(seed(), **KINDS[kind])
    data = canaries.file()

    made = copy(data, profile)

    assert len(canaries.planted) > 2500
    assert not list(canaries.leaks(made))
    assert list(canaries.leaks(data)), "the search finds what is there"
    found = pydicom.dcmread(BytesIO(made))
    pixels = np.frombuffer(found.PixelData, "<u2")
    assert pixels.tolist() == [number * 61 for number in range(64)]
    assert len(found.PixelData) == 128


def test_no_hash_without_a_key_is_in_a_copy() -> None:
    """Whoever has a list of patient numbers could undo it in a minute."""
    canaries = Canaries(seed())
    made = copy(canaries.file()).lower()

    for token in canaries.planted:
        for algorithm in ("md5", "sha1", "sha256"):
            digest = hashlib.new(algorithm, token, usedforsecurity=False)
            assert digest.hexdigest()[:16].encode() not in made
            assert digest.digest()[:8] not in made


@pytest.mark.parametrize("profile", ["training", "strict"])
def test_no_token_is_in_files_names_or_words_of_the_command(
    profile: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole way through child processes: copies, report, home, names, both outputs."""
    monkeypatch.setenv("CONSILIUM_HOME", str(tmp_path / "home"))
    number = seed()
    flock = [Canaries(number + place, **told) for place, told in enumerate(KINDS.values())]
    for canaries in flock:
        folder = tmp_path / "in" / canaries.word("folder")
        folder.mkdir(parents=True)
        folder.joinpath(canaries.word("file") + ".dcm").write_bytes(canaries.file())
    out = tmp_path / "out"

    code = main(["site", "deidentify", str(tmp_path / "in"), "--out", str(out),
                 "--profile", profile])  # fmt: skip

    told = capfd.readouterr()
    kept = [path for folder in (out, tmp_path / "home") for path in folder.rglob("*")]
    places = [path.read_bytes() for path in kept if path.is_file()]
    places += [str(path.relative_to(tmp_path)).encode() for path in kept]
    places += [told.out.encode(), told.err.encode()]
    assert not code, told.err
    assert json.loads((out / "deidentification.json").read_text())["copies"] == 3
    assert not [leak for canaries in flock for leak in canaries.leaks(*places)]


# ---------------------------------------------------------------- each rule is needed


def off(number: str) -> tuple[Rule, ...]:
    """The rules, one of them letting through what it speaks of."""

    def let_through(rule: Rule) -> Rule:
        def decide(it: rules.Attribute, profile: Profile) -> do.Action | None:
            if rule.decide(it, profile) is None:
                return None
            return do.ENTER if it.vr == "SQ" else do.VERBATIM

        return Rule(rule.number, rule.sentence, decide)

    return tuple(let_through(rule) if rule.number == number else rule for rule in RULES)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch):
    """Switches a rule off, and with it the second look, which would catch a part."""

    def switch(number: str, *, second_look: bool = False) -> None:
        monkeypatch.setattr(rules, "RULES", off(number))
        if not second_look:
            monkeypatch.setattr(Traces, "are_in", lambda *_: False)
        rules.plan.cache_clear()

    yield switch
    rules.plan.cache_clear()


@pytest.mark.parametrize("number", ["b", "1", "2", "3", "4", "6", "7", "8", "9", "10"])
def test_a_rule_that_is_switched_off_is_noticed(without, number: str) -> None:
    """The search above can fail: without any one rule something gets out."""
    canaries = Canaries(seed())
    data = canaries.file(depths=(1,))
    without(number)

    assert list(canaries.leaks(copy(data)))


def test_without_the_rule_of_references_they_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 5 keeps what the others would empty: without it no token gets out, but links go."""
    canaries = Canaries(seed())
    data = canaries.file(depths=(1,))
    kept = pydicom.dcmread(BytesIO(copy(data)))
    monkeypatch.setattr(rules, "RULES", tuple(rule for rule in RULES if rule.number != "5"))
    rules.plan.cache_clear()

    lost = pydicom.dcmread(BytesIO(copy(data)))

    rules.plan.cache_clear()
    assert kept.ReferencedImageSequence[0].ReferencedSOPInstanceUID.startswith("2.25.")
    assert len(lost.ReferencedImageSequence) == 0


def test_the_second_look_catches_what_a_rule_forgot(without) -> None:
    """A name in a text that no rule cleans any more: nothing is written."""
    canaries = Canaries(seed())
    data = canaries.file(depths=(1,))
    without("6", second_look=True)

    with pytest.raises(Quarantined, match="residual_identifier"):
        copy(data)


def test_a_name_of_an_action_stands_for_every_row() -> None:
    """The shared table and the program's copy have the same rows, each with a planned step."""
    table = rules.table()
    assert table.keys() == rows().keys()
    assert len(table) == 617
    assert CHAIN not in table
    for tag, row in rows().items():
        assert table[tag].basic == row["basicProfile"]


# ---------------------------------------------------------------- the whole way of an import


def imported(tmp_path: Path, number: int, *words: str) -> tuple[list[Canaries], int]:
    """Import one file of each kind as a technician does; the tokens, and the exit code."""
    flock = [Canaries(number + n, tint=n, **told) for n, told in enumerate(KINDS.values())]
    source = tmp_path / "in"
    rows = ["SOPInstanceUID,finding"]
    for place, canaries in enumerate(flock):
        folder = source / canaries.word("folder")
        folder.mkdir(parents=True)
        data = canaries.file()
        folder.joinpath(canaries.word("file") + ".dcm").write_bytes(data)
        rows.append(f"{canaries.at('top 00080018 UI')},{'ab'[place % 2]}")
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(rows) + "\n")
    command = ["site", "import", str(source), "--dataset", "chest", "--labels", str(labels)]
    return flock, main([*command, *words]) or 0


def kept_by(home: Path) -> list[bytes]:
    """Every byte and every name that an import left in a home, the database unfolded."""
    with closing(sqlite3.connect(home / "site.sqlite")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    paths = list(home.rglob("*"))
    names = [str(path.relative_to(home)).encode() for path in paths]
    return names + [path.read_bytes() for path in paths if path.is_file()]


@pytest.mark.parametrize("profile", ["training", "strict"])
def test_no_token_is_in_what_an_import_keeps_or_says(
    profile: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Database, dataset, journal, work folder, names, both outputs, and what may be told."""
    home = tmp_path / "home"
    monkeypatch.setenv("CONSILIUM_HOME", str(home))

    flock, code = imported(tmp_path, seed(), "--profile", profile, "--json")
    for words in (["datasets", "chest", "--json"], ["quarantine", "--json"], ["journal", "--json"]):
        main(["site", *words])

    told = capfd.readouterr()
    kept = b"\n".join([*kept_by(home), told.out.encode(), told.err.encode()])
    outcome = json.loads(told.out.splitlines()[0])
    assert not code, told.err
    assert (outcome["imported"], outcome["quarantined"]) == (3, 0)
    assert (home / "work").is_dir()
    assert not list((home / "work").iterdir())
    assert not [leak for canaries in flock for leak in canaries.leaks(kept)]
    tops = [token for canaries in flock for token in canaries.planted
            if canaries.planted[token].startswith("top 00")]  # fmt: skip
    for algorithm in ("md5", "sha1", "sha256"):
        digests = [hashlib.new(algorithm, token, usedforsecurity=False) for token in tops]
        assert not [one for one in digests if one.hexdigest()[:16].encode() in kept]


def test_the_search_over_an_import_can_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A fact that is taken from the header as it came is found in the database."""
    home = tmp_path / "home"
    monkeypatch.setenv("CONSILIUM_HOME", str(home))
    flock, _ = imported(tmp_path, seed(), "--json")
    capfd.readouterr()
    token = flock[0].at("top 00100010 PN")
    with closing(sqlite3.connect(home / "site.sqlite")) as database:
        database.execute("UPDATE objects SET facts = ?", (json.dumps({"sex": token}),))
        database.commit()

    assert list(flock[0].leaks(*kept_by(home)))


def test_an_import_notices_a_rule_that_is_switched_off(without) -> None:
    """The second look stands between the rules and everything that is kept."""
    data = Canaries(seed()).file(depths=(1,))
    recipe = ImportRecipe(size=(8, 8))
    assert examine(data, recipe, cleaning()).facts["modality"] == "ct"
    without("6", second_look=True)

    with pytest.raises(Quarantined, match="residual_identifier"):
        examine(data, recipe, cleaning())


def test_a_number_is_found_wherever_it_is_no_part_of_a_derived_uid() -> None:
    """The search itself: digits of a UID made by a secret are chance, everything else is a leak."""
    canaries = Canaries(1)
    canaries.file()
    number = next(token for token in canaries.planted if token.isdigit())
    derived = b"2.25." + b"1" * 15 + number + b"2" * 15

    assert not list(canaries.leaks(derived))
    for text in (number, b"x" + number, number + b"0", b"2.25." + number, derived + b" " + number):
        assert list(canaries.leaks(text)), text
