"""One command runs a real study over three hospitals; its evidence convinces without the hub."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What `./consilium demo --headless --rounds 2` printed last."""
    state = tmp_path_factory.mktemp("demo") / "state"
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CONSILIUM_")}
    done = subprocess.run(
        [sys.executable, "-m", "hub.demo", "--headless", "--rounds", "2", "--state", str(state)],
        cwd=ROOT,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    result["state"] = state
    yield result
    assert not list(leftovers(state)), "the demo left a process behind"


def leftovers(state: Path) -> Iterator[str]:
    """Command lines of living processes that name the demo's folder."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(state) in line and "pytest" not in line:
            yield line


def test_the_last_line_says_what_came_out(told: dict[str, Any]) -> None:
    """One JSON object: study, rounds, a row per hospital, the common result, bundle and policy."""
    assert told["rounds"] == 2
    assert len(told["sites"]) == 3
    for row in told["sites"]:
        assert {"name", "n_train", "auc_local", "auc_federated"} <= set(row)
        assert row["n_train"] > 0
    assert 0.5 < told["auc_test_federated"] <= 1
    assert Path(told["bundle"]).is_file()
    assert Path(told["policy"]).is_file()
    assert {"hub", "join", "import", "study", "release", "audit"} <= set(told["seconds"])


def audit(*words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report of `consilium audit verify … --json`."""
    done = subprocess.run(
        [sys.executable, "-m", "compliance.command", "audit", "verify", *words, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout.strip().splitlines()[-1])


def test_the_bundle_is_verified_with_a_hospitals_policy(told: dict[str, Any]) -> None:
    """Every step holds, or does not apply and says so."""
    code, report = audit(told["bundle"], "--policy", told["policy"])

    assert code == 0
    assert {step["result"] for step in report["steps"]} <= {"pass", "not_applicable"}


def test_the_model_left_after_every_hospital_agreed(told: dict[str, Any]) -> None:
    """The evidence holds one model with its card; three hospitals' own signatures came first."""
    with zipfile.ZipFile(told["bundle"]) as bundle:
        names = bundle.namelist()
        events = next(name for name in names if name.endswith("data/events.jsonl"))
        rows = [json.loads(line) for line in bundle.read(events).splitlines()]
        (card,) = [json.loads(bundle.read(name)) for name in names if name.endswith("card.json")]
    agreed = [row["signers"] for row in rows if row["type"] == "release.approved"]
    (released,) = [row["index"] for row in rows if row["type"] == "model.released"]
    assert sorted(agreed) == [[f"{row['name']}/institution"] for row in told["sites"]]
    assert max(row["index"] for row in rows if row["type"] == "release.approved") < card["size"]
    assert card["size"] <= released
    assert card["agreed"] == [row["name"] for row in told["sites"]]
    assert sum(name.endswith(".safetensors") for name in names) == 1


def test_without_a_policy_nothing_is_green(told: dict[str, Any]) -> None:
    """The policy in the bundle is a copy and never trust: exit 2, cannot tell."""
    code, report = audit(told["bundle"])

    assert code == 2
    assert "cannot_tell" in {step["result"] for step in report["steps"]}


def flipped(bundle: Path, name: str, place: int) -> bytes:
    """The bundle with one bit of one file changed, and a container that is in order."""
    made = io.BytesIO()
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(made, "w") as new:
        for info in old.infolist():
            data = bytearray(old.read(info))
            if info.filename.endswith(name):
                data[place % len(data)] ^= 1
            new.writestr(info, bytes(data))
    return made.getvalue()


@pytest.mark.parametrize("name", ["data/log/checkpoint", "data/charter.json", "entries"])
def test_one_flipped_bit_is_refuted_and_the_step_is_named(
    told: dict[str, Any], tmp_path: Path, name: str
) -> None:
    """In any log entry, in the checkpoint, in the charter: exit 1, never 0 and never a trace."""
    bundle = Path(told["bundle"])
    with zipfile.ZipFile(bundle) as file:
        names = [info.filename for info in file.infolist()]
        inside = next(n for n in names if name in n and not n.endswith(".html"))
        size = file.getinfo(inside).file_size
    ending = inside.split("/", 1)[1]
    changed = tmp_path / "changed.zip"
    for place in {0, 1, size // 3, size // 2, 2 * size // 3, size - 2, size - 1}:
        changed.write_bytes(flipped(bundle, ending, place))
        code, report = audit(str(changed), "--policy", told["policy"])
        failed = [step["subject"] for step in report["steps"] if step["result"] == "fail"]
        assert code == 1, f"byte {place} of {inside}"
        assert failed, f"byte {place} of {inside}: no step is named"


def test_no_name_of_a_patient_reaches_hub_or_evidence(told: dict[str, Any]) -> None:
    """Synthetic names, numbers and birth dates of the DICOM files occur nowhere but at the site."""
    import pydicom

    state: Path = told["state"]
    canaries = set()
    for path in sorted(state.glob("dicom/*/*.dcm"))[::40]:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        for word in ("PatientName", "PatientID", "PatientBirthDate", "SOPInstanceUID"):
            canaries.add(str(header.get(word, "")).encode())
    canaries -= {b""}
    assert canaries
    for folder in ("hub", "evidence", "researcher", "logs"):
        for path in (state / folder).rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                found = [word for word in canaries if word in data]
                assert not found, f"{path.relative_to(state)} holds {found[0]!r}"
