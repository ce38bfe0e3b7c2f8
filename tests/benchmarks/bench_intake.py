"""How fast images come in: C-STORE over one, four and eight associations, on loopback.

A real receiver in a process of its own, DCMTK's `storescu` as scanner, CT slices of 39 KB; every
answer is given after the file is synced, so the disk is part of the figure. Processor seconds are
the receiver's own and compare better between machines than files a second.

Run: `.venv/bin/python -m tests.benchmarks.bench_intake [--files 200]`.
The bar (design, imaging 14.9): at least 20 files a second with one association, 70 with four.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file

from tests.site_node.imaging.sender import TITLE, free_port

BARS = {1: 20, 4: 70, 8: 0}
ROOT = Path(__file__).resolve().parents[2]


def main(words: list[str]) -> int:
    """Print one JSON object: for each number of associations files a second and a CPU second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200, help="files per association")
    asked = parser.parse_args(words)
    told = {}
    for associations, bar in BARS.items():
        with tempfile.TemporaryDirectory(prefix="consilium-bench-") as folder:
            seconds, work = measure(Path(folder), associations, asked.files)
        count = associations * asked.files
        told[associations] = {
            "files": count,
            "per_second": round(count / seconds, 1),
            "per_cpu_second": round(count / work, 1),
            "bar": bar,
        }
    print(json.dumps(told))
    return 0


def measure(root: Path, associations: int, files: int) -> tuple[float, float]:
    """Seconds until everything is answered, and the receiver's processor seconds."""
    folders = [slices(root / f"scan-{n}", n * files, files) for n in range(associations)]
    port, home = free_port(), root / "home"
    words = {
        "CONSILIUM_SITE_SCP_PORT": str(port),
        "CONSILIUM_SITE_SCP_ALLOW": f"{TITLE}@127.0.0.1",
        "CONSILIUM_SITE_SCP_DISK_FLOOR_GB": "0",
    }
    receiver = subprocess.Popen(
        [sys.executable, "-m", "site_node.imaging.scp", str(home)],
        stdin=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | words,
    )
    try:
        call = ["-aet", TITLE, "-aec", "CONSILIUM", "127.0.0.1", str(port)]
        while subprocess.run(["echoscu", *call], capture_output=True, check=False).returncode:
            time.sleep(0.1)
        before, began = worked(receiver.pid), time.monotonic()
        senders = [subprocess.Popen(["storescu", "+sd", *call, str(one)]) for one in folders]
        if any(sender.wait() for sender in senders):
            sys.exit("a sender was refused")
        seconds, work = time.monotonic() - began, worked(receiver.pid) - before
    finally:
        receiver.kill()
        receiver.wait()
    kept = len(list(home.glob("inbox/??/*.dcm")))
    if kept != associations * files:
        sys.exit(f"{kept} of {associations * files} files are here")
    return seconds, work


def slices(folder: Path, first: int, count: int) -> Path:
    """A folder of CT slices, each with its own number."""
    folder.mkdir(parents=True)
    made = dcmread(str(get_testdata_file("CT_small.dcm")))
    for number in range(first, first + count):
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
        out = BytesIO()
        made.save_as(out)
        (folder / f"{number}.dcm").write_bytes(out.getvalue())
    return folder


def worked(pid: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
