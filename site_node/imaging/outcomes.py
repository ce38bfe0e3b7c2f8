"""What an untrusted file can come to besides an image: quarantined, or skipped, with its word."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from compliance.records.reasons import Quarantine


class Quarantined(Exception):
    """The file stays out; carries the reason from the closed list and nothing from the file."""

    def __init__(self, reason: Quarantine) -> None:
        self.reason = reason
        super().__init__(reason.value)


class Skipped(Exception):
    """The file is no image and no danger: a DICOMDIR."""

    def __init__(self, word: str) -> None:
        self.word = word
        super().__init__(word)


@contextlib.contextmanager
def hostile_bytes() -> Iterator[None]:
    """Whatever a reader raises over hostile bytes is `malformed`; outcomes and limits pass.

    Raises:
        Quarantined: the reader raised something of its own.
    """
    try:
        yield
    except (Quarantined, Skipped, MemoryError, RecursionError, OSError):
        raise
    except Exception:  # noqa: BLE001 - a reader may raise anything over hostile bytes
        raise Quarantined(Quarantine.MALFORMED) from None
