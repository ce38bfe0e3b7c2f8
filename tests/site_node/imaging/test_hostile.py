"""No file can crash, hang or fill the site: each ends in quarantine with its reason, in time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from compliance.records.reasons import Quarantine
from site_node.federation.keeper import descendants
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.workers import Job, Pool
from tests.site_node.imaging.files import (
    examiners_of,
    file_of,
    folder_of,
    header,
    picture,
    read,
)

DEFLATED = b"1.2.840.10008.1.2.1.99"
JPEG_2000 = "1.2.840.10008.1.2.4.90"


def start(syntax: bytes = b"1.2.840.10008.1.2.1") -> bytes:
    """Preamble and file meta of a hand-made file."""
    value = syntax + b"\0" * (len(syntax) % 2)
    return b"\0" * 128 + b"DICM" + struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value


def nested(levels: int) -> bytes:
    """Sequences in sequences, each of a defined length."""
    inner = b""
    for _ in range(levels):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
        inner = struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, len(item)) + item
    return start() + inner


def deflate_bomb() -> bytes:
    """300 MB of zeros in 300 KB."""
    pack = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(1 << 20)
    head = struct.pack("<HH2sHI", 9, 0x10, b"OB", 0, 300 << 20)
    body = pack.compress(head) + b"".join(pack.compress(zeros) for _ in range(300)) + pack.flush()
    return start(DEFLATED) + body


def huge_claim() -> bytes:
    """65535 x 65535 pixels, says a header of an RLE file of 1 KB."""
    data = file_of(header(), picture(), syntax="1.2.840.10008.1.2.5")
    for element in (0x10, 0x11):
        mark = struct.pack("<HH2sH", 0x28, element, b"US", 2)
        data = data.replace(mark + b"\x08\0", mark + b"\xff\xff")
    return data


def wide_codestream() -> bytes:
    """A JPEG 2000 stream that claims 60,000 columns behind `Columns = 64`."""
    data = file_of(header(), picture(1, 64), syntax=JPEG_2000)
    at = data.index(b"\xff\x4f\xff\x51") + 8
    return data[:at] + struct.pack(">II", 60_000, 60_000) + data[at + 8 :]


def many_items() -> bytes:
    """A million empty items."""
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 1_000_000
    return start() + struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, len(items)) + items


def whole() -> bytes:
    """A sound file."""
    return file_of(header(), picture())


HOSTILE = {
    "empty": (b"", Quarantine.NOT_DICOM),
    "text": (b"Dear colleague, " * 20, Quarantine.NOT_DICOM),
    "truncated_pixels": (whole()[:-20], Quarantine.TRUNCATED),
    "truncated_header": (whole()[:300], Quarantine.TRUNCATED),
    "bomb": (deflate_bomb(), Quarantine.INFLATES_TOO_LARGE),
    "claim": (huge_claim(), Quarantine.PIXELS_INCONSISTENT),
    "codestream": (wide_codestream(), Quarantine.PIXELS_INCONSISTENT),
    "nested": (nested(1000), Quarantine.TOO_DEEP),
    "items": (many_items(), Quarantine.TOO_MANY_ELEMENTS),
    "slope_zero": (file_of(header(RescaleSlope="0"), picture()), Quarantine.NUMBER_NOT_USABLE),
    "slope_nan": (
        file_of(header(RescaleSlope="1.5"), picture()).replace(b"1.5 ", b"NaN "),
        Quarantine.NUMBER_NOT_USABLE,
    ),
    "no_patient": (file_of(header(PatientID=None), picture()), Quarantine.MISSING_IDENTITY),
    "path_as_uid": (
        file_of(header(), picture()).replace(b"1.2.3.1.1.1\0", b"../../../x\0\0"),
        Quarantine.BAD_UID,
    ),
    "written_on": (file_of(header(BurnedInAnnotation="YES"), picture()), Quarantine.BURNED_IN_TEXT),
    "report": (
        file_of(header(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11"), picture()),
        Quarantine.CLASS_NOT_SUPPORTED,
    ),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict, float]]:
    """What one child said of each hostile file, and after how many seconds of its own time."""
    root = tmp_path_factory.mktemp("hostile")
    jobs = []
    for number, (name, (data, _)) in enumerate(HOSTILE.items()):
        path = root / name
        path.write_bytes(data)
        jobs.append(_job(number, path))
    found = {}
    with Pool(work=root, crew=examiners_of(), jobs=1) as pool:
        last = time.monotonic()
        for answer in pool.run(jobs):
            now = time.monotonic()
            PEAKS.append(_peak())
            found[list(HOSTILE)[answer.job.number]] = (answer.told, now - last)
            last = now
    return found


PEAKS: list[int] = []
"""Highest memory (KiB) of any living child, looked at after each hostile file."""


def _peak() -> int:
    """Highest resident memory that a living imaging child of ours ever had, KiB."""
    highest = 0
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if b"imaging.child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                status = Path(f"/proc/{pid}/status").read_text()
                highest = max(highest, int(status.split("VmHWM:")[1].split()[0]))
    return highest


def _job(number: int, path: Path) -> Job:
    data = path.read_bytes()
    return Job(number, os.fsencode(path), len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_hostile_file_is_left_out_with_its_reason(answers, name):
    """The reason is a word of the closed list; nothing of the file is repeated."""
    assert answers[name][0] == {"reason": HOSTILE[name][1].value}


def test_hostile_files_cost_little_time_and_memory(answers):
    """The whole set in one child: seconds, and less than 512 MB at its highest."""
    assert sum(seconds for _, seconds in answers.values()) < 60
    assert 0 < max(PEAKS) < 512 << 10


@pytest.mark.parametrize("cut", range(0, 700, 23))
def test_a_file_cut_anywhere_is_never_taken_for_a_whole_one(cut):
    """A library reads some of these without any error."""
    data = whole()
    with pytest.raises(Quarantined):
        read(data[: min(cut, len(data) - 2)])


def test_mutated_files_always_end_with_a_word(tmp_path):
    """Random bytes changed in sound files: an image or a reason, never a crash of the parent."""
    random = np.random.default_rng(11)
    sound = [whole(), file_of(header(), picture(), syntax="1.2.840.10008.1.2.5")]
    jobs = []
    for number in range(120):
        data = bytearray(sound[number % 2])
        for place in random.integers(132, len(data), 6):
            data[place] = int(random.integers(256))
        path = tmp_path / f"{number}"
        path.write_bytes(data)
        jobs.append(_job(number, path))

    with Pool(work=tmp_path, crew=examiners_of(), jobs=1) as pool:
        told = [answer.told for answer in pool.run(jobs)]

    assert len(told) == 120
    words = {reason.value for reason in Quarantine}
    assert all("images" in one or one.get("reason") in words or "skipped" in one for one in told)


def test_a_child_that_is_killed_costs_no_file(tmp_path):
    """Its successor reads what it held."""
    path = tmp_path / "sound.dcm"
    path.write_bytes(whole())
    with Pool(work=tmp_path, crew=examiners_of(), jobs=1) as pool:
        list(pool.run([_job(0, path)]))
        os.kill(pool.pids()[0], signal.SIGKILL)

        told = [answer.told for answer in pool.run([_job(1, path), _job(2, path)])]

    assert [one["images"] for one in told] == [1, 1]


def test_a_child_that_waits_for_ever_is_ended_and_its_file_named(tmp_path):
    """A stopped process answers nothing; the parent's clock ends it and goes on."""
    path = tmp_path / "sound.dcm"
    path.write_bytes(whole())
    later = iter(())
    with Pool(work=tmp_path, crew=examiners_of(), jobs=1, clock=lambda: next(later, 1e9)) as pool:
        list(pool.run([_job(0, path)]))
        os.kill(pool.pids()[0], signal.SIGSTOP)
        later = iter((0.0,))

        told = [answer.told for answer in pool.run([_job(1, path)])]
        after = [answer.told for answer in pool.run([_job(2, path)])]

    assert told == [{"reason": "parse_timeout"}]
    assert after[0]["images"] == 1


def test_a_full_disk_is_not_taken_for_a_bad_file(tmp_path):
    """Quarantine is remembered; a fault of this machine must not be."""
    path = tmp_path / "sound.dcm"
    path.write_bytes(whole())
    (tmp_path / "child-0.u16").symlink_to("/dev/full")

    with Pool(work=tmp_path, crew=examiners_of(), jobs=1) as pool:
        told = [answer.told for answer in pool.run([_job(0, path)])]

    assert told == [{"skipped": "disk_full"}]


def test_a_named_pipe_and_a_link_are_stepped_over(site, tmp_path):
    """Opening the pipe would wait for ever; the link may lead anywhere."""
    source = folder_of(tmp_path / "one", 4)
    os.mkfifo(source / "x.dcm")
    (source / "y.dcm").symlink_to("/etc/hostname")
    (source / "z").symlink_to(tmp_path)

    told = site.take(source)

    assert told["skipped_because"] == {"labels_file": 1, "not_a_file": 3}
    assert told["imported"] == 4
