"""From the bytes of a file to the bytes of its copy: preamble, file meta, data set, pixels.

Runs in a child process only. Everything around the data set is made new; what stands behind the
pixels is not read.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_file_meta_info
from pydicom.uid import UID

from compliance.records.reasons import Quarantine
from site_node.imaging.deid.deidentify import UTF8, Clean, Deidentifier, put, write_codes
from site_node.imaging.deid.order import Order
from site_node.imaging.deid.pixels import Native, describe, read_native
from site_node.imaging.deid.read_pixels import BLIND, Sight
from site_node.imaging.deid.told import Actions
from site_node.imaging.facts import CLASSES, OFTEN_WRITTEN_ON
from site_node.imaging.file_meta import EXPLICIT, Buffer
from site_node.imaging.header import parse
from site_node.imaging.identity import identity_of
from site_node.imaging.keys import SiteKeys
from site_node.imaging.memo import MOST_MEMORY, Memo, weight
from site_node.imaging.outcomes import Quarantined, Skipped
from site_node.imaging.scan import scan

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
    sight: Sight = BLIND,
    clean: Clean | None = None,
    pieces: Pieces | None = None,
) -> Copied:
    """Write the de-identified copy of one file.

    Args:
        data: the bytes of the file.
        order: profile, and whether pictures that may carry a name pass.
        keys: of this site.
        out: where to write.
        sight: reads pictures for text, and is told what decoding and reading will cost.
        clean: de-identifies a header and remembers; without one, nothing is remembered.
        pieces: remembers how elements are written.

    Raises:
        Quarantined: with the reason.
        Skipped: a DICOMDIR.
    """
    try:
        clean = clean or Deidentifier(order.profile, keys, Memo(0)).run
        return _copy(data, order, clean, _Hashed(out), sight, pieces or Pieces(0))
    except (Quarantined, Skipped, MemoryError, RecursionError, OSError):
        raise
    except Exception:  # noqa: BLE001 - reader and writer may raise anything over hostile bytes
        raise Quarantined(Quarantine.MALFORMED) from None


def _copy(
    data: Buffer,
    order: Order,
    clean: Clean,
    out: _Hashed,
    sight: Sight,
    pieces: Pieces,
) -> Copied:
    outline = scan(data)
    header = parse(outline)
    looked_at = _check_class(header, order, sight)
    native = read_native(outline, header)
    sight.allow(native.length)
    if looked_at:
        native = replace(native, boxes=sight.boxes(native.film))
    copy, actions = clean(header, identity_of(header))
    describe(native, copy)
    if looked_at:
        _claim(copy, actions, native)
    _write(copy, native, out, pieces)
    return Copied(name_of(str(copy.SOPInstanceUID)), out.digest(), actions.plain())


def name_of(instance: str) -> str:
    """The file name of a copy; nothing of the input's name or folder is in it."""
    return hashlib.sha256(instance.encode()).hexdigest()[:NAME_DIGITS] + ".dcm"


def _check_class(header: Dataset, order: Order, sight: Sight) -> bool:
    """Refuse what cannot be copied; returns whether its pixels are read for text."""
    sop_class = str(header.get("SOPClassUID") or "").strip(" \0")
    told = str(header.get("BurnedInAnnotation") or "").strip().upper()
    kind = CLASSES.get(sop_class, "more" if sop_class in MORE_CLASSES else None)
    if kind is None:
        raise Quarantined(Quarantine.CLASS_NOT_SUPPORTED)
    screen = kind.split("-")[0] in OFTEN_WRITTEN_ON or sop_class.endswith((".6.2", ".7.1"))
    looked_at = sight.sees(sop_class, told)
    suspect = told == "YES" or (told != "NO" and screen)
    if suspect and not (looked_at or order.accept_burned_in):
        raise Quarantined(Quarantine.BURNED_IN_TEXT)
    return looked_at


def _claim(copy: Dataset, actions: Actions, native: Native) -> None:
    """Say that the pixels were read for text, and how many places were blanked."""
    actions.note_pixels(frames=native.shape.frames, blanked=len(native.boxes))
    put(copy, "BurnedInAnnotation", "NO")
    write_codes(copy, actions)


class Pieces:
    """The bytes of elements in a copy: one that many copies share is written out once.

    Args:
        most: what all may weigh in memory.
    """

    def __init__(self, most: int = MOST_MEMORY) -> None:
        self._memo: Memo[tuple[DataElement, bytes]] = Memo(most)

    def of(self, element: DataElement) -> bytes:
        """An element in explicit little endian; it is kept, so that its identity stays its own."""
        known = self._memo.get(id(element))
        if known is None:
            buffer = DicomBytesIO()
            buffer.is_little_endian, buffer.is_implicit_VR = True, False
            write_data_element(buffer, element, UTF8)
            known = element, buffer.getvalue()
            self._memo.keep(id(element), known, weight(element.VR, len(known[1])))
        return known[1]


def _write(copy: Dataset, native: Native, out: _Hashed, pieces: Pieces) -> None:
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
        body = b"".join(pieces.of(copy[tag]) for tag in sorted(copy.keys()))
    out.write(PREAMBLE + buffer.getvalue() + body)
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
