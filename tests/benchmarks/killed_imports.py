"""An import that is killed (-9) at random moments, and one whose disk is full.

The public command imports a folder; it is killed after a random part of the
time that an undisturbed import takes, and run again: the version must be that of the undisturbed
import, with every image once. Then the home lies on a disk of a few megabytes (a tmpfs; needs
root): exit 2 with a sentence, and after the disk has grown the same command completes it.

Run: `.venv/bin/python -m tests.benchmarks.killed_imports [--kills 20] [--files 600]`.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from site_node.imaging.curated import SPLITS, CuratedDataset
from tests.site_node.imaging.files import SECRET, folder_of

PROGRAM = Path(sys.executable).with_name("consilium")
RECIPE = {"kind": "2d", "size": [64, 64]}
SMALL, ENOUGH = "6m", "200m"


def main(words: list[str]) -> int:
    """Print one JSON object: how many kills, how many went wrong, what the full disk said."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--files", type=int, default=600)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="consilium-killed-") as folder:
        root = Path(folder)
        source = folder_of(root / "source", asked.files)
        (root / "recipe.json").write_text(json.dumps(RECIPE))
        began = time.monotonic()
        calm = imported(home(root, "calm"), source)
        lasts = time.monotonic() - began
        random = Random(asked.seed)  # noqa: S311 - moments, no secret
        kills = [killed(root, source, random.random() * lasts) for _ in range(asked.kills)]
        disk = full_disk(root, source) if os.geteuid() == 0 else {"skipped": "needs root"}
    wrong = [one for one in kills if not well(one["then"], calm)]
    filled = os.geteuid() != 0 or (disk["first"]["exit"] == 2 and well(disk["then"], calm))
    good = not wrong and filled and any(one["killed"] for one in kills)
    told = {"seed": asked.seed, "undisturbed_seconds": round(lasts, 1), "files": asked.files}
    told |= {"kills": len(kills), "really_killed": sum(one["killed"] for one in kills)}
    print(json.dumps(told | {"wrong": wrong, "full_disk": disk, "well": good}))
    return 0 if good else 1


def home(root: Path, name: str) -> Path:
    """An empty home with the one secret, so that versions can be compared."""
    made = root / name
    made.mkdir(mode=0o700)
    key(made)
    return made


def key(made: Path) -> None:
    """Give a home the secret of all."""
    path = made / "secret.key"
    path.write_bytes(SECRET)
    path.chmod(0o600)


def words_of(where: Path, source: Path) -> list[str]:
    """The command."""
    recipe = source.parent / "recipe.json"
    words = [str(PROGRAM), "site", "import", str(source), "--dataset", "chest", "--json"]
    labels = ["--labels", str(source / "labels.csv"), "--recipe", str(recipe)]
    return [*words, *labels, "--home", str(where)]


def imported(where: Path, source: Path) -> dict[str, Any]:
    """Run the command to its end."""
    done = subprocess.run(words_of(where, source), capture_output=True, text=True, check=False)
    if done.returncode:
        return {"exit": done.returncode, "said": done.stderr.strip().splitlines()[-1:]}
    told = json.loads(done.stdout)
    data = CuratedDataset.open(where / "datasets" / "chest")
    images = sum(len(data.rows(split)) for split in SPLITS)
    return {"exit": 0, "version": told["version"], "imported": told["imported"], "images": images}


def killed(root: Path, source: Path, after: float) -> dict[str, Any]:
    """Kill an import after so many seconds, then run it again."""
    where = home(root, f"killed-{secrets.token_hex(4)}")
    process = subprocess.Popen(
        words_of(where, source),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    then = imported(where, source)
    shutil.rmtree(where)
    return {"after": round(after, 2), "killed": code == -signal.SIGKILL, "then": then}


def well(then: dict[str, Any], calm: dict[str, Any]) -> bool:
    """Whether it ended as the undisturbed one."""
    return then == calm


def full_disk(root: Path, source: Path) -> dict[str, Any]:
    """A home on a disk that is too small, then large enough."""
    where = root / "small-disk"
    where.mkdir(mode=0o700)
    size = ["-o", f"size={SMALL},mode=0700"]
    subprocess.run(["mount", "-t", "tmpfs", *size, "tmpfs", str(where)], check=True)
    try:
        key(where)
        first = imported(where, source)
        subprocess.run(["mount", "-o", f"remount,size={ENOUGH}", str(where)], check=True)
        return {"first": first, "then": imported(where, source)}
    finally:
        subprocess.run(["umount", str(where)], check=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
