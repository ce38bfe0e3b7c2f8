"""Verify a bundle on the page: the steps of the command line, hostile uploads, nothing kept."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.testing.v1 import AppTest

from compliance.cli import main as audit
from compliance.errors import Malformed, Refused
from compliance.report import bag
from compliance.report.steps.outside import UNPROVABLE
from compliance.report.verify import STEPS, Step
from compliance.rules.policies import policy_in_force
from compliance.signing.keys import SigningKey
from dashboard import session, uploads
from dashboard.settings import Settings
from tests.dashboard.gated import HUB
from tests.dashboard.stage import SITES, Stage
from tests.dashboard.test_views import draw, wire, words  # noqa: F401 - shared fixtures

Draw = Callable[..., AppTest]
TOP = "consilium-00112233445566aa-3/"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A study of one closed round."""
    made = Stage(tmp_path_factory.mktemp("stage") / "hub")
    made.run(1)
    yield made
    made.close()


@pytest.fixture(scope="module")
def bundle(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Its bundle."""
    made = stage.rooms.exports.bundle(stage.study, tmp_path_factory.mktemp("out"), wait=0)
    return Path(made["bundle"]).read_bytes()


@pytest.fixture(scope="module")
def policy(stage: Stage) -> str:
    """The policy as a hospital hands it out."""
    return policy_in_force(stage.rooms.ledger.state(stage.study))


def bring(at: AppTest, data: bytes, policy: str | None = None) -> AppTest:
    """Somebody brings a bundle, perhaps a policy, and clicks."""
    at.file_uploader[0].upload("bundle.zip", data, "application/zip")
    if policy is not None:
        at.file_uploader[1].upload("policy.txt", policy.encode(), "text/plain")
    next(item for item in at.button if item.label == "Verify").click()
    at.run()
    assert not at.exception, [item.message for item in at.exception]
    return at


def page(draw: Draw) -> AppTest:  # noqa: F811
    """The part of the page."""
    return draw("reports", "aya", part="Verify a bundle")


def steps(at: AppTest) -> list[str]:
    """What the page says to each step."""
    return [item.value for item in at.text]


def zipped(*files: tuple[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


def overlapping(copies: int) -> bytes:
    """A zip whose folder names one file many times over: small to send, huge to unpack."""
    data = zipped((f"{TOP}aaaa", b"x" * 4096))
    at = data.index(uploads.FOLDER_ENTRY)
    line, end = data[at:-22], bytearray(data[-22:])
    names = (f"{TOP}{number:04}".encode() for number in range(copies))
    folder = b"".join(line.replace(f"{TOP}aaaa".encode(), name) for name in names)
    struct.pack_into("<HHII", end, 8, copies, copies, len(folder), at)
    return data[:at] + folder + bytes(end)


# ---------------------------------------------------------------- the steps


def test_a_good_bundle_is_verified_step_by_step(
    draw: Draw,  # noqa: F811
    bundle: bytes,
    policy: str,
) -> None:
    """Sixteen steps, the verdict, what no log shows, and the command for an own machine."""
    at = bring(page(draw), bundle, policy)

    told = words(at)
    for number, (clause, subject, _) in enumerate(STEPS, 1):
        assert f"**{number} {subject}** · " in told, clause
    assert "**Verified.**" in told
    assert all(line in told for line in UNPROVABLE)
    assert at.code[0].value == "consilium audit verify BUNDLE --policy FILE"


def test_page_and_command_line_say_the_same(
    bundle: bytes, policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is one verifier: every step of the one is a step of the other, word for word."""
    (tmp_path / "b.zip").write_bytes(bundle)
    (tmp_path / "policy.txt").write_text(policy)
    heard: list[Step] = []

    report = uploads.verify_upload(bundle, policy, tell=heard.append)

    code = audit(["verify", str(tmp_path / "b.zip"), "--policy", str(tmp_path / "policy.txt")])
    lines = capsys.readouterr().out.splitlines()
    assert report.exit_code == code == 0
    assert heard == report.steps
    for step, line in zip(heard, lines, strict=False):
        assert line.endswith(f"{step.subject} ({step.clause}): {step.detail}")


def test_without_a_policy_nothing_is_verified(draw: Draw, bundle: bytes) -> None:  # noqa: F811
    """The copy of the policy inside the bundle is never believed."""
    told = words(bring(page(draw), bundle))

    assert "This dashboard has no policy file for this study and you brought none" in told
    assert "**Cannot tell.**" in told
    assert "**Verified.**" not in told


def test_the_policy_file_of_the_dashboard_counts(
    draw: Draw,  # noqa: F811
    stage: Stage,
    bundle: bytes,
    policy: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Obtained outside the hub by its operator, one for each log; an unreadable one is said."""
    folder = tmp_path / "policies"
    folder.mkdir()
    file = folder / "study.txt"
    file.write_text(policy)
    (folder / "another.txt").write_text(stage.rooms.ledger.policy("consortium"))
    given = Settings(home=tmp_path / "home", hub_url=HUB, policy_file=folder)
    at = page(draw)
    monkeypatch.setattr(session, "settings", lambda: given)

    assert "**Verified.**" in words(bring(at, bundle))
    file.unlink()
    assert "This dashboard has no policy file for this study" in words(bring(at, bundle))
    file.write_bytes(b"\xff\xfe")
    assert "the policy file of this dashboard cannot be read" in words(bring(at, bundle))


def test_of_several_policies_the_one_of_the_bundles_own_study_counts(
    bundle: bytes, policy: str
) -> None:
    """Another study's policy, or the consortium's, neither verifies nor refutes this bundle."""
    key = SigningKey.generate("hub.example/study/00112233445566aa")
    other = f"log {key.verifier}\nquorum none\n"

    assert uploads.own_policy(bundle, [other, policy]) == policy
    assert uploads.own_policy(bundle, [other]) is None
    assert uploads.own_policy(b"no bundle at all", [other, policy]) is None


def test_a_wrong_charter_id_refutes(draw: Draw, bundle: bytes, policy: str) -> None:  # noqa: F811
    """Whoever knows the charter's id finds a valid bundle of another study."""
    at = page(draw)
    at.text_input[0].input("sha256:" + "0" * 64)

    told = words(bring(at, bundle, policy))

    assert "**Refuted.**" in told


def test_one_changed_byte_is_refuted_at_its_step(
    draw: Draw,  # noqa: F811
    bundle: bytes,
    policy: str,
) -> None:
    """With the name of the file."""
    at = bundle.index(b"Evidence drawn from a signed log")
    changed = bundle[:at] + b"F" + bundle[at + 1 :]

    told = words(bring(page(draw), changed, policy))

    assert "**Refuted.**" in told


def test_nothing_of_an_upload_is_kept(
    draw: Draw,  # noqa: F811
    bundle: bytes,
    policy: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither on disk nor in the server's store of uploads; the next draw shows no result."""
    stores: list[MemoryUploadedFileManager] = []
    add = MemoryUploadedFileManager.add_file

    def watched(store: MemoryUploadedFileManager, session_id: str, file: Any) -> None:
        stores.append(store)
        add(store, session_id, file)

    monkeypatch.setattr(MemoryUploadedFileManager, "add_file", watched)
    at = bring(page(draw), bundle, policy)

    assert len(stores) == 2
    assert [rows for store in stores for rows in store.file_storage.values() if rows] == []
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in kept if path.read_bytes()[:2] == b"PK"]
    at.run()
    assert "Verified." not in words(at)


def test_receipt_and_consortium_policy_open_what_they_open_on_the_command_line(
    draw: Draw,  # noqa: F811
    stage: Stage,
    tmp_path: Path,
    policy: str,
) -> None:
    """The proofs against the consortium's log, and that the log itself names this export."""
    ledger = stage.rooms.ledger
    ledger.issue_checkpoint("consortium")
    stage.witness(*SITES, log="consortium")
    made = stage.rooms.exports.bundle(stage.study, tmp_path, wait=0)
    stage.settle()
    receipt = stage.rooms.exports.receipt(stage.study, made["manifest_sha256"])
    at = page(draw)
    at.file_uploader[2].upload("c.txt", ledger.policy("consortium").encode(), "text/plain")
    at.file_uploader[3].upload("b.zip.receipt", receipt, "text/plain")

    at = bring(at, Path(made["bundle"]).read_bytes(), policy)

    assert "entries of the consortium's log" in steps(at)[12]
    assert "**15 receipt of the export** · holds" in words(at)
    assert "**Verified.**" in words(at)


def test_without_a_file_nothing_begins(draw: Draw) -> None:  # noqa: F811
    """The page says what is missing."""
    at = page(draw)
    next(item for item in at.button if item.label == "Verify").click()
    at.run()

    assert "Choose a bundle first." in words(at)


# ---------------------------------------------------------------- hostile uploads

HOSTILE = {
    "no zip": (b"not a zip at all", "not a whole zip file"),
    "empty": (b"", "not a whole zip file"),
    "half a zip": (zipped((f"{TOP}a", b"x" * 900))[:500], "not a whole zip file"),
    "bomb": (zipped((f"{TOP}a", b"0" * (8 << 20)), how=zipfile.ZIP_DEFLATED), "compressed"),
    "climbing": (zipped((f"{TOP}../../etc/passwd", b"x")), "is not allowed"),
    "absolute": (zipped(("/etc/passwd", b"x")), "is not allowed"),
    "backslash": (zipped((f"{TOP}a\\b", b"x")), "is not allowed"),
    "two roots": (zipped((f"{TOP}a", b"x"), ("other/b", b"x")), "exactly one top folder"),
    "overlapping": (overlapping(2000), "overlap"),
}


@pytest.mark.parametrize("which", HOSTILE)
def test_a_hostile_file_is_refuted_at_step_one(
    draw: Draw,  # noqa: F811
    policy: str,
    which: str,
) -> None:
    """In a clear sentence; no other step is run, and nothing is unpacked."""
    data, why = HOSTILE[which]

    at = bring(page(draw), data, policy)

    assert len(steps(at)) == 1
    assert why in steps(at)[0].lower()
    assert "**Refuted.**" in words(at)


def test_a_link_is_refuted(policy: str) -> None:
    """A symbolic link among the files leads nowhere."""
    entry = zipfile.ZipInfo(f"{TOP}link")
    entry.external_attr = 0o120777 << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(entry, "/etc/passwd")

    report = uploads.verify_upload(out.getvalue(), policy, tell=lambda _: None)

    assert [(step.result, "not a plain file" in step.detail) for step in report.steps] == [
        ("fail", True)
    ]


def test_files_that_overlap_are_refused_before_they_are_read() -> None:
    """8 MiB claimed by a file of a few KiB would be gigabytes claimed by one of 20 MiB."""
    with pytest.raises(Malformed, match="overlap"):
        bag.read_zip(overlapping(2000))


def test_too_many_files_and_too_large_a_file_are_not_looked_at(
    draw: Draw,  # noqa: F811
    policy: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sentence says how to verify it elsewhere; not one step is run."""
    many = zipped(*((f"{TOP}{number}", b"") for number in range(uploads.MOST_FILES + 1)))
    at = bring(page(draw), many, policy)
    assert "**Not looked at.** This file holds more than 20000 files." in words(at)
    assert "consilium audit verify" in words(at)
    assert steps(at) == []

    with pytest.raises(Refused, match="larger than 20 MiB"):
        uploads.check_size(b"x" * (uploads.MOST_BYTES + 1))
    uploads.check_size(b"x" * uploads.MOST_BYTES)
    shown = SimpleNamespace(limit=page(draw).file_uploader[0].proto.max_upload_size_mb)
    assert shown.limit == uploads.MOST_MIB


def test_what_a_hostile_bundle_says_is_text_and_no_markup(
    draw: Draw,  # noqa: F811
    policy: str,
) -> None:
    """A path that is a picture or a link in Markdown stays letters."""
    data = zipped((f"{TOP}../![x](https://evil.example/x.png)<script>", b"x"))

    at = bring(page(draw), data, policy)

    assert "evil.example" in steps(at)[0]
    assert "evil.example" not in words(at)
