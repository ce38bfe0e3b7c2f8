"""The bundle: the same log gives the same bytes, and a changed bundle is named."""

from __future__ import annotations

import io
import json
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from compliance.cli import main as audit
from compliance.command import main as command
from compliance.errors import Malformed, NotProven, Refused
from compliance.report import bag
from compliance.report.bundle import Material, build, write_zip
from compliance.report.derived import write_csv
from compliance.report.verify import STEPS, verify
from compliance.signing.keys import NOTE, SigningKey
from tests.shared import shared_data

TOP = "consilium-00112233445566aa-34"


@cache
def golden() -> dict[str, Any]:
    """The golden log of an independent implementation."""
    value: dict[str, Any] = json.loads(shared_data("ledger", "golden.json").read_text())
    return value


def key(name: str) -> SigningKey:
    """A test key of the golden log."""
    return SigningKey(name, NOTE, bytes.fromhex(golden()["private_seeds_hex"][name]))


def material(**changes: Any) -> Material:
    """What the golden bundle is made of."""
    entries = [entry.encode() for entry in golden()["entries"]]
    given = {"entries": entries, "checkpoint_note": golden()["checkpoint"].encode()}
    given["exporter"] = key("hub.example/events")
    return Material(**(given | changes))


@cache
def bundle() -> bytes:
    """The golden bundle."""
    return write_zip(build(material()))


def test_a_whole_bundle_is_verified_by_every_step() -> None:
    """Every numbered step ran; none was left out."""
    report = verify(bundle(), golden()["policy"], golden()["charter_id"])

    assert report.exit_code == 0, report.plain()
    assert [step.number for step in report.steps] == list(range(1, len(STEPS) + 1))
    assert {step.result for step in report.steps} == {"pass", "not_applicable"}


def test_two_exports_of_one_log_are_the_same_bytes() -> None:
    """Nothing of the bundle depends on when or where it is made."""
    assert write_zip(build(material())) == bundle()


def test_without_a_policy_nobody_can_tell() -> None:
    """The policy inside the bundle is a copy, never trust."""
    report = verify(bundle(), None)

    assert report.exit_code == 2
    assert any("--policy" in step.detail for step in report.steps)


def test_a_policy_about_another_log_cannot_tell() -> None:
    """Another log's policy neither verifies nor refutes."""
    other = SigningKey("other.example/study/1", NOTE, b"\x07" * 32)
    policy = golden()["policy"].splitlines()
    text = "\n".join([f"log {other.verifier}", *policy[1:]]) + "\n"

    report = verify(bundle(), text)

    assert {step.result for step in report.steps if step.number == 4} == {"cannot_tell"}
    assert report.exit_code in (1, 2)


def test_another_charter_than_expected_is_refuted() -> None:
    """A valid bundle of another study does not pass for this one."""
    report = verify(bundle(), golden()["policy"], "sha256:" + "00" * 32)

    assert report.exit_code == 1
    assert [step.subject for step in report.steps if step.result == "fail"] == ["charter id"]


def test_no_byte_of_charter_or_checkpoint_can_change_unseen() -> None:
    """Bytes of the entries and of the checkpoint, here and there, all count."""
    top, files = bag.read_zip(bundle())
    entries = next(path for path in files if path.startswith("data/log/tile/entries/"))
    checkpoint = "data/log/checkpoint"
    places = [(checkpoint, place) for place in range(0, len(files[checkpoint]), 11)]
    places += [(entries, place) for place in range(0, len(files[entries]), 2999)]
    for path, place in places:
        content = bytearray(files[path])
        content[place] ^= 0x20
        report = verify(bag.write_zip(top, files | {path: bytes(content)}), golden()["policy"])
        assert report.exit_code == 1, (path, place)


def test_a_log_without_quorum_is_not_exported() -> None:
    """A bundle that does not verify is never handed out."""
    note = golden()["checkpoint_without_quorum"].encode()
    with pytest.raises(NotProven, match="quorum"):
        build(material(checkpoint_note=note))


def test_a_log_that_breaks_a_rule_is_not_exported() -> None:
    """A missing entry breaks the rules or the root."""
    entries = [entry.encode() for entry in golden()["entries"]]
    with pytest.raises((Refused, NotProven)):
        build(material(entries=entries[:5] + entries[6:]))


def test_a_foreign_exporter_is_refuted() -> None:
    """Only the hub's events key or a site's node key may sign a manifest."""
    made = write_zip(build(material(exporter=SigningKey("stranger", NOTE, b"\x09" * 32))))

    report = verify(made, golden()["policy"])

    assert [s.subject for s in report.steps if s.result == "fail"] == ["who exported"]


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", f"{TOP}/../x", f"{TOP}//x", f"{TOP}\\x", "loose", f"{TOP}/ü"],
)
def test_a_climbing_path_is_refused_before_reading(name: str) -> None:
    """Absolute, climbing, foreign and loose paths are refused."""
    out = io.BytesIO(bundle())
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(name, b"x")

    assert verify(out.getvalue(), golden()["policy"]).exit_code == 1


