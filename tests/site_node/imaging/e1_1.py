"""The rows of Table E.1-1, read from the shared data and not from the program's own copy."""

from __future__ import annotations

import functools
import json

from tests.shared import shared_data


@functools.cache
def rows() -> dict[int, dict[str, str]]:
    """Every row by tag, without the four that are patterns."""
    path = shared_data("dicom", "confidentiality_profile_attributes.json")
    found = {}
    for row in json.loads(path.read_text()):
        try:
            found[int(row["id"], 16)] = row
        except ValueError:
            continue
    return found
