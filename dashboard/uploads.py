"""Verify a bundle that somebody uploads: bounded, in memory, by the auditor's own verifier.

Nothing is written and nothing is kept. One bundle at a time: it takes a core of the machine that
everybody else's pages need too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from compliance.errors import Refused
from compliance.ledger.policy import Policy
from compliance.report.verify import Report, Step, verify

MOST_MIB = 20
MOST_BYTES = MOST_MIB << 20
MOST_FILES = 20_000
FOLDER_ENTRY = b"PK\x01\x02"
"""Begins the line of each file in the folder of a zip (APPNOTE 4.3.12)."""

NAMED_BEFORE = 300
"""Bytes within which the first file's path stands (APPNOTE 4.3.7)."""

_one = threading.Lock()


def check_size(data: bytes) -> None:
    """Refuse what is too large to be looked at here, before any of it is read as a zip file.

    Raises:
        Refused: more than 20 MiB, or more than 20,000 files.
    """
    elsewhere = "Verify it on your own machine: `consilium audit verify BUNDLE --policy FILE`."
    if len(data) > MOST_BYTES:
        words = f"This file is larger than {MOST_MIB} MiB. {elsewhere}"
        raise Refused("upload.size", sentence=words)
    if data.count(FOLDER_ENTRY) > MOST_FILES:
        words = f"This file holds more than {MOST_FILES} files. {elsewhere}"
        raise Refused("upload.files", sentence=words)


def own_policy(data: bytes, policies: Iterable[str]) -> str | None:
    """The operator's policy for the study that a bundle says it is about; None if there is none."""
    for text in policies:
        log = Policy.parse(text).log
        study = log.name.rpartition("/")[2] if log else ""
        if study and f"consilium-{study}-".encode() in data[:NAMED_BEFORE]:
            return text
    return None


def verify_upload(
    data: bytes,
    policy: str | None,
    *,
    consortium_policy: str | None = None,
    receipt: bytes | None = None,
    charter_id: str | None = None,
    tell: Callable[[Step], None],
) -> Report:
    """Run every step of `consilium audit verify` in this process.

    Args:
        data: the zip file.
        policy: whose signatures count, obtained outside the bundle; None: cannot tell.
        consortium_policy: the same for the consortium's log, if its proofs are to be checked.
        receipt: the receipt of the export, if there is one.
        charter_id: the charter that is expected, if known.
        tell: hears each step as it ends.

    Raises:
        Refused: it is too large for this dashboard.
    """
    check_size(data)
    with _one:
        return verify(
            data,
            policy,
            charter_id,
            consortium_policy=consortium_policy,
            receipt=receipt,
            tell=tell,
        )
