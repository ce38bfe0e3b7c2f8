"""What an object says against another one: the same picture twice, one name for two pictures.

"First" is by content hash within an import, not by arrival, so that the result does not depend on
how a folder is walked; across imports the committed one stays.

Source: design/imaging.md §11 (31 UIDs of pydicom's own files are shared by different pictures).
"""

from __future__ import annotations

from collections.abc import Iterable

from compliance.records.reasons import Quarantine
from site_node.store.objects import HELD, QUARANTINED, ObjectRow

DUPLICATE = "duplicate_image"


class Contradictions:
    """Knows the objects that came before.

    Args:
        before: objects of the dataset that are already committed.
    """

    def __init__(self, before: Iterable[ObjectRow]) -> None:
        self._by_instance: dict[str, ObjectRow] = {}
        self._by_pixels: dict[str, list[ObjectRow]] = {}
        for row in before:
            if row.outcome == HELD or row.reason == Quarantine.SAME_IMAGE_TWO_PATIENTS:
                self._remember(row)

    def judge(self, row: ObjectRow) -> list[str]:
        """Decide the outcome of the next object.

        Returns:
            Content hashes of earlier objects that must go into quarantine with it.
        """
        twins = self._by_pixels.get(str(row.pixels), [])
        first = self._by_instance.get(str(row.instance_key))
        if any(twin.patient != row.patient for twin in twins):
            return self._two_patients(row, twins)
        if twins:
            row.outcome = DUPLICATE
        elif first is not None:
            row.outcome, row.reason = QUARANTINED, Quarantine.UID_CONFLICT.value
        else:
            self._remember(row)
        return []

    def _two_patients(self, row: ObjectRow, twins: list[ObjectRow]) -> list[str]:
        """Whose picture it is cannot be known: nobody's is used."""
        held = [twin for twin in twins if twin.outcome == HELD]
        for one in (row, *held):
            one.outcome, one.reason = QUARANTINED, Quarantine.SAME_IMAGE_TWO_PATIENTS.value
        self._remember(row)
        return [one.sha256 for one in held]

    def _remember(self, row: ObjectRow) -> None:
        self._by_instance.setdefault(str(row.instance_key), row)
        self._by_pixels.setdefault(str(row.pixels), []).append(row)
