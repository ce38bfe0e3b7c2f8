"""A zip archive becomes a list of files: each member is streamed by itself, under limits.

Nothing is ever unpacked by its own name, and an archive that claims too much is refused before a
byte of it is unpacked: 42 KB can claim 4.5 PB (the archive known as 42.zip).

Source: design/imaging.md §3; APPNOTE.TXT 6.3.10 (records of a zip file).
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from compliance.errors import NotReady
from compliance.records.reasons import Quarantine
from site_node.imaging.intake import BLOCK, Found, Walk, open_regular
from site_node.imaging.shards import disk_full

MOST_MEMBERS = 100_000
MOST_DIRECTORY = 24 << 20
MOST_MEMBER = 2048 << 20
MOST_RATIO = 200
SMALL = 1 << 16
END, END_SIZE, MOST_COMMENT = b"PK\x05\x06", 22, 65535
LOCATOR, LOCATOR_SIZE, END64_SIZE = b"PK\x06\x07", 20, 56
ENDS = END_SIZE + MOST_COMMENT + LOCATOR_SIZE + END64_SIZE
ENCRYPTED = 0x1
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def walk_archive(source: Path, work: Path, free: Callable[[Path], int]) -> Walk:
    """List every member of an archive, unpacked into `work` under numbers, in order of the hashes.

    Args:
        source: the archive; it is only read.
        work: an existing folder of ours with room for all members.
        free: free bytes on the disk of a folder.

    Raises:
        NotReady: it is no archive, is unsafe (`archive_unsafe`), or the disk has no room for it.
    """
    try:
        with open_regular(os.fsencode(source)) as file:
            _look_at_the_end(file)
            with zipfile.ZipFile(file) as archive:
                return _walk(archive, source.stat().st_size, work, free)
    except (zipfile.BadZipFile, FileNotFoundError, struct.error) as error:
        raise NotReady(
            f"{source} is no folder and no zip archive.",
            "Name a folder with DICOM files, a whole .zip, `inbox` or `pacs`.",
        ) from error


def _walk(archive: zipfile.ZipFile, size: int, work: Path, free: Callable[[Path], int]) -> Walk:
    members = [member for member in archive.infolist() if not member.is_dir()]
    _refuse_unsafe(members, size)
    needed = sum(member.file_size for member in members)
    if free(work) < needed:
        raise disk_full(needed)
    walk = Walk()
    for number, member in enumerate(members):
        if word := _not_wanted(member):
            walk.skipped[word] += 1
            continue
        path = work / f"member-{number}"
        try:
            name = member.filename.encode("utf-8", "surrogateescape")
            walk.files.append(_unpack(archive, member, path, name))
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
            path.unlink(missing_ok=True)
            walk.skipped["unreadable"] += 1
    walk.files.sort(key=lambda file: (file.sha256, file.relative))
    return walk


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, name: bytes) -> Found:
    digest, size = hashlib.sha256(), 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out, archive.open(member) as packed:
        while block := packed.read(BLOCK):
            digest.update(block)
            size += len(block)
            out.write(block)
    return Found(name, os.fsencode(path), size, digest.hexdigest())


def _look_at_the_end(file: BinaryIO) -> None:
    """Refuse a directory too large to be read into memory, before it is read."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - ENDS))
    tail = file.read()
    whole = tail[-END_SIZE:][: len(END)] == END and tail.endswith(b"\0\0")
    at = len(tail) - END_SIZE if whole else tail.rfind(END)
    if at < 0:
        raise zipfile.BadZipFile
    (claimed,) = struct.unpack_from("<I", tail, at + 12)
    if tail[max(0, at - LOCATOR_SIZE) :].startswith(LOCATOR):
        (claimed,) = struct.unpack_from("<Q", tail, at - LOCATOR_SIZE - END64_SIZE + 40)
    if claimed > MOST_DIRECTORY:
        raise _unsafe(f"its list of members is larger than {MOST_DIRECTORY >> 20} MB")


def _refuse_unsafe(members: Sequence[zipfile.ZipInfo], size: int) -> None:
    if len(members) > MOST_MEMBERS:
        raise _unsafe(f"it holds more than {MOST_MEMBERS} members")
    if any(member.flag_bits & ENCRYPTED for member in members):
        raise _unsafe("a member is encrypted")
    if any(member.compress_type not in PACKED for member in members):
        raise _unsafe("a member is packed other than by deflate")
    if any(member.file_size > MOST_MEMBER for member in members):
        raise _unsafe(f"a member is larger than {MOST_MEMBER >> 20} MB")
    if any(_swells(member.file_size, member.compress_size) for member in members):
        raise _unsafe(f"a member swells more than {MOST_RATIO} times")
    if _swells(sum(member.file_size for member in members), size):
        raise _unsafe(f"its members together swell more than {MOST_RATIO} times")


def _swells(unpacked: int, packed: int) -> bool:
    return unpacked > SMALL and unpacked > MOST_RATIO * packed


def _unsafe(why: str) -> NotReady:
    return NotReady(
        f"the archive is refused ({Quarantine.ARCHIVE_UNSAFE.value}: {why}).",
        "Unpack it yourself, look at it, and import the folder.",
    )


def _not_wanted(member: zipfile.ZipInfo) -> str:
    """Why a member is skipped: a name that leads out of the archive, a link, a device."""
    name = member.filename.replace("\\", "/")
    if name.startswith("/") or name[1:2] == ":" or ".." in name.split("/"):
        return "unsafe_name"
    kind = stat.S_IFMT(member.external_attr >> 16)
    return "" if kind in (0, stat.S_IFREG) else "not_a_file"
