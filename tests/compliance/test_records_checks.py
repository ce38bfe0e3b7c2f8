"""What a hospital tells of its checks has one form: intervals and hashes, no count, no text."""

from __future__ import annotations

from typing import Any

import pytest

from compliance.errors import Malformed
from compliance.records.checks import read_checks
from tests import factories as make

INTERVAL = {"value": "0.531", "low": "0.46", "high": "0.602"}
HASHES = ("model_sha256", "layout_sha256", "label_map_sha256", "preprocessing_sha256")
TOLD: dict[str, Any] = {
    "v": 1,
    "leak": "no_leak_found",
    "classes": [{"name": "pneumonia", "auc": INTERVAL, "tpr": INTERVAL}],
    "floor_holds": True,
    **{name: make.sha(name) for name in HASHES},
}


def test_it_comes_back_as_it_was() -> None:
    """Read and written."""
    assert read_checks(TOLD).plain() == TOLD


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"members": 12}, "members"),
        ({"classes": [{**TOLD["classes"][0], "members": 12}]}, "classes.0.members"),
        ({"classes": [{**TOLD["classes"][0], "name": "Anna Meier, born 1950"}]}, "classes.0.name"),
        ({"leak": "it holds, says Dr. Meier"}, "leak"),
        ({"classes": [{**TOLD["classes"][0], "auc": {**INTERVAL, "low": "low"}}]}, "low"),
    ],
)
def test_a_count_or_a_sentence_finds_no_place_in_it(change: dict[str, Any], named: str) -> None:
    """What could carry a patient is refused with its field."""
    with pytest.raises(Malformed, match=named):
        read_checks(TOLD | change)
