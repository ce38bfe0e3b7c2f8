"""The container: BagIt 1.0 (RFC 8493) in a zip whose bytes follow from its content alone."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping

from compliance.errors import Malformed

MAX_FILES = 100_000
MAX_BYTES = 4 << 30
EPOCH = (1980, 1, 1, 0, 0, 0)
BAGIT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
MANIFEST, TAG_MANIFEST = "manifest-sha512.txt", "tagmanifest-sha512.txt"
_ENCRYPTED = 0x1
_FILE_MODE = 0o644 << 16 | 0o100000 << 16


def manifest(files: Mapping[str, bytes]) -> bytes:
    """One line a file, sorted by path: SHA-512, two spaces, path (RFC 8493 §2.1.3)."""
    rows = (f"{hashlib.sha512(data).hexdigest()}  {path}\n" for path, data in sorted(files.items()))
    return "".join(rows).encode()


def write_zip(top: str, files: Mapping[str, bytes]) -> bytes:
    """Write files below one top folder: sorted, stored, 1980, mode 0644, nothing else."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path, data in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{top}/{path}", EPOCH)
            entry.create_system, entry.external_attr = 3, _FILE_MODE
            archive.writestr(entry, data)
    return out.getvalue()


def read_zip(data: bytes) -> tuple[str, dict[str, bytes]]:
    """Read a container in memory; nothing is ever unpacked to disk.

    Returns:
        Name of the top folder, and the files by path below it.

    Raises:
        Malformed: not a zip, a second top folder, a link, an absolute or climbing path, a
            duplicate, a compressed entry, too many or too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_entries(entries, len(data))
            files = {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError) as error:
        raise Malformed("bundle", f"it is not a whole zip file ({error})") from None
    tops = {path.split("/", 1)[0] for path in files}
    if len(tops) != 1 or any("/" not in path for path in files):
        raise Malformed("bundle", "it does not have exactly one top folder")
    top = tops.pop()
    return top, {path.split("/", 1)[1]: content for path, content in files.items()}


def _check_entries(entries: list[zipfile.ZipInfo], size: int) -> None:
    names = [entry.filename for entry in entries]
    if not entries or len(entries) > MAX_FILES or len(set(names)) != len(names):
        raise Malformed("bundle", "it is empty, has too many files, or one name twice")
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise Malformed("bundle", "it is larger than 4 GiB")
    for entry in entries:
        _check_path(entry)
        if entry.external_attr >> 16 & 0o170000 not in (0, 0o100000):
            raise Malformed("bundle", f"{entry.filename} is not a plain file")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & _ENCRYPTED:
            raise Malformed("bundle", f"{entry.filename} is compressed or encrypted")
    if sum(entry.file_size for entry in entries) > size:
        raise Malformed("bundle", "its files overlap: they would be larger than the whole file")


def _check_path(entry: zipfile.ZipInfo) -> None:
    """Refuse what another program could read as another file, or as a file elsewhere."""
    name, parts = entry.orig_filename, set(entry.orig_filename.split("/"))
    plain = name == entry.filename and name.isascii() and name.isprintable()
    if not plain or "\\" in name or {"", ".", ".."} & parts:
        raise Malformed("bundle", f"the path {name[:80]!r} is not allowed")
