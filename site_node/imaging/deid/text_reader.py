"""The reader of text in pictures, an extra of its own: models inside the package, no network.

Only this module knows it. One thread, one tile at a time; more lines in a tile than a picture can
have are no reason to read them all.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable

import numpy as np

from compliance.errors import NotReady
from compliance.records.reasons import Quarantine
from site_node.imaging.deid.burned_in import Bytes, Read, Seen
from site_node.imaging.deid.order import Order
from site_node.imaging.outcomes import Quarantined

PACKAGE = "rapidocr_onnxruntime"
MOST_LINES = 300
RESIDENT = 700 << 20
"""Memory that one reading process was seen to take, measured 600 MB."""

NO_ROOM = ("alloc", "memory")
"""Words by which the libraries below say that memory ran out."""


def installed() -> bool:
    """Whether the extra is here."""
    return importlib.util.find_spec(PACKAGE) is not None


def need_reader(*, find_text: bool) -> None:
    """Stop early when text is to be found and nothing here can read.

    Raises:
        NotReady: the extra is not installed.
    """
    if find_text and not installed():
        raise NotReady(
            "text in pictures is to be found, and the reader of text is not installed.",
            'Install it: CONSILIUM_EXTRAS="site ocr" ./consilium setup (about 250 MB), or leave '
            "--find-text out.",
        )


def reader_for(order: Order) -> Read | None:
    """The reader, loaded, when the order asks for it."""
    return TextReader() if order.find_text else None


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def jobs_for(order: Order, jobs: int, memory: Callable[[], int] = machine_memory) -> int:
    """How many children may work at once: readers leave half of the machine's memory to others."""
    return max(1, min(jobs, memory() // (2 * RESIDENT))) if order.find_text else jobs


class TextReader:
    """Reads tiles; loading it takes half a second and 130 MB."""

    def __init__(self) -> None:
        import cv2
        from rapidocr_onnxruntime import RapidOCR

        cv2.setNumThreads(1)
        self._engine = RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)
        self._engine.text_det.limit_side_len = 32

    def __call__(self, tile: Bytes) -> list[Seen]:
        """Read one tile.

        Raises:
            MemoryError: there was not enough.
            Quarantined: the reader broke, or there is more text than in a picture.
        """
        try:
            return self._read(tile)
        except (MemoryError, Quarantined):
            raise
        except Exception as error:  # noqa: BLE001 - the libraries below share no error class
            if any(word in str(error).lower() for word in NO_ROOM):
                raise MemoryError from None
            raise Quarantined(Quarantine.PARSER_CRASHED) from None

    def _read(self, tile: Bytes) -> list[Seen]:
        boxes, _ = self._engine.text_det(tile)
        if boxes is None or not len(boxes):
            return []
        if len(boxes) > MOST_LINES:
            raise Quarantined(Quarantine.BURNED_IN_TEXT)
        parts = self._engine.get_crop_img_list(tile, boxes)
        parts, _, _ = self._engine.text_cls(parts)
        lines, _ = self._engine.text_rec(parts, False)  # noqa: FBT003 - asks for no single words
        return [
            Seen(np.asarray(box, np.float32), str(text), float(score))
            for box, (text, score) in zip(boxes, lines, strict=True)
        ]
