"""From the bytes of a file to the bytes of its copy: preamble, file meta, data set, pixels.

Runs in a child process only. Everything around the data set is made new; what stands behind the
pixels is not read.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import UID

from compliance.records.reasons import Quarantine
from site_node.imaging.deid.deidentify import deidentify
from site_node.imaging.deid.pixels import Native, describe, read_native
from site_node.imaging.deid.profiles import Profile
from site_node.imaging.facts import CLASSES, OFTEN_WRITTEN_ON
from site_node.imaging.file_meta import EXPLICIT, Buffer
from site_node.imaging.keys import SiteKeys
from site_node.imaging.outcomes import Quarantined, Skipped
from site_node.imaging.scan import Outline, scan

PREAMBLE = b"\0" * 128 + b"DICM"
IMPLEMENTATION, VERSION_NAME = "2.25.287913482913284172836471928374655012", "CONSILIUM_1"
MORE_CLASSES = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{end}"
    for end in (
        "2.1", "2.2", "4.1", "4.3", "4.4", "6.2", "7.1", "12.1.1", "12.2.1", "13.1.1", "13.1.2",
        "13.1.3", "13.1.4", "13.1.5", "66.4", "128.1", "130",
    )
)  # fmt: skip
"""Enhanced and multi-frame forms, tomosynthesis, segmentation: copied, not yet imported."""

NAME_DIGITS = 16


@dataclass(frozen=True)
class Order:
    """What a child is asked to do with every file."""

    profile: Profile
    accept_burned_in: bool = False


@dataclass(frozen=True)
class Copied:
    """A copy that was written: its file name, its hash, what was done."""

    name: str
    sha256: str
    actions: dict[str, Any]


def copy_file(
    data: Buffer,
    order: Order,
    keys: SiteKeys,
    out: BinaryIO,
    allow: Callable[[int], None] = lambda _: None,
) -> Copied:
    """Write the de-identified copy of one file.

    Args:
        data: the bytes of the file.
        order: profile, and whether pictures that may carry a name pass.
        keys: of this site.
        out: where to write.
        allow: told how many bytes will be decoded, before the first is.

    Raises:
        Quarantined: with the reason.
        Skipped: a DICOMDIR.
    """
    try:
        return _copy(data, order, keys, out, allow)
    except (Quarantined, Skipped, MemoryError, RecursionError, OSError):
        raise
    except Exception:  # noqa: BLE001 - reader and writer may raise anything over hostile bytes
        raise Quarantined(Quarantine.MALFORMED) from None


def _copy(
    data: Buffer, order: Order, keys: SiteKeys, out: BinaryIO, allow: Callable[[int], None]
) -> Copied:
    outline = scan(data)
    header = parse_whole(outline)
    _check_class(header, order)
    native = read_native(outline, header)
    allow(native.length)
    copy, actions = deidentify(header, order.profile, keys)
    describe(native, copy)
    hashed = _Hashed(out)
    _write(copy, native, hashed)
    return Copied(name_of(str(copy.SOPInstanceUID)), hashed.digest(), actions.plain())


def name_of(instance: str) -> str:
    """The file name of a copy; nothing of the input's name or folder is in it."""
    return hashlib.sha256(instance.encode()).hexdigest()[:NAME_DIGITS] + ".dcm"


def parse_whole(outline: Outline) -> Dataset:
    """Read the data set up to the pixels; values stay bytes until they are asked for."""
    raw = BytesIO(bytes(outline.data[outline.start : outline.header]))
    return read_dataset(raw, outline.implicit, outline.little, at_top_level=True)


def _check_class(header: Dataset, order: Order) -> None:
    sop_class = str(header.get("SOPClassUID") or "").strip(" \0")
    told = str(header.get("BurnedInAnnotation") or "").strip().upper()
    kind = CLASSES.get(sop_class, "more" if sop_class in MORE_CLASSES else None)
    if kind is None:
        raise Quarantined(Quarantine.CLASS_NOT_SUPPORTED)
    screen = kind.split("-")[0] in OFTEN_WRITTEN_ON or sop_class.endswith((".6.2", ".7.1"))
    if (told == "YES" or (told != "NO" and screen)) and not order.accept_burned_in:
        raise Quarantined(Quarantine.BURNED_IN_TEXT)


def _write(copy: Dataset, native: Native, out: _Hashed) -> None:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = copy.SOPClassUID
    meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
    meta.TransferSyntaxUID = UID(EXPLICIT)
    meta.ImplementationClassUID = UID(IMPLEMENTATION)
    meta.ImplementationVersionName = VERSION_NAME
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    with config.disable_value_validation():
        write_file_meta_info(buffer, meta, enforce_standard=True)
        write_dataset(buffer, copy)
    out.write(PREAMBLE + buffer.getvalue())
    spare = native.length % 2
    kind = native.type.encode()
    out.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, kind, 0, native.length + spare))
    written = 0
    for frame in native.frames():
        out.write(frame)
        written += len(frame)
    if written != native.length:
        raise Quarantined(Quarantine.PIXELS_INCONSISTENT)
    out.write(b"\0" * spare)


class _Hashed:
    """Writes on and hashes along."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._hash = out, hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Write all of it."""
        self._out.write(data)
        self._hash.update(data)

    def digest(self) -> str:
        """The hash of everything so far."""
        return self._hash.hexdigest()
