"""Whoever edits a bundle is named, also when every manifest is rebuilt and signed again."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from compliance.errors import Malformed, NotProven
from compliance.ledger.checkpoint import Checkpoint
from compliance.report import bag
from compliance.report.bundle import write_zip
from compliance.report.kinds import kind_of
from compliance.report.people import write_people
from compliance.report.verify import verify
from compliance.rules.policies import policy_in_force
from compliance.signing.keys import NOTE, SigningKey
from compliance.signing.note import SignatureLine, assemble, parse, seal
from tests import factories as make
from tests.report.evidence import (
    SITES,
    check,
    cosigned,
    example,
    failed,
    files_of,
    forced,
    lied,
    told,
    untold,
    witnessed,
)
from tests.simulator import HUB, Federation


def test_an_honest_bundle_holds_in_every_step():
    """The ground on which every lie below stands out."""
    world, files = example()

    report = check(files, world, charter_id=world.state.charter_id)

    assert report.exit_code == 0, report.plain()
    assert [step.number for step in report.steps] == list(range(1, 17))


def test_a_flipped_byte_in_any_file_is_named():
    """One byte of each file, at its beginning, middle and end; the file is in the finding."""
    world, files = example()
    for path, data in files.items():
        for place in {0, len(data) // 2, len(data) - 1}:
            changed = bytearray(data)
            changed[place] ^= 0x01

            report = check({**files, path: bytes(changed)}, world)

            assert report.exit_code == 1, path
            told_of = " ".join(failed(report).values())
            assert path in told_of or path in (bag.TAG_MANIFEST, "data/log/checkpoint"), path


def test_a_file_that_is_added_taken_away_or_renamed_is_named():
    """The manifests name what is there and what is not."""
    world, files = example()
    path = "data/participation.csv"
    without = {name: data for name, data in files.items() if name != path}
    changes = {
        "data/extra.csv": {**files, "data/extra.csv": b"x"},
        path: without,
        "data/renamed.csv": {**without, "data/renamed.csv": files[path]},
        "extra.txt": {**files, "extra.txt": b"x"},
    }
    for name, changed in changes.items():
        report = check(changed, world)

        assert report.exit_code == 1
        assert name in failed(report)[2]


def test_every_derived_file_that_an_exporter_edits_and_signs_again_is_named():
    """The manifest fits, the signature fits; the file is made again here and is another one."""
    world, files = example()
    derived = [path for path in files if path.startswith("data/") and kind_of(path) is None]
    derived.remove("data/log/checkpoint")
    derived = [path for path in derived if "tile/entries" not in path]
    for path in derived:
        report = check(lied(files, {path: files[path] + b" "}), world)

        assert report.exit_code == 1, path
        assert not {1, 2, 3} & set(failed(report)), path
        assert any(path in words for words in failed(report).values()), path


def test_a_file_of_no_known_kind_is_refused_also_when_it_is_in_the_manifest():
    """An auditor must not wonder what an extra file means."""
    world, files = example()

    report = check(lied(files, {"data/summary-for-the-regulator.pdf": b"all is well"}), world)

    assert "summary-for-the-regulator.pdf" in failed(report)[12]
    with pytest.raises(NotProven, match="no kind"):
        files_of(world, attachments={"notes.txt": b"x"})


def test_a_policy_inside_the_bundle_has_no_effect():
    """A liar ships his own; without a policy from outside nobody can tell."""
    world, files = example()
    own = policy_in_force(Federation(sites=("evil.example", "more.example")).state)

    report = check(lied(files, {"data/log/policy.txt": own.encode()}), world)
    alone = verify(write_zip(files), None)

    assert list(failed(report)) == [12]
    assert alone.exit_code == 2
    assert set(untold(alone)) == {4, 5, 11}
    assert "--policy" in untold(alone)[4]


def test_a_policy_file_that_is_none_cannot_tell():
    """A wrong file of the auditor's own refutes nobody."""
    _, files = example()

    report = verify(write_zip(files), "not a policy")

    assert report.exit_code == 2


