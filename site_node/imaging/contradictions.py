"""What an object says against another one: the same picture twice, one name for two pictures.

"First" is by content hash within an import, not by arrival, so that the result does not depend on
how a folder is walked; across imports the committed one stays.

Source: design/imaging.md §11 (31 UIDs of pydicom's own files are shared by different pictures).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from compliance.records.reasons import Quarantine
from site_node.imaging.facts import SEGMENTATIONS
from site_node.store.objects import HELD, QUARANTINED, SEGMENTATION, NewObject

DUPLICATE = "duplicate_image"
READ = (HELD, SEGMENTATION)


SEEN = struct.Struct("32s?16s")
"""What is remembered of an object: hash, whether it is held, patient. Plain bytes, because a site
may hold a million, and what is plain bytes costs neither memory nor the collector's time."""


class Contradictions:
    """Knows the objects that came before.

    Args:
        before: objects of the dataset that are already committed.
        by_pixels: whether equal pixels under other names are one picture. Slices are not: air looks
            the same in every patient. Volumes are compared as a whole, later.
    """

    def __init__(self, before: Iterable[Any], *, by_pixels: bool = True) -> None:
        self._whole = by_pixels
        self._instances: dict[bytes, None] = {}
        self._by_pixels: dict[bytes, bytes] = {}
        for row in before:
            if row.outcome in READ or row.reason == Quarantine.SAME_IMAGE_TWO_PATIENTS:
                self._remember(row, self._picture(row))

    def judge(self, row: NewObject) -> list[str]:
        """Decide the outcome of the next object.

        Returns:
            Content hashes of earlier objects that must go into quarantine with it.
        """
        picture = self._picture(row)
        twins = list(SEEN.iter_unpack(self._by_pixels.get(picture, b"")))
        if any(patient != _patient(row) for _, _, patient in twins):
            return self._two_patients(row, picture, twins)
        if twins:
            row.outcome = DUPLICATE
        elif _short(row.instance_key) in self._instances:
            row.outcome, row.reason = QUARANTINED, Quarantine.UID_CONFLICT.value
        else:
            self._remember(row, picture)
        return []

    def _two_patients(
        self, row: NewObject, picture: bytes, twins: list[tuple[bytes, bool, bytes]]
    ) -> list[str]:
        """Whose picture it is cannot be known: nobody's is used."""
        put_out([row], [row.sha256])
        none_held = (SEEN.pack(sha256, False, patient) for sha256, _, patient in twins)  # noqa: FBT003 - packed
        self._by_pixels[picture] = b"".join(none_held)
        self._remember(row, picture)
        return [sha256.hex() for sha256, held, _ in twins if held]

    def _remember(self, row: Any, picture: bytes) -> None:
        seen = SEEN.pack(bytes.fromhex(row.sha256), row.outcome in READ, _patient(row))
        self._instances[_short(row.instance_key)] = None
        self._by_pixels[picture] = self._by_pixels.get(picture, b"") + seen

    def _picture(self, row: Any) -> bytes:
        alone = not self._whole or row.facts.get("class") in SEGMENTATIONS.values()
        return _short(row.pixels) + (_short(row.instance_key) if alone else b"")


def put_out(rows: Iterable[NewObject], hashes: Iterable[str]) -> None:
    """Take those of these objects that show one picture of two patients out."""
    out = set(hashes)
    for row in rows:
        if row.sha256 in out:
            row.outcome, row.reason = QUARANTINED, Quarantine.SAME_IMAGE_TWO_PATIENTS.value


def _patient(row: Any) -> bytes:
    return str(row.patient or "").encode().ljust(16, b"\0")


def _short(digits: str | None) -> bytes:
    return bytes.fromhex(digits or "")
