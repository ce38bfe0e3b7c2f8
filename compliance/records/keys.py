"""The replacement of a key.

Source: design/ledger.md §2.2 and §3.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from compliance.records.reasons import Rotated
from compliance.records.types import Record, VKeyText, Word


class KeyRotated(Record):
    """A key of the same name and type takes over; the old public key never returns."""

    name: Annotated[str, Field(min_length=3, max_length=120)]
    vkey: VKeyText
    reason: Word[Rotated]
