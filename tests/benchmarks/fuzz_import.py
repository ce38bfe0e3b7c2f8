"""Ten thousand mutated files through the children that read images and that write copies.

Twenty files of pydicom, of every kind of encoding, are changed: bytes, lengths, cuts, doubled and
moved pieces. Each must end with an image, a reason of the closed list or a word for what was
skipped; no child may use more than 512 MB or five seconds of processor time for one file; and a
sound file among them is read as ever.

Run: `.venv/bin/python -m tests.benchmarks.fuzz_import [--files 10000] [--seed N]`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from pydicom.data import get_testdata_file

from compliance.records.reasons import Quarantine
from site_node.federation.keeper import descendants
from site_node.imaging.copying import MODULE
from site_node.imaging.deid.order import Order
from site_node.imaging.deid.profiles import TRAINING
from site_node.imaging.keys import SiteKeys
from site_node.imaging.recipe import ImportRecipe, Segment
from site_node.imaging.workers import Crew, Job, Pool, examiners

SOUND = (
    "CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm", "JPEG2000.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm", "JPEG-LL.dcm",
    "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_jpeg_dcmtk.dcm", "emri_small.dcm", "emri_small_RLE.dcm",
    "image_dfl.dcm", "liver_1frame.dcm", "rtdose_rle_1frame.dcm", "examples_palette.dcm",
    "examples_ybr_color.dcm", "SC_rgb_rle_16bit.dcm", "vlut_04.dcm", "mlut_18.dcm",
)  # fmt: skip
MOST_MB, MOST_SECONDS = 512, 5.0
SEGMENTS = (Segment(name="liver", code="SCT:10200004"),)
START, SOUND_EVERY = 132, 100
TICKS = os.sysconf("SC_CLK_TCK")
WORDS = {reason.value for reason in Quarantine}


def main(words: list[str]) -> int:
    """Print one JSON object: outcomes by word, the highest memory, the longest time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    asked = parser.parse_args(words)
    print(f"seed {asked.seed}", file=sys.stderr)
    told = {name: run(crew, asked.files, asked.seed) for name, crew in crews().items()}
    print(json.dumps({"seed": asked.seed} | told))
    return 0 if all(one["well"] for one in told.values()) else 1


def crews() -> dict[str, Crew]:
    """Children that read images for an import, and children that write copies."""
    line = Order(TRAINING, accept_burned_in=True).line(SiteKeys(b"\7" * 32))
    solid = ImportRecipe(kind="3d", size=(8, 32, 32), spacing=(1, 1, 1), segments=SEGMENTS)
    return {
        "import": examiners(ImportRecipe(size=(32, 32), accept_burned_in=True), line),
        "series": examiners(solid, line),
        "copies": Crew(MODULE, "copies", line),
    }


def run(crew: Crew, files: int, seed: int) -> dict[str, Any]:
    """Feed one child after the other; what they said, and what it cost."""
    random, sources = Random(seed), sound_files()  # noqa: S311 - files to be broken, no secret
    outcomes: Counter[str] = Counter()
    memory, longest, unknown, lost = 0, 0.0, [], 0
    with tempfile.TemporaryDirectory(prefix="consilium-fuzz-") as folder:
        root = Path(folder)
        with Pool(work=root, crew=crew, jobs=1) as pool:
            for answer, peak, seconds in costs(pool, broken(root, sources, files, random)):
                word = word_of(answer.told)
                outcomes[word] += 1
                unknown += [] if known(word) else [answer.told]
                lost += is_sound(answer.job.number) and word != "image"
                memory, longest = max(memory, peak), max(longest, seconds)
    well = not unknown and not lost and memory <= MOST_MB and longest <= MOST_SECONDS
    return {
        "files": files,
        "outcomes": dict(outcomes.most_common()),
        "highest_mb": memory,
        "longest_cpu_seconds": round(longest, 2),
        "unknown": unknown[:3],
        "sound_files_lost": lost,
        "well": well,
    }


def sound_files() -> list[bytes]:
    """The files that are to be broken."""
    return [Path(str(get_testdata_file(name))).read_bytes() for name in SOUND]


def is_sound(number: int) -> bool:
    """Whether the file of this number is left as it was."""
    return number % SOUND_EVERY == 0


def broken(root: Path, sources: list[bytes], files: int, random: Random) -> Iterator[Job]:
    """Files as they are asked for; each is deleted before the next two are made."""
    for number in range(files):
        whole = sources[0] if is_sound(number) else sources[number % len(sources)]
        data = whole if is_sound(number) else mutate(whole, random)
        path = root / f"{number}.dcm"
        path.write_bytes(data)
        (root / f"{number - 3}.dcm").unlink(missing_ok=True)
        yield Job(number, os.fsencode(path), len(data), hashlib.sha256(data).hexdigest())


def mutate(whole: bytes, random: Random) -> bytes:
    """One to four changes of a random kind, most of them where the header stands."""
    data = bytearray(whole)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        last = min(len(data), 4096) if random.random() < 0.8 else len(data)
        at = random.randrange(min(START, last - 1), last)
        random.choice((flip, flip, flip, flip, length, cut, double, move, noise))(data, at, random)
        if len(data) <= START:
            break
    return bytes(data)


def flip(data: bytearray, at: int, random: Random) -> None:
    """One byte."""
    data[at] = random.randrange(256)


def length(data: bytearray, at: int, random: Random) -> None:
    """Two or four bytes as a length might be written by somebody who means harm."""
    value = random.choice((0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, len(data)))
    wide = random.choice((2, 4))
    data[at : at + wide] = (value & (1 << 8 * wide) - 1).to_bytes(wide, "little")


def cut(data: bytearray, at: int, random: Random) -> None:
    """The rest is gone, or a piece of it."""
    end = len(data) if random.random() < 0.3 else at + random.randint(1, 64)
    del data[at:end]


def double(data: bytearray, at: int, random: Random) -> None:
    """A piece stands there up to two hundred times."""
    data[at:at] = data[at : at + random.randint(2, 200)] * random.randint(1, 200)


def move(data: bytearray, at: int, random: Random) -> None:
    """A piece of another place."""
    other = random.randrange(len(data))
    data[at : at + 16] = data[other : other + 16]


def noise(data: bytearray, at: int, random: Random) -> None:
    """Random bytes, among them the marks of items and sequences."""
    data[at : at + 8] = random.choice(
        (b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0", random.randbytes(8))
    )


def costs(pool: Pool, jobs: Iterator[Job]) -> Iterator[tuple[Any, int, float]]:
    """Each answer with the child's highest memory so far (MB) and its time for this file."""
    before = (0, 0.0)
    for answer in pool.run(jobs):
        peak, used = 0, before
        for pid in descendants(os.getpid()):
            with contextlib.suppress(OSError, IndexError):
                peak = max(peak, high_water(pid))
                used = (pid, processor_seconds(pid))
        spent = used[1] - before[1] if used[0] == before[0] else 0.0
        before = used
        yield answer, peak, spent


def high_water(pid: int) -> int:
    """The most memory that a process ever held, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) >> 10


def processor_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def word_of(told: dict[str, Any]) -> str:
    """What became of a file, in one word."""
    if "images" in told or "place" in told or "name" in told:
        return "image"
    return str(told.get("reason") or f"skipped {told.get('skipped')}")


def known(word: str) -> bool:
    """Whether it is one of the words that may be said."""
    return word in WORDS or word in ("image", "skipped dicomdir")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
