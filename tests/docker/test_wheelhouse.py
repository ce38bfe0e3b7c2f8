"""One folder holds all that a machine without a network needs: whole, checked, and nothing more."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import need

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "requirements" / "wheelhouse"
ALONE = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, in a folder of its own choice."""
    kept = os.environ | {"CONSILIUM_WHEELHOUSE_PYTHON": sys.executable} | environment
    return subprocess.run(
        list(words), capture_output=True, text=True, env=kept, check=False, cwd=ROOT.parent
    )


def wheelhouse(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `./consilium wheelhouse` runs once its own environment is there."""
    return run("sh", str(SCRIPT), *words, **environment)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["moon", "--out", "{}/w"], "no extra moon"),
        (["audit"], "is missing"),
        (["--out", "{}/w"], "is missing"),
        (["audit", "--out"], "names no folder"),
        (["audit", "--loud"], "no option --loud"),
        (["audit", "site", "--out", "{}/w"], "one EXTRA"),
        (["audit", "--out", "{}"], "is there already"),
        (["audit", "--out", "{}/no/w"], "is no folder"),
    ],
)
def test_a_wrong_word_is_one_sentence_and_makes_nothing(tmp_path, words, said):
    """Exit 2, what is wrong, what to type."""
    done = wheelhouse(*(word.format(tmp_path) for word in words))

    assert done.returncode == 2
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_had_leaves_nothing_behind(tmp_path):
    """No registry and no folder of wheels: the sentence names the lock, the folder is not there."""
    done = wheelhouse("audit", "--out", str(tmp_path / "w"), PIP_NO_INDEX="1", PIP_FIND_LINKS="")

    assert done.returncode == 2
    assert "requirements/base.lock.txt" in done.stderr
    assert "CONSILIUM_WHEELS" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_root_script_hands_the_words_on():
    """The verb is there, and needs no extra to be installed."""
    text = (ROOT / "consilium").read_text()

    assert 'wheelhouse) shift; exec sh "$root/requirements/wheelhouse" "$@"' in text
    assert "wheelhouse) extras= ;;" in text
    assert len(text.splitlines()) <= 90


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The auditor's wheelhouse, from the registry."""
    need("no network")
    out = tmp_path_factory.mktemp("made") / "wheelhouse"
    done = wheelhouse("audit", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert str(out) in done.stdout
    return out


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """The folder as it came to the other machine."""
    return Path(shutil.copytree(made, tmp_path / "copied"))


def install(folder: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Install on a machine that has no network at all."""
    return run(*ALONE, "sh", str(folder / "install.sh"), str(target), CONSILIUM_PYTHON=base())


def base() -> str:
    """The Python of this machine, outside any environment."""
    return str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")


@pytest.mark.long
def test_it_installs_and_runs_without_any_network(copied, tmp_path):
    """From the folder alone to the auditor's tool; a second try says that it is there."""
    done = install(copied, tmp_path / "opt")

    assert done.returncode == 0, done.stderr
    said = run(*ALONE, str(tmp_path / "opt" / "bin" / "consilium"), "--version")
    assert said.stdout.startswith("consilium ")
    listed = run(str(tmp_path / "opt" / "bin" / "python"), "-m", "pip", "list", "--format=json")
    names = {row["name"] for row in json.loads(listed.stdout)} - {"pip", "setuptools"}
    assert len(names) == 10
    assert "is there already" in install(copied, tmp_path / "opt").stderr


@pytest.mark.long
def test_a_changed_or_added_file_is_installed_by_nobody(copied, tmp_path):
    """Bytes of a wheel, a lock without its hash, a wheel more: exit 2 and no folder."""
    wheel = next((copied / "wheels").glob("rfc8785-*.whl"))
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    changed = install(copied, tmp_path / "opt")
    wheel.write_bytes(whole)
    (copied / "wheels" / "extra-1.0-py3-none-any.whl").write_bytes(b"x")
    added = install(copied, tmp_path / "opt")

    assert changed.returncode == added.returncode == 2
    assert "changed or is missing" in changed.stderr
    assert "does not belong" in added.stderr
    assert not (tmp_path / "opt").exists()


@pytest.mark.long
def test_it_says_what_is_in_it(made):
    """Locks with hashes, our own wheel by hash, licences of everything, one sum for each file."""
    sbom = json.loads((made / "sbom.json").read_text())
    sums = (made / "SHA256SUMS").read_text()

    assert sbom["specVersion"] == "1.6"
    assert {row["name"] for row in sbom["components"]} >= {"consilium-federation", "pydantic"}
    assert all(row["licenses"] and row["hashes"] for row in sbom["components"])
    assert not [row for row in sbom["components"] if "GPL" in json.dumps(row["licenses"])]
    assert "--hash=sha256:" in (made / "requirements" / "ours.lock.txt").read_text()
    files = [path for path in made.rglob("*") if path.is_file() and path.name != "SHA256SUMS"]
    assert len(sums.splitlines()) == len(files)
    assert os.access(made / "install.sh", os.X_OK)