def test_a_bundle_of_an_older_size_holds_and_says_its_size_and_time():
    """It is not the newest, and does not claim to be."""
    world = told()
    old = files_of(world)
    world.must("review.noted", {"from": 0, "to": 2, "result": "nothing_found", "on_behalf": None},
               f"{SITES[0]}/node")  # fmt: skip

    report = check(old, world)

    assert report.exit_code == 0
    assert "21 entries" in report.steps[3].detail
    assert "2026-11-22T09:21:02Z" in report.steps[4].detail


def test_the_bundle_of_another_study_is_refuted_by_its_charter():
    """Same hospitals, same origin, another text."""
    world, _ = example()
    other = Federation(sites=SITES, title="Another question")
    other.play_round()

    report = check(files_of(other), world, charter_id=world.state.charter_id)

    assert report.exit_code == 1
    assert world.state.charter_id in failed(report)[8]


def test_a_stranger_cannot_export():
    """Only the hub or a hospital's node signs a manifest; a witness or a researcher does not."""
    world, _ = example()
    for key in (SigningKey("stranger", NOTE, b"\x09" * 32), make.key(make.RESEARCHER)):
        report = check(files_of(world, exporter=key), world)

        assert list(failed(report)) == [3]


def test_a_hospital_exports_with_its_node_key():
    """A hospital needs nobody to export."""
    world, _ = example()

    report = check(files_of(world, exporter=make.key(f"{SITES[1]}/node")), world)

    assert report.exit_code == 0
    assert SITES[1] in report.steps[2].detail


def test_another_version_of_the_program_cannot_tell_about_derived_files_only():
    """The log is judged all the same; a correction level does not matter."""
    world, _ = example()

    other = check(files_of(world, software="consilium 9.1.0"), world)
    close = check(files_of(world, software="consilium 0.1.7"), world)

    assert other.exit_code == 2
    assert list(untold(other)) == [12]
    assert "consilium 9.1.0" in untold(other)[12]
    assert close.exit_code == 0


def test_a_log_that_breaks_a_rule_is_named_by_entry_and_rule():
    """Hub and witnesses agree on a round out of turn: the auditor's own replay does not."""
    world, files = example()
    lie = world.draft("round.opened", world.opening(round=9), make.EVENTS)

    report = check(forced(files, world, [*world.entries, lie]), world)

    assert "entry 21 is refused by rule round.sequence" in failed(report)[10]
    assert 9 not in failed(report)


def test_a_statement_in_a_foreign_name_is_named_by_entry():
    """The hub signs what only a hospital may say; all witnesses look away."""
    world, files = example()
    lie = world.draft("site.withdrawn", {"reason": "policy"}, f"{SITES[0]}/node",
                      keys=(make.key(make.EVENTS),))  # fmt: skip
    report = check(forced(files, world, [*world.entries[:8], lie, *world.entries[8:]]), world)

    assert "entry 8 is refused by rule event.signer" in failed(report)[9]
    assert "see step 9" in untold(report)[10]


def test_entries_that_are_left_out_are_noticed_by_their_number():
    """One entry less than the checkpoint says."""
    world, files = example()
    tile = next(path for path in files if path.startswith("data/log/tile/entries/"))
    shorter = files[tile][: -len(world.entries[-1]) - 2]

    report = check(lied(files, {tile: shorter}), world)

    assert "20 entries, the checkpoint says 21" in failed(report)[6]


def test_names_that_look_like_formulas_are_harmless_and_names_can_be_left_out():
    """A spreadsheet runs nothing; without names the key names are printed."""
    world, without = example()
    people = write_people({f"{SITES[0]}/institution": "=HYPERLINK(1)", "a" * 26: "Ada Reader"})

    with_names = files_of(world, attachments={"people.csv": people})
    report = check(with_names, world)

    assert report.exit_code == 0
    assert "data/people.csv" in report.steps[15].detail
    assert b"\n'=HYPERLINK(1)," in with_names["data/governance/signatures.csv"]
    assert b"Ada Reader,hub-attested" in with_names["data/governance/reviews.csv"]
    assert b"\n,east.example/institution" in without["data/governance/signatures.csv"]