def test_a_link_a_bomb_and_a_torn_file_are_refused() -> None:
    """Links, compressed entries and half files are no bundle."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo(f"{TOP}/link")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(Malformed, match="plain file"):
        bag.read_zip(out.getvalue())
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{TOP}/zeros", bytes(10_000))
    with pytest.raises(Malformed, match="compressed"):
        bag.read_zip(out.getvalue())
    for data in (b"", bundle()[:-100], b"PK"):
        with pytest.raises(Malformed):
            bag.read_zip(data)


def test_files_that_lie_upon_each_other_are_refused_before_reading() -> None:
    """A folder that names one file many times claims more bytes than the whole archive has."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(f"{TOP}/file0", bytes(4096))
    data = out.getvalue()
    folder, end = data[data.index(b"PK\x01\x02") : -22], bytearray(data[-22:])
    twice = folder + folder.replace(b"file0", b"file1")
    end[8:12], end[12:16] = b"\x02\x00\x02\x00", len(twice).to_bytes(4, "little")

    with pytest.raises(Malformed, match="overlap"):
        bag.read_zip(data[: -22 - len(folder)] + twice + bytes(end))


def test_a_formula_in_a_table_is_harmless() -> None:
    """A spreadsheet does not run what a hospital wrote."""
    assert write_csv(["a"], [["=1+1"], [-1]]) == b"a\n'=1+1\n-1\n"


def test_markup_in_a_reason_is_shown_as_text() -> None:
    """The page escapes everything that it did not write itself."""
    files = build(material())
    html = files["data/README.html"].decode()

    assert "<script" not in html
    assert "default-src 'none'" in html
    assert "https://" not in html.replace("https://example", "")


def test_the_auditors_command_says_pass_and_exits_zero(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`consilium audit verify BUNDLE --policy FILE`, in words and as JSON."""
    (tmp_path / "b.zip").write_bytes(bundle())
    (tmp_path / "policy.txt").write_text(golden()["policy"])
    words = ["verify", str(tmp_path / "b.zip"), "--policy", str(tmp_path / "policy.txt")]

    assert audit(words) == 0
    assert "PASS" in capsys.readouterr().out
    assert command(["audit", *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "verified"
    assert audit(words[:2]) == 2
    assert audit(["verify", "--nonsense"]) == 2
    assert audit(["verify", "--help"]) == 0


def test_the_auditor_checks_one_entry_and_compares_two_bundles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`audit proof` and `audit compare`: one history is one history, a fork is proven."""
    (tmp_path / "b.zip").write_bytes(bundle())
    (tmp_path / "policy.txt").write_text(golden()["policy"])
    (tmp_path / "p").write_text(golden()["inclusion_proof_12"])
    (tmp_path / "e").write_text(golden()["entries"][12])
    proof = ["proof", str(tmp_path / "p"), "--entry", str(tmp_path / "e")]
    proof += ["--policy", str(tmp_path / "policy.txt")]

    assert audit(proof) == 0
    assert audit(["compare", str(tmp_path / "b.zip"), str(tmp_path / "b.zip"), "--json"]) == 0
    assert command(["audit", "compare", str(tmp_path / "p"), str(tmp_path / "b.zip")]) == 0
    assert command(["audit", "compare", str(tmp_path / "e"), str(tmp_path / "b.zip")]) == 2
    top, files = bag.read_zip(bundle())
    entries = next(path for path in files if path.startswith("data/log/tile/entries/"))
    files[entries] = files[entries].replace(b"cxr", b"cxs", 1)
    (tmp_path / "fork.zip").write_bytes(bag.write_zip(top, files))
    assert command(["audit", "compare", str(tmp_path / "fork.zip"), str(tmp_path / "b.zip")]) == 1
    (tmp_path / "e").write_text(golden()["entries"][13])
    assert command(["audit", *proof]) == 1
    assert "Not proven" in capsys.readouterr().err


def test_a_missing_file_or_group_gets_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback: what is missing, and what to do."""
    assert command(["audit", "verify", str(tmp_path / "none.zip"), "--json"]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert command(["nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err
    assert command(["audit", "export", "x", "--out", "y", "--home", str(tmp_path)]) == 2
    assert "--home" in capsys.readouterr().err
    assert command(["--help"]) == 0
    assert command([]) == 2
    assert command(["--version"]) == 0
    assert "examples" in capsys.readouterr().out