TRICKS = {
    "a second top folder": "other/x",
    "a climbing path": "consilium-00112233445566aa-21/../x",
    "an absolute path": "/x",
    "a backslash": "consilium-00112233445566aa-21\\x",
    "an empty part": "consilium-00112233445566aa-21//x",
    "a folder": "consilium-00112233445566aa-21/folder/",
    "a hidden end": "consilium-00112233445566aa-21/x\x00.txt",
    "a strange letter": "consilium-00112233445566aa-21/ü",
}


@pytest.mark.parametrize("name", TRICKS.values(), ids=TRICKS.keys())
def test_a_trick_of_the_container_is_refused_before_anything_is_read(name):
    """One folder, plain names; nothing is ever unpacked to disk."""
    world, files = example()
    out = io.BytesIO(write_zip(files))
    with zipfile.ZipFile(out, "a") as archive:
        entry = zipfile.ZipInfo("x")
        entry.filename = name
        archive.writestr(entry, b"x")

    report = verify(out.getvalue(), policy_in_force(world.state))

    assert report.exit_code == 1
    assert [step.number for step in report.steps] == [1]


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # the trick itself warns
def test_one_name_twice_is_refused():
    """Two programs would read two different files."""
    _, files = example()
    out = io.BytesIO(write_zip(files))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("consilium-00112233445566aa-21/data/state.json", b"{}")

    with pytest.raises(Malformed, match="twice"):
        bag.read_zip(out.getvalue())


PRINT = """
import hashlib, os
os.umask(int(os.environ["MASK"], 8))
from compliance.report.bundle import write_zip
from tests.report.evidence import example
print(hashlib.sha256(write_zip(example()[1])).hexdigest())
"""


def test_the_same_log_gives_the_same_bytes_wherever_it_is_exported():
    """Another time zone, language, umask and hash seed: not one byte differs."""
    here = Path(__file__).parents[2]
    places = (
        {"TZ": "Pacific/Auckland", "LC_ALL": "C", "PYTHONHASHSEED": "1", "MASK": "0"},
        {"TZ": "America/Lima", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "77", "MASK": "077"},
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", PRINT],
            env={"PATH": os.environ["PATH"], **place},
            cwd=here,
            check=True,
            capture_output=True,
            timeout=120,
        ).stdout
        for place in places
    }

    assert len(found) == 1


def signed_again(files, note):
    """The same bundle with another `manifest.note`; its tag manifest fits."""
    made = {**files, "manifest.note": note}
    made.pop(bag.TAG_MANIFEST)
    tags = {path: data for path, data in made.items() if not path.startswith("data/")}
    return {**made, bag.TAG_MANIFEST: bag.manifest(tags)}


def test_a_signature_of_the_exporter_that_does_not_hold_is_named():
    """Another key under the hub's name; the hub's key with another signature; another text."""
    world, files = example()
    note = parse(files["manifest.note"])
    line = note.lines[0]
    other = SigningKey(HUB, NOTE, b"\x05" * 32)
    spoiled = SignatureLine(line.name, line.key_id, bytes(64))
    forged = {
        "no hub or hospital": seal(note.text, other),
        "does not verify": assemble(note.text, [spoiled]),
        "another manifest": seal(note.text.replace(b"sha256:", b"sha256:0", 1)[:-2] + b"\n",
                                 make.key(HUB)),
    }  # fmt: skip
    for words, changed in forged.items():
        report = check(signed_again(files, changed), world)

        assert words in failed(report)[3]


def test_a_root_that_hub_and_witnesses_signed_for_other_entries_is_named():
    """All signatures hold; the entries lead elsewhere."""
    world, files = example()
    note = cosigned(Checkpoint(make.ORIGIN, len(world.entries), b"\x01" * 32), world)

    report = check(lied(files, {"data/log/checkpoint": note}), world)

    assert "do not lead to the signed root" in failed(report)[6]
    assert {4, 5} & set(failed(report)) == set()


def test_a_statement_newer_than_every_cosignature_is_named():
    """Witnesses cannot have seen what was said later."""
    world = told()
    now, world.time = world.time, "2026-11-22T09:05:00Z"
    note = witnessed(world)
    world.time = now

    report = check(files_of(world, checkpoint_note=note), world)

    assert list(failed(report)) == [11]
